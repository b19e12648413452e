//! What a server takes from the machine it runs on beside the time: waiting, random numbers, and who runs its tasks.
//!
//! Everything between a socket's bytes and the storage goes through these ports, so that a simulation which gives its
//! own, with a clock moved by hand, repeats exactly.

use std::sync::Arc;

pub use syncline_engine::{Random, Spawn};

use crate::clock::Timer;

/// See the module; given with [`Server::machine`](crate::Server::machine).
#[derive(Clone)]
pub struct Machine {
    /// Waits.
    pub timer: Arc<dyn Timer>,
    /// Random numbers: the ids of documents, and what functions draw.
    pub random: Arc<dyn Random>,
    /// Runs sockets, commits and live queries; nothing of it keeps a thread for long.
    pub network: Arc<dyn Spawn>,
    /// Runs functions, and nothing else: one that never yields may keep its thread.
    pub functions: Arc<dyn Spawn>,
}
