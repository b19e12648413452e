//! Which snapshots are alive, and from that which versions and commits must be kept.
//!
//! A snapshot is a timestamp. It is counted here while someone reads at it, and ends early when it gets too old: then
//! its reads fail, and what it held back is let go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline_schema::Timestamp;

/// Readers of one timestamp.
#[derive(Debug)]
struct Live {
    n_readers: usize,
    /// When the first of them came, or when the timestamp stopped being the newest durable one.
    since_ms: u64,
}

#[derive(Debug)]
struct State {
    live: BTreeMap<Timestamp, Live>,
    /// Everything up to here survives a crash.
    durable: Timestamp,
}

/// The snapshots that are alive.
#[derive(Debug)]
pub(crate) struct Snapshots {
    state: Mutex<State>,
    /// No version that only snapshots below this see is kept. Never falls.
    horizon: AtomicU64,
}

impl Snapshots {
    /// Of a store whose newest durable commit is `durable`.
    pub fn new(durable: Timestamp) -> Self {
        let state = State { live: BTreeMap::new(), durable };
        Snapshots { state: Mutex::new(state), horizon: AtomicU64::new(durable.0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Snapshots below this cannot be read; versions and commits that only they see may go.
    pub fn horizon(&self) -> Timestamp {
        Timestamp(self.horizon.load(Ordering::Acquire))
    }

    /// Registers a reader at the timestamp that `choose` picks, given the newest durable one.
    ///
    /// `choose` runs under the lock that moves the horizon, so that what it picks is still kept.
    /// `None` when it picks a timestamp that is not.
    pub fn register(&self, now_ms: u64, choose: impl FnOnce(Timestamp) -> Timestamp) -> Option<Timestamp> {
        let mut state = self.state();
        let ts = choose(state.durable);
        if ts < self.horizon() {
            return None;
        }
        let live = state.live.entry(ts).or_insert(Live { n_readers: 0, since_ms: now_ms });
        live.n_readers += 1;
        Some(ts)
    }

    /// A reader has ended.
    pub fn release(&self, ts: Timestamp) {
        let mut state = self.state();
        // Not there when it was ended early.
        let Some(live) = state.live.get_mut(&ts) else { return };
        live.n_readers -= 1;
        if live.n_readers == 0 {
            let was_oldest = state.live.first_key_value().is_some_and(|(oldest, _)| *oldest == ts);
            state.live.remove(&ts);
            if was_oldest {
                self.move_horizon(&state);
            }
        }
    }

    /// Commits up to `durable` survive a crash from now on.
    pub fn set_durable(&self, durable: Timestamp, now_ms: u64) {
        let mut state = self.state();
        let before = state.durable;
        for (_, live) in state.live.range_mut(before..durable) {
            live.since_ms = now_ms;
        }
        state.durable = durable;
        self.move_horizon(&state);
    }

    /// Ends the snapshots below `ts`, and those older than `born_before_ms`. Returns how many readers they had.
    pub fn end_old(&self, ts: Timestamp, born_before_ms: u64) -> usize {
        let mut state = self.state();
        let durable = state.durable;
        let mut n_ended = 0;
        state.live.retain(|live_ts, live| {
            // At the newest state nobody holds anything back, however old.
            let ends = *live_ts < durable && (*live_ts < ts || live.since_ms < born_before_ms);
            n_ended += if ends { live.n_readers } else { 0 };
            !ends
        });
        self.move_horizon(&state);
        n_ended
    }

    fn move_horizon(&self, state: &State) {
        let oldest = state.live.first_key_value().map_or(state.durable, |(oldest, _)| *oldest);
        self.horizon.fetch_max(oldest.min(state.durable).0, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_is_the_oldest_reader_and_never_above_the_durable() {
        let snapshots = Snapshots::new(Timestamp(10));
        assert_eq!(snapshots.register(0, |durable| durable), Some(Timestamp(10)));
        assert_eq!(snapshots.register(0, |_| Timestamp(15)), Some(Timestamp(15)));
        snapshots.set_durable(Timestamp(20), 5);
        assert_eq!(snapshots.horizon(), Timestamp(10));
        snapshots.release(Timestamp(10));
        assert_eq!(snapshots.horizon(), Timestamp(15));
        snapshots.release(Timestamp(15));
        assert_eq!(snapshots.horizon(), Timestamp(20));
        assert_eq!(snapshots.register(0, |_| Timestamp(19)), None);
        assert_eq!(snapshots.register(0, |_| Timestamp(25)), Some(Timestamp(25)));
        assert_eq!(snapshots.horizon(), Timestamp(20));
    }

    #[test]
    fn a_snapshot_that_holds_back_too_long_is_ended_and_the_newest_never() {
        let snapshots = Snapshots::new(Timestamp(10));
        snapshots.register(0, |durable| durable);
        assert_eq!(snapshots.end_old(Timestamp::ZERO, 1_000), 0, "nothing newer is held back");
        snapshots.set_durable(Timestamp(20), 900);
        snapshots.register(950, |durable| durable);
        assert_eq!(snapshots.end_old(Timestamp::ZERO, 900), 0, "its age counts from when it was passed");
        assert_eq!(snapshots.end_old(Timestamp::ZERO, 901), 1);
        assert_eq!(snapshots.horizon(), Timestamp(20));
        snapshots.release(Timestamp(10));
        snapshots.set_durable(Timestamp(30), 1_000);
        assert_eq!(snapshots.end_old(Timestamp(25), 0), 1, "ended for want of memory");
        assert_eq!(snapshots.horizon(), Timestamp(30));
    }
}
