//! The mutations of one socket: one after another, in the order its session asked for them.
//!
//! All that wait run in one task. A task for each would cost a mutation two hops between threads, forty times for a
//! client that has forty in flight.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_client_protocol::RequestId;

use super::connection::{Inbox, Note};
use crate::executor::{Call, Executor};

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
        let (executor, inbox, queue) = (self.executor.clone(), self.inbox.clone(), self.queue.clone());
        self.executor.spawn(async move {
            while let Some((request, call)) = next(&queue) {
                let ran = executor.mutation(&call).await;
                inbox.put(Note::MutationDone { request, token: call.request, ran });
            }
        });
    }
}

impl Drop for Lane {
    /// Its client sends them again on another socket, where they must not meet themselves.
    fn drop(&mut self) {
        lock(&self.queue).waiting.clear();
    }
}

fn next(queue: &Mutex<Queue>) -> Option<(RequestId, Call)> {
    let mut queue = lock(queue);
    let next = queue.waiting.pop_front();
    queue.is_served = next.is_some();
    next
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
