//! The three contexts. What a function may do is what its context has: [`QueryCtx`] has no way to write, and
//! [`ActionCtx`] no database.

mod calls;

use std::ops::Deref;
use std::sync::Arc;

use syncline_schema::Value;

use crate::args::Arguments;
use crate::auth::Auth;
use crate::db::{DatabaseReader, DatabaseWriter};
use crate::env::Env;
use crate::error::Result;
use crate::guard::{self, Guard};
use crate::log::Log;
use crate::registry::FunctionKind;
use crate::run::Run;

pub use calls::{ActionFn, MutationFn, QueryFn};

/// What a query works with: one snapshot of the database, who calls, and the time.
pub struct QueryCtx {
    /// Reads documents.
    pub db: DatabaseReader,
    /// Who calls.
    pub auth: Auth,
    /// The variables of the deployment.
    pub env: Env,
    /// Lines for the client's console and the server's log.
    pub log: Log,
    run: Arc<Run>,
}

/// What a mutation works with: all that a query has, and a database that it can write.
///
/// It can stand wherever a `&QueryCtx` is asked for, so that a mutation can call what is written for queries.
pub struct MutationCtx {
    /// Reads and writes documents; all its writes take effect together, or none.
    pub db: DatabaseWriter,
    query: QueryCtx,
}

/// What an action works with: calls of queries, mutations and actions, each on its own.
pub struct ActionCtx {
    /// Who calls.
    pub auth: Auth,
    /// The variables of the deployment.
    pub env: Env,
    /// Lines for the client's console and the server's log.
    pub log: Log,
    run: Arc<Run>,
}

impl QueryCtx {
    /// The context of a run that has a transaction.
    pub fn new(run: Arc<Run>) -> Self {
        QueryCtx {
            db: DatabaseReader::new(run.clone()),
            auth: Auth::new(run.clone()),
            env: Env::new(run.clone()),
            log: Log::new(run.clone()),
            run,
        }
    }

    /// Checks a guard, where the signature cannot: `ctx.require::<Role<Moderator>>().await?`.
    pub async fn require<G: Guard>(&self) -> Result<G> {
        guard::require(self).await
    }

    /// The time: whole milliseconds since the epoch, the same all through the run.
    pub fn now(&self) -> f64 {
        now(&self.run)
    }

    /// A random number from 0 (in) to 1 (out). Each run has its own sequence.
    pub fn random(&self) -> f64 {
        random(&self.run)
    }

    /// A random number out of all of 64 bits.
    pub fn random_u64(&self) -> u64 {
        self.run.random()
    }

    /// What the server gives to functions of its own; `None` in an application's.
    #[doc(hidden)]
    pub fn host<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.run.host().cloned()?.downcast().ok()
    }

    /// Calls a query: `ctx.run_query(messages::list, (channel,))`. It sees what this run sees.
    ///
    /// A query can be called as the Rust function that it is, too; this way its arguments are checked as a client's
    /// are.
    pub async fn run_query<F: QueryFn<A, G>, A: Arguments, G>(&self, function: F, arguments: A) -> Result<F::Output> {
        calls::typed(&self.run, FunctionKind::Query, function, arguments).await
    }

    /// Calls a query by its path, `messages:list`, with an object of arguments.
    pub async fn run_query_at(&self, path: &str, arguments: Value) -> Result<Value> {
        calls::untyped(&self.run, FunctionKind::Query, path, arguments).await
    }
}

impl MutationCtx {
    /// The context of a run that has a transaction.
    pub fn new(run: Arc<Run>) -> Self {
        MutationCtx { db: DatabaseWriter::new(run.clone()), query: QueryCtx::new(run) }
    }

    /// Calls a mutation in this transaction: `ctx.run_mutation(messages::send, (channel, body))`.
    ///
    /// It sees the writes so far. When it fails nothing of what it wrote is left, and this function may go on. (A
    /// mutation that is called as the Rust function that it is leaves its writes.)
    pub async fn run_mutation<F: MutationFn<A, G>, A: Arguments, G>(
        &self,
        function: F,
        arguments: A,
    ) -> Result<F::Output> {
        calls::typed(&self.run, FunctionKind::Mutation, function, arguments).await
    }

    /// Calls a mutation by its path, `messages:send`, with an object of arguments.
    pub async fn run_mutation_at(&self, path: &str, arguments: Value) -> Result<Value> {
        calls::untyped(&self.run, FunctionKind::Mutation, path, arguments).await
    }
}

impl Deref for MutationCtx {
    type Target = QueryCtx;

    fn deref(&self) -> &QueryCtx {
        &self.query
    }
}

impl ActionCtx {
    /// The context of a run that has a caller.
    pub fn new(run: Arc<Run>) -> Self {
        ActionCtx { auth: Auth::new(run.clone()), env: Env::new(run.clone()), log: Log::new(run.clone()), run }
    }

    /// Checks a guard, where the signature cannot.
    pub async fn require<G: Guard<ActionCtx>>(&self) -> Result<G> {
        guard::require(self).await
    }

    /// The time when the action began: whole milliseconds since the epoch.
    pub fn now(&self) -> f64 {
        now(&self.run)
    }

    /// A random number from 0 (in) to 1 (out).
    pub fn random(&self) -> f64 {
        random(&self.run)
    }

    /// A random number out of all of 64 bits.
    pub fn random_u64(&self) -> u64 {
        self.run.random()
    }

    /// Calls a query, on the newest snapshot: two calls may see different ones.
    pub async fn run_query<F: QueryFn<A, G>, A: Arguments, G>(&self, function: F, arguments: A) -> Result<F::Output> {
        calls::typed(&self.run, FunctionKind::Query, function, arguments).await
    }

    /// Calls a mutation, which commits before this returns.
    pub async fn run_mutation<F: MutationFn<A, G>, A: Arguments, G>(
        &self,
        function: F,
        arguments: A,
    ) -> Result<F::Output> {
        calls::typed(&self.run, FunctionKind::Mutation, function, arguments).await
    }

    /// Calls an action.
    pub async fn run_action<F: ActionFn<A, G>, A: Arguments, G>(&self, function: F, arguments: A) -> Result<F::Output> {
        calls::typed(&self.run, FunctionKind::Action, function, arguments).await
    }

    /// Calls a query by its path, `messages:list`, with an object of arguments.
    pub async fn run_query_at(&self, path: &str, arguments: Value) -> Result<Value> {
        calls::untyped(&self.run, FunctionKind::Query, path, arguments).await
    }

    /// Calls a mutation by its path, `messages:send`, with an object of arguments.
    pub async fn run_mutation_at(&self, path: &str, arguments: Value) -> Result<Value> {
        calls::untyped(&self.run, FunctionKind::Mutation, path, arguments).await
    }

    /// Calls an action by its path, `mail:send`, with an object of arguments.
    pub async fn run_action_at(&self, path: &str, arguments: Value) -> Result<Value> {
        calls::untyped(&self.run, FunctionKind::Action, path, arguments).await
    }
}

// Milliseconds since the epoch stay exact in a float for another 280,000 years.
fn now(run: &Run) -> f64 {
    run.now_ms() as f64
}

/// The upper 53 bits, as many as a float holds.
fn random(run: &Run) -> f64 {
    (run.random() >> 11) as f64 / (1u64 << 53) as f64
}
