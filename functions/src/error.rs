//! The errors of functions: what `?` makes of any error, and what a client may read of it.

use std::error::Error as StdError;
use std::fmt;

use syncline_schema::{FieldType, Value, encode_json};

use crate::limits::ERROR_TEXT_BYTES_MAX;
use crate::registry::FunctionError;
use crate::tx::DbError;

/// What functions and database calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error in a function. `?` makes it from an [`AppError`], a [`DbError`], and every other error.
///
/// Only an [`AppError`] takes data to the client. The others end as `Uncaught Error: ` and their text, which a server
/// in production keeps to its own log.
pub struct Error(Box<Cause>);

enum Cause {
    App(AppError),
    Db(DbError),
    Called(FunctionError),
    Other(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// A plain error with a text and no data for the client.
    pub fn new(text: impl Into<String>) -> Self {
        Error(Box::new(Cause::Other(Box::new(PlainError(text.into())))))
    }

    /// A refusal by a rule that has a code; the text begins with it.
    pub(crate) fn refused(code: &'static str, text: impl fmt::Display) -> Self {
        DbError::refused(code, format!("{code}: {text}")).into()
    }

    /// The failure of a function that this one called.
    pub(crate) fn called(failure: FunctionError) -> Self {
        Error(Box::new(Cause::Called(failure)))
    }

    /// What an application's own error carries to the client.
    pub fn data(&self) -> Option<Value> {
        match &*self.0 {
            Cause::App(error) => Some(error.data.clone()),
            Cause::Db(DbError::Refused { data: Some(data), .. }) => Value::from_json(data).ok(),
            Cause::Called(failure) => failure.data.as_deref().and_then(|data| Value::from_json(data).ok()),
            Cause::Db(_) | Cause::Other(_) => None,
        }
    }

    /// The code to branch on: of a refused database call (`SchemaEnforcementError`), or the `code` in the data of an
    /// application's own error.
    pub fn code(&self) -> Option<String> {
        if let Cause::Db(DbError::Refused { code, .. }) = &*self.0 {
            return Some((*code).to_owned());
        }
        match self.data()? {
            Value::Object(mut fields) => match fields.remove("code")? {
                Value::String(code) => Some(code),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a function or a guard meant it for its caller, as opposed to something that went wrong.
    pub(crate) fn is_refusal(&self) -> bool {
        match &*self.0 {
            Cause::App(_) => true,
            Cause::Called(failure) => failure.data.is_some(),
            Cause::Db(_) | Cause::Other(_) => false,
        }
    }

    /// The error of the database call, when it was one.
    pub fn as_db(&self) -> Option<&DbError> {
        match &*self.0 {
            Cause::Db(error) => Some(error),
            _ => None,
        }
    }

    /// The application's own error, when it was one.
    pub fn as_app(&self) -> Option<&AppError> {
        match &*self.0 {
            Cause::App(error) => Some(error),
            _ => None,
        }
    }

    /// What the caller of the function is told.
    pub(crate) fn into_failure(self) -> FunctionError {
        let (text, data) = match *self.0 {
            Cause::App(error) => (format!("Uncaught ConvexError: {error}"), Some(error.data.to_json())),
            Cause::Db(DbError::Refused { message, data: Some(data), .. }) => {
                (format!("Uncaught ConvexError: {message}"), Some(data))
            }
            Cause::Db(error) => (format!("Uncaught Error: {error}"), None),
            Cause::Called(failure) => return failure,
            Cause::Other(error) => (format!("Uncaught Error: {error}"), None),
        };
        FunctionError { message: closed(text), data }
    }
}

/// The text of a failure: cut at the limit, and ended with a newline.
pub(crate) fn closed(mut text: String) -> String {
    if text.len() >= ERROR_TEXT_BYTES_MAX {
        let end = (0..ERROR_TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text.push('\n');
    text
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let error: Box<dyn StdError + Send + Sync> = Box::new(error);
        let error = match error.downcast::<AppError>() {
            Ok(error) => return Error(Box::new(Cause::App(*error))),
            Err(error) => error,
        };
        let cause = match error.downcast::<DbError>() {
            Ok(error) => Cause::Db(*error),
            Err(error) => Cause::Other(error),
        };
        Error(Box::new(cause))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::App(error) => error.fmt(f),
            Cause::Db(error) => error.fmt(f),
            Cause::Called(failure) => f.write_str(failure.message.trim_end()),
            Cause::Other(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::App(error) => fmt::Debug::fmt(error, f),
            Cause::Db(error) => fmt::Debug::fmt(error, f),
            Cause::Called(failure) => fmt::Debug::fmt(failure, f),
            Cause::Other(error) => fmt::Debug::fmt(error, f),
        }
    }
}

/// An error that the application means its clients to read: they get it as a `ConvexError` with `data`.
///
/// ```
/// use syncline_functions::error::AppError;
///
/// assert_eq!(AppError::new("sign in to post").to_string(), "sign in to post");
/// let error = AppError::new("the room is full").code("FULL");
/// assert_eq!(error.to_string(), r#"{"code":"FULL","message":"the room is full"}"#);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AppError {
    data: Value,
}

impl AppError {
    /// An error whose data is its message.
    pub fn new(message: impl Into<String>) -> Self {
        AppError { data: Value::String(message.into()) }
    }

    /// An error with data of any type that a function may return. Fails when the value breaks a rule of the wire, for
    /// example an array over the limit.
    pub fn with_data<T: FieldType>(data: &T) -> Result<Self> {
        Ok(AppError { data: Value::from_json(&encode_json(data))? })
    }

    /// The same with a code to branch on: the data becomes `{code, message}`.
    pub fn code(self, code: impl Into<String>) -> Self {
        let fields = [("code".to_owned(), Value::String(code.into())), ("message".to_owned(), self.data)];
        AppError { data: Value::Object(fields.into()) }
    }

    /// Nobody is signed in, and somebody has to be: the code `UNAUTHENTICATED`.
    pub fn unauthenticated() -> Self {
        AppError::new("nobody is signed in on this connection: sign in, then call again").code("UNAUTHENTICATED")
    }

    /// Whoever is signed in may not do this: the code `FORBIDDEN`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        AppError::new(message).code("FORBIDDEN")
    }

    /// The same with another field of the data, for what else a client should know. Data that was no object becomes
    /// the field `message`. Fails as [`AppError::with_data`] does.
    pub fn with<T: FieldType>(self, field: &str, value: &T) -> Result<Self> {
        let mut fields = match self.data {
            Value::Object(fields) => fields,
            message => [("message".to_owned(), message)].into(),
        };
        fields.insert(field.to_owned(), Value::from_json(&encode_json(value))?);
        Ok(AppError { data: Value::Object(fields) })
    }

    /// What the client gets.
    pub fn data(&self) -> &Value {
        &self.data
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Value::String(message) => f.write_str(message),
            other => f.write_str(&other.to_json()),
        }
    }
}

impl StdError for AppError {}

/// A text as an error.
#[derive(Debug)]
struct PlainError(String);

impl fmt::Display for PlainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for PlainError {}
