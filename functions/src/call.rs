//! One call of one function: arguments in, the function's own code, result out.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_schema::{FieldType, Validator, encode_json};

use crate::args;
use crate::context::{ActionCtx, MutationCtx, QueryCtx};
use crate::error::{Error, closed};
use crate::limits::RESULT_BYTES_MAX;
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

/// What the caller of a function is told, by what it returned.
pub fn returned<R: Returned>(returned: R) -> Result<String, FunctionError> {
    match returned.into_result() {
        Ok(value) => encode(&value),
        Err(error) => Err(error.into_failure()),
    }
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
    F: Future<Output = Result<String, FunctionError>> + Send + 'static,
    B: FnOnce(C, A) -> F + Send + 'static,
{
    Box::pin(async move {
        let decoded = args::decode::<D, A>(&run, &arguments)?;
        drop(arguments);
        body(C::of(run), decoded).await
    })
}

fn encode<R: FieldType>(value: &R) -> Result<String, FunctionError> {
    let json = encode_json(value);
    let size = json.len();
    if size > RESULT_BYTES_MAX {
        let text = format!("Uncaught Error: the result is too large: {size} bytes, at most {RESULT_BYTES_MAX}");
        return Err(FunctionError { message: closed(text), data: None });
    }
    Ok(json)
}
