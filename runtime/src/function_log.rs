//! What functions did lately: one part for each call that has ended, and one for each line of an action that runs.
//!
//! Fed by every call, read by few: a part is kept as it comes and becomes JSON only when somebody reads it. How many
//! parts and bytes are kept is bounded; the oldest go first. Nothing of it outlives the process.
//! Source: http-and-cli 7.

mod json;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use syncline_functions::registry::FunctionKind;
use syncline_functions::tx::Usage;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::{LOGGED_BYTES_MAX, LOGGED_COMPLETIONS_MAX};
use crate::identity::Identity;
use crate::request::RequestToken;

pub(crate) use json::LineFormat;

/// Names a run of a function, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutionId(u64);

/// From where a function was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's socket.
    Socket,
    /// A request over HTTP.
    Http,
    /// An action, which may call internal functions.
    Action(ExecutionId),
}

/// Who called, as the log tells it: users by their token identifier and not with all their claims, of which there is no
/// telling how large they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Anonymous,
    User(Arc<str>),
    Admin,
    ActingAs(Arc<str>),
}

impl Caller {
    /// The user whose eyes the call saw with.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Caller::User(user) | Caller::ActingAs(user) => Some(user),
            Caller::Anonymous | Caller::Admin => None,
        }
    }
}

impl From<&Identity> for Caller {
    fn from(identity: &Identity) -> Self {
        match identity {
            Identity::Anonymous => Caller::Anonymous,
            Identity::User(user) => Caller::User(user.token_identifier.as_str().into()),
            Identity::Admin => Caller::Admin,
            Identity::ActingAs(user) => Caller::ActingAs(user.token_identifier.as_str().into()),
        }
    }
}

/// What was called, by whom.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    /// As people write it, or as the caller did.
    pub(crate) path: Arc<str>,
    pub(crate) kind: FunctionKind,
    /// None for what had no request of its own: a result that was known already.
    pub(crate) request: Option<RequestToken>,
    pub(crate) execution: ExecutionId,
    pub(crate) origin: Origin,
    pub(crate) caller: Caller,
}

/// A mutation that lost to another one and runs again.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) table: Option<Arc<str>>,
    pub(crate) document: Option<Box<str>>,
    /// How often it has run.
    pub(crate) attempt: u32,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) called: Called,
    pub(crate) started_ns: u64,
    /// Time that the function's own code took, without what it waited; none when it was not run.
    pub(crate) own: Option<Duration>,
    pub(crate) usage: Usage,
    pub(crate) return_bytes: Option<usize>,
    /// The result was known already.
    pub(crate) cached: bool,
    /// Most calls have none.
    pub(crate) texts: Option<Arc<Texts>>,
}

/// What a call said.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) lines: Vec<String>,
    pub(crate) error: Option<Box<str>>,
    pub(crate) lost: Option<Lost>,
}

impl Texts {
    /// To be shared by those who read them; none when there are none.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        let is_empty = self.lines.is_empty() && self.error.is_none() && self.lost.is_none();
        (!is_empty).then(|| Arc::new(self))
    }
}

impl Completion {
    fn lines(&self) -> &[String] {
        self.texts.as_ref().map_or(&[], |texts| &texts.lines)
    }

    fn error(&self) -> Option<&str> {
        self.texts.as_ref()?.error.as_deref()
    }

    fn lost(&self) -> Option<&Lost> {
        self.texts.as_ref()?.lost.as_ref()
    }
}

#[derive(Clone, Debug)]
enum Event {
    Completion(Completion),
    /// A line of an action that runs.
    Progress(Called, Arc<str>),
}

/// One thing that happened, with its place in the log. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Milliseconds since the epoch; each part has its own.
    pub(crate) stamp_ms: f64,
    ended_ns: u64,
    event: Event,
}

impl Part {
    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let text = match &self.event {
            Event::Completion(completion) => {
                let lines: usize = completion.lines().iter().map(|line| line.len() + size_of::<String>()).sum();
                lines + completion.error().map_or(0, str::len)
            }
            Event::Progress(_, line) => line.len(),
        };
        size_of::<Part>() + self.called().caller.user().map_or(0, str::len) + text
    }

    fn called(&self) -> &Called {
        match &self.event {
            Event::Completion(Completion { called, .. }) | Event::Progress(called, _) => called,
        }
    }

    /// Whether it belongs to a request itself, not to what that called.
    pub(crate) fn is_root_of(&self, request: &RequestToken) -> bool {
        let called = self.called();
        called.request.as_ref() == Some(request) && !matches!(called.origin, Origin::Action(_))
    }

    pub(crate) fn is_completion(&self) -> bool {
        matches!(self.event, Event::Completion(_))
    }
}

#[derive(Default)]
struct State {
    /// Beside each other: they come and go in one order, at every call.
    parts: VecDeque<Part>,
    last_ms: f64,
    bytes: usize,
    totals: Totals,
}

/// How many calls there were since the start, by kind: queries, mutations, actions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) calls: [u64; 3],
    pub(crate) errors: [u64; 3],
    pub(crate) conflicts: u64,
}

/// See the module. Shared by all who call and all who read.
pub(crate) struct FunctionLog {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    news: Notify,
    executions: AtomicU64,
    followers: AtomicUsize,
}

/// Somebody who waits for news; counted as long as this lives.
pub(crate) struct Follower<'a>(&'a FunctionLog);

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FunctionLog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        // So that a run of this process is not taken for one of the process before.
        let first = clock.wall_ns();
        FunctionLog {
            clock,
            state: Mutex::default(),
            news: Notify::new(),
            executions: AtomicU64::new(first),
            followers: AtomicUsize::new(0),
        }
    }

    /// A name for a run that begins.
    pub(crate) fn begin(&self) -> ExecutionId {
        ExecutionId(self.executions.fetch_add(1, Ordering::Relaxed))
    }

    /// A call has ended, nanoseconds since the epoch.
    pub(crate) fn completed(&self, completion: Completion, ended_ns: u64) {
        let kind = kind_index(completion.called.kind);
        let (failed, lost) = (completion.error().is_some(), completion.lost().is_some());
        let mut state = self.state();
        // What lost runs again and is counted then.
        if lost {
            state.totals.conflicts += 1;
        } else {
            state.totals.calls[kind] += 1;
            state.totals.errors[kind] += u64::from(failed);
        }
        self.push(state, Event::Completion(completion), ended_ns);
    }

    /// A line of an action that runs.
    pub(crate) fn progress(&self, called: &Called, line: &str) {
        self.push(self.state(), Event::Progress(called.clone(), line.into()), self.clock.wall_ns());
    }

    fn push(&self, mut state: MutexGuard<'_, State>, event: Event, ended_ns: u64) {
        let stamp_ms = (ended_ns as f64 / 1e6).max(state.last_ms.next_up());
        state.last_ms = stamp_ms;
        let part = Part { stamp_ms, ended_ns, event };
        state.bytes += part.bytes();
        state.parts.push_back(part);
        let mut gone = None;
        while state.parts.len() > LOGGED_COMPLETIONS_MAX || state.bytes > LOGGED_BYTES_MAX {
            let Some(oldest) = state.parts.pop_front() else { break };
            state.bytes -= oldest.bytes();
            // Freed when the lock is given back; more than one goes only when large parts come.
            gone = Some(oldest);
        }
        drop(state);
        drop(gone);
        self.news.notify_waiters();
    }

    /// The parts behind a stamp, and the stamp of the newest part; of an empty log, the time.
    pub(crate) fn after(&self, stamp_ms: f64) -> (Vec<Part>, f64) {
        let state = self.state();
        let from = state.parts.partition_point(|part| part.stamp_ms <= stamp_ms);
        let newest = match state.parts.back() {
            Some(newest) => newest.stamp_ms,
            None => self.clock.wall_ns() as f64 / 1e6,
        };
        (state.parts.range(from..).cloned().collect(), newest)
    }

    /// Resolves when a part is added. Is to be made before one looks, so that nothing falls between.
    pub(crate) fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.news.notified()
    }

    /// Counts one more who waits.
    pub(crate) fn follower(&self) -> Follower<'_> {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Follower(self)
    }

    /// How many wait for news.
    pub(crate) fn n_followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    pub(crate) fn totals(&self) -> Totals {
        self.state().totals
    }

    /// How long the calls took that are still in the log and ran, by kind, nanoseconds, ascending.
    pub(crate) fn durations_ns(&self) -> [Vec<u64>; 3] {
        let mut durations = [const { Vec::new() }; 3];
        for part in &self.state().parts {
            if let Event::Completion(completion) = &part.event
                && !completion.cached
            {
                let taken = part.ended_ns.saturating_sub(completion.started_ns);
                durations[kind_index(completion.called.kind)].push(taken);
            }
        }
        durations.iter_mut().for_each(|of_kind| of_kind.sort_unstable());
        durations
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn kind_index(kind: FunctionKind) -> usize {
    match kind {
        FunctionKind::Query => 0,
        FunctionKind::Mutation => 1,
        FunctionKind::Action => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn completion(log: &FunctionLog, line: &str) -> Completion {
        Completion {
            called: Called {
                path: "messages.js:list".into(),
                kind: FunctionKind::Query,
                request: None,
                execution: log.begin(),
                origin: Origin::Socket,
                caller: Caller::Anonymous,
            },
            started_ns: 0,
            own: None,
            usage: Usage::default(),
            return_bytes: Some(4),
            cached: false,
            texts: Texts { lines: vec![line.to_owned()], ..Texts::default() }.shared(),
        }
    }

    fn log() -> FunctionLog {
        FunctionLog::new(Arc::new(ManualClock::at_seconds(1_763_787_000)))
    }

    #[test]
    fn each_part_has_its_own_stamp_and_none_is_read_twice() {
        let log = log();
        let (nothing, start) = log.after(0.0);
        assert_eq!((nothing.len(), start), (0, 1_763_787_000_000.0));
        for line in ["a", "b", "c"] {
            log.completed(completion(&log, line), 1_763_787_000_000_000_000);
        }
        let (all, newest) = log.after(0.0);
        assert_eq!(all.len(), 3, "the time stands still, the stamps do not");
        assert!(all.windows(2).all(|pair| pair[0].stamp_ms < pair[1].stamp_ms));
        assert_eq!(log.after(all[1].stamp_ms).0.len(), 1);
        assert_eq!((log.after(newest).0.len(), log.after(newest).1), (0, newest));
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let log = log();
        for n in 0..LOGGED_COMPLETIONS_MAX + 5 {
            log.completed(completion(&log, &n.to_string()), n as u64);
        }
        assert_eq!(log.after(0.0).0.len(), LOGGED_COMPLETIONS_MAX);
        let long = "x".repeat(1 << 20);
        for _ in 0..100 {
            log.completed(completion(&log, &long), 0);
        }
        let kept = log.after(0.0).0;
        assert!(kept.iter().map(Part::bytes).sum::<usize>() <= LOGGED_BYTES_MAX);
        assert!(kept.len() >= LOGGED_BYTES_MAX / (2 << 20), "the newest stay: {}", kept.len());
        for _ in 0..100 {
            let mut named = completion(&log, "");
            named.called.caller = Caller::User("x".repeat(1 << 20).into());
            log.completed(named, 0);
        }
        let kept = log.after(0.0).0;
        assert!(kept.len() <= LOGGED_BYTES_MAX >> 20, "those who called take room too: {}", kept.len());
        assert_eq!(log.state().bytes, kept.iter().map(Part::bytes).sum::<usize>());
    }
}
