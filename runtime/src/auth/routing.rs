//! Chooses the provider of a token by issuer and audience together, without keys or network
//! (`spec/auth.md` R4), and says what is wrong when none fits (5.4).

use super::config::Provider;
use super::issuer_url::comparable;
use super::jwt::Claims;
use super::reason::{Check, Reason, Trail};
use super::rejection::{Rejection, shown, shown_list};

/// How many configured providers a message lists.
const LISTED_MAX: usize = 8;

/// What to do when a template sets what Clerk sets itself.
const TEMPLATE_HINT: &str = "Hint: do not set \"iss\" in a Clerk JWT template; Clerk fills it in. Remove \"iss\" and \
    \"sub\" from the claims of the template (Clerk Dashboard, Configure, JWT templates): Clerk sets both itself.";

/// What to do when the audience is missing.
const SESSION_TOKEN_HINT: &str = "Hint: this looks like a plain Clerk session token; create a JWT template named \
    \"convex\" or enable the Convex integration.";

/// What to do when instances are mixed up.
const INSTANCE_HINT: &str = "Hint: use the publishable key and the issuer domain of the same Clerk instance.";

/// What to do when no provider is configured.
const NO_PROVIDER_HINT: &str = "Hint: name the issuer in the server's auth configuration (\"auth.config\").";

/// The providers a token can be for.
#[derive(Clone, Copy)]
pub(super) struct Providers<'a> {
    /// Those of the configuration, in order, and then those of this process.
    pub all: &'a [Provider],
    /// How many are those of the configuration: messages are about these, if there are any.
    pub configured: usize,
}

impl<'a> Providers<'a> {
    /// The first provider that fits issuer and audience of the token.
    ///
    /// # Errors
    /// `NoAuthProvider`, with the most likely mistake.
    pub(super) fn route(self, claims: &Claims<'_>, trail: &mut impl Trail) -> Result<(usize, &'a Provider), Rejection> {
        let fits_audience = |provider: &Provider| match provider.application_id() {
            Some(id) => claims.audience().iter().any(|aud| aud == id),
            None => true,
        };
        let of_issuer = self.all.iter().enumerate().filter(|(_, provider)| provider.issuer().matches(&claims.iss));
        let issuer_known = of_issuer.clone().next();
        if let Some((_, provider)) = issuer_known {
            trail.passed(Check::Issuer, || (shown(provider.issuer().as_str()), shown(&claims.iss)));
        }
        if let Some((index, provider)) = of_issuer.clone().find(|(_, provider)| fits_audience(provider)) {
            trail.passed(Check::Audience, || (expected_audience(provider), found_audience(claims)));
            return Ok((index, provider));
        }
        let candidates: Vec<&Provider> = of_issuer.map(|(_, provider)| provider).collect();
        Err(if candidates.is_empty() {
            self.issuer_unknown(claims)
        } else {
            self.audience_unknown(claims, &candidates)
        })
    }

    /// What a message names as expected when the token has no `iss` at all.
    pub(super) fn expected_issuers(self) -> String {
        let issuers: Vec<&str> = self.named().iter().map(|provider| provider.issuer().as_str()).collect();
        match issuers[..] {
            [] => "no issuer, because no provider is configured".to_owned(),
            [one] => shown(one),
            _ => format!("one of {}", shown_list(&issuers)),
        }
    }

    /// Adds to a refusal for a missing `iss` what would have been expected.
    pub(super) fn explain_missing_issuer(self, rejection: Rejection) -> Rejection {
        let expected = self.expected_issuers();
        rejection.with_detail(format!("Expected: {expected}.")).with_expected(expected).with_remedy(TEMPLATE_HINT)
    }

    fn named(self) -> &'a [Provider] {
        if self.configured > 0 { &self.all[..self.configured] } else { self.all }
    }

    fn issuer_unknown(self, claims: &Claims<'_>) -> Rejection {
        let found = shown(&claims.iss);
        if self.all.is_empty() {
            return Rejection::no_provider(Reason::NoProviders)
                .with_detail(format!("Token issuer: {found}; the list of providers is empty."))
                .with_expected(self.expected_issuers())
                .with_found(found)
                .with_remedy(NO_PROVIDER_HINT);
        }
        let expected = self.expected_issuers();
        let (cause, remedy) = self.likely_cause(&claims.iss);
        let cause = cause.map(|cause| format!(" {cause}")).unwrap_or_default();
        let detail = format!(
            "Token audience: {}. Configured: {}. Token issuer: {found} (expected {expected}).{cause}",
            found_audience(claims),
            self.list()
        );
        Rejection::no_provider(Reason::IssuerMismatch)
            .with_detail(detail)
            .with_expected(expected)
            .with_found(found)
            .with_remedy(remedy)
    }

    /// What is probably meant by an issuer that is not configured.
    fn likely_cause(self, iss: &str) -> (Option<&'static str>, &'static str) {
        let normal = comparable(iss);
        let host = |text: &str| url::Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
        let token_host = host(&normal);
        for provider in self.named() {
            let configured = provider.issuer();
            let without_scheme = |text: &str| text.split_once("://").map(|(_, rest)| rest.to_lowercase());
            if without_scheme(&normal) == without_scheme(configured.as_str().trim_end_matches('/')) {
                return (
                    Some("Issuers differ only by the scheme or by capital letters."),
                    "Hint: write the issuer into the auth config exactly as tokens name it.",
                );
            }
            let (Some(token), Some(expected)) = (&token_host, host(configured.as_str())) else { continue };
            match (is_clerk_development(token), is_clerk_development(&expected)) {
                (true, false) if expected.starts_with("clerk.") => {
                    return (
                        Some(
                            "Token comes from a Clerk development instance but the config names a production instance.",
                        ),
                        INSTANCE_HINT,
                    );
                }
                (false, true) if token.starts_with("clerk.") => {
                    return (
                        Some(
                            "Token comes from a Clerk production instance but the config names a development instance.",
                        ),
                        INSTANCE_HINT,
                    );
                }
                _ => {}
            }
        }
        let is_address = iss.contains("://");
        let clerk_expected = self.named().iter().any(|provider| {
            provider.application_id() == Some(super::config::Clerk::AUDIENCE)
                || host(provider.issuer().as_str()).is_some_and(|host| host.contains("clerk."))
        });
        match (is_address, clerk_expected) {
            (false, true) => (None, TEMPLATE_HINT),
            _ => (
                None,
                "Hint: the issuer of the token and the one in the auth config have to be the same; check the \
                 environment variable that holds it on this deployment.",
            ),
        }
    }

    fn audience_unknown(self, claims: &Claims<'_>, candidates: &[&Provider]) -> Rejection {
        let expected: Vec<&str> = candidates.iter().filter_map(|provider| provider.application_id()).collect();
        let expected = match expected[..] {
            [one] => shown(one),
            _ => format!("one of {}", shown_list(&expected)),
        };
        let (reason, detail, remedy) = match &claims.aud {
            None => (
                Reason::AudienceMissing,
                format!("Issuer matched, but the token has no \"aud\" (expected {expected})."),
                SESSION_TOKEN_HINT,
            ),
            Some(_) => (
                Reason::AudienceMismatch,
                format!("Issuer matched; token aud: {}; expected {expected}.", found_audience(claims)),
                "Hint: set \"aud\" in the token's template to the applicationID of the auth config.",
            ),
        };
        let detail = format!("Token issuer: {}. Configured: {}. {detail}", shown(&claims.iss), self.list());
        Rejection::no_provider(reason)
            .with_detail(detail)
            .with_expected(expected)
            .with_found(found_audience(claims))
            .with_remedy(remedy)
    }

    fn list(self) -> String {
        let named = self.named();
        let mut text = named
            .iter()
            .take(LISTED_MAX)
            .map(|provider| {
                let audience = match provider.application_id() {
                    Some(id) => format!("applicationID {}", shown(id)),
                    None => "no applicationID".to_owned(),
                };
                format!("{} {} with {audience}", provider.kind(), shown(provider.issuer().as_str()))
            })
            .collect::<Vec<_>>()
            .join("; ");
        if named.len() > LISTED_MAX {
            text.push_str(&format!("; and {} more", named.len() - LISTED_MAX));
        }
        text
    }
}

/// What a provider asks for as audience, for a message.
pub(super) fn expected_audience(provider: &Provider) -> String {
    provider.application_id().map_or_else(|| "any".to_owned(), shown)
}

/// What a token has as audience, for a message.
pub(super) fn found_audience(claims: &Claims<'_>) -> String {
    claims.aud.as_ref().map_or_else(|| "none".to_owned(), |aud| shown_list(aud))
}

fn is_clerk_development(host: &str) -> bool {
    host.ends_with(".clerk.accounts.dev")
}
