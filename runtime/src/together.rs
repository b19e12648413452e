//! Waking many tasks at once.
//!
//! A runtime of several threads unparks another one when a task on one of its own wakes a task. While fewer cores are
//! free than it has threads, the other one preempts who woke it, does the one task it finds, and sleeps again, for
//! each task anew: two changes of thread, and as many calls of the kernel as a session's whole turn takes. What is
//! woken when a thread comes back from asking for sockets is a batch instead, and another thread is unparked once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Does what wakes many tasks, behind what is ready to run, and returns when it is done. Where no runtime batches wakes,
/// it is done at once.
///
/// It is done even if nobody waits for it any more.
pub(crate) async fn wake_together(wakes: impl FnOnce() + Send + 'static) {
    let mut wakes = Some(wakes);
    poll_fn(|cx| {
        let Some(wakes) = wakes.take() else { return Poll::Ready(()) };
        let deferred = Deferred { wakes: Mutex::new(Some(Box::new(wakes))), then: cx.waker().clone() };
        // A runtime wakes those who yield when it has asked for sockets: this task too, with the wakes before it.
        pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&Waker::from(Arc::new(deferred))))
    })
    .await;
}

/// Wakes many, and then who waits for that.
struct Deferred {
    wakes: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    then: Waker,
}

impl Wake for Deferred {
    fn wake(self: Arc<Self>) {
        let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(wakes) = wakes {
            wakes();
        }
        self.then.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt as _;
    use tokio::sync::Barrier;

    use super::*;

    /// Each of `n` tasks waits until all of them do; the last of them is woken together with the others.
    async fn all_are_woken(n: usize) {
        let n_woken = Arc::new(AtomicUsize::new(0));
        let (go, _) = tokio::sync::watch::channel(());
        let all_wait = Arc::new(Barrier::new(n + 1));
        let tasks: Vec<_> = (0..n)
            .map(|_| {
                let (mut told, all_wait, n_woken) = (go.subscribe(), all_wait.clone(), n_woken.clone());
                tokio::spawn(async move {
                    all_wait.wait().await;
                    told.changed().await.unwrap();
                    n_woken.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        all_wait.wait().await;
        let sent = go.clone();
        wake_together(move || sent.send(()).unwrap()).await;
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(n_woken.load(Ordering::Relaxed), n);
    }

    #[tokio::test]
    async fn on_one_thread() {
        all_are_woken(100).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn on_several_threads() {
        tokio::spawn(all_are_woken(100)).await.unwrap();
    }

    /// On a thread of a pool, or in a simulation.
    #[test]
    fn at_once_without_a_runtime() {
        let (done, told) = std::sync::mpsc::channel();
        let mut woken = pin!(wake_together(move || done.send(()).unwrap()));
        let polled = woken.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        told.try_recv().unwrap();
        assert!(polled.is_pending() && woken.now_or_never().is_some());
    }

    /// What the wakes were for must not depend on who asked for them.
    #[tokio::test]
    async fn also_for_who_has_gone() {
        let (done, told) = tokio::sync::oneshot::channel();
        assert!(wake_together(move || done.send(()).unwrap()).now_or_never().is_none());
        told.await.unwrap();
    }
}
