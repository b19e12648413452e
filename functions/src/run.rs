//! One run of one function: what it is given, and what it leaves behind beside its result.
//!
//! The contexts share one [`Run`]; the executor keeps it too and reads the report when the function has ended,
//! returned or panicked. Whether the identity, the clock or an environment variable was looked at is a property
//! of the run (never of the function): it decides who may share the result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;

use crate::auth::UserIdentity;
use crate::registry::{FunctionError, FunctionKind, Registry};
use crate::tx::Tx;

/// How an action (and only an action) calls other functions: each call is a transaction of its own.
pub trait Caller: Send + Sync {
    /// Calls `path` with arguments as wire JSON, under the identity of the action. Internal functions may be called.
    fn call(&self, kind: FunctionKind, path: &str, args: String) -> BoxFuture<'static, Result<String, FunctionError>>;
}

/// What the executor gives to a run.
pub struct RunInputs {
    /// The transaction; actions have none.
    pub tx: Option<Arc<dyn Tx>>,
    /// Calls of an action; queries and mutations have none (their nested calls share the transaction).
    pub caller: Option<Arc<dyn Caller>>,
    /// All functions of the application.
    pub registry: Arc<Registry>,
    /// Who calls; `None` when nobody is signed in.
    pub identity: Option<Arc<UserIdentity>>,
    /// Whole milliseconds since the epoch, the same all through the run.
    pub now_ms: u64,
    /// Where the run's random numbers start.
    pub seed: u64,
    /// Where a paginated query ended when it ran last.
    pub journal: Option<Arc<str>>,
}

/// A run of a function.
pub struct Run {
    inputs: RunInputs,
    observed_identity: AtomicBool,
    observed_time: AtomicBool,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    log_lines: Vec<String>,
    journal: Option<String>,
}

/// What a run leaves behind beside its result.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Lines as clients read them: `[LOG] 'text'`.
    pub log_lines: Vec<String>,
    /// Whether it (or a nested call) looked at who is calling.
    pub observed_identity: bool,
    /// Whether it looked at the clock.
    pub observed_time: bool,
    /// Where its page ended; `None` when it did not paginate.
    pub journal: Option<String>,
}

impl Run {
    /// Begins a run.
    pub fn new(inputs: RunInputs) -> Arc<Self> {
        Arc::new(Run {
            inputs,
            observed_identity: AtomicBool::new(false),
            observed_time: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// What is known so far; complete once the function has ended.
    pub fn report(&self) -> RunReport {
        let state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        RunReport {
            log_lines: state.log_lines.clone(),
            observed_identity: self.observed_identity.load(Ordering::Relaxed),
            observed_time: self.observed_time.load(Ordering::Relaxed),
            journal: state.journal.clone(),
        }
    }
}
