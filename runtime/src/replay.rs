//! Recorded handshakes: sessions of clients as lines of JSON, played again and compared.
//!
//! A [`Handshake`] is a file that a person can read and write, or that a [`Recorder`] has written between a client and a server.
//! A [`Player`] says the client's lines to a server and compares what comes back with the server's lines.
//! The server runs in process or on a loopback port, with a clock that is moved by hand and issuers made of fixtures
//! ([`Place`]); or it is any running server, as far as a handshake asks for nothing that such a one cannot do.
//!
//! The format is told in `tests/handshakes/README.md`.

mod difference;
mod expectation;
mod fixtures;
mod format;
mod issuers;
mod members;
mod names;
mod place;
mod player;
mod recorder;
mod rendering;
mod socket;
mod tape;
mod world;

pub use difference::{Difference, Failure, Outcome, Summary};
pub use format::{FormatError, Handshake};
pub use place::{Place, RunningServer};
pub use player::Player;
pub use recorder::{RecordError, Recorder};
