//! Calls from function to function.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use futures::future::BoxFuture;
use syncline::registry::{FunctionError, FunctionKind};
use syncline::run::{Caller, Run, RunInputs};
use syncline::tx::Variables;
use syncline::{ActionCtx, AppError, MutationCtx, QueryCtx, Result};
use syncline_schema::{FunctionPath, Value};

use crate::app::{App, Message, failure, message, messages, surroundings};

pub mod nesting {
    use super::*;

    #[syncline::mutation]
    pub async fn send_and_fail(ctx: &MutationCtx, channel: String) -> Result<()> {
        ctx.db.insert(message(&channel, 1.0)).await?;
        ctx.log.log("about to fail");
        Err(AppError::new("no").into())
    }

    /// Catches the failure of a nested mutation.
    #[syncline::mutation]
    pub async fn catches(ctx: &MutationCtx) -> Result<f64> {
        ctx.db.insert(message("mine", 0.0)).await?;
        let error = ctx.run_mutation(send_and_fail, ("theirs".to_owned(),)).await.unwrap_err();
        assert_eq!(error.data(), Some(Value::String("no".into())));
        ctx.run_mutation(messages::send, ("kept".to_owned(), 2.0)).await?;
        // A plain call is no nested transaction: its writes stay although it fails.
        send_and_fail(ctx, "plain".to_owned()).await.unwrap_err();
        ctx.run_query(counts, ()).await
    }

    #[syncline::query]
    pub async fn counts(ctx: &QueryCtx) -> Result<f64> {
        Ok(ctx.db.query(Message::all()).collect().await?.len() as f64)
    }

    /// Calls itself, `depth` times more.
    #[syncline::query]
    pub async fn deep(ctx: &QueryCtx, depth: f64) -> Result<f64> {
        if depth == 0.0 { Ok(0.0) } else { Ok(1.0 + ctx.run_query(deep, (depth - 1.0,)).await?) }
    }

    #[syncline::query]
    pub async fn wrong_arguments(ctx: &QueryCtx, path: String) -> Result<Value> {
        ctx.run_query_at(&path, Value::Object([("channel".into(), Value::Null)].into())).await
    }

    #[syncline::query]
    pub async fn asks_who(ctx: &QueryCtx) -> Result<Option<String>> {
        ctx.run_query(crate::context::looks::identity, ()).await
    }

    /// Writes while a nested mutation is under way that will fail.
    #[syncline::mutation]
    pub async fn mixes(ctx: &MutationCtx) -> Result<f64> {
        let nested = ctx.run_mutation(send_and_fail, ("theirs".to_owned(),));
        let (nested, mine) = futures::join!(nested, ctx.db.insert(message("mine", 1.0)));
        assert!(nested.is_err() && mine.is_ok());
        counts(ctx).await
    }

    /// Writes, and returns what cannot be sent.
    #[syncline::mutation]
    pub async fn returns_nonsense(ctx: &MutationCtx) -> Result<BTreeMap<String, f64>> {
        ctx.db.insert(message("nonsense", 1.0)).await?;
        Ok([("$bad".to_owned(), 1.0)].into())
    }

    #[syncline::mutation]
    pub async fn survives_nonsense(ctx: &MutationCtx) -> Result<f64> {
        let error = ctx.run_mutation(returns_nonsense, ()).await.unwrap_err().to_string();
        assert!(error.contains("InvalidReturnValue"), "{error}");
        counts(ctx).await
    }

    /// Gives a nested mutation up before it has ended.
    #[syncline::mutation]
    pub async fn gives_up(ctx: &MutationCtx) -> Result<f64> {
        let nested = Box::pin(ctx.run_mutation(mixes, ()));
        match futures::future::select(nested, std::future::ready(())).await {
            futures::future::Either::Left(_) => {}
            futures::future::Either::Right(((), nested)) => drop(nested),
        }
        counts(ctx).await
    }
}

pub mod acting {
    use super::*;

    #[syncline::action]
    pub async fn relays(ctx: &ActionCtx, channel: String) -> Result<f64> {
        ctx.run_mutation(messages::send, (channel.clone(), 1.0)).await?;
        let found = ctx.run_query(messages::list, (channel, None)).await?;
        Ok(found.len() as f64)
    }
}

/// spec: D104
#[test]
fn a_nested_mutation_that_fails_leaves_nothing_and_the_caller_goes_on() {
    let app = App::new();
    let (count, report) = app.call_reporting("calls/nesting:catches", "{}");
    assert_eq!(count.unwrap(), "3.0");
    let db = app.query().db;
    let mut channels: Vec<_> =
        block_on(db.query(Message::all()).collect()).unwrap().iter().map(|found| found.channel.clone()).collect();
    channels.sort();
    assert_eq!(channels, ["kept", "mine", "plain"]);
    assert_eq!(report.log_lines, ["[LOG] 'about to fail'", "[LOG] 'about to fail'"]);
}

/// spec: D104
#[test]
fn the_callers_writes_do_not_mix_with_those_of_a_nested_mutation() {
    assert_eq!(App::new().call("calls/nesting:mixes", "{}").unwrap(), "1.0");
}

#[test]
fn a_nested_mutation_that_is_given_up_is_undone() {
    let app = App::new();
    let left = app.call("calls/nesting:gives_up", "{}").unwrap();
    assert!(["0.0", "1.0"].contains(&left.as_str()), "{left}");
}

/// spec: D101
#[test]
fn a_nested_mutation_whose_result_cannot_be_sent_leaves_nothing() {
    assert_eq!(App::new().call("calls/nesting:survives_nonsense", "{}").unwrap(), "0.0");
    let text = failure(App::new().call("calls/nesting:returns_nonsense", "{}"));
    assert!(text.starts_with("ReturnsValidationError: "), "{text}");
}

/// spec: D105
#[test]
fn eight_calls_deep_work_and_nine_do_not() {
    let app = App::new();
    assert_eq!(app.call("calls/nesting:deep", r#"{"depth":8}"#).unwrap(), "8.0");
    let text = failure(app.call("calls/nesting:deep", r#"{"depth":9}"#));
    assert!(text.contains("MaximumCallDepthExceeded"), "{text}");
    assert_eq!(text.matches("calls/nesting:deep").count(), 9, "{text}");
}

/// spec: D105
#[test]
fn a_query_cannot_call_a_mutation_by_its_path() {
    let text = failure(App::new().call("calls/nesting:wrong_arguments", r#"{"path":"messages:send"}"#));
    for fact in ["InvalidFunctionCall", "messages:send", "a query", "a mutation"] {
        assert!(text.contains(fact), "{fact} in {text}");
    }
}

#[test]
fn wrong_arguments_of_a_nested_call_are_an_error_of_the_caller() {
    let app = App::new();
    let text = failure(app.call("calls/nesting:wrong_arguments", r#"{"path":"messages:list"}"#));
    assert!(text.starts_with("Uncaught Error: InvalidArgs: at .channel"), "{text}");
    let text = failure(app.call("calls/nesting:wrong_arguments", r#"{"path":"messages:missing"}"#));
    assert!(text.contains("Could not find function for 'messages:missing'"), "{text}");
}

/// spec: D93, A47
#[test]
fn what_a_nested_call_looks_at_counts_for_the_caller() {
    let (_, report) = App::new().call_reporting("calls/nesting:asks_who", "{}");
    assert!(report.observed_identity);
}

/// What a caller was asked to call: kind, path, arguments.
type Calls = Arc<Mutex<Vec<(FunctionKind, String, String)>>>;

/// Answers all calls with the same texts and remembers them.
struct Diary(Calls);

impl Caller for Diary {
    fn call(&self, kind: FunctionKind, path: &str, args: String) -> BoxFuture<'static, Result<String, FunctionError>> {
        self.0.lock().unwrap().push((kind, path.to_owned(), args));
        let answer = match kind {
            FunctionKind::Mutation => r#""j577p7x0s4z5ah6jhe7pm462x57kmmrq""#,
            _ => "[]",
        };
        Box::pin(async move { Ok(answer.to_owned()) })
    }

    fn environment_variable(&self, _name: &str) -> BoxFuture<'static, Result<Option<Arc<str>>, FunctionError>> {
        Box::pin(async { Ok(None) })
    }

    fn environment_variables(&self) -> BoxFuture<'static, Result<Variables, FunctionError>> {
        Box::pin(async { Ok(Variables::new()) })
    }
}

#[test]
fn each_call_of_an_action_goes_through_its_caller() {
    let registry = App::new().registry;
    let calls = Calls::default();
    let run = Run::new(RunInputs {
        tx: None,
        caller: Some(Arc::new(Diary(calls.clone()))),
        surroundings: surroundings(&registry, 0),
        identity: None,
        now_ms: 0,
        journal: None,
        on_log: None,
    });
    let path = FunctionPath::parse("calls/acting:relays").unwrap();
    let handler = registry.find(&path).unwrap().handler;
    assert_eq!(block_on(handler(run, r#"{"channel":"a"}"#.into())).unwrap(), "0.0");
    let expected = [
        (FunctionKind::Mutation, "messages.js:send", r#"{"channel":"a","score":1.0}"#),
        (FunctionKind::Query, "messages.js:list", r#"{"channel":"a"}"#),
    ];
    assert_eq!(*calls.lock().unwrap(), expected.map(|(kind, path, args)| (kind, path.to_owned(), args.to_owned())));
}
