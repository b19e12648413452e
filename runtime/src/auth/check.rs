//! Whether a provider can be used, found out before anybody signs in.

use std::fmt;

use super::config::Provider;
use super::keys::CLOCK_DIFFERENCE_S_MAX;
use super::rejection::{Redaction, Rejection};

/// What came of asking a provider for its keys.
#[derive(Clone, Debug)]
pub struct ProviderCheck {
    /// The provider.
    pub provider: Provider,
    /// Its keys by their ids, or why they cannot be had.
    pub keys: Result<String, Rejection>,
    /// By how many seconds the clock of this server is ahead of the issuer's, if the issuer told its time. A server
    /// that is ahead by the life of a token refuses every token.
    pub clock_ahead_s: Option<i64>,
}

impl ProviderCheck {
    /// Whether its tokens can be accepted.
    pub fn is_well(&self) -> bool {
        self.keys.is_ok() && self.is_clock_well()
    }

    fn is_clock_well(&self) -> bool {
        self.clock_ahead_s.is_none_or(|seconds| seconds.abs() <= CLOCK_DIFFERENCE_S_MAX)
    }
}

impl fmt::Display for ProviderCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.provider {
            Provider::Oidc { .. } => "discovery and keys",
            Provider::CustomJwt { .. } => "keys",
        };
        writeln!(f, "{} provider {}", self.provider.kind(), self.provider.issuer())?;
        match &self.keys {
            Ok(keys) => writeln!(f, "  ✓ {what}: {keys}")?,
            Err(rejection) => writeln!(f, "  ✗ {what}: {}", rejection.message(Redaction::Development))?,
        }
        match self.clock_ahead_s {
            None => writeln!(f, "  · clock: not known; nothing was fetched, or the issuer did not tell its time"),
            Some(ahead) if self.is_clock_well() => writeln!(f, "  ✓ clock: {} s apart", ahead.abs()),
            Some(ahead) => {
                let direction = if ahead > 0 { "ahead of" } else { "behind" };
                writeln!(
                    f,
                    "  ✗ clock: this machine is {} s {direction} the issuer; short-lived tokens will be refused. Set \
                     the clock of this machine right.",
                    ahead.abs()
                )
            }
        }
    }
}
