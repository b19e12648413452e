//! The sync protocol of Convex clients as a pure state machine.

mod authentication;
mod client_version;
mod config;
mod error;
mod input;
mod message;
mod output;
mod query_set;
mod requests;
mod session;
mod transition;
mod wire;

pub use client_version::{ClientVersion, InvalidClientVersion, Support};
pub use config::{SessionConfig, SessionLimits};
pub use error::{CLOSE_REASON_BYTES_MAX, ProtocolError};
pub use input::{Input, Now, SystemFailure, Verdict};
pub use message::*;
pub use output::{AuthAttempt, Close, IdentityKey, Output, RunId};
pub use session::Session;
pub use wire::WireError;
