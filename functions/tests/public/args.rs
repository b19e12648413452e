//! Arguments: decoded by name, and exactly what is wrong with them when they do not fit.

use syncline::{Object, QueryCtx, Result};
use syncline_schema::{Bytes, Id, Nullable, Value};

use crate::app::{App, Message, failure};

pub mod arguments {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, PartialEq, Object)]
    pub struct Everything {
        pub text: String,
        pub number: f64,
        pub big: i64,
        pub flag: bool,
        pub bytes: Bytes,
        pub nothing: (),
        pub list: Vec<Option<f64>>,
        pub record: BTreeMap<String, f64>,
        pub nullable: Nullable<f64>,
        pub optional: Option<f64>,
        pub any: Value,
    }

    /// Takes and returns everything.
    #[syncline::query]
    pub async fn everything(_ctx: &QueryCtx, it: Everything) -> Result<Everything> {
        Ok(it)
    }

    #[syncline::query]
    pub async fn nothing(_ctx: &QueryCtx) -> Result<()> {
        Ok(())
    }

    #[syncline::query]
    pub async fn by_id(ctx: &QueryCtx, message_id: Id<Message>, others: Vec<Id<Message>>) -> Result<Option<f64>> {
        assert!(others.is_empty());
        Ok(ctx.db.get(message_id).await?.map(|message| message.score))
    }

    #[syncline::query(rename_all = "snake_case", name = "renamed")]
    pub async fn snake(_ctx: &QueryCtx, from_id: f64) -> Result<f64> {
        Ok(from_id)
    }
}

const EVERYTHING: &str = concat!(
    r#"{"any":{"a":[null]},"big":{"$integer":"AQAAAAAAAAA="},"bytes":{"$bytes":"AQI="},"flag":true,"#,
    r#""list":[1.0,null],"nothing":null,"nullable":null,"number":1.5,"record":{"k":2.0},"text":"x"}"#
);

/// spec: D99, D102
#[test]
fn arguments_are_an_object_or_an_array_of_one() {
    let app = App::new();
    let object = format!(r#"{{"it":{EVERYTHING}}}"#);
    for arguments in [object.clone(), format!("[{object}]"), format!(" [ {object} ] ")] {
        assert_eq!(app.call("args/arguments:everything", &arguments).unwrap(), EVERYTHING);
    }
    assert_eq!(app.call("args/arguments:nothing", "{}").unwrap(), "null");
    assert_eq!(app.call("args/arguments:nothing", "[{}]").unwrap(), "null");
}

/// spec: D99
#[test]
fn other_numbers_of_arguments_and_other_types_are_refused() {
    let app = App::new();
    for (arguments, found) in
        [("[]", "0 arguments found"), ("[{},{}]", "2 arguments found"), ("[5]", "5.0 found"), ("null", "null found")]
    {
        let text = failure(app.call("args/arguments:nothing", arguments));
        assert!(text.starts_with("ArgumentValidationError: "), "{text}");
        assert!(text.contains(found) && text.contains("one object expected"), "{arguments}: {text}");
    }
}

/// spec: D100, D30, D43
#[test]
fn what_does_not_fit_is_told_with_place_value_and_validator() {
    let app = App::new();
    let list = |arguments: &str| failure(app.call("messages:list", arguments));
    for (arguments, facts) in [
        ("{}", ["`channel` is missing", "{}", "channel: v.string()"]),
        (r#"{"channel":5}"#, ["at .channel", "5.0", "v.string()"]),
        (r#"{"channel":"a","n":null}"#, ["at .n", "null", "v.float64()"]),
        (r#"{"channel":"a","extra":1}"#, ["`extra` is unknown", r#"{channel: "a", extra: 1.0}"#, "v.object("]),
    ] {
        let text = list(arguments);
        assert!(text.starts_with("ArgumentValidationError: ") && text.ends_with('\n'), "{text}");
        for fact in facts {
            assert!(text.contains(fact), "{fact} in {text}");
        }
    }
}

/// spec: D16, D8
#[test]
fn what_is_no_value_is_told_with_the_function() {
    let app = App::new();
    for arguments in [r#"{"channel":{"$undefined":null}}"#, r#"{"channel":"#, r#"[{"channel":{"$x":1}}]"#] {
        let text = failure(app.call("messages:list", arguments));
        assert!(text.contains("the arguments of messages:list cannot be decoded"), "{text}");
        assert!(!text.contains("ArgumentValidationError"), "{text}");
    }
    let text = failure(app.call("messages:list", r#"{"channel":{"$undefined":null}}"#));
    assert!(text.contains("$undefined"), "{text}");
}

/// spec: D30, D100
#[test]
fn ids_are_checked_for_their_table() {
    let app = App::with_messages(1);
    let user = futures::executor::block_on(
        app.mutation().db.table("users").insert(
            &[("name", "Ada"), ("tokenIdentifier", "a|b")]
                .map(|(name, text)| (name.into(), Value::String(text.into())))
                .into(),
        ),
    )
    .unwrap();
    let message = crate::memory::ids(&app.tx, "messages").pop_first().unwrap();
    let call = |id: &str| app.call("args/arguments:by_id", &format!(r#"{{"messageId":"{id}","others":[]}}"#));
    assert_eq!(call(&message.to_string()).unwrap(), "0.0");
    let text = failure(call(&user.to_string()));
    for fact in ["ArgumentValidationError: at .messageId", "`users`", &user.to_string(), r#"v.id("messages")"#] {
        assert!(text.contains(fact), "{fact} in {text}");
    }
    assert!(failure(call("nonsense")).contains(r#"Found "nonsense", expected v.id("messages")"#));
    let deep = format!(r#"{{"messageId":"{message}","others":["{message}","{user}"]}}"#);
    assert!(failure(app.call("args/arguments:by_id", &deep)).contains("at .others[1]"));
}

/// spec: D12
#[test]
fn arguments_of_16_mib_pass_and_one_byte_more_does_not() {
    let app = App::new();
    // The array that holds the arguments: 2, the object: 2, the field: 8 with its end, the string: 2.
    let room = syncline::limits::ARGUMENTS_BYTES_MAX - 2 - 2 - 8 - 2;
    let call = |n: usize| app.call("messages:list", &format!(r#"{{"channel":"{}"}}"#, "x".repeat(n)));
    assert_eq!(call(room).unwrap(), "[]");
    let text = failure(call(room + 1));
    for fact in ["messages:list", "16777217 bytes", "at most 16777216"] {
        assert!(text.contains(fact), "{fact} in {text}");
    }
}

#[test]
fn names_on_the_wire_are_camel_case_unless_the_function_says_otherwise() {
    let app = App::new();
    assert!(failure(app.call("args/arguments:by_id", "{}")).contains("messageId"));
    assert_eq!(app.call("args/arguments:renamed", r#"{"from_id":3}"#).unwrap(), "3.0");
}
