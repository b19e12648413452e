//! One socket and its session: feeds the session everything that happens and does what it asks for.
//!
//! The rules of the protocol are in `client_protocol::Session`; nothing of them is here. All that is ready is handed
//! to the session before it is asked what to do, so that a burst of frames becomes one Transition and one flush.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select;
use syncline_client_protocol::{
    Close, FunctionCall, IdentityKey, Input, MutationSuccess, Now, Output, QueryId, RequestId, RunId, Session,
    SessionConfig, SessionId, SystemFailure, Timestamp,
};
use syncline_engine::{Pin, RequestKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::authenticate::Verified;
use super::evaluations::Evaluations;
use super::host::Host;
use super::inbox::{Inbox, Notes, inbox};
use super::lane::{Done, Lane};
use super::stopped;
use super::transport::{SocketEvent, Transport};
use crate::config::ADMIN_KEY_CHECK_EVERY;
use crate::executor::{ActionRun, Call, SystemError, encoded, failure, shown};
use crate::function_log::Origin;
use crate::identity::Identity;
use crate::live::{LiveEvent, Published, QueryKey, Request, WatchHandle, Watcher};
use crate::request::RequestToken;

/// Something that a session waits for has come.
pub(super) enum Note {
    Live(LiveEvent),
    Verified(Verified),
    /// The lane has something.
    MutationsDone,
    ActionDone {
        request: RequestId,
        token: RequestToken,
        ran: ActionRun,
    },
    /// A mutation was not begun, because the client goes on with its mutations on another socket.
    TakenOver,
}

/// An admin key that a session goes on by.
struct HeldKey {
    key: Arc<str>,
    checked_ms: u64,
}

/// What a query of this session hangs on.
struct Watch {
    run: RunId,
    handle: Option<WatchHandle>,
}

/// See the module.
pub(super) struct Connection<S> {
    host: Arc<Host>,
    session: Session,
    transport: Transport<S>,
    inbox: Inbox,
    lane: Lane,
    notes: Notes,
    watcher: Arc<dyn Watcher>,
    watches: HashMap<QueryId, Watch>,
    evaluations: Evaluations,
    /// Every identity this socket had, by its key: requests keep the one they arrived under.
    identities: Vec<Identity>,
    /// The admin key that was shown last, and when it was checked last.
    admin_key: Option<HeldKey>,
    published: watch::Receiver<Published>,
    /// The newest timestamp the session was told to be durable.
    durable: Timestamp,
    /// Answers wait for this timestamp, which has to come in this generation.
    awaited: Option<(Timestamp, u64)>,
    /// The session wants a target not before this.
    target: Option<Timestamp>,
    /// The moment that the client is being moved to, kept readable until it is there.
    at: Option<Arc<Pin>>,
    /// Transitions handed over since the last flush.
    unwritten_transitions: usize,
    closing: bool,
    /// When what is being dealt with was taken: each frame, note and state of the store at its own time, because an
    /// identity may run out between two of them.
    now: Now,
}

/// What a turn begins with.
enum Happened {
    Stop,
    Tick,
    Socket(SocketEvent),
    Note(Note),
    /// Whether the store is still there.
    Published(bool),
}

/// How often a session looks whether its peer still takes bytes, at least. Source: ours; a part of
/// `socket_write_stall_max`.
const LOOK_EVERY_MS: u64 = 10_000;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Of the socket with a number that rises with each that is opened.
    pub(super) fn new(host: Arc<Host>, transport: Transport<S>, config: SessionConfig, number: u64) -> Self {
        let (inbox, notes) = inbox();
        let published = host.live.published();
        let now = host.now();
        Connection {
            session: Session::new(config, now),
            now,
            transport,
            watcher: Arc::new(inbox.clone()),
            lane: Lane::new(number, host.executor.clone(), host.lanes.clone(), inbox.clone(), published.clone()),
            inbox,
            notes,
            watches: HashMap::new(),
            evaluations: Evaluations::new(host.config.evaluations_per_client_max),
            identities: vec![Identity::Anonymous],
            admin_key: None,
            published,
            durable: Timestamp::ZERO,
            awaited: None,
            target: None,
            at: None,
            unwritten_transitions: 0,
            closing: false,
            host,
        }
    }

    /// Serves the socket to its end.
    pub(super) async fn run(mut self) {
        self.transport.send_ping();
        self.serve().await;
        self.session.handle(self.now, Input::PeerClosed);
        // In an order that does not depend on chance: what is given up last is kept longest.
        let mut watches: Vec<_> = self.watches.drain().collect();
        watches.sort_unstable_by_key(|(query, _)| *query);
        for watch in watches.into_iter().filter_map(|(_, watch)| watch.handle) {
            self.host.live.unwatch(watch);
        }
    }

    async fn serve(&mut self) {
        let host = self.host.clone();
        let sleep = |duration| host.timer.sleep(duration);
        let mut timer = sleep(Duration::ZERO);
        let ping_every_ms = u64::try_from(host.config.websocket_ping_every.as_millis()).unwrap_or(u64::MAX);
        let mut ping_at_ms = self.now.monotonic_ms.saturating_add(ping_every_ms);
        let mut stopping = host.stopping.clone();
        let mut stop = pin!(stopped(&mut stopping));
        let mut stall = Stall::new(self.now.monotonic_ms);
        loop {
            // In a fixed order, which a simulation repeats. Nobody starves: what is rare comes first, and whatever
            // happened, all that has come meanwhile is taken behind it.
            let happened = tokio::select! {
                biased;
                () = &mut stop, if !self.closing => Happened::Stop,
                () = &mut timer => Happened::Tick,
                event = self.transport.event() => Happened::Socket(event),
                note = self.notes.next() => Happened::Note(note),
                changed = self.published.changed(), if self.waits_for_published() => Happened::Published(changed.is_ok()),
            };
            match happened {
                Happened::Stop => {
                    self.now = host.now();
                    self.closing = true;
                    self.transport.look_again();
                    self.session.handle(self.now, Input::SystemFailure(SystemFailure::Shutdown));
                }
                Happened::Tick => {
                    self.now = host.now();
                    let now_ms = self.now.monotonic_ms;
                    self.transport.look_again();
                    self.session.handle(self.now, Input::Tick);
                    if stall.is_over(&self.transport, now_ms, host.config.socket_write_stall_max) {
                        tracing::info!("a socket was dropped: its peer takes no bytes");
                        return;
                    }
                    if now_ms >= ping_at_ms {
                        self.transport.send_ping();
                        ping_at_ms = now_ms.saturating_add(ping_every_ms);
                    }
                    let wake = self.session.deadline().unwrap_or(u64::MAX).min(ping_at_ms).min(now_ms + LOOK_EVERY_MS);
                    timer = sleep(Duration::from_millis(wake.saturating_sub(now_ms).max(1)));
                }
                Happened::Socket(event) => {
                    if !self.take(event) {
                        return;
                    }
                }
                Happened::Note(note) => self.take_note(note),
                Happened::Published(true) => self.take_published(),
                // The server is gone.
                Happened::Published(false) => return,
            }
            if !self.drain().await {
                return;
            }
            self.check_admin_key();
            // Mostly a peer takes at once what is written, which may be all that the session waits for.
            if self.act() == Acted::MustEnd || (self.write_at_once().await && self.act() == Acted::MustEnd) {
                self.linger().await;
                return;
            }
            self.lane.hurry(self.session.holds_mutations_back());
        }
    }

    /// Hands one event of the socket to the session; `false` when the socket has ended.
    fn take(&mut self, event: SocketEvent) -> bool {
        self.now = self.host.now();
        let now = self.now;
        match event {
            SocketEvent::Text(text) => self.session.handle(now, Input::Frame(&text)),
            SocketEvent::Binary => self.session.handle(now, Input::BinaryFrame),
            SocketEvent::TooLarge => self.session.handle(now, Input::MessageTooLarge),
            SocketEvent::Heard => self.session.handle(now, Input::Heard),
            SocketEvent::Flushed => self.tell_written(),
            SocketEvent::Ended => return false,
        }
        true
    }

    /// Whether what was written is news for the session.
    async fn write_at_once(&mut self) -> bool {
        let is_news = self.transport.write_at_once().await && self.unwritten_transitions > 0;
        if is_news {
            self.tell_written();
        }
        is_news
    }

    fn tell_written(&mut self) {
        for _ in 0..std::mem::take(&mut self.unwritten_transitions) {
            self.session.handle(self.now, Input::TransitionWritten);
        }
    }

    /// Hands over all that has come already, so that it is decided together; `false` when the socket has ended.
    async fn drain(&mut self) -> bool {
        for _ in 0..self.host.config.frames_per_turn_max {
            let ready = std::future::poll_fn(|cx| std::task::Poll::Ready(self.transport.ready_event(cx))).await;
            let Some(event) = ready else { break };
            if !self.take(event) {
                return false;
            }
        }
        self.take_notes();
        if self.lane.is_busy() {
            self.take_mutations();
        }
        if self.waits_for_published() && self.published.has_changed().unwrap_or(false) {
            self.take_published();
        }
        true
    }

    fn waits_for_published(&self) -> bool {
        self.target.is_some() || self.awaited.is_some() || self.lane.is_busy()
    }

    fn take_notes(&mut self) {
        while let Some(note) = self.notes.try_next() {
            self.take_note(note);
        }
    }

    fn take_note(&mut self, note: Note) {
        self.now = self.host.now();
        match note {
            Note::Live(event) => self.take_live(event),
            Note::Verified(verified) => self.take_verified(verified),
            Note::MutationsDone => {
                self.take_mutations();
                self.answer_target();
            }
            Note::ActionDone { request, token, ran } => self.take_action(request, &token, ran),
            Note::TakenOver => {
                tracing::debug!("a socket ends because its client has come back on another one");
                let now = self.now;
                self.session.handle(now, Input::SystemFailure(SystemFailure::Internal));
            }
        }
    }

    /// Hands over an event, and those of evaluations that take its place and are known at once.
    fn take_live(&mut self, event: LiveEvent) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let has_ended = matches!(event, LiveEvent::Done { .. } | LiveEvent::TooOld { .. });
            self.take_event(event);
            if has_ended {
                let request = self.evaluations.end();
                next = self.request(request);
            }
        }
    }

    fn take_event(&mut self, event: LiveEvent) {
        let now = self.now;
        match event {
            LiveEvent::Done { query, run, result, watch } => {
                match self.watches.get_mut(&query) {
                    Some(wanted) if wanted.run == run => {
                        wanted.handle = watch;
                        self.session.handle(now, Input::QueryDone { query, run, result });
                        if watch.is_none() {
                            self.session.handle(now, Input::QueryInvalidated { query });
                        }
                    }
                    // Given up meanwhile: dropped, or asked for again.
                    _ => {
                        if let Some(watch) = watch {
                            self.host.live.unwatch(watch);
                        }
                    }
                }
            }
            LiveEvent::Invalidated { query, watch } => {
                // It is not watched any more: there is nothing to give back.
                if let Some(held) = self.watches.get_mut(&query).filter(|held| held.handle == Some(watch)) {
                    held.handle = None;
                }
                self.session.handle(now, Input::QueryInvalidated { query });
            }
            LiveEvent::TooOld { query, run } => self.session.handle(now, Input::QueryRetry { query, run }),
            LiveEvent::Failed(error) => self.fail(&error),
        }
    }

    fn take_verified(&mut self, verified: Verified) {
        let now = self.now;
        let Verified { attempt, checked, admin_key } = verified;
        self.admin_key = admin_key.map(|key| HeldKey { key, checked_ms: now.monotonic_ms });
        let verdict = checked.into_verdict(|identity| self.key_of(identity));
        self.session.handle(now, Input::TokenVerified { attempt, verdict });
    }

    /// Equal identities have equal keys: by that the session knows that a refreshed token changed nothing.
    fn key_of(&mut self, identity: Identity) -> IdentityKey {
        let known = self.identities.iter().position(|known| *known == identity);
        let place = known.unwrap_or_else(|| {
            self.identities.push(identity);
            self.identities.len() - 1
        });
        IdentityKey(place as u64)
    }

    fn take_mutations(&mut self) {
        let done = self.lane.take_done();
        if done.is_empty() {
            return;
        }
        done.into_iter().for_each(|done| self.take_mutation(done));
        self.take_published();
    }

    fn take_mutation(&mut self, done: Done) {
        let Done { request, token, ran } = done;
        let now = self.now;
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => return self.fail(&error),
        };
        let durable_at = Timestamp(ran.durable_at.0);
        if durable_at > self.durable {
            let awaited = self.awaited.map_or(durable_at, |(ts, _)| ts.max(durable_at));
            self.awaited = Some((awaited, ran.generation));
        }
        let mode = self.host.config.mode;
        if let Ok((_, ts)) = &ran.outcome {
            self.session.handle(now, Input::MutationCommitted { request, ts: Timestamp(ts.0) });
        }
        let outcome = match ran.outcome {
            Ok((value, ts)) => Ok(MutationSuccess { ts: Timestamp(ts.0), value }),
            Err(error) => Err(failure(mode, &token, &error)),
        };
        let log_lines = encoded(&shown(mode, &ran.log_lines));
        self.session.handle(now, Input::MutationFinished { request, outcome, log_lines, durable_at });
    }

    fn take_action(&mut self, request: RequestId, token: &RequestToken, ran: ActionRun) {
        let now = self.now;
        let mode = self.host.config.mode;
        let outcome = ran.outcome.map_err(|error| failure(mode, token, &error));
        let log_lines = encoded(&shown(mode, &ran.log_lines));
        self.session.handle(now, Input::ActionFinished { request, outcome, log_lines });
    }

    /// Looks how far the store has become durable, and answers what waits for that.
    fn take_published(&mut self) {
        self.now = self.host.now();
        let now = self.now;
        let (durable, newest_generation) = {
            let published = self.published.borrow_and_update();
            (Timestamp(published.at.ts().0), published.generation)
        };
        if let Some((awaited, generation)) = self.awaited {
            if newest_generation > generation {
                return self.fail(&SystemError::Undone);
            }
            if durable >= awaited {
                self.awaited = None;
            }
        }
        if durable > self.durable {
            self.durable = durable;
            self.session.handle(now, Input::Durable { ts: durable });
        }
        self.answer_target();
    }

    /// All changes up to a published timestamp have been put into the inbox before it was published: they are handed
    /// over first. So are this client's own mutations: it learns of one before it sees what that did, or with it.
    fn answer_target(&mut self) {
        let Some(at_least) = self.target else { return };
        let at = self.published.borrow_and_update().at.clone();
        let ts = Timestamp(at.ts().0);
        if ts < at_least || !self.lane.knows_its_commits() {
            return;
        }
        self.target = None;
        self.at = Some(at);
        self.take_notes();
        self.take_mutations();
        let now = self.now;
        self.session.handle(now, Input::TargetChosen { ts });
    }

    fn fail(&mut self, error: &SystemError) {
        tracing::warn!(?error, "a socket ends because the server could not answer");
        let now = self.now;
        self.awaited = None;
        self.session.handle(now, Input::SystemFailure(error.to_failure()));
    }

    /// Tells the session when the admin key it goes on by has been revoked; before it is asked what to do, so that
    /// nothing more is done for it.
    fn check_admin_key(&mut self) {
        let Some(held) = &mut self.admin_key else { return };
        let now = self.now;
        if now.monotonic_ms - held.checked_ms < ADMIN_KEY_CHECK_EVERY.as_millis() as u64 {
            return;
        }
        held.checked_ms = now.monotonic_ms;
        if let Err(error) = self.host.authenticator.check_key(&held.key) {
            tracing::info!("the admin key of a socket has been revoked");
            self.admin_key = None;
            self.session.handle(now, Input::AdminKeyRevoked { error });
        }
    }

    /// Does all that the session asks for.
    fn act(&mut self) -> Acted {
        while let Some(output) = self.session.poll() {
            match output {
                Output::VerifyToken { attempt, token } => self.host.verify(attempt, token, self.inbox.clone()),
                Output::ChooseTarget { at_least } => self.choose_target(at_least),
                Output::RunQuery { query, run, ts, call, journal, identity } => {
                    let again = self.watches.contains_key(&query);
                    self.give_up(query);
                    self.watches.insert(query, Watch { run, handle: None });
                    let key = QueryKey { path: call.path, args: call.args, journal };
                    let identity = self.identity(identity);
                    let at = self.at.clone().expect("queries run at the target that was chosen last");
                    debug_assert_eq!(at.ts().0, ts.0, "the target is kept until all its queries have run");
                    let request = self.evaluations.begin(Request { query, run, key, identity, at, again });
                    if let Some(event) = self.request(request) {
                        self.take_live(event);
                    }
                }
                Output::DropQuery { query } => self.give_up(query),
                Output::RunMutation { request, call, identity, session } => {
                    let call = self.call(request, call, identity, session);
                    self.lane.push(request, call);
                }
                Output::RunAction { request, call, identity, session } => {
                    let call = self.call(request, call, identity, session);
                    self.host.run_action(request, call, self.inbox.clone());
                }
                Output::Send(message) => {
                    if message.completes_transition() {
                        self.unwritten_transitions += 1;
                        // All its queries have run, and the next target has not been chosen yet.
                        self.at = None;
                    }
                    let mut text = String::new();
                    message.write(&mut text);
                    if let Err(full) = self.transport.send_text(text) {
                        tracing::info!(waiting = full.waiting, "a socket was dropped: its reader is too slow");
                        return Acted::MustEnd;
                    }
                }
                Output::Close(Close { code, reason, cause }) => {
                    tracing::debug!(%cause, ?code, reason, "a socket is closed");
                    self.transport.send_close(code, reason);
                    return Acted::MustEnd;
                }
            }
        }
        Acted::GoOn
    }

    fn choose_target(&mut self, at_least: Timestamp) {
        let newest = Timestamp(self.host.newest_committed().0);
        if at_least > newest {
            let now = self.now;
            return self.session.handle(now, Input::TargetUnreachable { newest });
        }
        self.target = Some(at_least);
        self.answer_target();
    }

    fn request(&self, request: Option<Request>) -> Option<LiveEvent> {
        request.and_then(|request| self.host.live.request(&self.watcher, request))
    }

    fn give_up(&mut self, query: QueryId) {
        self.evaluations.give_up(query);
        if let Some(Watch { handle: Some(watch), .. }) = self.watches.remove(&query) {
            self.host.live.unwatch(watch);
        }
    }

    fn identity(&self, key: IdentityKey) -> Identity {
        usize::try_from(key.0).ok().and_then(|place| self.identities.get(place)).cloned().unwrap_or(Identity::Anonymous)
    }

    fn call(&self, request: RequestId, call: FunctionCall, identity: IdentityKey, session: Option<SessionId>) -> Call {
        let token = match session {
            Some(session) => RequestToken::of_session(session, request),
            None => RequestToken::random(),
        };
        Call {
            path: call.path,
            args: call.args,
            identity: self.identity(identity),
            request: token,
            once: session.map(|session| RequestKey { session: session.0.to_be_bytes(), request: u64::from(request.0) }),
            origin: Origin::Socket,
        }
    }

    /// After the last message: writes it and waits for the peer's own close, for a moment.
    async fn linger(&mut self) {
        let late = self.host.timer.sleep(CLOSE_WAIT_MAX);
        let end = async { while !matches!(self.transport.event().await, SocketEvent::Ended) {} };
        select(pin!(end), late).await;
    }
}

/// How long a closed socket waits for the peer's Close frame. Source: ours; the clients answer at once.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(PartialEq, Eq)]
enum Acted {
    GoOn,
    MustEnd,
}

/// Notices a peer that takes no bytes.
struct Stall {
    written: u64,
    since_ms: u64,
}

impl Stall {
    fn new(now_ms: u64) -> Self {
        Stall { written: 0, since_ms: now_ms }
    }

    fn is_over<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        transport: &Transport<S>,
        now_ms: u64,
        limit: Duration,
    ) -> bool {
        if !transport.is_writing() || transport.written() != self.written {
            *self = Stall { written: transport.written(), since_ms: now_ms };
        }
        u128::from(now_ms - self.since_ms) > limit.as_millis()
    }
}
