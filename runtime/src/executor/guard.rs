//! Runs an application's code so that nothing it does harms anything but its own call.
//!
//! A panic ends the call; so does too much own time, or too long a wait. Native code cannot be interrupted: time is
//! looked at whenever the function yields, and a function that never yields is named by [`stuck`], which the server's watchdog asks.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_schema::FunctionPath;

use super::errors;
use crate::clock::{Clock, Timer};

/// How much time a call may take.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// Own time; actions have none.
    pub own: Option<Duration>,
    /// From start to end.
    pub wall: Duration,
}

/// A call of an application's function with its limits.
pub struct Guarded<'a> {
    call: BoxFuture<'static, Result<String, FunctionError>>,
    path: &'a Arc<FunctionPath>,
    guard: &'a Guard,
    limits: TimeLimits,
    own: Duration,
    /// Set up when the call first has to wait: most calls end at their first poll.
    deadline: Option<BoxFuture<'static, ()>>,
}

/// What a [`Guarded`] call needs beside the call itself.
#[derive(Clone)]
pub struct Guard {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Waits.
    pub timer: Arc<dyn Timer>,
}

impl Guard {
    /// Puts a call under its limits.
    pub fn call<'a>(
        &'a self,
        path: &'a Arc<FunctionPath>,
        kind: FunctionKind,
        limits: TimeLimits,
        call: BoxFuture<'static, Result<String, FunctionError>>,
    ) -> Guarded<'a> {
        let limits = match kind {
            FunctionKind::Query | FunctionKind::Mutation => limits,
            FunctionKind::Action => TimeLimits { own: None, ..limits },
        };
        Guarded { call, path, guard: self, limits, own: Duration::ZERO, deadline: None }
    }
}

impl Guarded<'_> {
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Result<String, FunctionError>> {
        let clock = &self.guard.clock;
        let started_ns = clock.monotonic_ns();
        let slot = worker_slot();
        slot.enter(self.path, started_ns / 1_000_000);
        let call = &mut self.call;
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
        slot.leave();
        self.own += Duration::from_nanos(clock.monotonic_ns().saturating_sub(started_ns));
        match polled {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(errors::panicked(self.path, &*panic))),
        }
    }

    fn over_own_time(&self) -> Option<FunctionError> {
        let limit = self.limits.own?;
        (self.own > limit).then(|| errors::own_time_over(self.path, self.own.as_millis(), limit.as_millis()))
    }
}

/// How a call ended.
pub struct Ended {
    /// Its result.
    pub value: Result<String, FunctionError>,
    /// Time that its own code took, without what it waited.
    pub own: Duration,
}

impl Future for Guarded<'_> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let polled = self.poll_limited(cx);
        polled.map(|value| Ended { value, own: self.own })
    }
}

impl Guarded<'_> {
    fn poll_limited(&mut self, cx: &mut Context<'_>) -> Poll<Result<String, FunctionError>> {
        let this = self;
        let polled = this.poll_call(cx);
        // A call that has failed says more by its own error; a panic may take its time to print where it happened.
        if matches!(polled, Poll::Ready(Err(_))) {
            return polled;
        }
        if let Some(error) = this.over_own_time() {
            return Poll::Ready(Err(error));
        }
        if polled.is_ready() {
            return polled;
        }
        let (timer, wall) = (&this.guard.timer, this.limits.wall);
        let deadline = this.deadline.get_or_insert_with(|| timer.sleep(wall));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(errors::wall_time_over(this.path, wall.as_millis()))),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// What one worker thread is doing. All threads of the process are known to [`stuck`].
#[derive(Default)]
struct WorkerSlot {
    /// Milliseconds of the monotonic clock, plus one; 0 when the worker is in no function.
    since_ms: AtomicU64,
    path: Mutex<Option<Arc<FunctionPath>>>,
}

impl WorkerSlot {
    fn enter(&self, path: &Arc<FunctionPath>, now_ms: u64) {
        self.since_ms.store(now_ms + 1, Ordering::Relaxed);
        let mut entered = lock(&self.path);
        // Mostly the same function again, whose path is counted by all threads.
        if !entered.as_ref().is_some_and(|entered| Arc::ptr_eq(entered, path)) {
            *entered = Some(path.clone());
        }
    }

    fn leave(&self) {
        self.since_ms.store(0, Ordering::Relaxed);
    }
}

static WORKERS: Mutex<Vec<Weak<WorkerSlot>>> = Mutex::new(Vec::new());

thread_local! {
    static SLOT: Arc<WorkerSlot> = {
        let slot = Arc::new(WorkerSlot::default());
        lock(&WORKERS).push(Arc::downgrade(&slot));
        slot
    };
}

fn worker_slot() -> Arc<WorkerSlot> {
    SLOT.with(Arc::clone)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The functions that have kept a thread of this process for longer than `limit` without yielding, with their time.
pub fn stuck(now_ms: u64, limit: Duration) -> Vec<(Arc<FunctionPath>, Duration)> {
    let mut workers = lock(&WORKERS);
    workers.retain(|slot| slot.strong_count() > 0);
    let mut stuck = Vec::new();
    for slot in workers.iter().filter_map(Weak::upgrade) {
        let since = slot.since_ms.load(Ordering::Relaxed);
        let kept = Duration::from_millis((now_ms + 1).saturating_sub(since));
        if since == 0 || kept <= limit {
            continue;
        }
        if let Some(path) = &*lock(&slot.path) {
            stuck.push((path.clone(), kept));
        }
    }
    stuck
}
