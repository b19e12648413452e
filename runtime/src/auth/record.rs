//! One log line and one count for each authentication.

use super::rejection::{Class, Rejection, TokenFacts};
use super::verifier::Verified;

/// Logs and counts what became of a token: who, from where, and for how long; or why not, what was expected, and what
/// to do. Neither the token nor a key is ever part of it.
pub fn record(outcome: &Result<Verified, Rejection>) {
    match outcome {
        Ok(verified) => {
            count("accepted", "none");
            let Fields { issuer, audience, subject } = Fields::of(&verified.facts);
            let expires_in_s = verified.expires_in_s();
            tracing::info!(outcome = "accepted", issuer, audience, subject, expires_in_s, "token accepted");
        }
        Err(rejection) => {
            let outcome = outcome_of(outcome);
            let reason = rejection.reason().as_str();
            count(outcome, reason);
            let Fields { issuer, audience, subject } = Fields::of(rejection.facts());
            tracing::warn!(
                outcome,
                reason,
                code = rejection.code(),
                issuer,
                audience,
                subject,
                expires_in_s = rejection.facts().expires_in_s,
                expected = rejection.expected(),
                found = rejection.found(),
                remedy = rejection.remedy(),
                "token not accepted: {}",
                rejection.summary()
            );
        }
    }
}

/// What became of a token, in a word.
pub(super) fn outcome_of(outcome: &Result<Verified, Rejection>) -> &'static str {
    match outcome.as_ref().map_err(Rejection::class) {
        Ok(_) => "accepted",
        Err(Class::Rejected) => "refused",
        Err(Class::Unavailable) => "unavailable",
    }
}

/// Logs and counts what became of an admin key, which is never part of it.
pub fn record_admin_key(outcome: Result<(), &str>, acting_as: bool) {
    match outcome {
        Ok(()) => {
            count("accepted", "admin_key");
            tracing::info!(outcome = "accepted", acting_as, "admin key accepted");
        }
        Err(why) => {
            count("refused", "admin_key");
            tracing::warn!(outcome = "refused", reason = "admin_key", acting_as, "admin key not accepted: {why}");
        }
    }
}

fn count(outcome: &'static str, reason: &'static str) {
    metrics::counter!("syncline_authentications_total", "outcome" => outcome, "reason" => reason).increment(1);
}

/// Facts of a token as log fields, escaped, because a hostile token chooses them.
pub(super) struct Fields {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) subject: Option<String>,
}

impl Fields {
    pub(super) fn of(facts: &TokenFacts) -> Self {
        let escaped = |text: &Option<String>| text.as_ref().map(|text| text.escape_debug().to_string());
        Self {
            issuer: escaped(&facts.issuer),
            audience: escaped(&facts.audience),
            subject: facts.subject_tail.as_ref().map(|tail| format!("...{}", tail.escape_debug())),
        }
    }
}
