//! Threads that poll tasks which may not give them back: as few as keep up, and more while some are kept.
//!
//! Each task goes to a thread in the order in which tasks became ready. When none was taken for a while although some
//! wait, all threads are kept by functions that do not yield: one more thread takes the place of one of them, which
//! ends as soon as it is given back.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use async_task::Runnable;
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// How long nothing is taken, although something waits, before another thread is begun. Source: ours; longer than what
/// functions take, shorter than what a person notices.
const KEPT_MAX: Duration = Duration::from_millis(20);

/// How many threads there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// As long as all of them yield.
    pub threads: usize,
    /// Beside them, for those that are kept.
    pub spare: usize,
}

/// Called on each thread before it polls anything, with what polls.
type Around = Arc<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// See the module. Clones are the same pool.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    size: Size,
    around: Around,
    state: Mutex<State>,
    /// Something waits, for a thread.
    ready: Condvar,
    /// Something waits, for who watches that it is taken.
    watched: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Runnable>,
    n_threads: usize,
    n_idle: usize,
    /// Of those, threads that were called and have not come yet. To call one more often than once costs as much as a
    /// short function.
    n_called: usize,
    /// Tasks that threads have taken, ever; each has its number.
    n_taken: u64,
    /// Who polls a task up to this number was kept when another thread took its place.
    relieved_to: u64,
    /// Who watches sleeps until something waits.
    watch_sleeps: bool,
    has_ended: bool,
}

impl Pool {
    /// Starts the threads; each does its work within `around`.
    pub fn start(size: Size, around: Around) -> std::io::Result<Self> {
        let size = Size { threads: size.threads.max(1), ..size };
        let shared =
            Arc::new(Shared { size, around, state: Mutex::default(), ready: Condvar::new(), watched: Condvar::new() });
        for _ in 0..size.threads {
            Shared::begin_thread(&shared, &mut shared.lock())?;
        }
        let watch = shared.clone();
        thread::Builder::new().name("function watch".to_owned()).spawn(move || watch.watch())?;
        Ok(Pool { shared })
    }

    /// Polls a future until it ends. A panic ends it, and nothing else.
    pub fn spawn(&self, future: BoxFuture<'static, ()>) {
        let shared = self.shared.clone();
        let future = AssertUnwindSafe(future).catch_unwind();
        let (first, task) = async_task::spawn(future, move |runnable| shared.push(runnable));
        task.detach();
        first.schedule();
    }

    /// Polls nothing more. Threads end when what they poll has yielded; nobody waits for them.
    pub fn end(&self) {
        let mut state = self.shared.lock();
        state.has_ended = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.shared.ready.notify_all();
        self.shared.watched.notify_all();
        drop(waiting);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, runnable: Runnable) {
        let mut state = self.lock();
        if state.has_ended {
            drop(state);
            return drop(runnable);
        }
        state.waiting.push_back(runnable);
        let (calls_thread, wakes_watch) = (state.n_idle > state.n_called, std::mem::take(&mut state.watch_sleeps));
        state.n_called += usize::from(calls_thread);
        drop(state);
        if calls_thread {
            self.ready.notify_one();
        }
        if wakes_watch {
            self.watched.notify_one();
        }
    }

    fn begin_thread(shared: &Arc<Shared>, state: &mut State) -> std::io::Result<()> {
        let own = shared.clone();
        thread::Builder::new().name("function".to_owned()).spawn(move || {
            let around = own.around.clone();
            around(&mut || own.work());
        })?;
        state.n_threads += 1;
        Ok(())
    }

    fn work(&self) {
        let mut polled = None;
        while let Some((number, runnable)) = self.next(polled) {
            runnable.run();
            polled = Some(number);
        }
    }

    /// What a thread polls next, which has polled a task; `None` when it is to end.
    fn next(&self, polled: Option<u64>) -> Option<(u64, Runnable)> {
        let mut state = self.lock();
        let was_relieved = polled.is_some_and(|number| number <= state.relieved_to);
        if was_relieved && state.n_threads > self.size.threads {
            state.n_threads -= 1;
            return None;
        }
        loop {
            if state.has_ended {
                return None;
            }
            if let Some(runnable) = state.waiting.pop_front() {
                state.n_taken += 1;
                return Some((state.n_taken, runnable));
            }
            state.n_idle += 1;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.n_idle -= 1;
            state.n_called = state.n_called.saturating_sub(1);
        }
    }

    /// Begins another thread whenever all are kept.
    fn watch(self: Arc<Self>) {
        let mut state = self.lock();
        while !state.has_ended {
            if state.waiting.is_empty() {
                state.watch_sleeps = true;
                state = self.watched.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let n_taken = state.n_taken;
            state = self.watched.wait_timeout(state, KEPT_MAX).unwrap_or_else(PoisonError::into_inner).0;
            let all_are_kept = !state.waiting.is_empty() && state.n_taken == n_taken;
            if all_are_kept && !state.has_ended && state.n_threads < self.size.threads + self.size.spare {
                tracing::debug!(threads = state.n_threads, "functions keep all threads: one more begins");
                match Shared::begin_thread(&self, &mut state) {
                    Ok(()) => state.relieved_to = n_taken,
                    Err(error) => tracing::warn!(%error, "functions keep all threads, and no other one can begin"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    fn pool(threads: usize, spare: usize) -> Pool {
        Pool::start(Size { threads, spare }, Arc::new(|work| work())).unwrap()
    }

    /// A task that keeps its thread until it is told to go on. Returns when it has one.
    fn keep_a_thread(pool: &Pool) -> Sender<()> {
        let (go_on, told) = channel();
        let (has_begun, begun) = channel();
        pool.spawn(Box::pin(async move {
            has_begun.send(()).unwrap();
            let _ = told.recv();
        }));
        begun.recv().unwrap();
        go_on
    }

    fn done(pool: &Pool) -> Receiver<thread::ThreadId> {
        let (done, told) = channel();
        pool.spawn(Box::pin(async move { done.send(thread::current().id()).unwrap() }));
        told
    }

    #[test]
    fn what_keeps_all_threads_keeps_nothing_from_running() {
        let pool = pool(2, 3);
        let kept: Vec<_> = (0..4).map(|_| keep_a_thread(&pool)).collect();
        done(&pool).recv().unwrap();
        assert_eq!(pool.shared.lock().n_threads, 5);
        drop(kept);
        // All but two of those that were kept have ended when so many are left that none ends any more.
        while pool.shared.lock().n_threads > 2 {
            done(&pool).recv().unwrap();
        }
        done(&pool).recv().unwrap();
        assert_eq!(pool.shared.lock().n_threads, 2);
    }

    /// Spare threads are bounded: then what waits is run when one is given back.
    #[test]
    fn what_waits_for_a_thread_gets_the_next_one() {
        let pool = pool(1, 1);
        let (first, second) = (keep_a_thread(&pool), keep_a_thread(&pool));
        let waiting = done(&pool);
        assert!(waiting.try_recv().is_err());
        drop(second);
        waiting.recv().unwrap();
        drop(first);
        done(&pool).recv().unwrap();
    }

    #[test]
    fn tasks_run_in_the_order_in_which_they_became_ready() {
        let pool = pool(1, 0);
        let go_on = keep_a_thread(&pool);
        let (number, numbers) = channel();
        for n in 0..10 {
            let number = number.clone();
            pool.spawn(Box::pin(async move { number.send(n).unwrap() }));
        }
        drop((number, go_on));
        assert!(numbers.iter().eq(0..10));
    }

    #[test]
    fn a_panic_ends_its_task() {
        let pool = pool(1, 0);
        pool.spawn(Box::pin(async { panic!("as a function might") }));
        done(&pool).recv().unwrap();
    }

    #[test]
    fn a_pool_that_has_ended_drops_what_it_is_given() {
        let pool = pool(1, 0);
        pool.end();
        assert!(done(&pool).recv().is_err());
    }
}
