//! An action: outside of transactions; each call it makes is one of its own.

use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_functions::run::{Caller, Run, RunInputs};
use syncline_functions::tx::Variables;

use super::guard::TimeLimits;
use super::{ActionRun, Call, Executor, SystemError};
use crate::function_log::{ExecutionId, Origin};

impl Executor {
    /// Runs an action to its end.
    pub async fn action(&self, call: &Call) -> ActionRun {
        let found = match self.find(call, FunctionKind::Action) {
            Ok(found) => found,
            Err(error) => {
                self.log_refused(call, FunctionKind::Action, &error);
                return ActionRun { outcome: Err(error), log_lines: Vec::new() };
            }
        };
        let execution = self.inner.log.begin();
        let started_ns = self.inner.ports.clock.wall_ns();
        let caller = ActionCaller { executor: self.clone(), execution, outer: call.clone() };
        let (log, called) = (self.inner.log.clone(), call.called(&call.path, FunctionKind::Action, execution));
        let run = Run::new(RunInputs {
            tx: None,
            caller: Some(Arc::new(caller)),
            surroundings: self.inner.application.clone(),
            identity: call.identity.user().cloned(),
            now_ms: started_ns / 1_000_000,
            journal: None,
            // Actions run for long: whoever follows the log sees their lines as they come.
            on_log: Some(Arc::new(move |line: &str| log.progress(&called, line))),
        });
        let limits = TimeLimits { own: None, wall: self.inner.config.action_wall_time_max };
        let ended = self.guarded(found, run.clone(), call.args.clone(), limits).await;
        self.log_action(call, execution, started_ns, &ended);
        let log_lines = run.report().log_lines;
        call.print_log_lines(&log_lines);
        ActionRun { outcome: ended.value.map(Into::into), log_lines }
    }
}

/// How an action calls the other functions.
struct ActionCaller {
    executor: Executor,
    execution: ExecutionId,
    outer: Call,
}

impl Caller for ActionCaller {
    fn call(&self, kind: FunctionKind, path: &str, args: String) -> BoxFuture<'static, Result<String, FunctionError>> {
        let call = Call {
            path: path.into(),
            args: args.into(),
            identity: self.outer.identity.clone(),
            request: self.outer.request,
            once: None,
            origin: Origin::Action(self.execution),
        };
        let executor = self.executor.clone();
        Box::pin(async move {
            match kind {
                FunctionKind::Query => executor.query_for_action(&call).await,
                FunctionKind::Mutation => executor.mutation_for_action(&call).await,
                FunctionKind::Action => executor.action(&call).await.outcome.map(|value| value.to_string()),
            }
        })
    }

    fn environment_variable(&self, name: &str) -> BoxFuture<'static, Result<Option<Arc<str>>, FunctionError>> {
        let variables = self.executor.inner.engine.environment_variables();
        let value = variables.into_iter().find(|(known, _)| **known == *name).map(|(_, value)| value);
        Box::pin(async move { Ok(value) })
    }

    fn environment_variables(&self) -> BoxFuture<'static, Result<Variables, FunctionError>> {
        let variables = self.executor.inner.engine.environment_variables();
        Box::pin(async move { Ok(variables) })
    }
}

impl Executor {
    async fn query_for_action(&self, call: &Call) -> Result<String, FunctionError> {
        let pin = self.inner.engine.pin_durable().map_err(|_| system_failure(&SystemError::Overloaded))?;
        match self.query(call, pin.ts(), None).await {
            Ok(run) => run.value.map(|value| value.to_string()),
            Err(error) => Err(system_failure(&error)),
        }
    }

    /// The effects are durable before the action goes on: what it does next cannot be undone either.
    async fn mutation_for_action(&self, call: &Call) -> Result<String, FunctionError> {
        let run = self.mutation(call).await.map_err(|error| system_failure(&error))?;
        self.until_durable(&run).await.map_err(|error| system_failure(&error))?;
        run.outcome.map(|(value, _)| value.to_string())
    }

    /// Waits until a mutation's answer may leave.
    ///
    /// # Errors
    /// [`SystemError::Undone`]: what it committed or read was undone.
    pub async fn until_durable(&self, run: &super::MutationRun) -> Result<(), SystemError> {
        match self.inner.engine.wait_durable(run.durable_at, run.generation).await {
            true => Ok(()),
            false => Err(SystemError::Undone),
        }
    }
}

/// Clients read no detail of what failed inside (S117, D140); the log has it.
fn system_failure(error: &SystemError) -> FunctionError {
    tracing::error!(?error, "a call of an action failed");
    FunctionError { message: "InternalServerError: the server could not do this call; try again.\n".into(), data: None }
}
