//! The functions of an application by path, with what tools and clients may know of each.

use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_schema::{FunctionPath, Validator};

use crate::run::Run;

/// What a function may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// Reads in a transaction; live.
    Query,
    /// Reads and writes in a transaction.
    Mutation,
    /// Anything, outside of transactions.
    Action,
}

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Any client.
    Public,
    /// Other functions and administrators; to everyone else it looks missing.
    Internal,
}

/// Why a function gave no result; decided here what a client may read.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionError {
    /// The text behind `[Request ID: …] Server Error` and a newline, with its own trailing newline:
    /// `Uncaught Error: no\n`. Left out when errors are redacted.
    pub message: String,
    /// Data for the client, wire JSON; never redacted. Present exactly for an application's own error with data.
    pub data: Option<String>,
}

/// A function as the executor runs it: takes the run and the arguments as the wire has them (an object, or an
/// array of one object), answers the result as wire JSON.
pub type Handler = fn(Arc<Run>, Arc<str>) -> BoxFuture<'static, Result<String, FunctionError>>;

/// One function.
pub struct Function {
    /// Where clients find it.
    pub path: FunctionPath,
    /// What it may do.
    pub kind: FunctionKind,
    /// Who may call it.
    pub visibility: Visibility,
    /// What its arguments must be: an object.
    pub args: Validator,
    /// What its result is.
    pub returns: Validator,
    /// Its doc comment.
    pub docs: &'static str,
    /// Its code.
    pub handler: Handler,
}

/// All functions of an application.
#[derive(Default)]
pub struct Registry {
    functions: std::collections::BTreeMap<FunctionPath, Function>,
}

impl Registry {
    /// The function at a path.
    pub fn find(&self, path: &FunctionPath) -> Option<&Function> {
        self.functions.get(path)
    }

    /// All functions, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.functions.values()
    }
}
