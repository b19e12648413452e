//! A refusal that says which rule failed, what was expected, what was found and what to do.
//!
//! What a client may read and what only the log gets are separate parts of it, decided where it is made.

use std::fmt;

use super::reason::Reason;

/// The longest text from outside that is repeated in a message, in characters.
///
/// Longer than any real issuer; short enough that a hostile token cannot fill the log.
const SHOWN_MAX: usize = 200;

/// What the caller does about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The token is refused: an `AuthError` on a socket.
    Rejected,
    /// Nothing is known against the token: the socket closes with [`Rejection::close_code`] and no `AuthError`,
    /// so that nobody is signed out.
    Unavailable,
}

/// How much a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redaction {
    /// Everything that helps to set things right.
    Development,
    /// The code and one sentence.
    Redacted,
}

/// What is known of a token that was looked at, fit for a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// `iss`, shortened.
    pub issuer: Option<String>,
    /// `aud`, shortened.
    pub audience: Option<String>,
    /// The last four characters of `sub`.
    pub subject_tail: Option<String>,
    /// Seconds until `exp`; negative when it has passed.
    pub expires_in_s: Option<i64>,
}

/// Why a token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    reason: Reason,
    code: &'static str,
    class: Class,
    http_status: u16,
    close_code: u16,
    /// Fit for every client, in production too.
    sentence: String,
    /// For clients in development and for the log.
    detail: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    remedy: Option<String>,
    facts: TokenFacts,
}

/// The one sentence for every refusal by the rules of an OIDC provider: no client can tell them apart.
const NOT_ACCEPTED: &str = "The token was not accepted by the rules of its provider.";

/// The one sentence for a token no configured provider fits.
const NO_PROVIDER: &str = "No configured provider fits the token.";

/// The one sentence for keys that could not be had.
const NO_KEYS: &str = "The keys of the token's provider could not be obtained.";

impl Rejection {
    /// The code of a token that cannot be read or, for customJwt, not verified.
    pub const INVALID_AUTH_HEADER: &str = "InvalidAuthHeader";
    /// The code of a token from nowhere that is configured.
    pub const NO_AUTH_PROVIDER: &str = "NoAuthProvider";
    /// The code of an OIDC token that breaks a rule of its provider.
    pub const UNAUTHENTICATED: &str = "Unauthenticated";
    /// The code of an issuer whose keys could not be had.
    pub const DISCOVERY_FAILED: &str = "AuthProviderDiscoveryFailed";
    /// The code of a mistake on this side.
    pub const INTERNAL: &str = "InternalServerError";

    fn new(reason: Reason, code: &'static str, sentence: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            reason,
            code,
            class: Class::Rejected,
            http_status: 401,
            close_code: 1005,
            sentence: sentence.into(),
            detail: None,
            expected: None,
            found: None,
            remedy: None,
            facts: TokenFacts::default(),
        }))
    }

    pub(super) fn invalid_header(reason: Reason, sentence: impl Into<String>) -> Self {
        Self::new(reason, Self::INVALID_AUTH_HEADER, sentence)
    }

    pub(super) fn no_provider(reason: Reason) -> Self {
        Self::new(reason, Self::NO_AUTH_PROVIDER, NO_PROVIDER)
    }

    /// The class V of `spec/auth.md` 2.2.
    pub(super) fn unauthenticated(reason: Reason) -> Self {
        Self::new(reason, Self::UNAUTHENTICATED, NOT_ACCEPTED)
    }

    /// The keys could not be had, and trying again cannot help: the issuer or the configuration has to change.
    pub(super) fn discovery_failed(reason: Reason, http_status: u16) -> Self {
        let mut rejection = Self::new(reason, Self::DISCOVERY_FAILED, NO_KEYS);
        rejection.0.http_status = http_status;
        rejection
    }

    /// The keys could not be had, and it is not known that they cannot be had later.
    pub(super) fn unavailable(reason: Reason, http_status: u16, close_code: u16) -> Self {
        let mut rejection = Self::discovery_failed(reason, http_status);
        rejection.0.class = Class::Unavailable;
        rejection.0.close_code = close_code;
        rejection
    }

    /// The configuration is at fault in a way that is found only now.
    pub(super) fn internal(reason: Reason) -> Self {
        let mut rejection = Self::new(reason, Self::INTERNAL, "The server cannot verify tokens of this provider.");
        rejection.0.class = Class::Unavailable;
        rejection.0.http_status = 500;
        rejection.0.close_code = 1011;
        rejection
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub(super) fn with_expected(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }

    pub(super) fn with_found(mut self, found: impl Into<String>) -> Self {
        self.0.found = Some(found.into());
        self
    }

    pub(super) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    pub(super) fn with_facts(mut self, facts: TokenFacts) -> Self {
        self.0.facts = facts;
        self
    }

    /// Which rule was broken.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The code that clients and tools know, for example `NoAuthProvider`.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Whether the token is refused, or nothing can be said of it now.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The status of an HTTP answer with this refusal.
    pub fn http_status(&self) -> u16 {
        self.0.http_status
    }

    /// The close code of a socket. 1005 stands for a Close frame without a code, as after an `AuthError`;
    /// any other goes with [`Rejection::code`] as the reason.
    pub fn close_code(&self) -> u16 {
        self.0.close_code
    }

    /// What the rule asks for. For the log: it may name configured values.
    pub fn expected(&self) -> Option<&str> {
        self.0.expected.as_deref()
    }

    /// What the token or the provider has instead.
    pub fn found(&self) -> Option<&str> {
        self.0.found.as_deref()
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// What is known of the token.
    pub fn facts(&self) -> &TokenFacts {
        &self.0.facts
    }

    /// The first sentence, and in development the detail and the remedy, without the code: what the member
    /// `message` of an HTTP answer holds.
    pub fn message(&self, redaction: Redaction) -> String {
        let mut text = self.0.sentence.clone();
        if redaction == Redaction::Development {
            for part in [&self.0.detail, &self.0.remedy].into_iter().flatten() {
                text.push(' ');
                text.push_str(part);
            }
        }
        text
    }

    /// The text of an `AuthError`: it begins with the code.
    pub fn client_text(&self, redaction: Redaction) -> String {
        format!("{}: {}", self.0.code, self.message(redaction))
    }

    /// What went wrong with this token, in one sentence for its owner.
    pub fn summary(&self) -> &str {
        self.0.detail.as_deref().unwrap_or(&self.0.sentence)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.client_text(Redaction::Development))
    }
}

impl std::error::Error for Rejection {}

/// A text from outside as it may stand in a message or the log: in quotation marks, escaped, shortened.
pub(super) fn shown(text: &str) -> String {
    let mut quoted = String::from("\"");
    for (position, c) in text.chars().enumerate() {
        if position == SHOWN_MAX {
            quoted.push_str("\"...");
            return quoted;
        }
        quoted.extend(c.escape_debug());
    }
    quoted.push('"');
    quoted
}

/// An address that somebody else chose, shortened: it has been parsed, so it has nothing to escape.
pub(super) fn shown_address(address: &str) -> String {
    match address.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &address[..end]),
        None => address.to_owned(),
    }
}

/// Several texts from outside: the first few, and how many more there are.
pub(super) fn shown_list<T: AsRef<str>>(texts: &[T]) -> String {
    const LISTED_MAX: usize = 5;
    let listed: Vec<String> = texts.iter().take(LISTED_MAX).map(|text| shown(text.as_ref())).collect();
    let more = texts.len().saturating_sub(LISTED_MAX);
    let tail = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("[{}{tail}]", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_in_production_reads_code_and_sentence_only() {
        let rejection =
            Rejection::unauthenticated(Reason::Expired).with_detail("Token expired.").with_remedy("Renew it.");
        assert_eq!(rejection.client_text(Redaction::Redacted), format!("Unauthenticated: {NOT_ACCEPTED}"));
        let full = format!("Unauthenticated: {NOT_ACCEPTED} Token expired. Renew it.");
        assert_eq!(rejection.client_text(Redaction::Development), full);
        assert_eq!(rejection.to_string(), full);
        assert_eq!(rejection.message(Redaction::Redacted), NOT_ACCEPTED);
    }

    #[test]
    fn codes_of_reasons_are_unique_and_in_snake_case() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(codes.iter().all(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }

    #[test]
    fn texts_from_outside_are_escaped_and_shortened() {
        assert_eq!(shown("a\n\"\u{1b}[31m\u{202e}"), r#""a\n\"\u{1b}[31m\u{202e}""#);
        assert_eq!(shown(&"é".repeat(1000)), format!("\"{}\"...", "é".repeat(SHOWN_MAX)));
        assert_eq!(shown_address("https://a.test/é"), "https://a.test/é");
        assert_eq!(shown_address(&"é".repeat(1000)), format!("{}...", "é".repeat(SHOWN_MAX)));
        assert_eq!(shown_list(&["a", "b"]), r#"["a", "b"]"#);
        assert!(shown_list(&["x"; 9]).ends_with(", and 4 more]"));
    }
}
