//! The keys of one provider: fetched once however many ask, fresh for as long as the issuer says, refetched at a
//! limited rate when a token names an unknown key, and kept through an outage (`spec/auth.md` 2.5).

use std::sync::{Arc, Mutex, MutexGuard};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::documents::{Documents, Fetched};
use super::jwk::KeySet;
use super::rejection::{Class, Rejection};
use crate::clock::Clock;

/// How long keys may be used after the last fetch that succeeded, in milliseconds, while newer ones cannot be had.
///
/// Source: `spec/auth.md` 2.5 and A33.
const STALE_MS_MAX: u64 = 24 * 3600 * 1000;

/// How long the issuer is not asked again after a failure, in milliseconds.
///
/// Source: `spec/auth.md` 2.5.
const FAILURE_MS: u64 = 5_000;

/// How long the issuer is not asked again for the sake of an unknown key id, in milliseconds.
///
/// Source: `spec/auth.md` A31. Anybody can invent key ids.
const FORCED_MS: u64 = 30_000;

/// How far the clocks of issuer and server may differ before it is worth a warning, in seconds.
///
/// Tokens of 60 seconds, as Clerk's, lose half of their life by it; `Date` itself is exact to a second.
pub(super) const CLOCK_DIFFERENCE_S_MAX: i64 = 30;

/// Keys, and the issuer in the spelling of its own discovery document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProviderKeys {
    /// Absent for customJwt, which has no such document.
    pub issuer: Option<String>,
    pub set: KeySet,
}

/// Where the keys of a provider come from.
pub(super) enum Source {
    /// They are known and never change: a `data:` URI, or the development issuer of this process.
    Fixed(Arc<ProviderKeys>),
    /// The configuration is unusable, which is found when it is used.
    Broken(Rejection),
    /// They are fetched.
    Fetched(Documents),
}

/// The keys of one provider, as of now.
pub(super) struct KeyCell {
    source: Source,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failure: Option<Failure>,
    forced_at_ms: Option<u64>,
    /// The fetch under way. Weak: when nobody waits for it any more it ends, and the next one starts anew.
    flight: Option<WeakShared<Landing>>,
}

struct Held {
    keys: Arc<ProviderKeys>,
    fetched_at_ms: u64,
    fresh_until_ms: u64,
    clock_ahead_s: Option<i64>,
}

struct Failure {
    at_ms: u64,
    rejection: Rejection,
}

/// What a fetch comes to.
type Landing = BoxFuture<'static, Result<Arc<ProviderKeys>, Rejection>>;

/// A fetch under way, which any number of callers wait for.
type Flight = Shared<Landing>;

/// What to do about keys, decided under the lock.
enum Decision {
    Done(Result<Arc<ProviderKeys>, Rejection>),
    Wait(Flight),
    /// Use these now, and let the fetch go on by itself.
    Meanwhile(Arc<ProviderKeys>, Flight),
}

/// What came of asking for newer keys.
pub(super) enum Newer {
    /// Other keys than before.
    Keys(Arc<ProviderKeys>),
    /// The issuer was asked, now or within the last half minute, and has no others.
    Same,
    /// The issuer could not be asked.
    Unreachable(Rejection),
}

impl KeyCell {
    pub(super) fn new(source: Source, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { source, clock, state: Mutex::default() })
    }

    /// The keys, when they are known and need no request.
    pub(super) fn fresh(&self) -> Option<Arc<ProviderKeys>> {
        match &self.source {
            Source::Fixed(keys) => Some(keys.clone()),
            Source::Broken(_) => None,
            Source::Fetched(_) => {
                let now = self.clock.monotonic_ms();
                self.lock().held.as_ref().filter(|held| now < held.fresh_until_ms).map(|held| held.keys.clone())
            }
        }
    }

    /// The keys, fetched if need be.
    ///
    /// # Errors
    /// They cannot be had: the issuer fails and there are none from the last 24 hours.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Arc<ProviderKeys>, Rejection> {
        let documents = match &self.source {
            Source::Fixed(keys) => return Ok(keys.clone()),
            Source::Broken(rejection) => return Err(rejection.clone()),
            Source::Fetched(documents) => documents,
        };
        let (outcome, stale) = match self.decide(documents) {
            Decision::Done(outcome) => return outcome,
            Decision::Meanwhile(keys, flight) => {
                tokio::spawn(flight.map(drop));
                return Ok(keys);
            }
            Decision::Wait(flight) => (flight.await, self.stale()),
        };
        match (outcome, stale) {
            (Err(_), Some(keys)) => Ok(keys),
            (outcome, _) => outcome,
        }
    }

    /// The keys after those of `than`, which do not have the key a token names: one request, at most each 30 seconds.
    pub(super) async fn newer(self: &Arc<Self>, than: &Arc<ProviderKeys>) -> Newer {
        let Source::Fetched(documents) = &self.source else { return Newer::Same };
        let flight = {
            let now = self.clock.monotonic_ms();
            let mut state = self.lock();
            if let Some(held) = state.held.as_ref().filter(|held| !Arc::ptr_eq(&held.keys, than)) {
                return Newer::Keys(held.keys.clone());
            }
            if let Some(failure) = &state.failure
                && (now < failure.at_ms + FAILURE_MS || state.forced_at_ms.is_some_and(|at| now < at + FORCED_MS))
            {
                return Newer::Unreachable(failure.rejection.clone());
            }
            if state.forced_at_ms.is_some_and(|at| now < at + FORCED_MS) {
                match state.flight.as_ref().and_then(WeakShared::upgrade) {
                    Some(flight) => flight,
                    None => return Newer::Same,
                }
            } else {
                state.forced_at_ms = Some(now);
                self.join_or_start(&mut state, documents.forced())
            }
        };
        match flight.await {
            Ok(keys) if Arc::ptr_eq(&keys, than) => Newer::Same,
            Ok(keys) => Newer::Keys(keys),
            Err(rejection) => Newer::Unreachable(rejection),
        }
    }

    /// Seconds since the keys were last fetched.
    pub(super) fn age_s(&self) -> Option<u64> {
        let now = self.clock.monotonic_ms();
        self.lock().held.as_ref().map(|held| now.saturating_sub(held.fetched_at_ms) / 1000)
    }

    /// By how many seconds the clock of this server was ahead of the issuer's when the keys were last fetched.
    pub(super) fn clock_ahead_s(&self) -> Option<i64> {
        self.lock().held.as_ref().and_then(|held| held.clock_ahead_s)
    }

    fn decide(self: &Arc<Self>, documents: &Documents) -> Decision {
        let now = self.clock.monotonic_ms();
        let mut state = self.lock();
        if let Some(held) = state.held.as_ref().filter(|held| now < held.fresh_until_ms) {
            return Decision::Done(Ok(held.keys.clone()));
        }
        let stale = state.usable(now);
        let failed = state.failure.as_ref().map(|failure| (failure.at_ms, failure.rejection.clone()));
        match (stale, failed) {
            (stale, Some((at_ms, rejection))) if now < at_ms + FAILURE_MS => Decision::Done(stale.ok_or(rejection)),
            // The issuer failed lately: nobody waits for it again while there is something to go on with.
            (Some(keys), Some(_)) => Decision::Meanwhile(keys, self.join_or_start(&mut state, documents.all())),
            _ => Decision::Wait(self.join_or_start(&mut state, documents.all())),
        }
    }

    fn join_or_start(
        self: &Arc<Self>,
        state: &mut State,
        fetch: BoxFuture<'static, Result<Fetched, Rejection>>,
    ) -> Flight {
        if let Some(flight) = state.flight.as_ref().and_then(WeakShared::upgrade) {
            return flight;
        }
        let cell = self.clone();
        let flight = async move {
            let outcome = fetch.await;
            cell.land(outcome)
        };
        let flight = flight.boxed().shared();
        state.flight = flight.downgrade();
        flight
    }

    /// Keeps what a fetch brought.
    fn land(&self, outcome: Result<Fetched, Rejection>) -> Result<Arc<ProviderKeys>, Rejection> {
        let now = self.clock.monotonic_ms();
        let mut state = self.lock();
        state.flight = None;
        let Fetched { keys, fresh_ms, issuer_time_s } = match outcome {
            Ok(fetched) => fetched,
            Err(rejection) => {
                let kept = state.usable(now).is_some();
                note_failure(&rejection, kept);
                state.failure = Some(Failure { at_ms: now, rejection: rejection.clone() });
                return Err(rejection);
            }
        };
        // Equal keys stay the same value: tokens verified with them are remembered by it.
        let keys = match state.held.take() {
            Some(held) if *held.keys == keys => held.keys,
            _ => {
                tracing::info!(keys = %keys.set.describe(), "keys of an issuer loaded");
                Arc::new(keys)
            }
        };
        metrics::counter!("syncline_auth_key_fetches_total", "outcome" => "ok").increment(1);
        let clock_ahead_s = issuer_time_s.map(|issuer_s| (self.clock.wall_ns() / 1_000_000_000) as i64 - issuer_s);
        note_clock(clock_ahead_s);
        state.failure = None;
        state.held =
            Some(Held { keys: keys.clone(), fetched_at_ms: now, fresh_until_ms: now + fresh_ms, clock_ahead_s });
        Ok(keys)
    }

    fn stale(&self) -> Option<Arc<ProviderKeys>> {
        let now = self.clock.monotonic_ms();
        self.lock().usable(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done under this lock.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn usable(&self, now_ms: u64) -> Option<Arc<ProviderKeys>> {
        self.held.as_ref().filter(|held| now_ms < held.fetched_at_ms + STALE_MS_MAX).map(|held| held.keys.clone())
    }
}

fn note_failure(rejection: &Rejection, kept: bool) {
    let outcome = if kept { "failed_with_stale_keys" } else { "failed" };
    metrics::counter!("syncline_auth_key_fetches_total", "outcome" => outcome).increment(1);
    let transient = rejection.class() == Class::Unavailable;
    tracing::warn!(reason = %rejection.reason(), stale_keys = kept, transient, "{}", rejection.summary());
}

fn note_clock(ahead_s: Option<i64>) {
    if let Some(ahead_s) = ahead_s.filter(|seconds| seconds.abs() > CLOCK_DIFFERENCE_S_MAX) {
        tracing::warn!(
            ahead_s,
            "the clocks of this server and of an issuer differ: short-lived tokens will be refused"
        );
    }
}
