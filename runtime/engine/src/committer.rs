//! Committing: check, stamp, apply, hand to the log. A short critical section, not a task: most of the work is done
//! before the lock is taken.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use smallvec::SmallVec;
use syncline_schema::Timestamp;

use crate::commit::{Change, Changes, Commit, IndexId, Outcome, RequestKey};
use crate::engine::Shared;
use crate::error::{CommitError, Conflict};
use crate::memory::near;
use crate::record::{BatchBytes, CommitBytes, Step};
use crate::transaction::{Transaction, TxState};
use crate::turn::{Turn, TurnId};
use crate::writes::Writes;

/// So many newer commits are checked while others wait; more are checked before.
const CHECKED_IN_TURN_MAX: usize = 64;

/// Commits kept whether a transaction needs them or not, bytes: for a live query that registers a moment too late; it
/// runs again otherwise. Some milliseconds of a busy server, and little beside a processor's cache, which they pass
/// through.
const RECENT_KEPT_BYTES: usize = 1 << 16;

/// So many of them are freed at a time, at most.
const FREED_TOGETHER_MAX: usize = 32;

/// A commit that was made, or a transaction that needed none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in history. For a transaction without writes and outcome: its snapshot.
    pub ts: Timestamp,
    /// Whether documents or names changed.
    pub wrote: bool,
}

/// What only one commit at a time may touch.
#[derive(Debug, Default)]
pub(crate) struct CommitState {
    /// The newest timestamp given out: never again, not even when its commit is undone.
    pub last: Timestamp,
    /// For each generation that has ended, where it was undone to. The present one is their number.
    undone_to: Vec<Timestamp>,
    /// Commits behind `recent_from`, all of them.
    recent: VecDeque<Arc<Commit>>,
    recent_from: Timestamp,
    recent_bytes: usize,
    /// Waiting for the log writer.
    pending: BatchBytes,
    pending_last: Option<Timestamp>,
    /// How many they are.
    pub n_pending: usize,
    /// Why no commits are taken.
    pub halted: Option<Arc<str>>,
    pub turn: Option<Turn>,
    pub last_turn: u64,
}

impl CommitState {
    /// Of a store whose newest commit is `last`.
    pub fn new(last: Timestamp) -> Self {
        CommitState { last, recent_from: last, ..CommitState::default() }
    }

    pub fn generation(&self) -> u64 {
        self.undone_to.len() as u64
    }

    /// Whether what was seen or written at `ts` in a generation has been undone since.
    pub fn undone(&self, ts: Timestamp, generation: u64) -> bool {
        let ended = usize::try_from(generation).ok().and_then(|generation| self.undone_to.get(generation..));
        ended.is_some_and(|ended| ended.iter().any(|to| ts > *to))
    }

    fn n_until(&self, ts: Timestamp) -> usize {
        // Nearly always all or nearly none of them.
        match self.recent.back() {
            Some(newest) if newest.ts <= ts => self.recent.len(),
            _ => self.recent.partition_point(|commit| commit.ts <= ts),
        }
    }

    /// The commits in (ts, to]; `None` when some are not kept any more.
    pub fn after(&self, ts: Timestamp, to: Timestamp) -> Option<Vec<Arc<Commit>>> {
        let kept = ts >= self.recent_from;
        kept.then(|| self.recent.range(self.n_until(ts)..).take_while(|commit| commit.ts <= to).cloned().collect())
    }

    /// What waits to be logged.
    pub fn take_pending(&mut self) -> Option<(Timestamp, BatchBytes)> {
        let last = self.pending_last.take()?;
        self.n_pending = 0;
        let next = self.pending.next();
        Some((last, std::mem::replace(&mut self.pending, next)))
    }

    fn push(&mut self, commit: Commit, bytes: &CommitBytes) {
        self.last = commit.ts;
        self.pending.push(commit.ts, bytes);
        self.pending_last = Some(commit.ts);
        self.n_pending += 1;
        self.recent_bytes += commit.bytes();
        self.recent.push_back(Arc::new(commit));
    }

    /// Lets go of commits at or below the horizon beyond a number of bytes, some at a time.
    fn trim(&mut self, horizon: Timestamp) -> Gone {
        let mut gone = Gone::default();
        if self.recent_bytes <= RECENT_KEPT_BYTES {
            return gone;
        }
        while self.recent_bytes > RECENT_KEPT_BYTES - RECENT_KEPT_BYTES / 8
            && gone.0.len() < FREED_TOGETHER_MAX
            && let Some(commit) = self.recent.pop_front_if(|commit| commit.ts <= horizon)
        {
            self.recent_bytes -= commit.bytes();
            self.recent_from = commit.ts;
            gone.0.push(commit);
        }
        gone
    }

    /// A timestamp in the middle of the recent commits.
    fn middle(&self) -> Timestamp {
        self.recent.get(self.recent.len() / 2).map_or(self.recent_from, |commit| commit.ts)
    }

    /// Ends the generation: takes away the commits above a timestamp, newest first, and what waits to be logged.
    pub fn begin_undo(&mut self, to: Timestamp) -> Vec<Arc<Commit>> {
        let undone = self.recent.split_off(self.n_until(to));
        self.recent_bytes -= undone.iter().map(|commit| commit.bytes()).sum::<usize>();
        self.take_pending();
        self.undone_to.push(to);
        undone.into_iter().rev().collect()
    }
}

/// Commits that nobody needs any more.
#[derive(Default)]
struct Gone(Vec<Arc<Commit>>);

impl Gone {
    /// Frees them. Not under a lock: they are long out of the processor's sight, so what they need is asked for together.
    fn free(self) {
        for commit in &self.0 {
            near::ask_before(&**commit);
            near::ask_for(&**commit);
        }
        self.0.iter().for_each(|commit| commit.ask_for_end());
    }
}

/// A commit but for its timestamp.
struct Prepared {
    /// Their positions among the transaction's.
    writes: SmallVec<[usize; 4]>,
    tables: Vec<Arc<crate::catalog::Table>>,
    outcome: Option<(RequestKey, Outcome)>,
    changes: Changes,
    bytes: CommitBytes,
}

impl Prepared {
    fn of(state: &TxState, outcome: Option<(RequestKey, Outcome)>) -> Self {
        let changing = state.writes.iter().enumerate().filter(|(_, write)| write.changes());
        let writes: SmallVec<[usize; 4]> = changing.map(|(position, _)| position).collect();
        let used = |table: &&Arc<crate::catalog::Table>| {
            state.created_tables.contains(&table.number)
                || writes.iter().any(|write| state.writes.at(*write).table.number == table.number)
        };
        let tables: Vec<_> = state.new_tables.iter().filter(used).cloned().collect();
        let mut prepared = Prepared {
            changes: Changes::with_capacity(writes.len() + tables.len() + usize::from(outcome.is_some())),
            writes,
            tables,
            outcome,
            bytes: CommitBytes::default(),
        };
        prepared.describe(&state.writes);
        prepared
    }

    fn describe(&mut self, writes: &Writes) {
        for table in &self.tables {
            self.bytes.push(&Step::Table { number: table.number, name: &table.name });
            self.changes.push(Change::System { index: IndexId::TABLE_NAMES, key: table.name.as_bytes().into() });
        }
        for write in self.writes.iter().map(|write| writes.at(*write)) {
            let keys = |stored: &Option<crate::memory::Stored>| stored.as_ref().and_then(|stored| stored.keys.clone());
            let (old, new) = (keys(&write.old), keys(&write.new));
            let mut removed_keys = Vec::new();
            // The same keys are shared: nearly always there is nothing to compare.
            let are_same = matches!((&old, &new), (Some(old), Some(new)) if Arc::ptr_eq(old, new));
            for (position, (index, key)) in old.iter().filter(|_| !are_same).flat_map(|old| old.iter()).enumerate() {
                if new.as_ref().is_none_or(|new| new[position].1 != *key) {
                    removed_keys.push((*index, &**key));
                }
            }
            match &write.new {
                Some(stored) => self.bytes.push(&Step::Put { id: write.id, json: &stored.json, removed_keys }),
                None => self.bytes.push(&Step::Delete { id: write.id, removed_keys }),
            }
            self.changes.push(Change::Document { id: write.id, old, new });
        }
        if let Some((key, outcome)) = &self.outcome {
            let log_lines = outcome.log_lines.iter().map(String::as_str).collect();
            self.bytes.push(&Step::Outcome { key: *key, value: &outcome.value, log_lines });
            self.changes.push(Change::Request(*key));
        }
    }
}

impl Shared {
    pub(crate) fn commit(
        &self,
        tx: &Transaction,
        outcome: Option<(RequestKey, Outcome)>,
    ) -> Result<Committed, CommitError> {
        let mut state = tx.state();
        let mut prepared = Prepared::of(&state, outcome);
        if prepared.changes.is_empty() {
            let undone = self.commits().undone(tx.snapshot(), tx.generation());
            return if undone { Err(CommitError::Undone) } else { Ok(Committed { ts: tx.snapshot(), wrote: false }) };
        }
        let mut checked = tx.snapshot();
        loop {
            let mut commits = self.commits();
            self.admit(&mut commits, tx)?;
            let first_new = commits.n_until(checked);
            if commits.recent.len() - first_new <= CHECKED_IN_TURN_MAX {
                commits.recent.range(first_new..).try_for_each(|newer| self.check(&state, newer))?;
                let wrote = !prepared.writes.is_empty() || !prepared.tables.is_empty();
                let ts = self.stamp(&commits);
                self.apply(&mut prepared, &mut state.writes, ts);
                self.publish(commits, Commit { ts, changes: prepared.changes }, &prepared.bytes);
                return Ok(Committed { ts, wrote });
            }
            let newer: Vec<Arc<Commit>> = commits.recent.range(first_new..).cloned().collect();
            drop(commits);
            newer.iter().try_for_each(|newer| self.check(&state, newer))?;
            checked = newer.last().map_or(checked, |newest| newest.ts);
        }
    }

    /// Sets environment variables: a commit that reads nothing.
    pub(crate) fn commit_variables(
        &self,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Committed, CommitError> {
        let mut bytes = CommitBytes::default();
        for (name, value) in changes {
            bytes.push(&match value {
                Some(value) => Step::SetVariable { name, value },
                None => Step::RemoveVariable { name },
            });
        }
        let index = IndexId::ENVIRONMENT_VARIABLES;
        let key = |name: &String| Change::System { index, key: name.as_bytes().into() };
        let changed = changes.keys().map(key).collect();
        let mut commits = self.commits();
        self.admit_turn(&mut commits, None)?;
        self.admit_load(&commits)?;
        let ts = self.stamp(&commits);
        let horizon = self.snapshots.horizon();
        let mut environment = self.environment.write().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in changes {
            environment.set(name, value.as_deref().map(Into::into), ts, horizon);
        }
        drop(environment);
        self.publish(commits, Commit { ts, changes: changed }, &bytes);
        Ok(Committed { ts, wrote: !changes.is_empty() })
    }

    /// Whether a transaction may commit at all, now.
    fn admit(&self, commits: &mut CommitState, tx: &Transaction) -> Result<(), CommitError> {
        self.admit_turn(commits, tx.turn())?;
        if commits.undone(tx.snapshot(), tx.generation()) {
            return Err(CommitError::Undone);
        }
        self.admit_load(commits)?;
        if tx.snapshot() < commits.recent_from {
            // What it would have to be checked against is gone.
            return Err(CommitError::OutOfRetention);
        }
        Ok(())
    }

    fn admit_load(&self, commits: &CommitState) -> Result<(), CommitError> {
        if let Some(cause) = &commits.halted {
            return Err(CommitError::Storage(cause.clone()));
        }
        if commits.pending.len() > self.config.pending_bytes_max {
            return Err(CommitError::Overloaded);
        }
        Ok(())
    }

    fn admit_turn(&self, commits: &mut CommitState, own: Option<TurnId>) -> Result<(), CommitError> {
        if let Some(turn) = commits.turn
            && turn.left(self.ports.clock.monotonic_ms(), self.config.exclusive_turn_max).is_none()
        {
            commits.turn = None;
        }
        match (commits.turn, own) {
            (None, None) => Ok(()),
            (Some(turn), Some(own)) if turn.id == own => Ok(()),
            (_, Some(_)) => Err(CommitError::TurnTooLong),
            (Some(_), None) => Err(CommitError::TurnTaken),
        }
    }

    fn check(&self, state: &TxState, newer: &Commit) -> Result<(), CommitError> {
        let Some(change) = state.reads.touched(newer) else { return Ok(()) };
        let document = match change {
            Change::Document { id, .. } => Some(*id),
            Change::System { .. } | Change::Request(_) => None,
        };
        let table = document.and_then(|id| self.catalog().numbered(id.table, newer.ts).map(|table| table.name.clone()));
        Err(CommitError::Conflict(Conflict { table, document, newest: newer.ts }))
    }

    fn stamp(&self, commits: &CommitState) -> Timestamp {
        Timestamp(self.ports.clock.wall_ns().max(commits.last.0 + 1))
    }

    /// Puts a commit into memory, where nobody sees it before [`Shared::publish`]. What documents will be goes there.
    fn apply(&self, prepared: &mut Prepared, writes: &mut Writes, ts: Timestamp) {
        if !prepared.tables.is_empty() {
            let mut catalog = (*self.catalog()).clone();
            for table in &prepared.tables {
                table.set_created(ts);
                catalog.insert(table.clone());
            }
            self.set_catalog(catalog);
        }
        let horizon = self.snapshots.horizon();
        for write in &prepared.writes {
            let write = writes.at_mut(*write);
            let mut space = write.table.memory.write();
            let document = (write.id.internal, write.place);
            space.apply(document, write.old.as_ref(), write.new.take(), ts, horizon);
        }
        if let Some((key, outcome)) = prepared.outcome.take() {
            self.outcomes.insert(key, &Outcome { ts, ..outcome });
        }
    }

    fn publish(&self, mut commits: std::sync::MutexGuard<'_, CommitState>, commit: Commit, bytes: &CommitBytes) {
        let ts = commit.ts;
        commits.push(commit, bytes);
        self.n_commits.fetch_add(1, Ordering::Relaxed);
        self.committed.store(ts.0, Ordering::Release);
        if commits.recent_bytes > self.config.recent_commits_bytes_max {
            let n_ended = self.snapshots.end_old(commits.middle(), 0);
            if n_ended > 0 {
                tracing::warn!(n_ended, "ended the oldest transactions early: they hold too many commits in memory");
            }
        }
        let gone = commits.trim(self.snapshots.horizon());
        let (is_first, is_enough) = (commits.n_pending == 1, self.is_enough(&commits));
        drop(commits);
        gone.free();
        if is_first {
            self.wakes.log.notify_one();
        }
        if is_enough {
            self.wakes.enough.notify_one();
        }
    }
}
