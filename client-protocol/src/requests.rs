//! Mutations in order, actions in any.
//!
//! The mutations of one client run one after the other, each when the one before has its timestamp or has failed,
//! not when it is durable: that would make every one wait for the disk. The runtime does so, and is told some of them
//! in advance. Their answers leave in the same order, each once what it tells is durable.

use std::collections::{BTreeSet, VecDeque};

use crate::config::SessionLimits;
use crate::error::ProtocolError;
use crate::message::{MutationResponse, Request, RequestId, SessionId, Timestamp};
use crate::output::IdentityKey;

/// The requests of one client that have no answer yet.
#[derive(Debug)]
pub(crate) struct Requests {
    /// In the order they came. The first `n_started` have been handed to the runtime; `n_running` of those have neither
    /// committed nor failed.
    mutations: VecDeque<Mutation>,
    n_started: usize,
    n_running: usize,
    actions: BTreeSet<RequestId>,
    /// The highest that came. Clients count upwards, so what is above it is new without a search.
    highest: Option<RequestId>,
    durable: Timestamp,
}

#[derive(Debug)]
struct Mutation {
    request: RequestId,
    state: MutationState,
}

#[derive(Debug)]
enum MutationState {
    Queued(CallerRequest),
    Running,
    Committed(Timestamp),
    Finished { response: MutationResponse, durable_at: Timestamp },
}

/// A request and who made it, as of the moment it arrived.
#[derive(Debug)]
pub(crate) struct CallerRequest {
    pub(crate) request: Request,
    pub(crate) identity: IdentityKey,
    pub(crate) session: Option<SessionId>,
}

impl Requests {
    pub(crate) fn new() -> Requests {
        Requests {
            mutations: VecDeque::new(),
            n_started: 0,
            n_running: 0,
            actions: BTreeSet::new(),
            highest: None,
            durable: Timestamp::ZERO,
        }
    }

    /// Puts a mutation behind the others.
    pub(crate) fn push_mutation(&mut self, caller: CallerRequest, limits: &SessionLimits) -> Result<(), ProtocolError> {
        let request = caller.request.request;
        self.check_is_new(request)?;
        if self.mutations.len() >= limits.mutations_max {
            return Err(ProtocolError::TooMany { reason: "TooManyConcurrentMutations", max: limits.mutations_max });
        }
        self.mutations.push_back(Mutation { request, state: MutationState::Queued(caller) });
        Ok(())
    }

    /// Counts an action, which may start at once.
    pub(crate) fn push_action(&mut self, request: RequestId, limits: &SessionLimits) -> Result<(), ProtocolError> {
        self.check_is_new(request)?;
        if self.actions.len() >= limits.actions_max {
            let reason = "TooManyInflightActionsForSingleClient";
            return Err(ProtocolError::TooMany { reason, max: limits.actions_max });
        }
        self.actions.insert(request);
        Ok(())
    }

    fn check_is_new(&mut self, request: RequestId) -> Result<(), ProtocolError> {
        let is_above = self.highest < Some(request);
        let is_known =
            || self.actions.contains(&request) || self.mutations.iter().any(|mutation| mutation.request == request);
        if !is_above && is_known() {
            return Err(ProtocolError::DuplicateRequest(request));
        }
        self.highest = self.highest.max(Some(request));
        Ok(())
    }

    /// The next mutation, if not too many have been handed over: from now on it runs, when those before it have.
    pub(crate) fn start_mutation(&mut self, limits: &SessionLimits) -> Option<CallerRequest> {
        if self.n_running >= limits.mutations_ahead_max {
            return None;
        }
        let next = self.mutations.get_mut(self.n_started)?;
        match std::mem::replace(&mut next.state, MutationState::Running) {
            MutationState::Queued(caller) => {
                self.n_started += 1;
                self.n_running += 1;
                Some(caller)
            }
            started => unreachable!("a mutation behind all that were started is queued, not {started:?}"),
        }
    }

    /// A mutation has its timestamp.
    pub(crate) fn commit_mutation(&mut self, request: RequestId, ts: Timestamp) -> Result<(), ProtocolError> {
        match self.started(request) {
            Some(state @ MutationState::Running) => {
                *state = MutationState::Committed(ts);
                self.n_running -= 1;
                Ok(())
            }
            _ => Err(ProtocolError::Unasked("the commit of a mutation that does not run")),
        }
    }

    /// A mutation has its answer, which may leave once the store is durable up to `durable_at`.
    pub(crate) fn finish_mutation(
        &mut self,
        response: MutationResponse,
        durable_at: Timestamp,
    ) -> Result<(), ProtocolError> {
        match self.started(response.request) {
            Some(state @ (MutationState::Running | MutationState::Committed(_))) => {
                let ran = matches!(state, MutationState::Running);
                *state = MutationState::Finished { response, durable_at };
                self.n_running -= usize::from(ran);
                Ok(())
            }
            _ => Err(ProtocolError::Unasked("the answer of a mutation that does not run")),
        }
    }

    fn started(&mut self, request: RequestId) -> Option<&mut MutationState> {
        // They end in their order: it is mostly the last that has committed, or the first that has not.
        let near = (self.n_started - self.n_running).saturating_sub(1);
        let is_it = |mutation: &Mutation| mutation.request == request;
        let at = match self.mutations.range(near..self.n_started).position(is_it) {
            Some(at) => near + at,
            None => self.mutations.range(..near).position(is_it)?,
        };
        self.mutations.get_mut(at).map(|mutation| &mut mutation.state)
    }

    /// The store is durable up to here.
    pub(crate) fn advance_durable(&mut self, ts: Timestamp) {
        self.durable = self.durable.max(ts);
    }

    /// What the next answer waits for, once it is there.
    pub(crate) fn awaits_durable(&self) -> Option<Timestamp> {
        match self.mutations.front()?.state {
            MutationState::Finished { durable_at, .. } if durable_at > self.durable => Some(durable_at),
            MutationState::Queued(_)
            | MutationState::Running
            | MutationState::Committed(_)
            | MutationState::Finished { .. } => None,
        }
    }

    /// The next answer, if it may leave.
    pub(crate) fn next_answer(&mut self) -> Option<MutationResponse> {
        if self.awaits_durable().is_some() {
            return None;
        }
        match self.mutations.pop_front()? {
            Mutation { state: MutationState::Finished { response, .. }, .. } => {
                self.n_started -= 1;
                Some(response)
            }
            unfinished => {
                self.mutations.push_front(unfinished);
                None
            }
        }
    }

    /// Whether a mutation that took effect at or before `ts` has no answer yet.
    ///
    /// A Transition to `ts` would show its effect first, and optimistic updates would linger beside it.
    pub(crate) fn owe_answer_for(&self, ts: Timestamp) -> bool {
        self.mutations.iter().take(self.n_started).any(|mutation| match &mutation.state {
            MutationState::Queued(_) | MutationState::Running => false,
            MutationState::Committed(commit) => *commit <= ts,
            MutationState::Finished { response, .. } => response.outcome.as_ref().is_ok_and(|success| success.ts <= ts),
        })
    }

    /// An action has its answer.
    pub(crate) fn finish_action(&mut self, request: RequestId) -> Result<(), ProtocolError> {
        match self.actions.remove(&request) {
            true => Ok(()),
            false => Err(ProtocolError::Unasked("the answer of an action that does not run")),
        }
    }

    /// Forgets the mutations that have not started.
    pub(crate) fn drop_queued(&mut self) {
        self.mutations.truncate(self.n_started);
    }

    /// Whether mutations wait for others to commit before they are handed over.
    pub(crate) fn hold_mutations_back(&self) -> bool {
        self.mutations.len() > self.n_started
    }

    /// Whether everything has been answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.mutations.is_empty() && self.actions.is_empty()
    }
}
