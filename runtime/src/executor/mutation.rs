//! A mutation: run, commit, again on conflict, alone after a few.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline_engine::{Access, At, BeginOptions, CommitError, Outcome, Transaction, TurnId};
use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_schema::Timestamp;

use super::{Call, Executor, Found, MutationRun, Ran, StandsOn, SystemError, errors};

/// What a mutation comes after, and where it says that it may have committed.
#[derive(Clone, Copy)]
pub struct Behind<'a> {
    /// What its caller wants to have happened first.
    pub before: Option<StandsOn>,
    /// Set before it commits, and again cleared when that failed.
    pub committing: &'a AtomicBool,
}

/// A commit: where it is told of, and of which attempt it is.
struct Committing<'a> {
    flag: &'a AtomicBool,
    number: u32,
}

/// What one attempt came to.
enum Attempt {
    Ended(MutationRun),
    Again,
    /// It had the committer's turn, and kept it for too long.
    TurnOver,
}

impl Executor {
    /// Runs a mutation until it commits or fails by itself.
    ///
    /// The answer must not leave before [`MutationRun::durable_at`] is durable.
    ///
    /// # Errors
    /// What is not the mutation's own failure; conflicts are not among it.
    pub async fn mutation(&self, call: &Call) -> Result<MutationRun, SystemError> {
        self.mutation_behind(call, Behind { before: None, committing: &AtomicBool::new(false) }).await
    }

    /// The same, behind another one.
    ///
    /// # Errors
    /// [`SystemError::Undone`] also when the other one was undone: both are to be sent again, in their order.
    pub async fn mutation_behind(&self, call: &Call, behind: Behind<'_>) -> Result<MutationRun, SystemError> {
        let _permit = self.permit().await;
        let found = match self.find(call, FunctionKind::Mutation) {
            Ok(found) => found,
            Err(error) => {
                self.log_refused(call, FunctionKind::Mutation, &error);
                return Ok(self.refused(error));
            }
        };
        for attempt in 1..=self.inner.config.mutation_attempts_max {
            match self.attempt(call, found, behind, None, attempt).await? {
                Attempt::Ended(run) => return Ok(run),
                Attempt::Again | Attempt::TurnOver => {
                    metrics::counter!("syncline_mutation_conflicts_total").increment(1);
                    tracing::debug!(path = &*call.path, attempt, "a write conflict: run again");
                }
            }
        }
        self.alone(call, found, behind).await
    }

    /// With the committer's turn: nobody else commits, so it cannot lose. What it stands on may still be undone, or grow
    /// too old, which is nothing to tell its caller of: then with another turn.
    async fn alone(&self, call: &Call, found: &Found, behind: Behind<'_>) -> Result<MutationRun, SystemError> {
        metrics::counter!("syncline_mutation_exclusive_turns_total").increment(1);
        loop {
            let turn = self.inner.engine.exclusive().await;
            let number = self.inner.config.mutation_attempts_max + 1;
            match self.attempt(call, found, behind, Some(turn.id()), number).await? {
                Attempt::Ended(run) => return Ok(run),
                Attempt::Again => {}
                Attempt::TurnOver => {
                    let limit = self.inner.config.engine.exclusive_turn_max;
                    return Ok(self.refused(errors::turn_too_long(&found.path, limit.as_millis())));
                }
            }
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        found: &Found,
        behind: Behind<'_>,
        turn: Option<TurnId>,
        number: u32,
    ) -> Result<Attempt, SystemError> {
        let tx = self.begin(At::Committed, BeginOptions { access: Access::ReadWrite, turn })?;
        // Behind the beginning: what is undone from here on, this transaction is undone with.
        if behind.before.is_some_and(|before| before.is_undone(&self.inner.engine)) {
            return Err(SystemError::Undone);
        }
        if let Some(key) = &call.once {
            let known = match tx.request_outcome(key).await {
                Ok(known) => known,
                Err(failure) => return again_or(SystemError::of(&failure)),
            };
            if let Some(outcome) = known {
                return Ok(Attempt::Ended(replayed(outcome, &tx)));
            }
        }
        let ran = self.run(call, found, tx.clone(), None).await;
        if let Some(failure) = tx.failure() {
            return again_or(SystemError::of(&failure));
        }
        if ran.value.is_ok() {
            let committed = self.commit(call, found, &tx, ran, Committing { flag: behind.committing, number }).await;
            if !matches!(committed, Ok(Attempt::Ended(_))) {
                behind.committing.store(false, Ordering::SeqCst);
            }
            return committed;
        }
        self.log_ran(call, found, &ran, &tx, None);
        Ok(Attempt::Ended(failed(ran, &tx)))
    }

    /// Commits a run that has a value.
    async fn commit(
        &self,
        call: &Call,
        found: &Found,
        tx: &Transaction,
        ran: Ran,
        committing: Committing<'_>,
    ) -> Result<Attempt, SystemError> {
        let value: Arc<str> = ran.value.as_deref().unwrap_or_default().into();
        let log_lines = &ran.report.log_lines;
        let record = call
            .once
            .map(|key| (key, Outcome { ts: Timestamp::ZERO, value: value.clone(), log_lines: log_lines.clone() }));
        loop {
            committing.flag.store(true, Ordering::SeqCst);
            match self.inner.engine.commit(tx, record.clone()) {
                Ok(committed) => {
                    let made = (committed.ts > tx.snapshot()).then_some(committed.ts);
                    self.log_ran(call, found, &ran, tx, made);
                    return Ok(Attempt::Ended(MutationRun {
                        outcome: Ok((value, committed.ts)),
                        log_lines: ran.report.log_lines,
                        durable_at: committed.ts,
                        generation: tx.generation(),
                    }));
                }
                Err(CommitError::TurnTaken) => {
                    committing.flag.store(false, Ordering::SeqCst);
                    self.inner.engine.turn_ended().await;
                }
                Err(CommitError::Conflict(conflict)) => {
                    self.log_lost(call, found, &ran, tx, &conflict, committing.number);
                    return Ok(Attempt::Again);
                }
                Err(CommitError::OutOfRetention | CommitError::Undone) => return Ok(Attempt::Again),
                Err(CommitError::TurnTooLong) => return Ok(Attempt::TurnOver),
                Err(CommitError::Overloaded) => return Err(SystemError::Overloaded),
                Err(CommitError::Storage(cause)) => return Err(SystemError::Halted(cause)),
            }
        }
    }

    /// A mutation that was not run: there is nothing it read.
    fn refused(&self, error: FunctionError) -> MutationRun {
        let generation = self.inner.engine.watch_durable().borrow().generation;
        MutationRun { outcome: Err(error), log_lines: Vec::new(), durable_at: Timestamp::ZERO, generation }
    }
}

fn again_or(error: SystemError) -> Result<Attempt, SystemError> {
    match error {
        SystemError::OutOfRetention | SystemError::Undone => Ok(Attempt::Again),
        SystemError::Storage(_) | SystemError::Halted(_) | SystemError::Overloaded => Err(error),
    }
}

/// A failure leaves no record. Its answer waits for what it read to be durable.
fn failed(ran: Ran, tx: &Transaction) -> MutationRun {
    MutationRun {
        outcome: ran.value.map(|value| (value.into(), tx.snapshot())),
        log_lines: ran.report.log_lines,
        durable_at: tx.snapshot(),
        generation: tx.generation(),
    }
}

/// Done before: the stored result, the stored lines, the original timestamp.
fn replayed(outcome: Outcome, tx: &Transaction) -> MutationRun {
    MutationRun {
        outcome: Ok((outcome.value, outcome.ts)),
        log_lines: outcome.log_lines,
        durable_at: tx.snapshot(),
        generation: tx.generation(),
    }
}
