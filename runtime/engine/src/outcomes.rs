//! The outcomes of requests: those since the last checkpoint, and of which sessions the base holds any.
//!
//! Every mutation of a session looks its own key up, and nearly always it is not there. To know that without asking
//! the base, the greatest request number of each session that the base holds is remembered: numbers rise in a session.

mod recent;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline_schema::Timestamp;

use crate::commit::{Outcome, RequestKey};
use crate::storage::OutcomeGroup;
use recent::Recent;

/// Sessions remembered without a recent outcome, a number: 10 MB of them. More are asked for again.
const IDLE_SESSIONS_MAX: usize = 100_000;

/// What the base holds of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InBase {
    Unknown,
    /// Not known, but it holds at least this request.
    AtLeast(u64),
    None,
    /// The greatest request.
    UpTo(u64),
}

#[derive(Debug)]
struct Session {
    in_base: InBase,
    /// Not in the base yet.
    recent: Recent,
}

impl Session {
    fn new(in_base: InBase) -> Self {
        Session { in_base, recent: Recent::default() }
    }
}

/// A session's name as a number, which sorts as it does and is compared at once.
fn number(session: &[u8; 16]) -> u128 {
    u128::from_be_bytes(*session)
}

#[derive(Debug)]
struct State {
    /// By their numbers.
    sessions: BTreeMap<u128, Session>,
    /// What the base holds of sessions that are not listed.
    unlisted: InBase,
}

/// What is known of a request.
#[derive(Debug)]
pub(crate) enum Lookup {
    Found(Outcome),
    Absent,
    /// The base must be asked.
    Unknown,
}

/// Outcomes by session and request.
#[derive(Debug)]
pub(crate) struct Outcomes {
    state: Mutex<State>,
}

impl Outcomes {
    /// Over a base that holds none, or perhaps some.
    pub fn new(base_is_empty: bool) -> Self {
        let unlisted = if base_is_empty { InBase::None } else { InBase::Unknown };
        Outcomes { state: Mutex::new(State { sessions: BTreeMap::new(), unlisted }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a snapshot sees of a request.
    pub fn find(&self, key: &RequestKey, snapshot: Timestamp) -> Lookup {
        let state = self.state();
        let in_base = match state.sessions.get(&number(&key.session)) {
            None => state.unlisted,
            Some(session) => match session.recent.get(key.request) {
                Some(outcome) if outcome.ts <= snapshot => return Lookup::Found(outcome),
                Some(_) | None => session.in_base,
            },
        };
        match in_base {
            InBase::Unknown | InBase::AtLeast(_) => Lookup::Unknown,
            InBase::UpTo(greatest) if key.request <= greatest => Lookup::Unknown,
            InBase::UpTo(_) | InBase::None => Lookup::Absent,
        }
    }

    /// Remembers the greatest request number that the base was found to hold of a session.
    pub fn learn(&self, session: [u8; 16], greatest: Option<u64>) {
        let mut state = self.state();
        let known = state.sessions.entry(number(&session)).or_insert(Session::new(InBase::Unknown));
        known.in_base = match known.in_base {
            InBase::Unknown => greatest.map_or(InBase::None, InBase::UpTo),
            // A checkpoint that ended meanwhile may know better.
            InBase::AtLeast(least) => InBase::UpTo(greatest.map_or(least, |greatest| greatest.max(least))),
            known @ (InBase::None | InBase::UpTo(_)) => known,
        };
    }

    /// Adds the outcome of a commit.
    pub fn insert(&self, key: RequestKey, outcome: &Outcome) {
        let mut state = self.state();
        let in_base = state.unlisted;
        let session = state.sessions.entry(number(&key.session)).or_insert(Session::new(in_base));
        session.recent.insert(key.request, outcome);
    }

    /// Takes back an outcome: its commit was undone.
    pub fn undo(&self, key: &RequestKey) {
        if let Some(session) = self.state().sessions.get_mut(&number(&key.session)) {
            session.recent.remove(key.request);
        }
    }

    /// The outcomes up to a timestamp, one group a session: so that a busy session costs the base one row a checkpoint.
    pub fn groups(&self, to: Timestamp) -> Vec<OutcomeGroup> {
        let state = self.state();
        let moved = state.sessions.iter().filter_map(|(session, known)| {
            let block = known.recent.up_to(to)?;
            let (first, last) = block.requests.into_inner();
            Some(OutcomeGroup { session: session.to_be_bytes(), first, last, ts: block.newest, bytes: block.bytes })
        });
        moved.collect()
    }

    /// The base holds the outcomes up to `to` now, which came in groups: session and greatest request of each.
    pub fn settle(&self, groups: &[([u8; 16], u64)], to: Timestamp) {
        let mut state = self.state();
        for (id, last) in groups {
            let Some(session) = state.sessions.get_mut(&number(id)) else { continue };
            session.recent.forget(to);
            session.in_base = match session.in_base {
                InBase::Unknown => InBase::AtLeast(*last),
                InBase::AtLeast(least) => InBase::AtLeast(least.max(*last)),
                InBase::None => InBase::UpTo(*last),
                InBase::UpTo(greatest) => InBase::UpTo(greatest.max(*last)),
            };
        }
        if !groups.is_empty() {
            // Sessions that are not listed may be in the base: those that were dropped below.
            let n_idle = state.sessions.values().filter(|session| session.recent.is_empty()).count();
            if n_idle > IDLE_SESSIONS_MAX {
                state.sessions.retain(|_, session| !session.recent.is_empty());
                state.unlisted = InBase::Unknown;
            }
        }
    }
}
