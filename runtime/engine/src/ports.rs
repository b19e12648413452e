//! What the engine takes from the world: the time, waiting, random bytes, and someone to run its futures.
//!
//! Everything the engine does at a time or at random goes through these, so that a simulation with
//! [`MemoryStorage`](crate::MemoryStorage) repeats exactly.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch; may jump when the machine's clock is set.
    fn wall_ns(&self) -> u64;
    /// Milliseconds since some fixed moment; never goes back.
    fn monotonic_ms(&self) -> u64;
    /// The same in nanoseconds, as far as the clock can tell them.
    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ms() * 1_000_000
    }
}

/// Waits. Used only while the storage fails, and by those who wait for a [turn](crate::ExclusiveTurn) to end.
pub trait Timer: Send + Sync {
    /// A future that is ready after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Gives random bytes: for the ids of new documents.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Runs the engine's few long-lived futures.
pub trait Spawn: Send + Sync {
    /// Runs `future` to its end. `name` says in logs what it is.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>);
}

/// A step of the work at [`Engine::open`](crate::Engine::open), or at the opening of a storage, for a person who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is done: `upgrade`, `replay`, `check`, `index`, `drop`.
    pub work: &'static str,
    /// The table, or the table and index: `messages.by_channel`. Empty for the whole store.
    pub of: String,
    /// How many documents or commits are done.
    pub done: u64,
    /// How many there are in all, when it is known.
    pub total: Option<u64>,
}

/// Told of progress; called now and then, never often.
pub type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Everything the engine needs of the world. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Waits.
    pub timer: Arc<dyn Timer>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// Runs the log writer and the checkpointer.
    pub spawn: Arc<dyn Spawn>,
    /// Told how far a long start is.
    pub progress: Option<OnProgress>,
}
