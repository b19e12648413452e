//! Gets and reads the documents that lead to an issuer's keys: the discovery document and the key set
//! (`spec/auth.md` O2 to O4, J1 to J3, 2.6).

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;
use url::Url;

use super::address::Reach;
use super::fetch::{Fetch, FetchError, Response};
use super::issuer_url::IssuerUrl;
use super::jwk::KeySet;
use super::keys::ProviderKeys;
use super::reason::Reason;
use super::rejection::{Rejection, shown, shown_address};

/// How long keys are fresh, in seconds: at least, at most, and when the issuer does not say.
///
/// Source: `spec/auth.md` 2.5 and A32.
const FRESH_S: (u64, u64, u64) = (60, 3600, 600);

/// How much of a provider's answer a message repeats, in characters.
///
/// Source: `spec/auth.md` 2.6.
const BODY_SHOWN_MAX: usize = 200;

/// Keys, for how long they are fresh, and what time it was at the issuer.
pub(super) struct Fetched {
    pub keys: ProviderKeys,
    pub fresh_ms: u64,
    /// In seconds since the epoch, if the issuer said.
    pub issuer_time_s: Option<i64>,
}

/// What leads to the keys of one provider.
#[derive(Clone)]
pub(super) struct Documents(Arc<Inner>);

struct Inner {
    start: Start,
    issuer: IssuerUrl,
    reach: Reach,
    fetch: Arc<dyn Fetch>,
    /// What discovery last said: the issuer in its own spelling, and the address of the keys.
    discovered: Mutex<Option<Discovered>>,
}

/// Where to begin.
pub(super) enum Start {
    /// With the discovery document of the issuer.
    Discovery,
    /// With the key set itself.
    KeySet(Url),
}

#[derive(Clone)]
struct Discovered {
    issuer: String,
    jwks_uri: Url,
}

/// How strict the media type of a document is taken.
#[derive(Clone, Copy)]
enum Media {
    /// `application/json`, or nothing.
    Discovery,
    /// A kind of JSON, or nothing.
    OidcKeys,
    /// A kind of JSON, in UTF-8.
    CustomKeys,
}

impl Documents {
    pub(super) fn new(start: Start, issuer: IssuerUrl, insecure_allowed: bool, fetch: Arc<dyn Fetch>) -> Self {
        let reach = match (insecure_allowed, issuer.is_loopback()) {
            (true, _) => Reach::Anywhere,
            (false, true) => Reach::Loopback,
            (false, false) => Reach::Public,
        };
        Self(Arc::new(Inner { start, issuer, reach, fetch, discovered: Mutex::default() }))
    }

    /// Fetches everything.
    pub(super) fn all(&self) -> BoxFuture<'static, Result<Fetched, Rejection>> {
        let inner = self.0.clone();
        async move { inner.all().await }.boxed()
    }

    /// Fetches the key set again, from where discovery last found it.
    pub(super) fn forced(&self) -> BoxFuture<'static, Result<Fetched, Rejection>> {
        let inner = self.0.clone();
        async move {
            let known = inner.discovered.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match known {
                Some(discovered) => inner.keys_of(discovered).await,
                None => inner.all().await,
            }
        }
        .boxed()
    }
}

impl Inner {
    async fn all(&self) -> Result<Fetched, Rejection> {
        match &self.start {
            Start::KeySet(url) => self.key_set(url, Media::CustomKeys, None).await,
            Start::Discovery => {
                let discovered = self.discover().await?;
                *self.discovered.lock().unwrap_or_else(PoisonError::into_inner) = Some(discovered.clone());
                self.keys_of(discovered).await
            }
        }
    }

    async fn keys_of(&self, discovered: Discovered) -> Result<Fetched, Rejection> {
        self.key_set(&discovered.jwks_uri, Media::OidcKeys, Some(discovered.issuer)).await
    }

    async fn discover(&self) -> Result<Discovered, Rejection> {
        let url = self.issuer.discovery_url().map_err(|error| {
            Rejection::internal(Reason::KeySourceInvalid)
                .with_detail(format!("No discovery address can be made of {}: {error}.", self.issuer))
        })?;
        let answer = self.get(&url, Media::Discovery).await?;
        let document: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| self.unusable(&url, &answer, &format!("it is not JSON ({error})")))?;
        let member = |name: &str| match document.get(name) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(self.unusable(&url, &answer, &format!("its member \"{name}\" is not a string"))),
            None => Err(self.unusable(&url, &answer, &format!("it has no member \"{name}\""))),
        };
        let issuer = member("issuer")?;
        if !self.issuer.matches(issuer) {
            return Err(self
                .failed(
                    Reason::DocumentIssuerMismatch,
                    &url,
                    &format!(
                        "The discovery document names the issuer {}, configured is {}.",
                        shown(issuer),
                        shown(self.issuer.as_str())
                    ),
                )
                .with_expected(self.issuer.as_str())
                .with_found(shown(issuer))
                .with_remedy("Write the issuer into the auth config exactly as its own discovery document has it."));
        }
        let jwks_uri = member("jwks_uri")?;
        let jwks_uri = Url::parse(jwks_uri)
            .map_err(|error| self.unusable(&url, &answer, &format!("its \"jwks_uri\" is not a URL ({error})")))?;
        Ok(Discovered { issuer: issuer.to_owned(), jwks_uri })
    }

    async fn key_set(&self, url: &Url, media: Media, issuer: Option<String>) -> Result<Fetched, Rejection> {
        let answer = self.get(url, media).await?;
        let set = std::str::from_utf8(&answer.body)
            .map_err(|_| "it is not UTF-8".to_owned())
            .and_then(KeySet::parse)
            .map_err(|why| self.unusable(url, &answer, &format!("it is not a key set ({why})")))?;
        Ok(Fetched {
            keys: ProviderKeys { issuer, set },
            fresh_ms: fresh_s(answer.cache_control.as_deref()) * 1000,
            issuer_time_s: answer.date.as_deref().and_then(http_date_s),
        })
    }

    /// Gets a document that has to be there and of its kind.
    async fn get(&self, url: &Url, media: Media) -> Result<Response, Rejection> {
        let answer = self.fetch.get(url.clone(), self.reach).await.map_err(|error| self.no_answer(url, &error))?;
        if answer.status != 200 {
            return Err(self.wrong_status(url, &answer));
        }
        let found = answer.content_type.as_deref();
        if media.accepts(found) {
            return Ok(answer);
        }
        let found = found.map_or_else(|| "none".to_owned(), shown);
        let detail = format!("The Content-Type of the answer is {found}; accepted: {}.", media.accepted());
        Err(self.failed(Reason::ProviderAnswerUnusable, url, &detail).with_expected(media.accepted()).with_found(found))
    }

    fn no_answer(&self, url: &Url, error: &FetchError) -> Rejection {
        if let FetchError::Refused { .. } = error {
            return self
                .failed(Reason::AddressRefused, url, &format!("{}.", capitalised(&error.to_string())))
                .with_found(error.to_string())
                .with_remedy("Use public https addresses; in development, insecure issuers can be allowed.");
        }
        let reason = match error {
            FetchError::Resolved(_) => Reason::AddressRefused,
            _ => Reason::ProviderUnreachable,
        };
        Rejection::unavailable(reason, 503, 1013)
            .with_detail(self.about(url, &format!("{}.", capitalised(&error.to_string()))))
            .with_found(error.to_string())
            .with_remedy("Check that this server can reach the issuer.")
    }

    /// The classes of 2.6: what can pass by itself is transient, anything else needs somebody to change something.
    fn wrong_status(&self, url: &Url, answer: &Response) -> Rejection {
        let body = excerpt(&answer.body);
        let detail = self.about(url, &format!("The answer has status {}: {body}", answer.status));
        let reason = Reason::ProviderAnswerUnusable;
        let rejection = match answer.status {
            404 => Rejection::unavailable(reason, 404, 1000),
            408 | 500.. => Rejection::unavailable(Reason::ProviderUnreachable, 503, 1013),
            429 => Rejection::unavailable(Reason::ProviderUnreachable, 429, 1013),
            status @ (401 | 403) => Rejection::discovery_failed(reason, status),
            _ => Rejection::discovery_failed(reason, 400),
        };
        rejection.with_detail(detail).with_expected("status 200").with_found(format!("status {}", answer.status))
    }

    fn unusable(&self, url: &Url, answer: &Response, why: &str) -> Rejection {
        let detail = format!("The answer cannot be used: {why}. It begins: {}", excerpt(&answer.body));
        self.failed(Reason::ProviderAnswerUnusable, url, &detail).with_found(why)
    }

    fn failed(&self, reason: Reason, url: &Url, detail: &str) -> Rejection {
        Rejection::discovery_failed(reason, 400).with_detail(self.about(url, detail))
    }

    fn about(&self, url: &Url, what: &str) -> String {
        format!("Issuer {}, asked {}: {what}", self.issuer, shown_address(url.as_str()))
    }
}

impl Media {
    fn accepts(self, found: Option<&str>) -> bool {
        let Some(found) = found else { return !matches!(self, Self::CustomKeys) };
        let (essence, parameters) = found.split_once(';').unwrap_or((found, ""));
        let essence = essence.trim().to_ascii_lowercase();
        let is_json = match self {
            Self::Discovery => essence == "application/json",
            Self::OidcKeys | Self::CustomKeys => {
                matches!(essence.as_str(), "application/json" | "application/jwk-set+json")
            }
        };
        is_json && (!matches!(self, Self::CustomKeys) || is_utf8(parameters))
    }

    fn accepted(self) -> &'static str {
        match self {
            Self::Discovery => "application/json",
            Self::OidcKeys => "application/json, application/jwk-set+json",
            Self::CustomKeys => "application/json, application/jwk-set+json (charset utf-8)",
        }
    }
}

/// Whether the parameters of a media type name no other charset than UTF-8.
fn is_utf8(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

/// For how many seconds a document is fresh by its `Cache-Control`.
fn fresh_s(cache_control: Option<&str>) -> u64 {
    let (least, most, unsaid) = FRESH_S;
    let Some(header) = cache_control else { return unsaid };
    let mut age = None;
    for directive in header.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return least,
            "max-age" => age = value.trim().trim_matches('"').parse::<u64>().ok().or(age),
            _ => {}
        }
    }
    age.map_or(unsaid, |seconds| seconds.clamp(least, most))
}

/// The seconds since the epoch of an HTTP date.
fn http_date_s(date: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp().as_second())
}

/// The beginning of a body, fit for a message.
fn excerpt(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(&body[..body.len().min(4 * BODY_SHOWN_MAX)]).into_owned();
    let text: String = text.chars().take(BODY_SHOWN_MAX).collect();
    shown(&text)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
