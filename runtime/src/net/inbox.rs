//! What a session is told by others, and when it is woken for it.
//!
//! Waking a session costs more than most of what it is told. What it need not act on at once is left for it quietly:
//! whoever leaves it knows that the session will be woken for something else that follows from it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use super::connection::Note;
use crate::live::{LiveEvent, Watcher};

/// How others reach a session.
///
/// Not bounded by a capacity of its own: each query in the set has at most one event of each kind under way, each
/// request one answer, and both are bounded by the session's limits. A sender can therefore never be made to wait.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Shared>);

/// The session's end of it; the inbox takes nothing more when it is gone.
pub(super) struct Notes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    notes: VecDeque<Note>,
    has_ended: bool,
}

/// Both ends.
pub(super) fn inbox() -> (Inbox, Notes) {
    let shared = Arc::new(Shared::default());
    (Inbox(shared.clone()), Notes(shared))
}

impl Inbox {
    /// Leaves a note and wakes the session; `false` when it has ended.
    pub(super) fn put(&self, note: Note) -> bool {
        let taken = self.put_quietly(note);
        self.wake();
        taken
    }

    /// Leaves a note for when the session is woken the next time; `false` when it has ended.
    fn put_quietly(&self, note: Note) -> bool {
        let mut state = self.0.lock();
        if !state.has_ended {
            state.notes.push_back(note);
        }
        !state.has_ended
    }

    fn wake(&self) {
        self.0.waker.wake();
    }
}

impl Watcher for Inbox {
    fn tell(&self, event: LiveEvent) -> bool {
        self.put(Note::Live(event))
    }

    fn tell_quietly(&self, event: LiveEvent) -> bool {
        self.put_quietly(Note::Live(event))
    }

    fn wake(&self) {
        Inbox::wake(self);
    }
}

impl Notes {
    /// The oldest note, when there is one.
    pub(super) async fn next(&mut self) -> Note {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Note> {
        // Registered before one looks: what comes in between is then either seen or wakes.
        self.0.waker.register(cx.waker());
        self.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// The oldest note that is there already.
    pub(super) fn try_next(&mut self) -> Option<Note> {
        self.0.lock().notes.pop_front()
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_ended = true;
        let notes = std::mem::take(&mut state.notes);
        drop(state);
        drop(notes);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
