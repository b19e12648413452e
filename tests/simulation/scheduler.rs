//! Runs the tasks of one server process on one thread: which of those that are ready goes on is the seed's choice.
//!
//! Nothing runs beside it, and nothing else decides an order: so the same seed gives the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use syncline::clock::{Clock, ManualClock, Timer};
use syncline::machine::{Machine, Random, Spawn};
use syncline_tests::random::Rng;

/// See the module. Clones are the same one.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
    clock: Arc<ManualClock>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    tasks: BTreeMap<u64, Task>,
    ready: BTreeSet<u64>,
    n_tasks: u64,
    sleeps: BTreeMap<(u64, u64), Waker>,
    n_sleeps: u64,
    ended: bool,
}

struct Task {
    name: &'static str,
    waker: Waker,
    /// None while it is polled.
    future: Option<BoxFuture<'static, ()>>,
}

struct Wakes {
    task: u64,
    shared: Weak<Shared>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut state = shared.lock();
        if state.tasks.contains_key(&self.task) {
            state.ready.insert(self.task);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scheduler {
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Scheduler { shared: Arc::default(), clock }
    }

    /// What a server runs on that runs on this.
    pub fn machine(&self, random: Arc<dyn Random>) -> Machine {
        let this = Arc::new(self.clone());
        Machine { timer: this.clone(), random, network: this.clone(), functions: this }
    }

    /// Lets one of the tasks that are ready go on, and names it; `None` when none is.
    pub fn run_one(&self, rng: &mut Rng) -> Option<&'static str> {
        let mut state = self.shared.lock();
        if state.ready.is_empty() {
            return None;
        }
        let nth = rng.index(state.ready.len());
        let id = *state.ready.iter().nth(nth).expect("it was counted");
        state.ready.remove(&id);
        let task = state.tasks.get_mut(&id).expect("only tasks that are there become ready");
        let mut future = task.future.take().expect("nothing else polls it");
        let (name, waker) = (task.name, task.waker.clone());
        drop(state);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = self.shared.lock();
        match polled {
            Poll::Pending => {
                if let Some(task) = state.tasks.get_mut(&id) {
                    task.future = Some(future);
                }
            }
            Poll::Ready(()) => {
                state.tasks.remove(&id);
                state.ready.remove(&id);
                drop(state);
                drop(future);
            }
        }
        Some(name)
    }

    /// Wakes those whose time has come.
    pub fn wake_due(&self) {
        let now_ms = self.clock.monotonic_ms();
        let mut state = self.shared.lock();
        let later = state.sleeps.split_off(&(now_ms + 1, 0));
        let due = std::mem::replace(&mut state.sleeps, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// When the next sleep ends, in milliseconds of the monotonic clock.
    pub fn next_wake_ms(&self) -> Option<u64> {
        self.shared.lock().sleeps.first_key_value().map(|((deadline_ms, _), _)| *deadline_ms)
    }

    /// The process is killed: its tasks are gone, wherever they were.
    pub fn kill(&self) {
        let mut state = self.shared.lock();
        state.ended = true;
        state.ready.clear();
        let tasks = std::mem::take(&mut state.tasks);
        let sleeps = std::mem::take(&mut state.sleeps);
        drop(state);
        drop((tasks, sleeps));
    }
}

impl Spawn for Scheduler {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let mut state = self.shared.lock();
        if state.ended {
            drop(state);
            return;
        }
        let id = state.n_tasks;
        state.n_tasks += 1;
        let waker = Waker::from(Arc::new(Wakes { task: id, shared: Arc::downgrade(&self.shared) }));
        state.tasks.insert(id, Task { name, waker, future: Some(future) });
        state.ready.insert(id);
    }
}

impl Timer for Scheduler {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let ms = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let deadline_ms = self.clock.monotonic_ms().saturating_add(ms);
        Box::pin(Sleep { scheduler: self.clone(), deadline_ms, place: None })
    }
}

struct Sleep {
    scheduler: Scheduler,
    deadline_ms: u64,
    place: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.scheduler.clock.monotonic_ms() >= self.deadline_ms {
            return Poll::Ready(());
        }
        let mut state = self.scheduler.shared.lock();
        let place = self.place.unwrap_or_else(|| {
            state.n_sleeps += 1;
            (self.deadline_ms, state.n_sleeps)
        });
        state.sleeps.insert(place, cx.waker().clone());
        drop(state);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.scheduler.shared.lock().sleeps.remove(&place);
            drop(waker);
        }
    }
}

/// Lets others go first, once.
pub async fn breathe() {
    let mut has_waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
