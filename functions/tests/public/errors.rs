//! What a caller is told when a function fails.

use syncline::{AppError, Error, Object, QueryCtx, Result};

use crate::app::{App, failure};

pub mod failing {
    use super::*;

    #[derive(Object)]
    pub struct Details {
        pub field: String,
        pub limit: i64,
    }

    #[syncline::query]
    pub async fn plain(_ctx: &QueryCtx) -> Result<()> {
        Err(Error::new("no"))
    }

    #[syncline::query]
    pub async fn text(_ctx: &QueryCtx) -> Result<(), AppError> {
        Err(AppError::new("sign in to post"))
    }

    #[syncline::query]
    pub async fn data(_ctx: &QueryCtx) -> Result<()> {
        Err(AppError::with_data(&Details { field: "body".into(), limit: 1 })?.into())
    }

    #[syncline::query]
    pub async fn coded(_ctx: &QueryCtx) -> Result<()> {
        Err(AppError::new("the room is full").code("FULL"))?
    }

    #[syncline::query]
    pub async fn other(_ctx: &QueryCtx, number: String) -> Result<f64> {
        Ok(f64::from(number.parse::<u8>()?))
    }

    /// Calls the one above and passes on what it says.
    #[syncline::query]
    pub async fn relays(ctx: &QueryCtx) -> Result<()> {
        ctx.run_query(coded, ()).await
    }

    #[syncline::query]
    pub async fn long(_ctx: &QueryCtx) -> Result<()> {
        Err(Error::new("🎉".repeat(100_000)))
    }
}

fn told(path: &str, arguments: &str) -> (String, Option<String>) {
    let failure = App::new().call(path, arguments).expect_err("the function fails");
    (failure.message, failure.data)
}

/// spec: D123
#[test]
fn only_an_applications_own_error_has_data() {
    assert_eq!(told("errors/failing:plain", "{}"), ("Uncaught Error: no\n".into(), None));
    let invalid = "Uncaught Error: invalid digit found in string\n";
    assert_eq!(told("errors/failing:other", r#"{"number":"x"}"#), (invalid.into(), None));
    let text = ("Uncaught ConvexError: sign in to post\n".into(), Some(r#""sign in to post""#.into()));
    assert_eq!(told("errors/failing:text", "{}"), text);
}

/// spec: D137
#[test]
fn data_arrives_as_the_wire_has_it() {
    let data = r#"{"field":"body","limit":{"$integer":"AQAAAAAAAAA="}}"#;
    assert_eq!(told("errors/failing:data", "{}"), (format!("Uncaught ConvexError: {data}\n"), Some(data.into())));
    let data = r#"{"code":"FULL","message":"the room is full"}"#;
    assert_eq!(told("errors/failing:coded", "{}"), (format!("Uncaught ConvexError: {data}\n"), Some(data.into())));
}

/// spec: D138
#[test]
fn an_error_of_a_nested_call_keeps_its_data() {
    assert_eq!(told("errors/failing:relays", "{}"), told("errors/failing:coded", "{}"));
}

#[test]
fn a_text_is_cut_at_64_kib_between_characters() {
    let text = failure(App::new().call("errors/failing:long", "{}"));
    assert!(text.len() <= 64 << 10 && text.len() > (64 << 10) - 8, "{}", text.len());
    assert!(text.ends_with("🎉\n"));
}

#[test]
fn code_and_data_can_be_asked_for() {
    let error = Error::from(AppError::new("the room is full").code("FULL"));
    assert_eq!(error.code().as_deref(), Some("FULL"));
    assert!(error.as_app().is_some() && error.as_db().is_none());
    assert_eq!(Error::from(AppError::new("FULL")).code(), None);
    assert_eq!(Error::new("no").data(), None);
}
