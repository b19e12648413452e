//! The store of Syncline: transactions over snapshots, a log that makes them durable, and a base of any size.
//!
//! ```text
//! begin ──> Transaction (reads at its snapshot, keeps its writes to itself)
//!             │ commit: check what it read against newer commits, stamp, apply to memory
//!             v
//!           visible to At::Committed at once ──> log writer: one append for all that gathered
//!                                                  │ durable
//!                                                  v
//!           visible to At::Durable; answers and subscriptions are told of it
//!             │ checkpoint, in the background
//!             v
//!           base: the newest version of each key; memory keeps what is hot
//! ```
//!
//! The rules, in the order in which they are easy to break:
//!
//! - A transaction sees exactly the commits at or below its snapshot, and its own writes. It commits only if no newer
//!   commit wrote into what it read, absences and ranges included: so commits are serializable in timestamp order.
//! - Timestamps rise, also over restarts, also when the clock is set back, and none is used twice, not even after its
//!   commit was undone.
//! - Visible is not durable. Whoever tells the outside anything waits for [`Engine::watch_durable`] to reach the
//!   snapshot it was computed at. When an append fails, visible commits are undone: a new *generation* begins, and
//!   what was seen of the undone is void ([`Engine::durability`]).
//! - Memory is a cache above the base and the only place of what is newer. It lets go of nothing that a live snapshot
//!   needs or that the base lacks.
//! - Nothing here has a clock, randomness or threads of its own, but for the storage's: see [`Ports`].

mod base_key;
mod catalog;
mod checkpoint;
mod commit;
mod committer;
mod config;
mod describe;
mod document;
mod engine;
mod environment;
mod error;
mod key;
mod load;
mod log_writer;
mod memory;
mod open;
mod outcomes;
mod ports;
mod reads;
mod record;
mod snapshots;
mod storage;
mod subscriptions;
mod transaction;
mod turn;
mod writes;

pub use commit::{Change, Commit, DocumentKeys, IndexId, Outcome, RequestKey};
pub use committer::Committed;
pub use config::{EngineConfig, Limits};
pub use engine::{Access, At, BeginOptions, Durability, Durable, Engine, ExpectedCommit, Pin};
pub use error::{BeginError, CommitError, Conflict, OpenError, SchemaMismatch};
pub use ports::{Clock, OnProgress, Ports, Progress, Random, Spawn, Timer};
pub use reads::{ReadSet, Touched};
pub use storage::{
    BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, BaseText, BaseWrites, Checkpoint, Fault, LogBatch,
    MemoryStorage, Meta, OutcomeGroup, Position, Pruned, SqliteOptions, SqliteStorage, Storage, StorageError,
    StorageFuture,
};
pub use subscriptions::Subscriptions;
pub use transaction::Transaction;
pub use turn::{ExclusiveTurn, TurnId};
