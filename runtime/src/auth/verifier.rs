//! The verifier: from a token to an identity or a refusal.

use std::sync::{Arc, PoisonError, RwLock};

use futures::future::join_all;

use super::config::{AuthConfig, JwksSource, Provider};
use super::data_url;
use super::documents::{Documents, Start};
use super::fetch::Fetch;
use super::issuer_url::IssuerUrl;
use super::jwk::{KeySet, Signing};
use super::jwt::{Claims, Token};
use super::keys::{KeyCell, Newer, ProviderKeys, Source};
use super::memory::{Memory, Remembered, TokenHash};
use super::oidc::About;
use super::reason::{Check, NoTrail, Reason, Trail};
use super::rejection::{Rejection, TokenFacts};
use super::routing::Providers;
use super::{ProviderCheck, UserIdentity, custom_jwt, oidc};
use crate::clock::Clock;

const NS_PER_S: u64 = 1_000_000_000;

/// A token that was accepted.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who signed in.
    pub identity: Arc<UserIdentity>,
    /// The first nanosecond since the epoch at which the identity has expired.
    pub expires_at_ns: u64,
    /// The provider that accepted it, counted from 0: those of the configuration, then the local ones.
    pub provider: usize,
    /// What the log may say of the token; `expires_in_s` is as of its first verification.
    pub facts: Arc<TokenFacts>,
    /// When the verifier said so.
    pub(super) at_s: u64,
}

impl Verified {
    /// Seconds from this verification to the expiry of the identity.
    pub fn expires_in_s(&self) -> i64 {
        (self.expires_at_ns / NS_PER_S) as i64 - self.at_s as i64
    }
}

/// An issuer of this very process: its provider, and its keys, which are never fetched.
#[derive(Clone, Debug)]
pub struct LocalIssuer {
    /// How its tokens are verified.
    pub provider: Provider,
    /// Its public keys.
    pub keys: KeySet,
}

/// Verifies tokens against a configuration that can change at any time.
///
/// Nothing is fetched for a token while keys are fresh; a token that was accepted is remembered until it expires,
/// its keys change, or the configuration does.
pub struct Verifier {
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    local: Vec<LocalIssuer>,
    setup: RwLock<Arc<Setup>>,
}

/// Everything that a change of the configuration replaces.
#[derive(Default)]
struct Setup {
    providers: Vec<Provider>,
    configured: usize,
    insecure_allowed: bool,
    /// One for each provider.
    cells: Vec<Arc<KeyCell>>,
    memory: Memory,
}

/// What a token's verification leaves, besides the identity itself.
struct Accepted {
    verified: Verified,
    keys: Arc<ProviderKeys>,
    valid_s: (u64, u64),
}

impl Verifier {
    /// A verifier that gets keys through `fetch` and the time from `clock`.
    pub fn new(config: AuthConfig, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self::with_local(config, Vec::new(), fetch, clock)
    }

    /// The same, which also accepts tokens of issuers of this process, whatever the configuration says.
    pub fn with_local(
        config: AuthConfig,
        local: Vec<LocalIssuer>,
        fetch: Arc<dyn Fetch>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let verifier = Self { fetch, clock, local, setup: RwLock::default() };
        let setup = verifier.build(config, &Setup::default());
        Self { setup: RwLock::new(Arc::new(setup)), ..verifier }
    }

    /// Replaces the configuration: the next token is verified by the new one. Identities that were accepted before
    /// are the sessions' affair. Keys of providers that stay are kept.
    pub fn set_config(&self, config: AuthConfig) {
        let mut setup = self.setup.write().unwrap_or_else(PoisonError::into_inner);
        if setup.is_of(&config) {
            // What is remembered of tokens stays.
            return;
        }
        *setup = Arc::new(self.build(config, &setup));
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub async fn verify(&self, token: &str) -> Result<Verified, Rejection> {
        let setup = self.current();
        let now_s = self.now_s();
        let hash = TokenHash::of(token);
        if let Some(found) = setup.memory.recall(&hash, now_s)
            && setup.cells[found.verified.provider].fresh().is_some_and(|keys| Arc::ptr_eq(&keys, &found.keys))
        {
            return Ok(Verified { at_s: now_s, ..found.verified });
        }
        let accepted = self.check(&setup, token, &mut NoTrail).await?;
        let Accepted { verified, keys, valid_s } = accepted;
        setup.memory.remember(hash, Remembered { verified: verified.clone(), keys, valid_s });
        Ok(verified)
    }

    /// Makes every check, noting those that are passed.
    pub(super) async fn check_with(
        &self,
        token: &str,
        trail: &mut impl Trail,
    ) -> (Option<Provider>, Result<Verified, Rejection>) {
        let setup = self.current();
        let outcome = self.check(&setup, token, trail).await.map(|accepted| accepted.verified);
        let routed = Token::decode(token, &mut NoTrail).ok().and_then(|decoded| {
            let claims = decoded.claims(&mut NoTrail).ok()?;
            setup.routes().route(&claims, &mut NoTrail).ok().map(|(_, provider)| provider.clone())
        });
        (routed, outcome)
    }

    /// The providers as they are now: those of the configuration, then the local ones.
    pub fn providers(&self) -> Vec<Provider> {
        self.current().providers.clone()
    }

    /// Gets the keys of each provider, as a token would need them, and tells how that went.
    pub async fn check_providers(&self) -> Vec<ProviderCheck> {
        let setup = self.current();
        let check = async |provider: &Provider, cell: &Arc<KeyCell>| ProviderCheck {
            provider: provider.clone(),
            keys: cell.get().await.map(|keys| keys.set.describe()),
            clock_ahead_s: cell.clock_ahead_s(),
        };
        join_all(setup.providers.iter().zip(&setup.cells).map(|(provider, cell)| check(provider, cell))).await
    }

    async fn check(&self, setup: &Setup, token: &str, trail: &mut impl Trail) -> Result<Accepted, Rejection> {
        let decoded = Token::decode(token, trail)?;
        let claims = decoded.claims(trail).map_err(|rejection| match rejection.reason() {
            Reason::IssuerMissing => setup.routes().explain_missing_issuer(rejection),
            _ => rejection,
        })?;
        let outcome = self.check_claims(setup, &decoded, &claims, trail).await;
        outcome.map_err(|rejection| rejection.with_facts(claims.facts(self.now_s())))
    }

    async fn check_claims(
        &self,
        setup: &Setup,
        token: &Token<'_>,
        claims: &Claims<'_>,
        trail: &mut impl Trail,
    ) -> Result<Accepted, Rejection> {
        let (index, provider) = setup.routes().route(claims, trail)?;
        if let Provider::Oidc { .. } = provider {
            oidc::check_issuer_form(claims, trail)?;
        }
        let cell = &setup.cells[index];
        let keys = cell.get().await?;
        trail.passed(Check::Keys, || ("at least one usable key".into(), keys.set.describe()));
        let job = Job { token, claims, provider, cell };
        let (keys, identity) = match job.run(&keys, self.now_s(), trail) {
            Ok(identity) => (keys, identity),
            Err(Refusal::Final(rejection)) => return Err(rejection),
            Err(Refusal::PerhapsNewKeys) => {
                let newer = match cell.newer(&keys).await {
                    Newer::Keys(newer) => newer,
                    // Looked at again all the same: the refusal tells how old the keys are now.
                    Newer::Same => keys,
                    // The token may well be signed with a key that could not be had.
                    Newer::Unreachable(failure) => return Err(failure),
                };
                let identity = job.rules(&newer, self.now_s(), trail)?;
                (newer, identity)
            }
        };
        Ok(self.accepted(index, provider, claims, keys, identity))
    }

    fn accepted(
        &self,
        index: usize,
        provider: &Provider,
        claims: &Claims<'_>,
        keys: Arc<ProviderKeys>,
        identity: UserIdentity,
    ) -> Accepted {
        let now_s = self.now_s();
        let exp = claims.exp.unwrap_or_default();
        let until_s = match provider {
            Provider::Oidc { .. } => exp.ceil() as u64,
            Provider::CustomJwt { .. } => (exp + custom_jwt::LEEWAY_S).floor() as u64 + 1,
        };
        let verified = Verified {
            identity: Arc::new(identity),
            expires_at_ns: (exp.ceil() as u64).saturating_mul(NS_PER_S),
            provider: index,
            facts: Arc::new(claims.facts(now_s)),
            at_s: now_s,
        };
        Accepted { verified, keys, valid_s: (now_s, until_s) }
    }

    fn build(&self, config: AuthConfig, before: &Setup) -> Setup {
        let configured = config.providers.len();
        let insecure_allowed = config.allow_insecure_issuers;
        let mut providers = config.providers;
        let mut cells = Vec::with_capacity(configured + self.local.len());
        for provider in &providers {
            let kept = before.providers[..before.configured].iter().position(|earlier| earlier == provider);
            let kept = kept.filter(|_| insecure_allowed == before.insecure_allowed);
            cells.push(match kept {
                Some(index) => before.cells[index].clone(),
                None => KeyCell::new(self.source(provider, insecure_allowed), self.clock.clone()),
            });
        }
        for local in &self.local {
            let issuer = match &local.provider {
                Provider::Oidc { domain, .. } => Some(domain.as_str().to_owned()),
                Provider::CustomJwt { .. } => None,
            };
            let keys = ProviderKeys { issuer, set: local.keys.clone() };
            cells.push(KeyCell::new(Source::Fixed(Arc::new(keys)), self.clock.clone()));
            providers.push(local.provider.clone());
        }
        Setup { providers, configured, insecure_allowed, cells, memory: Memory::default() }
    }

    fn source(&self, provider: &Provider, insecure_allowed: bool) -> Source {
        let documents = |start, issuer: &IssuerUrl| {
            Source::Fetched(Documents::new(start, issuer.clone(), insecure_allowed, self.fetch.clone()))
        };
        match provider {
            Provider::Oidc { domain, .. } => documents(Start::Discovery, domain),
            Provider::CustomJwt { issuer, jwks: JwksSource::Url(text), .. } => match url::Url::parse(text) {
                Ok(url) => documents(Start::KeySet(url), issuer),
                Err(error) => Source::Broken(
                    Rejection::internal(Reason::KeySourceInvalid)
                        .with_detail(format!("The \"jwks\" of {issuer} is not a URL: {error}."))
                        .with_remedy("Correct \"jwks\" in the auth config."),
                ),
            },
            Provider::CustomJwt { issuer, jwks: JwksSource::Data(text), .. } => match inline_keys(text) {
                Ok(set) => Source::Fixed(Arc::new(ProviderKeys { issuer: None, set })),
                Err(why) => Source::Broken(
                    custom_jwt::not_verified(Reason::KeySourceInvalid)
                        .with_detail(format!("The data URI in \"jwks\" of {issuer} cannot be used: {why}."))
                        .with_remedy("Correct \"jwks\" in the auth config."),
                ),
            },
        }
    }

    fn current(&self) -> Arc<Setup> {
        self.setup.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now_s(&self) -> u64 {
        self.clock.wall_ns() / NS_PER_S
    }
}

impl Setup {
    fn is_of(&self, config: &AuthConfig) -> bool {
        let AuthConfig { providers, allow_insecure_issuers } = config;
        self.insecure_allowed == *allow_insecure_issuers && self.providers[..self.configured] == **providers
    }

    fn routes(&self) -> Providers<'_> {
        Providers { all: &self.providers, configured: self.configured }
    }
}

fn inline_keys(text: &str) -> Result<KeySet, String> {
    let bytes = data_url::decode(text)?;
    let text = String::from_utf8(bytes).map_err(|_| "its content is not UTF-8".to_owned())?;
    KeySet::parse(&text)
}

/// A token at the point where its keys are known.
struct Job<'a> {
    token: &'a Token<'a>,
    claims: &'a Claims<'a>,
    provider: &'a Provider,
    cell: &'a KeyCell,
}

/// A refusal, and whether keys that are newer than the ones at hand could change it.
enum Refusal {
    Final(Rejection),
    PerhapsNewKeys,
}

impl Job<'_> {
    fn run(&self, keys: &ProviderKeys, now_s: u64, trail: &mut impl Trail) -> Result<UserIdentity, Refusal> {
        self.rules(keys, now_s, trail).map_err(|rejection| {
            let has_kid = self.token.parts().is_ok_and(|parts| parts.header.kid.is_some());
            match rejection.reason() {
                Reason::KeyIdUnknown => Refusal::PerhapsNewKeys,
                // Without a key id, any of these can mean that the issuer has changed its only key.
                Reason::KeyUnfit | Reason::KeyAmbiguous | Reason::SignatureInvalid if !has_kid => {
                    Refusal::PerhapsNewKeys
                }
                _ => Refusal::Final(rejection),
            }
        })
    }

    fn rules(&self, keys: &ProviderKeys, now_s: u64, trail: &mut impl Trail) -> Result<UserIdentity, Rejection> {
        let claims = self.claims;
        match self.provider {
            Provider::Oidc { domain, application_id } => {
                let about = self.about(domain, Rejection::unauthenticated);
                oidc::check_document_issuer(claims, keys, trail)?;
                let parts = self.token.parts()?;
                trail.passed(Check::Header, || ("3 parts, a header with alg".into(), parts.header.alg.clone()));
                let identity = oidc::check_claims(claims, trail)?;
                let signing = oidc::check_rules(claims, &parts.header, application_id, trail)?;
                oidc::check_signature(&parts, keys, signing, &about, trail)?;
                oidc::check_times(claims, now_s, trail)?;
                Ok(identity)
            }
            Provider::CustomJwt { issuer, algorithm, .. } => {
                let about = self.about(issuer, custom_jwt::not_verified);
                let parts = self.token.parts()?;
                trail.passed(Check::Header, || ("3 parts, a header with alg".into(), parts.header.alg.clone()));
                custom_jwt::check_signature(&parts, keys, Signing::from(*algorithm), &about, trail)?;
                custom_jwt::check_times(claims, now_s, trail)?;
                custom_jwt::check_claims(claims, trail)
            }
        }
    }

    fn about<'b>(&self, issuer: &'b IssuerUrl, refuse: fn(Reason) -> Rejection) -> About<'b> {
        About { issuer: issuer.as_str(), keys_age_s: self.cell.age_s(), refuse }
    }
}
