//! The rules of the protocol as scripts: see `session/script.rs` for how to read one.

#[path = "session/script.rs"]
mod script;

#[path = "session/connection.rs"]
mod connection;
#[path = "session/identity.rs"]
mod identity;
#[path = "session/queries.rs"]
mod queries;
#[path = "session/recorded.rs"]
mod recorded;
#[path = "session/requests.rs"]
mod requests;
