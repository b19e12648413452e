//! A reactive function runtime server that works with Convex clients.
//!
//! Tables, queries and mutations are ordinary Rust; browsers subscribe with the official client libraries and are
//! sent new results when a commit changes what their queries read.

// The macros name this crate as applications do.
extern crate self as syncline;

pub mod admin;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
mod environment;
mod executor;
mod function_log;
mod identity;
mod live;
pub mod machine;
mod net;
pub mod replay;
mod request;
mod server;
pub mod surface;
mod system;
mod together;

pub use server::{Embedded, InProcess, Running, Server, ServerError, Sqlite};

/// What applications import: contexts, macros, and what `main` needs.
pub mod prelude {
    pub use crate::auth::{Auth0, Clerk, CustomJwt, Oidc};
    pub use crate::{Server, ServerError, Sqlite};
    pub use syncline_functions::db::{PaginationOptions, PaginationResult};
    pub use syncline_functions::guard::SignedIn;
    pub use syncline_functions::registry::Registry;
    pub use syncline_functions::{
        ActionCtx, AppError, Error, MutationCtx, Object, QueryCtx, Result, Table, action, functions, mutation, query,
        schema,
    };
    pub use syncline_schema::{Doc, Id, Nullable, Schema};
}

#[doc(hidden)]
pub use syncline_functions::__macro;
pub use syncline_functions::{db, guard, users};
