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
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use syncline_client_protocol::RequestId;

use super::connection::{Inbox, Note};
use crate::executor::{Behind, Call, Executor, MutationRun, StandsOn, SystemError};
use crate::request::RequestToken;

/// The session is told of so many mutations together: to wake it for each costs as much as a short mutation. Its
/// client gets no answer sooner, because that waits for the disk.
const TOLD_AT_ONCE_MAX: usize = 16;

/// The lanes of all sessions that have called a mutation and have a socket.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<HashMap<[u8; 16], Arc<Shared>>>);

/// A socket's lane. Dropped, it begins no other mutation; the one that runs goes on to its end.
pub(super) struct Lane {
    executor: Executor,
    lanes: Arc<Lanes>,
    session: Option<[u8; 16]>,
    shared: Arc<Shared>,
}

struct Shared {
    inbox: Inbox,
    queue: Mutex<Queue>,
    /// Held by the task that runs mutations.
    turn: tokio::sync::Mutex<()>,
    /// A mutation may have committed that is not among those done.
    committing: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(RequestId, Call)>,
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

/// What became of a mutation.
pub(super) struct Done {
    pub(super) request: RequestId,
    pub(super) token: RequestToken,
    pub(super) ran: Result<MutationRun, SystemError>,
}

impl Lanes {
    /// Makes `lane` the one of a session, and ends the one it had.
    fn take_over(&self, session: [u8; 16], lane: &Arc<Shared>) {
        let before = self.lock().insert(session, lane.clone());
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    pub(super) fn new(executor: Executor, lanes: Arc<Lanes>, inbox: Inbox) -> Self {
        let shared = Shared {
            inbox,
            queue: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            committing: AtomicBool::default(),
        };
        Lane { executor, lanes, session: None, shared: Arc::new(shared) }
    }

    /// Runs a mutation when those before it have ended; its answer goes to the inbox.
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
        queue.waiting.push_back((request, call));
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
    pub(super) fn take_done(&self) -> Vec<Done> {
        std::mem::take(&mut lock(&self.shared.queue).done)
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
        let mut told_ms = executor.now_ms();
        while let Some((request, call, before)) = self.next() {
            let mut running = pin!(executor.mutation_behind(&call, Behind { before, committing: &self.committing }));
            let ran = match futures::poll!(running.as_mut()) {
                Poll::Ready(ran) => ran,
                Poll::Pending => {
                    self.tell();
                    running.await
                }
            };
            let is_due = self.note(Done { request, token: call.request, ran });
            let now_ms = executor.now_ms();
            if is_due || now_ms > told_ms {
                self.tell();
                told_ms = now_ms;
            }
        }
        self.tell();
    }

    /// Keeps what became of a mutation, and returns whether the session is to be told now: it waits for this one, or
    /// there are enough.
    fn note(&self, done: Done) -> bool {
        let mut queue = lock(&self.queue);
        queue.note(&done.ran);
        queue.done.push(done);
        self.committing.store(false, Ordering::SeqCst);
        std::mem::take(&mut queue.is_awaited) || queue.done.len() >= TOLD_AT_ONCE_MAX
    }

    fn tell(&self) {
        if !lock(&self.queue).done.is_empty() {
            self.inbox.put(Note::MutationsDone);
        }
    }

    fn next(&self) -> Option<(RequestId, Call, Option<StandsOn>)> {
        let mut queue = lock(&self.queue);
        let next = queue.waiting.pop_front();
        queue.is_served = next.is_some();
        next.map(|(request, call)| (request, call, queue.before))
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
