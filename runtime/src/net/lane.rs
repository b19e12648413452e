//! The mutations of one socket: one after another, in the order its session asked for them.
//!
//! All that wait run in one task. A task for each would cost a mutation two hops between threads, forty times for a
//! client that has forty in flight.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use syncline_client_protocol::RequestId;

use super::connection::{Inbox, Note};
use crate::executor::{Call, Executor};

/// The session is told of so many mutations together: to wake it for each costs as much as a short mutation. Its
/// client gets no answer sooner, because that waits for the disk.
const TOLD_AT_ONCE_MAX: usize = 16;

/// See the module. Dropped, it begins no other mutation; the one that runs goes on to its end.
pub(super) struct Lane {
    executor: Executor,
    inbox: Inbox,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(RequestId, Call)>,
    /// A task takes from it.
    is_served: bool,
}

impl Lane {
    pub(super) fn new(executor: Executor, inbox: Inbox) -> Self {
        Lane { executor, inbox, queue: Arc::default() }
    }

    /// Runs a mutation when those before it have ended; its answer goes to the inbox.
    pub(super) fn push(&self, request: RequestId, call: Call) {
        let mut queue = lock(&self.queue);
        queue.waiting.push_back((request, call));
        if std::mem::replace(&mut queue.is_served, true) {
            return;
        }
        drop(queue);
        let server = Server { inbox: self.inbox.clone(), queue: self.queue.clone(), done: Vec::new() };
        self.executor.spawn(server.run(self.executor.clone()));
    }
}

impl Drop for Lane {
    /// Its client sends them again on another socket, where they must not meet themselves.
    fn drop(&mut self) {
        lock(&self.queue).waiting.clear();
    }
}

/// The task that runs what waits.
struct Server {
    inbox: Inbox,
    queue: Arc<Mutex<Queue>>,
    /// Mutations that have ended and that the session does not know of.
    done: Vec<Note>,
}

impl Server {
    async fn run(mut self, executor: Executor) {
        let mut told_ms = executor.now_ms();
        while let Some((request, call)) = self.next() {
            let mut running = pin!(executor.mutation(&call));
            let ran = match futures::poll!(running.as_mut()) {
                Poll::Ready(ran) => ran,
                Poll::Pending => {
                    self.tell();
                    running.await
                }
            };
            self.done.push(Note::MutationDone { request, token: call.request, ran });
            let now_ms = executor.now_ms();
            if self.done.len() == TOLD_AT_ONCE_MAX || now_ms > told_ms {
                self.tell();
                told_ms = now_ms;
            }
        }
    }

    /// The next mutation. When there is none, the session has been told of all.
    fn next(&mut self) -> Option<(RequestId, Call)> {
        let next = lock(&self.queue).waiting.pop_front();
        if next.is_some() {
            return next;
        }
        self.tell();
        let mut queue = lock(&self.queue);
        let next = queue.waiting.pop_front();
        queue.is_served = next.is_some();
        next
    }

    fn tell(&mut self) {
        for note in self.done.drain(..) {
            self.inbox.put(note);
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
