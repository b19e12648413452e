//! Who runs what: functions on threads of their own, everything else on the threads of the caller's runtime.

use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_engine::{OnProgress, Progress, Random, Spawn};
use tokio::runtime::{Handle, Runtime};

use super::pool::{Pool, Size};

/// Threads that run functions and nothing else: one that never yields cannot keep a socket or a commit waiting.
pub(super) struct FunctionThreads {
    pool: Pool,
    /// Timers and tasks of functions that use tokio themselves.
    runtime: Option<Runtime>,
}

impl FunctionThreads {
    pub(super) fn start(size: Size) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("function timers")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let within = Arc::new(move |work: &mut dyn FnMut()| {
            let _entered = handle.enter();
            work();
        });
        Ok(FunctionThreads { pool: Pool::start(size, within)?, runtime: Some(runtime) })
    }

    pub(super) fn spawner(&self) -> Arc<dyn Spawn> {
        Arc::new(FunctionTasks(self.pool.clone()))
    }
}

impl Drop for FunctionThreads {
    /// Does not wait: a function that never yields would keep the process from ending.
    fn drop(&mut self) {
        self.pool.end();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct FunctionTasks(Pool);

impl Spawn for FunctionTasks {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        self.0.spawn(future);
    }
}

/// Tasks on the runtime that the server was started in.
pub(super) struct NetworkTasks(Handle);

impl NetworkTasks {
    pub(super) fn current() -> Self {
        NetworkTasks(Handle::current())
    }
}

impl Spawn for NetworkTasks {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        tracing::trace!(name, "a task begins");
        self.0.spawn(future);
    }
}

/// The operating system's random numbers.
pub(super) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// Progress of a long start, as lines of the log.
pub(super) fn progress_lines() -> OnProgress {
    Arc::new(|progress: &Progress| {
        let Progress { work, of, done, total } = progress;
        match total {
            Some(total) => tracing::info!("{work} {of}: {done} of {total}"),
            None => tracing::info!("{work} {of}: {done}"),
        }
    })
}
