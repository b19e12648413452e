//! Who the client is, and what waits while that is being found out.
//!
//! Messages are handled in the order they come, and an `Authenticate` takes a while: everything behind it waits
//! here, not decoded, until the verdict. A rejected one ends the session with all that waited.

use std::collections::VecDeque;
use std::fmt;

use crate::config::SessionLimits;
use crate::error::ProtocolError;
use crate::input::Now;
use crate::message::{AuthToken, Authenticate, IdentityVersion};
use crate::output::{AuthAttempt, IdentityKey};

/// Who the client is.
#[derive(Debug)]
pub(crate) struct Authentication {
    identity: Identity,
    /// How many `Authenticate`s were accepted.
    version: IdentityVersion,
    verification: Option<Verification>,
    n_attempts: u32,
    waiting: Waiting,
}

/// Messages behind the token under verification.
#[derive(Default)]
struct Waiting {
    texts: VecDeque<String>,
    n_bytes: usize,
}

impl fmt::Debug for Waiting {
    /// Without the texts: there may be tokens among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages of {} bytes", self.texts.len(), self.n_bytes)
    }
}

/// The identity in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) key: IdentityKey,
    pub(crate) role: Role,
    pub(crate) expires_at_ns: Option<u64>,
}

/// What an identity may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Functions of the root component.
    User,
    /// Those of all components.
    Admin,
}

/// A token under verification.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verification {
    attempt: AuthAttempt,
    pub(crate) base_version: IdentityVersion,
    pub(crate) role: Role,
}

impl Identity {
    pub(crate) const ANONYMOUS: Identity =
        Identity { key: IdentityKey::ANONYMOUS, role: Role::User, expires_at_ns: None };
}

impl Authentication {
    pub(crate) fn new() -> Authentication {
        Authentication {
            identity: Identity::ANONYMOUS,
            version: IdentityVersion(0),
            verification: None,
            n_attempts: 0,
            waiting: Waiting::default(),
        }
    }

    /// The identity in force.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// How many `Authenticate`s were accepted.
    pub(crate) fn version(&self) -> IdentityVersion {
        self.version
    }

    /// Whether a token is under verification.
    pub(crate) fn is_verifying(&self) -> bool {
        self.verification.is_some()
    }

    /// Begins to verify a token.
    pub(crate) fn verify(&mut self, message: &Authenticate) -> AuthAttempt {
        let attempt = AuthAttempt(self.n_attempts);
        self.n_attempts += 1;
        let role = match message.token {
            AuthToken::User(_) | AuthToken::None => Role::User,
            AuthToken::Admin { .. } => Role::Admin,
        };
        self.verification = Some(Verification { attempt, base_version: message.base_version, role });
        attempt
    }

    /// A verdict is here: ends the verification it answers.
    pub(crate) fn verified(&mut self, attempt: AuthAttempt) -> Result<Verification, ProtocolError> {
        match self.verification.take() {
            Some(verification) if verification.attempt == attempt => Ok(verification),
            Some(_) | None => Err(ProtocolError::Unasked("a verdict on a token that is not being verified")),
        }
    }

    /// Puts an identity in force, if the client counts as we do. Only now is that checked: what a client is told of
    /// a bad token shall not depend on its counting.
    pub(crate) fn accept(&mut self, base_version: IdentityVersion, identity: Identity) -> Result<(), ProtocolError> {
        if base_version != self.version {
            return Err(ProtocolError::IdentityVersionMismatch { current: self.version, found: base_version });
        }
        self.version = IdentityVersion(self.version.0 + 1);
        self.identity = identity;
        Ok(())
    }

    /// An identity that has run out may not be used. Nothing watches the clock for that: an idle socket stays.
    pub(crate) fn check_expiry(&self, now: Now) -> Result<(), ProtocolError> {
        match self.identity.expires_at_ns {
            Some(expires_at_ns) if expires_at_ns <= now.wall_ns => {
                Err(ProtocolError::TokenExpired { expires_at_ns, now_ns: now.wall_ns })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Keeps a message for after the verdict.
    pub(crate) fn wait(&mut self, text: &str, limits: &SessionLimits) -> Result<(), ProtocolError> {
        const REASON: &str = "TooManyMessagesBehindAuthenticate";
        if self.waiting.texts.len() >= limits.waiting_messages_max {
            return Err(ProtocolError::TooMany { reason: REASON, max: limits.waiting_messages_max });
        }
        if self.waiting.n_bytes + text.len() > limits.waiting_bytes_max {
            return Err(ProtocolError::TooMany { reason: REASON, max: limits.waiting_bytes_max });
        }
        self.waiting.n_bytes += text.len();
        self.waiting.texts.push_back(text.to_owned());
        Ok(())
    }

    /// The next message whose turn it is: none while a token is under verification.
    pub(crate) fn next_waiting(&mut self) -> Option<String> {
        if self.is_verifying() {
            return None;
        }
        let text = self.waiting.texts.pop_front()?;
        self.waiting.n_bytes -= text.len();
        Some(text)
    }

    /// Forgets what waits.
    pub(crate) fn drop_waiting(&mut self) {
        self.waiting = Waiting::default();
    }
}
