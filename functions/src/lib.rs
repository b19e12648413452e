//! What an application is written with: contexts, typed database calls, and the registry of functions.
//!
//! In the order to read it: [`context`] (what a function gets), [`db`] (what it reads and writes), [`error`],
//! [`registry`] (how it is found), and the ports that the rest of the system implements or drives: [`tx`] (a
//! transaction) and [`run`] (one run of one function).

// Generated code names everything by `::syncline`, in this crate as in an application.
extern crate self as syncline;

#[doc(hidden)]
pub mod __macro;
mod args;
pub mod auth;
mod call;
pub mod context;
pub mod db;
pub mod env;
pub mod error;
pub mod limits;
pub mod log;
mod macros;
mod outgoing;
pub mod registry;
pub mod run;
pub mod tx;
pub mod users;

pub use args::Arguments;
pub use auth::UserIdentity;
pub use context::{ActionCtx, MutationCtx, QueryCtx};
pub use error::{AppError, Error, Result};
pub use syncline_macros::{Object, Table, action, mutation, query};
pub use syncline_schema::{Bytes, Doc, FieldType, Id, Nullable, Table, Value};
