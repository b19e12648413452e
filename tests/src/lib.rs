//! What the tests of Syncline share: a server to test against, a raw client that checks every frame, and an
//! application that has a function for everything a test wants to see.

pub mod app;
pub mod client;
pub mod fuzz;
pub mod issuers;
pub mod random;
pub mod server;

pub use client::{RawClient, Transition};
pub use server::TestServer;
