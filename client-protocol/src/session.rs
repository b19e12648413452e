//! The server's half of the protocol for one client: what follows from what. Start at [`Session`].

use std::collections::VecDeque;

use crate::authentication::{Authentication, Identity, Role};
use crate::config::SessionConfig;
use crate::error::{Ending, ProtocolError};
use crate::input::{Input, Now, SystemFailure, Verdict, VerifierFault};
use crate::message::{
    ActionResponse, AuthToken, Authenticate, ClientMessage, Connect, FunctionCall, IdentityVersion, MutationResponse,
    Request, ServerMessage, SessionId, StateVersion, Timestamp, Transition,
};
use crate::output::{AuthAttempt, Close, Output};
use crate::query_set::QuerySet;
use crate::requests::{CallerRequest, Requests};
use crate::transition::Transitions;

/// One client's connection from the upgrade to the close, as a state machine without socket, task or clock.
///
/// # How it is driven
///
/// For each batch of things that have happened, [`handle`](Session::handle) them all, then [`poll`](Session::poll)
/// until it gives nothing, doing what it says. Poll only after the batch: what a client has already said is folded
/// into one step. So a reconnecting client's identity and queries arrive in its first Transition, and an
/// `Authenticate` that is already here is decided before an older identity is found to have run out.
///
/// ```text
///              handle(now, Input)                                     poll() -> Output
///  client      Frame, BinaryFrame, MessageTooLarge, Heard,            Send, Close
///              PeerClosed, TransitionWritten
///  identities  TokenVerified, AdminKeyRevoked                         VerifyToken
///  queries     TargetChosen, TargetUnreachable,                       ChooseTarget
///              QueryDone, QueryRetry, QueryInvalidated                RunQuery, DropQuery
///  requests    MutationCommitted, MutationFinished, ActionFinished    RunMutation, RunAction
///  the rest    Durable, Tick, SystemFailure                           (deadline: when to Tick)
/// ```
///
/// # What it promises
///
/// - Messages are handled in the order they come. Those behind an `Authenticate` wait for its verdict; a rejected one
///   ends the session with all of them.
/// - The client is moved from state to state by Transitions, each starting where the last one ended. All results it
///   holds are those of one timestamp, one identity and one query set.
/// - A result computed under an identity never leaves once another has been accepted.
/// - Mutations run one at a time in the order they came and are answered in that order; each request is answered once.
///   After the answer of a mutation comes a Transition that covers it, and none that covers it comes before.
/// - Every limit of [`SessionLimits`](crate::SessionLimits) holds whatever the client does.
/// - Any fault ends the session: last words if there are any, a Close, nothing more.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    stage: Stage,
    /// As of the last `handle`.
    now: Now,
    /// Of the client, over its reconnects.
    id: Option<SessionId>,
    /// How far its clock is ahead of ours.
    clock_skew_ms: Option<i64>,
    authentication: Authentication,
    query_set: QuerySet,
    requests: Requests,
    transitions: Transitions,
    last_heard_ms: u64,
    last_sent_ms: u64,
    outputs: VecDeque<Output>,
}

/// From the upgrade to the close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The server stops: what runs is answered, nothing else happens any more.
    Draining,
    Closed,
}

impl Session {
    /// A session as the upgrade leaves it: anonymous, watching nothing, at version zero.
    pub fn new(config: SessionConfig, now: Now) -> Session {
        Session {
            config,
            stage: Stage::Open,
            now,
            id: None,
            clock_skew_ms: None,
            authentication: Authentication::new(),
            query_set: QuerySet::new(),
            requests: Requests::new(),
            transitions: Transitions::new(),
            last_heard_ms: now.monotonic_ms,
            last_sent_ms: now.monotonic_ms,
            outputs: VecDeque::new(),
        }
    }

    /// Takes in one thing that has happened. After the close nothing has an effect.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.stage == Stage::Closed {
            return;
        }
        self.now = now;
        if let Err(error) = self.react(input) {
            self.end(error);
        }
    }

    /// The next thing to be done; `None` until something else happens.
    pub fn poll(&mut self) -> Option<Output> {
        if self.outputs.is_empty()
            && let Err(error) = self.advance()
        {
            self.end(error);
        }
        self.outputs.pop_front()
    }

    /// When to come with [`Input::Tick`], in [`Now::monotonic_ms`]; `None` after the close.
    ///
    /// Whatever is handled or polled can change the answer.
    pub fn deadline(&self) -> Option<u64> {
        match self.stage {
            Stage::Open | Stage::Draining => Some(self.ping_at_ms().min(self.silent_at_ms())),
            Stage::Closed => None,
        }
    }

    /// Up to when the store must be durable before the next answer may leave: [`Input::Durable`] has to tell. `None` if
    /// no answer waits for that.
    ///
    /// Only handling something can change the answer.
    pub fn awaits_durable(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Open | Stage::Draining => self.requests.awaits_durable(),
            Stage::Closed => None,
        }
    }

    /// Whether there are mutations that are handed over only when others have committed: the sooner that is told, the
    /// sooner they run.
    pub fn holds_mutations_back(&self) -> bool {
        self.requests.hold_mutations_back()
    }

    fn react(&mut self, input: Input<'_>) -> Result<(), ProtocolError> {
        match input {
            Input::Frame(text) => {
                self.last_heard_ms = self.now.monotonic_ms;
                self.frame(text)
            }
            Input::BinaryFrame => Err(ProtocolError::BinaryFrame),
            Input::MessageTooLarge => Err(ProtocolError::MessageTooLarge),
            Input::Heard => {
                self.last_heard_ms = self.now.monotonic_ms;
                Ok(())
            }
            Input::PeerClosed => {
                self.outputs.clear();
                self.close();
                Ok(())
            }
            Input::TransitionWritten => self.transitions.written(),
            Input::Tick => self.tick(),
            Input::TokenVerified { attempt, verdict } => self.token_verified(attempt, verdict),
            Input::TargetChosen { ts } => self.target_chosen(ts),
            Input::TargetUnreachable { newest } => Err(self.transitions.unreachable(newest)),
            Input::QueryDone { query, run, result } => {
                self.query_set.finish_run(query, run, result);
                Ok(())
            }
            Input::QueryRetry { query, run } => {
                if self.query_set.retry_run(query, run) {
                    self.transitions.give_up();
                }
                Ok(())
            }
            Input::QueryInvalidated { query } => {
                self.query_set.invalidate(query);
                Ok(())
            }
            Input::MutationCommitted { request, ts } => {
                self.requests.commit_mutation(request, ts)?;
                self.start_mutations();
                Ok(())
            }
            Input::MutationFinished { request, outcome, log_lines, durable_at } => {
                let response = MutationResponse { request, outcome, log_lines };
                self.requests.finish_mutation(response, durable_at)?;
                self.start_mutations();
                self.send_answers();
                Ok(())
            }
            Input::ActionFinished { request, outcome, log_lines } => {
                self.requests.finish_action(request)?;
                self.send(ServerMessage::ActionResponse(ActionResponse { request, outcome, log_lines }));
                Ok(())
            }
            Input::Durable { ts } => {
                self.requests.advance_durable(ts);
                self.send_answers();
                Ok(())
            }
            Input::AdminKeyRevoked { error } => match self.authentication.identity().role {
                Role::Admin => Err(ProtocolError::BadAdminKey { error }),
                Role::User => Ok(()),
            },
            Input::SystemFailure(failure) => self.system_failure(failure),
        }
    }

    // ---- what the client says -------------------------------------------------------------------------------------

    fn frame(&mut self, text: &str) -> Result<(), ProtocolError> {
        match self.stage {
            Stage::Open if self.authentication.is_verifying() => self.authentication.wait(text, &self.config.limits),
            Stage::Open => self.message(ClientMessage::decode(text).map_err(ProtocolError::Malformed)?),
            Stage::Draining | Stage::Closed => Ok(()),
        }
    }

    fn message(&mut self, message: ClientMessage) -> Result<(), ProtocolError> {
        match message {
            ClientMessage::Connect(connect) => {
                self.connect(&connect);
                Ok(())
            }
            ClientMessage::ModifyQuerySet(message) => self.query_set.modify(message, self.config.limits.queries_max),
            ClientMessage::Mutation(request) => {
                let caller = self.caller(request)?;
                self.requests.push_mutation(caller, &self.config.limits)?;
                self.start_mutations();
                Ok(())
            }
            ClientMessage::Action(request) => {
                let CallerRequest { request: Request { request, call }, identity, session } = self.caller(request)?;
                self.requests.push_action(request, &self.config.limits)?;
                self.outputs.push_back(Output::RunAction { request, call, identity, session });
                Ok(())
            }
            ClientMessage::Authenticate(message) => self.authenticate(message),
            ClientMessage::Event => Ok(()),
        }
    }

    /// Nothing is answered. What the client has seen before bounds the first target, which is asked for even if there
    /// is nothing to send: a client from the future is not served at all.
    fn connect(&mut self, connect: &Connect) {
        self.id = Some(connect.session);
        let now_ms = i64::try_from(self.now.wall_ns / 1_000_000).unwrap_or(i64::MAX);
        self.clock_skew_ms = connect.client_ts_ms.map(|client_ms| client_ms.saturating_sub(now_ms));
        if let Some(observed) = connect.max_observed_timestamp {
            self.transitions.observe(observed);
        }
    }

    /// A request belongs to whom the client is at this moment, however long it waits.
    fn caller(&self, request: Request) -> Result<CallerRequest, ProtocolError> {
        self.authentication.check_expiry(self.now)?;
        self.check_component(&request.call)?;
        Ok(CallerRequest { request, identity: self.authentication.identity().key, session: self.id })
    }

    fn check_component(&self, call: &FunctionCall) -> Result<(), ProtocolError> {
        match (&call.component, self.authentication.identity().role) {
            (None, Role::User | Role::Admin) | (Some(_), Role::Admin) => Ok(()),
            (Some(component), Role::User) => Err(ProtocolError::ComponentWithoutAdmin(component.to_string())),
        }
    }

    // ---- who the client is ----------------------------------------------------------------------------------------

    fn authenticate(&mut self, message: Authenticate) -> Result<(), ProtocolError> {
        match message.token {
            AuthToken::None => self.accept(message.base_version, Identity::ANONYMOUS),
            AuthToken::User(_) | AuthToken::Admin { .. } => {
                let attempt = self.authentication.verify(&message);
                self.outputs.push_back(Output::VerifyToken { attempt, token: message.token });
                Ok(())
            }
        }
    }

    fn token_verified(&mut self, attempt: AuthAttempt, verdict: Verdict) -> Result<(), ProtocolError> {
        if self.stage == Stage::Draining {
            return Ok(());
        }
        let verification = self.authentication.verified(attempt)?;
        match verdict {
            Verdict::Accepted { identity: key, expires_at_ns } => {
                let identity = Identity { key, role: verification.role, expires_at_ns };
                self.accept(verification.base_version, identity)?;
            }
            Verdict::Rejected { error } => return Err(ProtocolError::TokenRejected { error }),
            Verdict::BadAdminKey { error } => return Err(ProtocolError::BadAdminKey { error }),
            Verdict::Unavailable { reason, fault: VerifierFault::Issuer } => {
                return Err(ProtocolError::IssuerUnavailable { reason });
            }
            Verdict::Unavailable { reason, fault: VerifierFault::IssuerNotFound } => {
                return Err(ProtocolError::IssuerNotFound { reason });
            }
            Verdict::Unavailable { fault: VerifierFault::Internal, .. } => return Err(ProtocolError::Internal),
        }
        while let Some(text) = self.authentication.next_waiting() {
            self.frame(&text)?;
        }
        Ok(())
    }

    /// Puts an identity in force. What was computed for another one is forgotten, a Transition under way with it; a
    /// renewed token of the same leaves all as it is.
    fn accept(&mut self, base_version: IdentityVersion, identity: Identity) -> Result<(), ProtocolError> {
        let earlier = self.authentication.identity().key;
        self.authentication.accept(base_version, identity)?;
        if identity.key != earlier {
            for query in self.query_set.change_identity() {
                self.outputs.push_back(Output::DropQuery { query });
            }
            self.transitions.give_up();
        }
        Ok(())
    }

    // ---- requests -------------------------------------------------------------------------------------------------

    fn start_mutations(&mut self) {
        while let Some(CallerRequest { request: Request { request, call }, identity, session }) =
            self.requests.start_mutation(&self.config.limits)
        {
            self.outputs.push_back(Output::RunMutation { request, call, identity, session });
        }
    }

    fn send_answers(&mut self) {
        while let Some(response) = self.requests.next_answer() {
            // A failure changed nothing, but some clients tell their caller of it only at the next Transition.
            self.transitions.owe(response.outcome.as_ref().map_or(Timestamp::ZERO, |success| success.ts));
            self.send(ServerMessage::MutationResponse(response));
        }
    }

    // ---- Transitions ----------------------------------------------------------------------------------------------

    /// When everything that has happened is taken in: completes a Transition, begins one, or finds that all is done.
    fn advance(&mut self) -> Result<(), ProtocolError> {
        match self.stage {
            Stage::Open => {
                self.complete_transition()?;
                self.begin_transition()
            }
            Stage::Draining if self.requests.is_idle() => Err(ProtocolError::Shutdown),
            Stage::Draining | Stage::Closed => Ok(()),
        }
    }

    fn begin_transition(&mut self) -> Result<(), ProtocolError> {
        let is_due = self.transitions.is_owed(self.query_set.version(), self.authentication.version())
            || self.query_set.is_stale()
            || self.query_set.has_unsent();
        // Under an identity that is about to be replaced, nothing is worth computing.
        if !is_due || self.authentication.is_verifying() || !self.transitions.may_begin() {
            return Ok(());
        }
        self.authentication.check_expiry(self.now)?;
        let at_least = self.transitions.begin();
        self.outputs.push_back(Output::ChooseTarget { at_least });
        Ok(())
    }

    /// Everything received until now goes into the Transition to this target; what comes later waits for the next.
    fn target_chosen(&mut self, ts: Timestamp) -> Result<(), ProtocolError> {
        self.requests.advance_durable(ts);
        self.send_answers();
        if self.stage == Stage::Draining {
            return Ok(());
        }
        self.transitions.evaluate(ts, self.query_set.version(), self.authentication.version())?;
        for query in self.query_set.apply_changes() {
            self.outputs.push_back(Output::DropQuery { query });
        }
        let identity = self.authentication.identity().key;
        for run in self.query_set.start_runs() {
            self.check_component(&run.call)?;
            let (query, call, journal) = (run.query, run.call, run.journal);
            self.outputs.push_back(Output::RunQuery { query, run: run.run, ts, call, journal, identity });
        }
        Ok(())
    }

    fn complete_transition(&mut self) -> Result<(), ProtocolError> {
        let Some(end) = self.transitions.evaluating() else {
            return Ok(());
        };
        if !self.query_set.is_evaluated() || self.requests.owe_answer_for(end.ts) {
            return Ok(());
        }
        if !self.query_set.has_unsent() && !self.transitions.settles(end) {
            self.transitions.skip();
            return Ok(());
        }
        match self.authentication.check_expiry(self.now) {
            Ok(()) => self.send_transition(end),
            // The next identity is already being looked at: it may be good for these results too.
            Err(_) if self.authentication.is_verifying() => {}
            Err(expired) => return Err(expired),
        }
        Ok(())
    }

    fn send_transition(&mut self, end_version: StateVersion) {
        let transition = Transition {
            start_version: self.transitions.send(end_version),
            end_version,
            modifications: self.query_set.take_unsent(),
            client_clock_skew_ms: self.clock_skew_ms,
            server_ts_ns: self.now.wall_ns,
        };
        if self.config.client.reads_transition_chunks() {
            for message in transition.split(self.config.limits.chunk_bytes_max) {
                self.send(message);
            }
        } else {
            self.send(ServerMessage::Transition(transition));
        }
    }

    // ---- time, and the end ----------------------------------------------------------------------------------------

    fn ping_at_ms(&self) -> u64 {
        self.last_sent_ms.saturating_add(self.config.limits.ping_after_ms)
    }

    fn silent_at_ms(&self) -> u64 {
        self.last_heard_ms.saturating_add(self.config.limits.silence_ms_max)
    }

    fn tick(&mut self) -> Result<(), ProtocolError> {
        let now_ms = self.now.monotonic_ms;
        if now_ms >= self.silent_at_ms() {
            return Err(ProtocolError::ClientSilent { silent_ms: now_ms - self.last_heard_ms });
        }
        if now_ms >= self.ping_at_ms() {
            self.send(ServerMessage::Ping);
        }
        Ok(())
    }

    fn send(&mut self, message: ServerMessage) {
        self.last_sent_ms = self.now.monotonic_ms;
        self.outputs.push_back(Output::Send(message));
    }

    fn system_failure(&mut self, failure: SystemFailure) -> Result<(), ProtocolError> {
        match failure {
            SystemFailure::Internal => Err(ProtocolError::Internal),
            SystemFailure::Overloaded { reason } => Err(ProtocolError::Overloaded { reason }),
            SystemFailure::Shutdown => {
                self.requests.drop_queued();
                self.authentication.drop_waiting();
                self.stage = Stage::Draining;
                Ok(())
            }
        }
    }

    /// Says the last words and closes. What was said before stays said; what was only wanted is not begun.
    fn end(&mut self, cause: ProtocolError) {
        self.outputs.retain(|output| match output {
            Output::Send(_) => true,
            Output::VerifyToken { .. }
            | Output::ChooseTarget { .. }
            | Output::RunQuery { .. }
            | Output::DropQuery { .. }
            | Output::RunMutation { .. }
            | Output::RunAction { .. }
            | Output::Close(_) => false,
        });
        let Ending { last_words, code, reason } = cause.ending(self.transitions.sent().identity);
        if let Some(message) = last_words {
            self.send(message);
        }
        self.outputs.push_back(Output::Close(Close { code, reason, cause }));
        self.close();
    }

    fn close(&mut self) {
        self.stage = Stage::Closed;
        self.authentication.drop_waiting();
    }
}
