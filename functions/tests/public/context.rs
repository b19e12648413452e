//! What a run leaves behind: what it looked at, and its log lines.

use std::sync::Arc;

use syncline::auth::UserIdentity;
use syncline::run::RunReport;
use syncline::{QueryCtx, Result};
use syncline_schema::Value;

use crate::app::{App, failure};

pub mod looks {
    use super::*;

    #[syncline::query]
    pub async fn clock(ctx: &QueryCtx) -> Result<f64> {
        Ok(ctx.now())
    }

    #[syncline::query]
    pub async fn identity(ctx: &QueryCtx) -> Result<Option<String>> {
        Ok(ctx.auth.user().map(|user| user.token_identifier.clone()))
    }

    #[syncline::query]
    pub async fn random(ctx: &QueryCtx) -> Result<Vec<f64>> {
        Ok((0..100).map(|_| ctx.random()).collect())
    }

    #[syncline::query]
    pub async fn environment(ctx: &QueryCtx, name: String) -> Result<Option<String>> {
        ctx.env.get(&name).await
    }

    #[syncline::query]
    pub async fn logs(ctx: &QueryCtx) -> Result<()> {
        ctx.log.log("hi");
        ctx.log.warn(format_args!("{} left", 3));
        Ok(())
    }
}

fn call(app: &App, path: &str) -> (String, RunReport) {
    let (result, report) = app.call_reporting(path, "{}");
    (result.unwrap(), report)
}

/// spec: D91
#[test]
fn the_time_is_that_of_the_run_and_looking_is_noted() {
    let (time, report) = call(&App::new(), "context/looks:clock");
    assert_eq!(time, "1700000000123.0");
    assert!(report.observed_time && !report.observed_identity);
}

/// spec: D90, D106
#[test]
fn looking_at_the_identity_is_noted_signed_in_or_not() {
    let mut app = App::new();
    let (nobody, report) = call(&app, "context/looks:identity");
    assert_eq!(nobody, "null");
    assert!(report.observed_identity && !report.observed_time);
    let user = UserIdentity { token_identifier: "https://a|b".into(), ..UserIdentity::default() };
    app.identity = Some(Arc::new(user));
    assert_eq!(call(&app, "context/looks:identity").0, r#""https://a|b""#);
    assert!(!call(&app, "context/looks:random").1.observed_identity);
}

#[test]
fn random_numbers_follow_from_the_seed() {
    let mut app = App::new();
    let (first, report) = call(&app, "context/looks:random");
    assert_eq!(call(&app, "context/looks:random").0, first);
    assert!(!report.observed_time && !report.observed_identity);
    app.seed = 2;
    assert_ne!(call(&app, "context/looks:random").0, first);
    let numbers: Vec<f64> = serde_json::from_str(&first).unwrap();
    assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
    let mean = numbers.iter().sum::<f64>() / 100.0;
    assert!((0.35..0.65).contains(&mean), "{mean}");
}

#[test]
fn a_variable_is_read_from_the_deployment() {
    let app = App::new();
    app.tx.set_environment("COLOUR", "red");
    let get = |name: &str| app.call("context/looks:environment", &format!(r#"{{"name":"{name}"}}"#)).unwrap();
    assert_eq!((get("COLOUR").as_str(), get("SIZE").as_str()), (r#""red""#, "null"));
}

#[test]
fn log_lines_are_those_of_the_run() {
    let (_, report) = call(&App::new(), "context/looks:logs");
    assert_eq!(report.log_lines, ["[LOG] 'hi'", "[WARN] '3 left'"]);
    assert_eq!(report.journal, None);
}

#[test]
fn a_call_that_nearly_used_up_a_limit_says_so_in_its_log() {
    let app = App::new();
    app.tx.use_documents(25_600);
    assert_eq!(call(&app, "context/looks:clock").1.log_lines, Vec::<String>::new());
    app.tx.use_documents(1);
    let line = "[WARN] 'This call is close to a limit: 25601 documents read, at most 32000.'";
    assert_eq!(call(&app, "context/looks:clock").1.log_lines, [line]);
}

#[test]
fn claims_are_read_with_a_type() {
    let claims = [("org_role", r#""admin""#), ("meta", r#"{"a":{"b":[1,2]}}"#), ("age", "36")];
    let custom = claims.map(|(name, json)| (name.to_owned(), json.to_owned())).into();
    let user = UserIdentity { custom, ..UserIdentity::default() };
    assert_eq!(user.claim::<String>("org_role").unwrap().as_deref(), Some("admin"));
    assert_eq!(user.claim::<f64>("age").unwrap(), Some(36.0));
    assert_eq!(user.claim::<f64>("missing").unwrap(), None);
    assert!(matches!(user.claim::<Value>("meta").unwrap(), Some(Value::Object(_))));
    let text = user.claim::<String>("age").unwrap_err().to_string();
    assert!(text.contains("`age` is 36") && text.contains("v.string()"), "{text}");
}

/// spec: A77
#[test]
fn requiring_a_user_tells_the_client_that_there_is_none() {
    let app = App::new();
    let run = app.run();
    let error = QueryCtx::new(run.clone()).auth.require().unwrap_err();
    assert_eq!(error.code().as_deref(), Some("UNAUTHENTICATED"));
    assert!(run.report().observed_identity);
    assert!(failure(app.call("users:store", "{}")).contains("UNAUTHENTICATED"));
}
