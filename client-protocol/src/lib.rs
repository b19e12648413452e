//! The sync protocol of Convex clients, on one page and as a pure state machine.
//!
//! A client holds one WebSocket. On it go JSON objects, one in each text message, and nothing else. The client says
//! what it watches, who it is and what is to be done; the server moves it from one consistent state to the next.
//!
//! ```text
//!   client                                              server
//!   Connect         who I am over reconnects,           -
//!                   what I have seen
//!   Authenticate    a token, or none any more           Transition (identity + 1), or AuthError and the end
//!   ModifyQuerySet  watch these, drop those             Transition (querySet = newVersion)
//!   Mutation        run this, once                      MutationResponse, then a Transition that covers it
//!   Action          run this                            ActionResponse
//!   Event           telemetry                           -
//!                                                       Transition  whenever a result has changed
//!                                                       Ping        after 15 s of silence
//!                                                       FatalError  and the end: a fault no retry can mend
//! ```
//!
//! **State.** What a client knows is at a [`StateVersion`]: a query set, an identity, a moment of the database. Every
//! socket starts at zero, and each [`Transition`] leads from where the last one ended to a later version, with the
//! results that differ there. So after each one, every result the client holds is that of one and the same moment.
//! Large ones may leave in parts ([`TransitionChunk`]), for clients that can put them together.
//!
//! **Requests.** Mutations of one client run in the order it sent them. One that is sent again after a reconnect takes
//! effect once: it is known by the [`SessionId`] of the client and its [`RequestId`]. Actions run as they come.
//!
//! **Identity.** Who the client is holds for what it says from then on. It may change while the socket stays; an
//! identity that has run out is noticed when it is used.
//!
//! **The end.** A plain close makes every client come back and begin anew, which mends nearly everything.
//! [`ProtocolError`] lists what ends a socket, and how each is told.
//!
//! # What is here
//!
//! - [`ClientMessage`] and [`ServerMessage`] are what is said; [`ClientMessage::decode`] and [`ServerMessage::write`]
//!   are their JSON. Arguments and results stay text.
//! - [`Session`] is the server's half of the conversation: feed it each [`Input`], do each [`Output`]. Read it first.
//! - [`ClientVersion`] is which client is there, asked before there is a session.
//!
//! Deliberately not here: sockets, tasks, clocks, random numbers; values as anything but text; what a function is.
//! `tests/spec/sync-protocol.md` is the long form, and says what each client makes of what it is told.

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
pub use input::{Input, Now, SystemFailure, Verdict, VerifierFault};
pub use message::*;
pub use output::{AuthAttempt, Close, IdentityKey, Output, RunId};
pub use session::Session;
pub use wire::WireError;
