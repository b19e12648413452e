//! The log writer: makes commits durable, all that gathered during one append with the next.
//!
//! When an append fails, the log itself says what is there. What is not is undone.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use futures::future::{Either, select};
use syncline_schema::Timestamp;

use crate::commit::{Change, IndexId};
use crate::committer::CommitState;
use crate::engine::{Durable, Shared, Wakes};
use crate::storage::{LogBatch, StorageError};

/// How long no commits are taken after the first failed append; doubled with each further one.
///
/// Source: ours. Shorter fills the log of a server whose disk is full, longer delays its recovery.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The longest of these pauses.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);

/// How often it is looked whether a log that has grown too long has been moved to the base.
///
/// Source: ours; short beside a checkpoint.
const BASE_LOOKED_AT_EVERY: Duration = Duration::from_millis(10);

/// How long commits wait for others that are about to come, at most: less than a client notices, and time for some
/// hundred on two processors.
///
/// Source: ours, measured with 64 clients: without it, so many syncs and wakes took a fifth more of the processors' time.
const OTHERS_WAITED_FOR: Duration = Duration::from_millis(1);

/// Commits under way that count as many, a number: then each sync is worth waiting for. While they are few, half of them
/// runs while the other half is synced.
///
/// Source: ours, measured as above: with one call each (fewer), and with forty (more).
const MANY_COMMITS: usize = 128;

/// Appends whose durations are kept, a number. Source: ours; enough for a percentile.
const SYNCS_KEPT: usize = 512;

/// Runs as long as the engine lives. `head` is the head of the log.
pub(crate) async fn run(shared: Weak<Shared>, wakes: Arc<Wakes>, mut head: Timestamp) {
    let mut pause = RETRY_AFTER;
    loop {
        wakes.log.notified().await;
        let Some(shared) = shared.upgrade() else { return };
        loop {
            shared.wait_for_base().await;
            shared.wait_for_others().await;
            let Some((ts, bytes)) = shared.commits().take_pending() else { break };
            let n_bytes = bytes.len() as u64;
            let started_ns = shared.ports.clock.wall_ns();
            let appended = shared.storage.append(head, LogBatch { ts, bytes: bytes.finish() }).await;
            shared.note_sync(shared.ports.clock.wall_ns().saturating_sub(started_ns));
            match appended {
                Ok(()) => pause = RETRY_AFTER,
                Err(error) => match shared.recover(head, ts, error, &mut pause).await {
                    Recovered::Appended => {}
                    Recovered::Undone => continue,
                    Recovered::Never => break,
                },
            }
            head = ts;
            shared.advance(ts, n_bytes);
        }
        if shared.stopping.load(Ordering::Acquire) {
            shared.stopped.add_permits(1);
            return;
        }
    }
}

/// What a failed append came to.
enum Recovered {
    /// The log has the batch after all.
    Appended,
    /// The log does not have it: its commits were undone.
    Undone,
    /// Someone else writes to this log: undone, and nothing is committed any more.
    Never,
}

impl Shared {
    fn note_sync(&self, took_ns: u64) {
        let mut syncs = self.syncs_ns.lock().unwrap_or_else(PoisonError::into_inner);
        if syncs.len() == SYNCS_KEPT {
            syncs.pop_front();
        }
        syncs.push_back(took_ns);
    }

    /// Waits while the log is far ahead of the base. Commits gather meanwhile, up to a bound, and are refused then.
    async fn wait_for_base(&self) {
        if !self.is_log_too_long() {
            return;
        }
        let started_ms = self.ports.clock.monotonic_ms();
        while self.is_log_too_long() && !self.stopping.load(Ordering::Acquire) {
            // Also after one that failed.
            self.wakes.checkpoint.notify_one();
            self.ports.timer.sleep(BASE_LOOKED_AT_EVERY).await;
        }
        let waited_ms = self.ports.clock.monotonic_ms().saturating_sub(started_ms);
        tracing::warn!(waited_ms, "commits waited: more was written than could be moved to the base meanwhile");
    }

    /// Waits for commits that are about to come, a little: nobody waits for a mutation that takes long.
    async fn wait_for_others(&self) {
        let is_enough = || {
            let commits = self.commits();
            commits.n_pending == 0 || self.is_enough(&commits)
        };
        if is_enough() {
            return;
        }
        let mut long_enough = self.ports.timer.sleep(OTHERS_WAITED_FOR);
        while !is_enough() && !self.stopping.load(Ordering::Acquire) {
            match select(pin!(self.wakes.enough.notified()), long_enough).await {
                Either::Left(((), rest)) => long_enough = rest,
                Either::Right(_) => return,
            }
        }
    }

    /// Whether enough commits wait to be logged: as many as are still to come, or all while many are under way.
    pub(crate) fn is_enough(&self, commits: &CommitState) -> bool {
        let to_come = self.n_expected.load(Ordering::Acquire);
        if commits.n_pending + to_come > MANY_COMMITS { to_come == 0 } else { commits.n_pending >= to_come }
    }

    fn advance(&self, ts: Timestamp, n_bytes: u64) {
        self.snapshots.set_durable(ts, self.ports.clock.monotonic_ms());
        self.durable.send_modify(|durable| durable.ts = ts);
        let log_bytes = self.log_bytes.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes;
        if log_bytes >= self.checkpoint_log_bytes() {
            self.wakes.checkpoint.notify_one();
        }
    }

    async fn recover(&self, head: Timestamp, ts: Timestamp, error: StorageError, pause: &mut Duration) -> Recovered {
        tracing::error!(%error, "commits could not be appended to the log; no more are taken until it is read");
        let cause: Arc<str> = error.to_string().into();
        self.commits().halted = Some(cause.clone());
        loop {
            match self.storage.position().await {
                Ok(position) if position.head == ts => {
                    self.resume();
                    return Recovered::Appended;
                }
                Ok(position) if position.head == head => {
                    self.undo(head);
                    self.pause(pause).await;
                    self.resume();
                    return Recovered::Undone;
                }
                Ok(position) => {
                    tracing::error!(expected = head.0, found = position.head.0, "the log has commits of someone else");
                    self.undo(head);
                    return Recovered::Never;
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be read; commits wait");
                    if self.stopping.load(Ordering::Acquire) {
                        // It is not known whether the last batch is there; whoever opens the store next will see.
                        return Recovered::Never;
                    }
                    self.pause(pause).await;
                }
            }
        }
    }

    async fn pause(&self, pause: &mut Duration) {
        self.ports.timer.sleep(*pause).await;
        *pause = (*pause * 2).min(RETRY_AFTER_MAX);
    }

    fn resume(&self) {
        if !self.stopping.load(Ordering::Acquire) {
            self.commits().halted = None;
        }
    }

    /// Goes back to a durable timestamp: what was committed above it was never made durable, and nobody was told.
    fn undo(&self, to: Timestamp) {
        let mut commits = self.commits();
        let undone = commits.begin_undo(to);
        let mut catalog = (*self.catalog()).clone();
        for commit in &undone {
            for change in &commit.changes {
                match change {
                    Change::Document { id, old, new } => {
                        if let Some(table) = catalog.numbered(id.table, commit.ts) {
                            table.memory.write().undo(id.internal, old.as_ref(), new.as_ref(), to);
                        }
                    }
                    Change::Request(key) => self.outcomes.undo(key),
                    Change::System { index, .. } if *index == IndexId::ENVIRONMENT_VARIABLES => {
                        self.environment.write().unwrap_or_else(PoisonError::into_inner).undo(to);
                    }
                    // Tables, below.
                    Change::System { .. } => {}
                }
            }
        }
        let new_tables: Vec<_> =
            catalog.iter().filter(|table| table.created() > to).map(|table| table.number).collect();
        if !new_tables.is_empty() {
            new_tables.into_iter().for_each(|number| catalog.remove(number));
            self.set_catalog(catalog);
        }
        self.committed.store(to.0, Ordering::Release);
        let generation = commits.generation();
        self.generation.store(generation, Ordering::Release);
        drop(commits);
        self.durable.send_modify(|durable: &mut Durable| durable.generation = generation);
        tracing::warn!(
            n_commits = undone.len(),
            "commits that could not be stored were undone; nobody was told of them"
        );
    }
}

/// Ends an engine; see [`Engine::shutdown`](crate::Engine::shutdown).
pub(crate) async fn shutdown(shared: &Shared) -> Result<(), StorageError> {
    shared.commits().halted = Some("the server is stopping".into());
    shared.stopping.store(true, Ordering::Release);
    shared.wakes.log.notify_one();
    shared.wakes.checkpoint.notify_one();
    // Both futures have ended: the semaphore is never closed, so this waits for them alone.
    let ended = shared.stopped.acquire_many(2).await;
    drop(ended);
    let moved = crate::checkpoint::checkpoint(shared).await;
    let closed = shared.storage.close().await;
    moved.and(closed)
}
