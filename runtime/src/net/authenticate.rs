//! From what a client presents to who it is: for sockets and requests alike.

use std::sync::{Arc, PoisonError, RwLock};

use syncline_client_protocol::{AuthAttempt, IdentityKey, Verdict, VerifierFault};

use crate::admin::AdminKeys;
use crate::auth::{self, Class, Handshakes, ProviderCheck, Redaction, Verifier, record, record_admin_key};
use crate::clock::Clock;
use crate::config::Mode;
use crate::identity::Identity;

/// What a client presents.
pub(super) enum Credential {
    /// A JWT.
    User { token: String },
    /// The key of the deployment, and the JSON attributes of a user to act as.
    Admin { key: String, acting_as: Option<String> },
}

/// Why a token is refused.
pub(super) struct Refusal {
    pub(super) code: &'static str,
    /// What the client may read, without the code.
    pub(super) text: String,
    /// The HTTP status.
    pub(super) status: u16,
}

/// What a credential is worth.
pub(super) enum Checked {
    Accepted {
        identity: Identity,
        expires_at_ns: Option<u64>,
    },
    Rejected(Refusal),
    /// Whether it is valid cannot be found out now.
    Unavailable(Refusal, VerifierFault),
    BadAdminKey(String),
}

/// The answer to a socket's token.
pub(super) struct Verified {
    pub(super) attempt: AuthAttempt,
    pub(super) checked: Checked,
    /// What was presented, when it was an admin key: it is checked again from time to time.
    pub(super) admin_key: Option<Arc<str>>,
}

impl Checked {
    /// As the session wants it; `key_of` names the identity.
    pub(super) fn into_verdict(self, key_of: impl FnOnce(Identity) -> IdentityKey) -> Verdict {
        match self {
            Checked::Accepted { identity, expires_at_ns } => {
                Verdict::Accepted { identity: key_of(identity), expires_at_ns }
            }
            Checked::Rejected(refusal) => Verdict::Rejected { error: format!("{}: {}", refusal.code, refusal.text) },
            Checked::Unavailable(refusal, fault) => Verdict::Unavailable { reason: refusal.code, fault },
            Checked::BadAdminKey(error) => Verdict::BadAdminKey { error },
        }
    }
}

/// See the module.
pub(crate) struct Authenticator {
    verifier: Arc<Verifier>,
    /// None without a data folder: then there is no secret that outlives the process.
    admin_keys: RwLock<Option<AdminKeys>>,
    mode: Mode,
    clock: Arc<dyn Clock>,
    handshakes: Handshakes,
    /// When the providers were asked last, and what came of it.
    provider_checks: tokio::sync::Mutex<Option<(u64, Vec<ProviderCheck>)>>,
}

/// How long a look at the providers is good for, milliseconds. Source: ours; a page that is open asks every few
/// seconds, and the issuer must not be asked as often.
const PROVIDERS_CHECKED_MS: u64 = 60_000;

impl Authenticator {
    pub(crate) fn new(
        verifier: Arc<Verifier>,
        admin_keys: Option<AdminKeys>,
        mode: Mode,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Authenticator {
            verifier,
            admin_keys: RwLock::new(admin_keys),
            mode,
            clock,
            handshakes: Handshakes::default(),
            provider_checks: tokio::sync::Mutex::default(),
        }
    }

    /// Checks tokens.
    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// What became of the newest tokens.
    pub(super) fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    /// Whether the providers can be used, found out at most once a minute, and when that was, milliseconds.
    pub(super) async fn provider_checks(&self, now_ms: u64) -> (u64, Vec<ProviderCheck>) {
        let mut last = self.provider_checks.lock().await;
        let providers = self.verifier.providers();
        let is_good = |(at_ms, checks): &&(u64, Vec<ProviderCheck>)| {
            now_ms.saturating_sub(*at_ms) < PROVIDERS_CHECKED_MS
                && checks.iter().map(|check| &check.provider).eq(&providers)
        };
        if let Some(good) = last.as_ref().filter(is_good) {
            return good.clone();
        }
        last.insert((now_ms, self.verifier.check_providers().await)).clone()
    }

    /// Makes an admin key; `None` when there is no secret to make it with.
    pub(super) fn issue_key(&self, now_s: u64) -> Option<String> {
        let keys = self.admin_keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.as_ref().map(|keys| keys.issue(now_s))
    }

    /// From now on only these keys are accepted; sockets that hold others end when they are checked again.
    pub(crate) fn set_admin_keys(&self, keys: AdminKeys) {
        *self.admin_keys.write().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }

    /// Whether a key is one of this deployment, and if not why.
    pub(super) fn check_key(&self, key: &str) -> Result<(), String> {
        match &*self.admin_keys.read().unwrap_or_else(PoisonError::into_inner) {
            Some(keys) => keys.check(key).map_err(|cause| cause.to_string()),
            None => Err("this server keeps no data folder and so has no admin keys".to_owned()),
        }
    }

    /// Finds out what a credential is worth, and puts it into the log.
    pub(super) async fn check(&self, credential: Credential) -> Checked {
        match credential {
            Credential::User { token } => self.check_user(&token).await,
            Credential::Admin { key, acting_as } => self.check_admin(&key, acting_as.as_deref()),
        }
    }

    fn check_admin(&self, key: &str, acting_as: Option<&str>) -> Checked {
        let user = self
            .check_key(key)
            .and_then(|()| acting_as.map(|json| auth::acting_as(json).map_err(|cause| cause.to_string())).transpose());
        record_admin_key(user.as_ref().map(|_| ()).map_err(String::as_str), acting_as.is_some());
        let identity = match user {
            Ok(None) => Identity::Admin,
            Ok(Some(user)) => Identity::ActingAs(Arc::new(user)),
            Err(text) => return Checked::BadAdminKey(text),
        };
        Checked::Accepted { identity, expires_at_ns: None }
    }

    async fn check_user(&self, token: &str) -> Checked {
        let verified = self.verifier.verify(token).await;
        record(&verified);
        self.handshakes.keep(self.clock.wall_ns() / 1_000_000, &verified);
        let rejection = match verified {
            Ok(verified) => {
                let expires_at_ns = Some(verified.expires_at_ns);
                return Checked::Accepted { identity: Identity::User(verified.identity), expires_at_ns };
            }
            Err(rejection) => rejection,
        };
        let redaction = match self.mode {
            Mode::Development => Redaction::Development,
            Mode::Production => Redaction::Redacted,
        };
        let refusal =
            Refusal { code: rejection.code(), text: rejection.message(redaction), status: rejection.http_status() };
        match rejection.class() {
            Class::Rejected => Checked::Rejected(refusal),
            Class::Unavailable => Checked::Unavailable(refusal, fault_of(rejection.close_code())),
        }
    }
}

/// Whose fault a close code tells of, for the session to close with it.
fn fault_of(close_code: u16) -> VerifierFault {
    match close_code {
        1013 => VerifierFault::Issuer,
        1000 => VerifierFault::IssuerNotFound,
        _ => VerifierFault::Internal,
    }
}
