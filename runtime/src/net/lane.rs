//! The mutations of one session: one after another, in the order it asked for them, over all its sockets.
//!
//! When one cannot be done, or was undone before the next begins, none behind it is: its socket ends, and its client
//! sends all of them again. The one behind would be answered from its record then, and have happened first.
//!
//! A client that comes back on another socket, before the old one is known to be lost, sends what is unanswered again.
//! The new lane takes over: the old one begins nothing more, and what it runs is waited for. Else a mutation could
//! take effect there after its client was told here that it had failed.
//!
//! TODO(correctness): holds on one node. With a second one, an old socket there has to be ended from here.
//!
//! All that wait run in one task. A task for each would cost a mutation two hops between threads, forty times for a
//! client that has forty in flight.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_client_protocol::RequestId;
use syncline_engine::ExpectedCommit;
use tokio::sync::watch;

use super::connection::Note;
use super::inbox::Inbox;
use crate::executor::{Behind, Call, Executor, MutationRun, StandsOn, SystemError};
use crate::live::Published;
use crate::request::RequestToken;

/// A session that has more mutations than it could hand over is told of so many together: to wake it for each costs as
/// much as a short mutation.
const TOLD_AT_ONCE_MAX: usize = 16;

/// The lanes of all sessions that have called a mutation and have a socket.
#[derive(Default)]
pub(crate) struct Lanes {
    by_session: Mutex<HashMap<[u8; 16], Arc<Shared>>>,
    n_opened: AtomicU64,
}

/// A socket's lane. Dropped, it begins no other mutation; the one that runs goes on to its end.
pub(super) struct Lane {
    executor: Executor,
    lanes: Arc<Lanes>,
    session: Option<[u8; 16]>,
    shared: Arc<Shared>,
    /// Mutations pushed and not taken when they were done.
    n_under_way: usize,
}

struct Shared {
    /// Rises with each socket that is opened.
    number: u64,
    inbox: Inbox,
    /// How far the store is durable: as long as it is not as far as a mutation, its session waits for that.
    published: watch::Receiver<Published>,
    /// The session has more mutations, which it hands over when these have committed.
    is_hurried: AtomicBool,
    queue: Mutex<Queue>,
    /// Held by the task that runs mutations.
    turn: tokio::sync::Mutex<()>,
    /// A mutation may have committed that is not among those done.
    committing: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A task takes from it.
    is_served: bool,
    /// What the last one made or saw.
    before: Option<StandsOn>,
    /// Lanes that were taken over, and may still run something.
    after: Vec<Arc<Shared>>,
    /// Nothing is begun any more.
    has_ended: bool,
    /// Mutations that have ended and that the session does not know of.
    done: Vec<Done>,
    /// The session waits for the mutation that is being committed.
    is_awaited: bool,
}

/// A mutation that has not begun.
struct Waiting {
    request: RequestId,
    call: Call,
    expected: ExpectedCommit,
}

/// What became of a mutation.
pub(super) struct Done {
    pub(super) request: RequestId,
    pub(super) token: RequestToken,
    pub(super) ran: Result<MutationRun, SystemError>,
}

impl Lanes {
    /// The number of a socket that is opened now.
    pub(super) fn next_number(&self) -> u64 {
        self.n_opened.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes `lane` the one of a session, and ends the one it had. An older socket, which may have waited longer for its
    /// token, takes nothing from a newer one: it ends itself.
    fn take_over(&self, session: [u8; 16], lane: &Arc<Shared>) {
        let mut lanes = self.lock();
        if lanes.get(&session).is_some_and(|newest| newest.number > lane.number) {
            drop(lanes);
            return lock(&lane.queue).end();
        }
        let before = lanes.insert(session, lane.clone());
        drop(lanes);
        if let Some(before) = before {
            let mut queue = lock(&before.queue);
            if !queue.waiting.is_empty() {
                before.inbox.put(Note::TakenOver);
            }
            queue.end();
            let mut after = std::mem::take(&mut queue.after);
            drop(queue);
            after.push(before);
            lock(&lane.queue).after.append(&mut after);
        }
    }

    fn release(&self, session: [u8; 16], lane: &Arc<Shared>) {
        let mut lanes = self.lock();
        if lanes.get(&session).is_some_and(|newest| Arc::ptr_eq(newest, lane)) {
            lanes.remove(&session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], Arc<Shared>>> {
        self.by_session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// That of the socket with a [number](Lanes::next_number).
    pub(super) fn new(
        number: u64,
        executor: Executor,
        lanes: Arc<Lanes>,
        inbox: Inbox,
        published: watch::Receiver<Published>,
    ) -> Self {
        let shared = Shared {
            number,
            inbox,
            published,
            is_hurried: AtomicBool::default(),
            queue: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            committing: AtomicBool::default(),
        };
        Lane { executor, lanes, session: None, shared: Arc::new(shared), n_under_way: 0 }
    }

    /// Runs a mutation when those before it have ended. The inbox is told when it is done and something can be made of
    /// that: an answer has to wait for the disk, so that is mostly when more has become durable, which the session
    /// has to wait for as long as the lane [is busy](Lane::is_busy).
    pub(super) fn push(&mut self, request: RequestId, call: Call) {
        let session = call.once.map(|key| key.session);
        if session != self.session {
            self.change_session(session);
        }
        let mut queue = lock(&self.shared.queue);
        if queue.has_ended {
            self.shared.inbox.put(Note::TakenOver);
            return;
        }
        self.n_under_way += 1;
        queue.waiting.push_back(Waiting { request, call, expected: self.executor.expect_commit() });
        if std::mem::replace(&mut queue.is_served, true) {
            return;
        }
        drop(queue);
        let (executor, lanes, shared) = (self.executor.clone(), self.lanes.clone(), self.shared.clone());
        self.executor.spawn(async move {
            shared.serve(&executor).await;
            if let (Some(session), true) = (session, lock(&shared.queue).has_ended) {
                lanes.release(session, &shared);
            }
        });
    }

    /// What became of mutations since this was asked last, in their order.
    pub(super) fn take_done(&mut self) -> Vec<Done> {
        let mut queue = lock(&self.shared.queue);
        // As many come again, most likely.
        let room = Vec::with_capacity(queue.done.len());
        let done = std::mem::replace(&mut queue.done, room);
        drop(queue);
        self.n_under_way = self.n_under_way.saturating_sub(done.len());
        done
    }

    /// Whether there are mutations that are not among those done.
    pub(super) fn is_busy(&self) -> bool {
        self.n_under_way > 0
    }

    /// Says whether the session has more mutations than it has handed over. It hands them over when it is told of others:
    /// now, if there are some that it has not been told of.
    pub(super) fn hurry(&self, is_hurried: bool) {
        self.shared.is_hurried.store(is_hurried, Ordering::Relaxed);
        // Looked at behind the store: what is done from here on is told by who does it.
        if is_hurried && !lock(&self.shared.queue).done.is_empty() {
            self.shared.inbox.put(Note::MutationsDone);
        }
    }

    /// Whether all that this lane has committed is among those done, or was before. If not, the inbox is told when it
    /// is.
    ///
    /// Asked after a timestamp was published: no commit up to that one can be missing then.
    pub(super) fn knows_its_commits(&self) -> bool {
        if !self.shared.committing.load(Ordering::SeqCst) {
            return true;
        }
        let mut queue = lock(&self.shared.queue);
        queue.is_awaited = self.shared.committing.load(Ordering::SeqCst);
        !queue.is_awaited
    }

    fn change_session(&mut self, session: Option<[u8; 16]>) {
        if let Some(old) = std::mem::replace(&mut self.session, session) {
            self.lanes.release(old, &self.shared);
        }
        if let Some(session) = session {
            self.lanes.take_over(session, &self.shared);
        }
    }
}

impl Drop for Lane {
    /// Its client sends them again on another socket, whose lane finds this one if it still runs something.
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        queue.end();
        // Else the task that takes from it does so when it ends.
        let is_idle = !queue.is_served;
        drop(queue);
        if let Some(session) = self.session.filter(|_| is_idle) {
            self.lanes.release(session, &self.shared);
        }
    }
}

impl Shared {
    async fn serve(&self, executor: &Executor) {
        let _turn = self.turn.lock().await;
        let after = std::mem::take(&mut lock(&self.queue).after);
        for lane in after {
            drop(lane.turn.lock().await);
        }
        // By the timestamps of commits, which are times, so that no clock is asked at each.
        let mut told_ms = u64::MAX;
        while let Some((Waiting { request, call, expected }, before)) = self.next() {
            let ran = executor.mutation_behind(&call, Behind { before, committing: &self.committing }).await;
            drop(expected);
            let now_ms = ran.as_ref().map_or(0, |ran| ran.durable_at.0 / 1_000_000);
            told_ms = told_ms.min(now_ms);
            let (must_tell, n_untold) = self.note(Done { request, token: call.request, ran });
            let is_hurried = self.is_hurried.load(Ordering::Relaxed);
            if must_tell || (is_hurried && (n_untold >= TOLD_AT_ONCE_MAX || now_ms > told_ms)) {
                self.inbox.put(Note::MutationsDone);
                told_ms = now_ms;
            }
        }
        if self.is_hurried.load(Ordering::Relaxed) {
            self.inbox.put(Note::MutationsDone);
        }
    }

    /// Keeps what became of a mutation. Returns whether the session must be told of it, because it asked for that or
    /// because nothing else will wake it, and of how many it has not been told.
    fn note(&self, done: Done) -> (bool, usize) {
        let mut queue = lock(&self.queue);
        queue.note(&done.ran);
        let waits_for = done.ran.as_ref().ok().map(MutationRun::stands_on);
        queue.done.push(done);
        self.committing.store(false, Ordering::SeqCst);
        let is_awaited = std::mem::take(&mut queue.is_awaited);
        let n_untold = queue.done.len();
        drop(queue);
        // Looked at behind the push: what is published from here on wakes the session, and it finds this.
        let published = self.published.borrow();
        (is_awaited || !waits_for.is_some_and(|on| on.waits_for(published.at.ts(), published.generation)), n_untold)
    }

    fn next(&self) -> Option<(Waiting, Option<StandsOn>)> {
        let mut queue = lock(&self.queue);
        let next = queue.waiting.pop_front();
        queue.is_served = next.is_some();
        next.map(|next| (next, queue.before))
    }
}

impl Queue {
    /// What the next one comes behind.
    fn note(&mut self, ran: &Result<MutationRun, SystemError>) {
        match ran {
            Ok(ran) => self.before = Some(ran.stands_on()),
            Err(_) => self.end(),
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.waiting.clear();
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
