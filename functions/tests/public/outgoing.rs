//! Results and documents that a Rust type allows and the wire does not.

use std::collections::BTreeMap;

use futures::executor::block_on;
use syncline::{QueryCtx, Result, Table, Value};

use crate::app::{App, failure};

/// A table whose type leaves much open.
#[derive(Clone, Debug, PartialEq, Table)]
#[table(name = "bags")]
pub struct Bag {
    pub counts: BTreeMap<String, f64>,
    pub anything: Option<Value>,
    pub numbers: Vec<f64>,
}

pub mod giving {
    use super::*;

    #[syncline::query]
    pub async fn record(_ctx: &QueryCtx, key: String) -> Result<BTreeMap<String, f64>> {
        Ok([(key, 1.0)].into())
    }

    #[syncline::query]
    pub async fn anything(_ctx: &QueryCtx, key: String) -> Result<Option<Value>> {
        Ok(Some(Value::Object([(key, Value::Null)].into())))
    }

    #[syncline::query]
    pub async fn many(_ctx: &QueryCtx, n: f64) -> Result<Vec<Vec<()>>> {
        Ok(vec![Vec::new(), vec![(); n as usize]])
    }

    #[syncline::query]
    pub async fn long(_ctx: &QueryCtx, n: f64) -> Result<String> {
        Ok("x".repeat(n as usize))
    }

    #[syncline::query]
    pub async fn passes_on(ctx: &QueryCtx) -> Result<f64> {
        Ok(ctx.run_query(record, ("$bad".to_owned(),)).await?.len() as f64)
    }
}

/// spec: D100, D9
#[test]
fn names_that_no_field_may_have_are_no_result() {
    let app = App::new();
    for function in ["outgoing/giving:record", "outgoing/giving:anything"] {
        let call = |key: &str| app.call(function, &format!(r#"{{"key":"{key}"}}"#));
        assert!(call("good name").is_ok());
        for key in ["$bad", "bäd", "$integer"] {
            let text = failure(call(key));
            assert!(text.starts_with("ReturnsValidationError: "), "{text}");
        }
    }
    let text = failure(app.call("outgoing/giving:passes_on", "{}"));
    assert!(text.starts_with("Uncaught Error: InvalidReturnValue: ") && text.contains("$bad"), "{text}");
}

/// spec: D12
#[test]
fn an_array_of_8192_elements_is_a_result_and_one_more_is_not() {
    let call = |n: usize| App::new().call("outgoing/giving:many", &format!(r#"{{"n":{n}}}"#));
    assert!(call(8_192).is_ok());
    let text = failure(call(8_193));
    assert!(text.contains("8192") && text.contains("8193"), "{text}");
}

/// spec: D12
#[test]
fn a_result_of_16_mib_passes_and_one_byte_more_does_not() {
    let app = App::new();
    // A string counts two bytes beside its content.
    let call = |n: usize| app.call("outgoing/giving:long", &format!(r#"{{"n":{n}}}"#));
    assert!(call((16 << 20) - 2).is_ok());
    let text = failure(call((16 << 20) - 1));
    for fact in ["outgoing/giving:long", "16777217 bytes", "at most 16777216"] {
        assert!(text.contains(fact), "{fact} in {text}");
    }
}

/// spec: D9, D16
#[test]
fn documents_that_break_a_rule_of_the_wire_are_not_written() {
    let app = App::new();
    let ctx = app.mutation();
    let good = Bag { counts: [("a b".into(), 1.0)].into(), anything: None, numbers: vec![0.0; 8_192] };
    let id = block_on(ctx.db.insert(good.clone())).unwrap();
    let bad = [
        Bag { counts: [("$a".into(), 1.0)].into(), ..good.clone() },
        Bag { anything: Some(Value::Object([("$undefined".into(), Value::Null)].into())), ..good.clone() },
    ];
    for bag in bad {
        let patch = Bag::patch().counts(&bag.counts).anything(&bag.anything);
        for error in [
            block_on(ctx.db.insert(bag.clone())).unwrap_err(),
            block_on(ctx.db.replace(id, bag.clone())).unwrap_err(),
            block_on(ctx.db.patch(id, patch)).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("on the table `bags`") && text.contains('$'), "{text}");
        }
    }
    let long = Bag { numbers: vec![0.0; 8_193], ..good.clone() };
    assert_eq!(block_on(ctx.db.insert(long)).unwrap_err().code().as_deref(), Some("ArrayTooLong"));
    let patch = Bag::patch().numbers(vec![0.0; 8_193]);
    assert_eq!(block_on(ctx.db.patch(id, patch)).unwrap_err().code().as_deref(), Some("ArrayTooLong"));
    assert_eq!(*block_on(ctx.db.get(id)).unwrap().unwrap(), good);
}
