//! The address that names an issuer, and the rules a configured one has to keep
//! (`spec/auth.md` 1.3).

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// The top-level domains that IANA has delegated, one a line, sorted, in their ASCII form.
const TOP_LEVEL_DOMAINS: &str = include_str!("top_level_domains.txt");

/// The issuer of a configured provider.
///
/// Kept as it was typed but for two things: a missing `https://` is added, and blanks around it are removed.
/// A slash at the end stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IssuerUrl {
    text: String,
    /// The same with scheme and host in lower case, as most issuers write themselves.
    lower: String,
    url: Url,
}

impl IssuerUrl {
    /// Applies the rules of 1.3 in their order.
    ///
    /// # Errors
    /// The first rule that `typed` breaks.
    pub fn parse(typed: &str) -> Result<Self, IssuerUrlError> {
        let error = |rule| IssuerUrlError { typed: typed.to_owned(), rule };
        let trimmed = typed.trim();
        if trimmed.starts_with('"') {
            return Err(error(IssuerRule::Quoted));
        }
        if trimmed.chars().any(char::is_control) {
            return Err(error(IssuerRule::Unparseable("it holds a control character".to_owned())));
        }
        let schemeless = !has_scheme(trimmed);
        let text = if schemeless { format!("https://{trimmed}") } else { trimmed.to_owned() };
        let url = Url::parse(&text).map_err(|found| error(IssuerRule::Unparseable(found.to_string())))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error(IssuerRule::Scheme(url.scheme().to_owned())));
        }
        if schemeless && !has_public_host(&url) {
            return Err(error(IssuerRule::NotPublic(url.host_str().unwrap_or_default().to_owned())));
        }
        Ok(Self { lower: lower_case_origin(&text), text, url })
    }

    /// The issuer as it was configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The issuer as an address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where the discovery document of this issuer stands.
    pub fn discovery_url(&self) -> Result<Url, url::ParseError> {
        Url::parse(&format!("{}/.well-known/openid-configuration", self.text.trim_end_matches('/')))
    }

    /// Whether the host is this machine itself.
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(&self.url)
    }

    /// Whether a token's `iss` names this issuer (step R4): compared byte by byte after a missing `https://` is added
    /// to the claim and all slashes at the end of both are cut off. Of a configured issuer with capital letters in
    /// scheme or host, the spelling without them matches too.
    pub fn matches(&self, claim: &str) -> bool {
        let claim = comparable(claim);
        [&self.text, &self.lower].iter().any(|configured| configured.trim_end_matches('/') == claim)
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A token's `iss` as step R4 compares it.
pub(super) fn comparable(claim: &str) -> String {
    let prefix = if claim.starts_with("https://") || claim.starts_with("http://") { "" } else { "https://" };
    format!("{prefix}{}", claim.trim_end_matches('/'))
}

/// Whether the host of an address is this machine itself: `localhost`, a name below it, or a loopback address.
pub(super) fn is_loopback_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once("://") else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Rule 5: `localhost`, or a name under a top-level domain that exists.
fn has_public_host(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else { return false };
    if name == "localhost" {
        return true;
    }
    match name.rsplit_once('.') {
        Some((_, last)) => TOP_LEVEL_DOMAINS.lines().any(|known| known == last),
        None => false,
    }
}

/// Scheme and host in lower case; user information, path and the rest as they are.
fn lower_case_origin(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host_start = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = authority.split_at(host_start);
    format!("{}://{user}{}{tail}", scheme.to_lowercase(), host.to_lowercase())
}

/// Why an issuer cannot be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrlError {
    /// The value as it was written.
    pub typed: String,
    /// The rule it breaks.
    pub rule: IssuerRule,
}

/// The rules of 1.3 that a value can break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerRule {
    /// It begins with a quotation mark.
    Quoted,
    /// It is no URL; why not.
    Unparseable(String),
    /// Its scheme, given here, is neither http nor https.
    Scheme(String),
    /// It has no scheme, and its host, given here, is not a public name.
    NotPublic(String),
}

impl fmt::Display for IssuerUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not usable as an issuer: ", self.typed)?;
        match &self.rule {
            IssuerRule::Quoted => f.write_str(
                "it begins with a quotation mark, which is likely to have been pasted into the variable together \
                 with the value; store it without the quotation marks",
            ),
            IssuerRule::Unparseable(reason) => write!(f, "it is not a URL ({reason})"),
            IssuerRule::Scheme(found) => write!(f, "its scheme is {found:?}; write https:// or http://"),
            IssuerRule::NotPublic(host) => write!(
                f,
                "it has no scheme, and the host {host:?} is neither localhost nor a name under a known top-level \
                 domain; write the whole address, for example https://{host}"
            ),
        }
    }
}

impl std::error::Error for IssuerUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    enum Outcome {
        Kept(&'static str),
        Quoted,
        Unparseable,
        Scheme,
        NotPublic,
    }

    fn check(typed: &str, expected: Outcome) {
        let found = IssuerUrl::parse(typed);
        let fits = match (&found, &expected) {
            (Ok(url), Outcome::Kept(text)) => url.as_str() == *text,
            (Err(error), expected) => {
                assert!(error.to_string().starts_with(&format!("{typed:?}")), "{error}");
                matches!(
                    (&error.rule, expected),
                    (IssuerRule::Quoted, Outcome::Quoted)
                        | (IssuerRule::Unparseable(_), Outcome::Unparseable)
                        | (IssuerRule::Scheme(_), Outcome::Scheme)
                        | (IssuerRule::NotPublic(_), Outcome::NotPublic)
                )
            }
            (Ok(_), _) => false,
        };
        assert!(fits, "{typed:?}: expected {expected:?}, found {found:?}");
    }

    /// spec: A2
    #[test]
    fn an_issuer_keeps_the_rules_in_their_order() {
        check("https://quiet-ox-46.clerk.accounts.dev", Outcome::Kept("https://quiet-ox-46.clerk.accounts.dev"));
        check("https://quiet-ox-46.clerk.accounts.dev/", Outcome::Kept("https://quiet-ox-46.clerk.accounts.dev/"));
        check("quiet-ox-46.clerk.accounts.dev", Outcome::Kept("https://quiet-ox-46.clerk.accounts.dev"));
        check("localhost:3000", Outcome::Kept("https://localhost:3000"));
        check("http://127.0.0.1", Outcome::Kept("http://127.0.0.1"));
        check("https://x.dev/api/auth", Outcome::Kept("https://x.dev/api/auth"));
        check(" https://x.dev ", Outcome::Kept("https://x.dev"));
        check("HTTPS://X.dev/Path", Outcome::Kept("HTTPS://X.dev/Path"));
        check("\"https://x.dev\"", Outcome::Quoted);
        check("127.0.0.1", Outcome::NotPublic);
        check("pk_test_abc", Outcome::NotPublic);
        check("undefined", Outcome::NotPublic);
        check("a.internal", Outcome::NotPublic);
        check("a.not-a-domain", Outcome::NotPublic);
        check("", Outcome::Unparseable);
        check("https://", Outcome::Unparseable);
        check("https://x.dev\u{7}y", Outcome::Unparseable);
        check("ftp://x.dev", Outcome::Scheme);
        check("data://x", Outcome::Scheme);
    }

    /// spec: A11
    #[test]
    fn slashes_at_the_end_and_a_missing_scheme_do_not_matter_for_a_match() {
        let plain = IssuerUrl::parse("https://x.dev").unwrap();
        let slash = IssuerUrl::parse("https://x.dev//").unwrap();
        for claim in ["https://x.dev", "https://x.dev/", "https://x.dev///", "x.dev", "x.dev/"] {
            assert!(plain.matches(claim) && slash.matches(claim), "{claim}");
        }
        for claim in [
            "http://x.dev",
            "https://X.dev",
            "HTTPS://x.dev",
            "https://x.dev.evil.dev",
            "https://good@x.dev",
            "https://x.dev@evil.dev",
            "https://x.dev:443",
            "https://x.dev/a",
            " https://x.dev",
            "https://х.dev",
            "",
        ] {
            assert!(!plain.matches(claim), "{claim}");
        }
    }

    #[test]
    fn capital_letters_in_a_configured_host_match_as_typed_and_in_lower_case() {
        let typed = IssuerUrl::parse("HTTPS://Tenant.X.dev/Path").unwrap();
        for (claim, expected) in [
            ("https://tenant.x.dev/Path", true),
            ("https://tenant.x.dev/path", false),
            ("https://Tenant.x.dev/Path", false),
        ] {
            assert_eq!(typed.matches(claim), expected, "{claim}");
        }
        assert!(IssuerUrl::parse("https://Tenant.x.dev").unwrap().matches("https://Tenant.x.dev/"));
    }

    #[test]
    fn the_discovery_document_stands_below_the_issuer_whatever_its_slashes() {
        for typed in ["https://x.dev/a", "https://x.dev/a/", "https://x.dev/a//"] {
            let url = IssuerUrl::parse(typed).unwrap().discovery_url().unwrap();
            assert_eq!(url.as_str(), "https://x.dev/a/.well-known/openid-configuration");
        }
    }

    #[test]
    fn loopback_hosts_are_known_by_name_and_by_address() {
        for typed in [
            "http://localhost:1",
            "http://a.localhost",
            "http://127.8.0.1",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(IssuerUrl::parse(typed).unwrap().is_loopback(), "{typed}");
        }
        for typed in ["http://localhost.dev", "http://10.0.0.1", "http://[::2]", "http://128.0.0.1"] {
            assert!(!IssuerUrl::parse(typed).unwrap().is_loopback(), "{typed}");
        }
    }
}
