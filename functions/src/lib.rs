//! What an application is written with: contexts, typed database calls, and the registry of functions.

pub mod auth;
pub mod registry;
pub mod run;
pub mod tx;
