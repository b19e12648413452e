//! The committer's turn: a mutation that lost several conflicts runs alone, and cannot lose.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::OwnedMutexGuard;

use crate::engine::Shared;

/// Names a turn; given to the transactions that run in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnId(pub(crate) u64);

/// As long as it lives, and for `exclusive_turn_max` at most, only its own transactions commit.
pub struct ExclusiveTurn {
    shared: Arc<Shared>,
    id: TurnId,
    /// The next in line gets its turn when this one is dropped.
    _place: OwnedMutexGuard<()>,
}

/// The turn that commits must belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub id: TurnId,
    pub since_ms: u64,
}

impl Turn {
    /// How much of it is left; `None` when it is over.
    pub fn left(&self, now_ms: u64, max: Duration) -> Option<Duration> {
        let used = Duration::from_millis(now_ms.saturating_sub(self.since_ms));
        max.checked_sub(used).filter(|left| !left.is_zero())
    }
}

impl ExclusiveTurn {
    pub(crate) async fn take(shared: Arc<Shared>) -> Self {
        let place = shared.turns.clone().lock_owned().await;
        let since_ms = shared.ports.clock.monotonic_ms();
        let mut commits = shared.commits();
        commits.last_turn += 1;
        let id = TurnId(commits.last_turn);
        commits.turn = Some(Turn { id, since_ms });
        drop(commits);
        ExclusiveTurn { shared, id, _place: place }
    }

    /// For [`BeginOptions::turn`](crate::BeginOptions::turn). Begin after the turn was taken, so that nothing commits
    /// between the snapshot and the commit.
    pub fn id(&self) -> TurnId {
        self.id
    }
}

impl Drop for ExclusiveTurn {
    fn drop(&mut self) {
        let mut commits = self.shared.commits();
        if commits.turn.is_some_and(|turn| turn.id == self.id) {
            commits.turn = None;
        }
        drop(commits);
        self.shared.turn_ended.notify_waiters();
    }
}

impl fmt::Debug for ExclusiveTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExclusiveTurn").field(&self.id).finish()
    }
}

/// Waits until the turn that is held now has ended or has lasted too long.
pub(crate) async fn ended(shared: &Shared) {
    // Before looking, so that an end in between is not missed.
    let ended = shared.turn_ended.notified();
    let now_ms = shared.ports.clock.monotonic_ms();
    let left = shared.commits().turn.and_then(|turn| turn.left(now_ms, shared.config.exclusive_turn_max));
    let Some(left) = left else { return };
    let ended = std::pin::pin!(ended);
    match select(ended, shared.ports.timer.sleep(left)).await {
        Either::Left(((), _)) | Either::Right(((), _)) => {}
    }
}
