//! One call of one function: arguments in, the function's own code, result out.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_schema::{DecodeError, FieldType, Validator, Value};

use crate::args;
use crate::context::{ActionCtx, MutationCtx, QueryCtx};
use crate::error::{Error, closed};
use crate::limits::RESULT_BYTES_MAX;
use crate::log::Level;
use crate::outgoing;
use crate::registry::{Definition, FunctionError};
use crate::run::Run;

/// A context, made for each call.
pub trait Context: Send + 'static {
    /// Makes it.
    fn of(run: Arc<Run>) -> Self;
}

impl Context for QueryCtx {
    fn of(run: Arc<Run>) -> Self {
        QueryCtx::new(run)
    }
}

impl Context for MutationCtx {
    fn of(run: Arc<Run>) -> Self {
        MutationCtx::new(run)
    }
}

impl Context for ActionCtx {
    fn of(run: Arc<Run>) -> Self {
        ActionCtx::new(run)
    }
}

/// What a function returns: a `Result` of something that clients can read.
#[diagnostic::on_unimplemented(
    message = "a function returns a `Result`, not `{Self}`",
    label = "expected `Result<T>`",
    note = "write `-> Result<{Self}>`, and `Ok(...)` around what it returns"
)]
pub trait Returned {
    /// What it holds when all went well.
    type Value: FieldType;

    /// The same with our error.
    fn into_result(self) -> Result<Self::Value, Error>;
}

impl<T: FieldType, E: Into<Error>> Returned for Result<T, E> {
    type Value = T;

    fn into_result(self) -> Result<T, Error> {
        self.map_err(Into::into)
    }
}

/// Why a function has no result.
pub enum Failure {
    /// It failed.
    Failed(Error),
    /// It returned something that breaks a rule of the wire.
    Invalid(DecodeError),
}

/// The encoded result of the function that `D` describes.
pub fn returned<D: Definition, R: Returned>(returned: R) -> Result<String, Failure> {
    let value = returned.into_result().map_err(Failure::Failed)?;
    outgoing::encode(&value, D::signature().returns_are_open).map_err(Failure::Invalid)
}

/// The validator of what a function returns.
pub fn returned_validator<R: Returned>() -> Validator {
    R::Value::validator()
}

/// Runs a function: `body` is its code, which gets the context and the decoded arguments.
pub fn handle<D, C, A, F, B>(
    run: Arc<Run>,
    arguments: Arc<str>,
    body: B,
) -> BoxFuture<'static, Result<String, FunctionError>>
where
    D: Definition,
    C: Context,
    A: FieldType + Send + 'static,
    F: Future<Output = Result<String, Failure>> + Send + 'static,
    B: FnOnce(C, A) -> F + Send + 'static,
{
    Box::pin(async move {
        let decoded = args::decode::<D, A>(&run, &arguments)?;
        drop(arguments);
        let returned = body(C::of(run.clone()), decoded).await;
        warn_of_limits(&run);
        match returned {
            Ok(json) => check_size::<D>(&run, json),
            Err(Failure::Failed(error)) => Err(error.into_failure()),
            Err(Failure::Invalid(error)) => Err(invalid_result(&run, &error)),
        }
    })
}

/// Tells in the log what the whole call has nearly used up.
fn warn_of_limits(run: &Run) {
    let Some(tx) = run.transaction().filter(|_| !run.is_nested()) else { return };
    for warning in tx.usage().close_to(&tx.limits()) {
        run.log(Level::Warn, &warning);
    }
}

fn invalid_result(run: &Run, error: &DecodeError) -> FunctionError {
    let prefix = if run.is_nested() { "Uncaught Error: InvalidReturnValue" } else { "ReturnsValidationError" };
    FunctionError { message: closed(format!("{prefix}: {error}")), data: None }
}

/// Refuses a result over the limit.
fn check_size<D: Definition>(run: &Run, json: String) -> Result<String, FunctionError> {
    if json.len() < RESULT_BYTES_MAX / args::SIZE_PER_TEXT_MAX {
        return Ok(json);
    }
    // What was just encoded can be read; a text that cannot is none whose size matters.
    let size = Value::from_json(&json).map_or(json.len(), |value| value.size());
    if size <= RESULT_BYTES_MAX {
        return Ok(json);
    }
    let path = args::path::<D>(run);
    let text = format!("Uncaught Error: the result of {path} is too large: {size} bytes, at most {RESULT_BYTES_MAX}");
    Err(FunctionError { message: closed(text), data: None })
}
