//! The newest sign-ins and refusals, for administrators who look for the reason of one. Never a token.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::record::{Fields, outcome_of};
use super::rejection::Rejection;
use super::verifier::Verified;

/// Most that are kept. Source: ours; a page shows no more.
const KEPT_MAX: usize = 100;

/// What became of a token, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// `accepted`, `refused` or `unavailable`.
    pub outcome: &'static str,
    /// Which rule failed.
    pub reason: Option<&'static str>,
    /// The token's issuer, escaped.
    pub issuer: Option<String>,
    /// The token's audience, escaped.
    pub audience: Option<String>,
    /// The end of the token's subject, escaped.
    pub subject: Option<String>,
    /// Seconds until it expires; negative when it has.
    pub expires_in_s: Option<i64>,
    /// What is the matter.
    pub text: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Handshake {
    fn of(at_ms: u64, outcome: &Result<Verified, Rejection>) -> Self {
        let rejection = outcome.as_ref().err();
        let (facts, expires_in_s) = match outcome {
            Ok(verified) => (&*verified.facts, Some(verified.expires_in_s())),
            Err(rejection) => (rejection.facts(), rejection.facts().expires_in_s),
        };
        let Fields { issuer, audience, subject } = Fields::of(facts);
        Handshake {
            at_ms,
            outcome: outcome_of(outcome),
            reason: rejection.map(|rejection| rejection.reason().as_str()),
            issuer,
            audience,
            subject,
            expires_in_s,
            text: rejection.map(|rejection| rejection.summary().to_owned()),
            remedy: rejection.and_then(Rejection::remedy).map(str::to_owned),
        }
    }
}

/// The newest handshakes.
#[derive(Debug, Default)]
pub struct Handshakes {
    kept: Mutex<VecDeque<Handshake>>,
}

impl Handshakes {
    /// Keeps one, and lets go of the oldest when there are many.
    pub fn keep(&self, at_ms: u64, outcome: &Result<Verified, Rejection>) {
        let handshake = Handshake::of(at_ms, outcome);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT_MAX - 1);
        kept.push_front(handshake);
    }

    /// The newest first.
    pub fn newest(&self) -> Vec<Handshake> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
