//! Which client is at the other end: read from the upgrade request before there is a session.
//!
//! The rules are those of `tests/spec/sync-protocol.md` 1.3. Only three decisions hang on a version, and each compares
//! with a released version, so no more of semantic versioning is here than they need.

use std::fmt;

/// A client library and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientVersion {
    /// Lower case, `unknown` if the client did not say.
    pub name: String,
    /// `None` if the version is not a semantic one.
    version: Option<Version>,
    /// As the client wrote it.
    text: String,
}

/// The part of a semantic version that our bounds look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    numbers: (u64, u64, u64),
    is_pre_release: bool,
}

/// What becomes of a client of some version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// Let it in.
    Supported,
    /// Let it in, and tell it this in the header for deprecations.
    UpgradeRequired(String),
    /// Refuse it with `ClientVersionUnsupported` and this message.
    Unsupported(String),
}

/// Neither a semantic version nor `<name>-<version>`: refuse the upgrade with `InvalidClientVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidClientVersion {
    place: &'static str,
    found: String,
    expected: &'static str,
}

impl fmt::Display for InvalidClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} is {:?}; expected {}", self.place, self.found, self.expected)
    }
}

impl std::error::Error for InvalidClientVersion {}

/// A family of clients that share version numbers, and the last of them that no longer work here.
struct Gate {
    names: &'static [&'static str],
    unsupported_max: (u64, u64, u64),
    upgrade_required_max: (u64, u64, u64),
}

/// Source: `tests/spec/sync-protocol.md` 1.3. Clients that are not listed are let in whatever their version.
const GATES: [Gate; 3] = [
    Gate { names: &["npm", "npm-cli", "actions"], unsupported_max: (0, 19, 1), upgrade_required_max: (0, 19, 1) },
    Gate { names: &["python", "python-convex"], unsupported_max: (0, 0, 2), upgrade_required_max: (0, 2, 0) },
    Gate { names: &["rust"], unsupported_max: (0, 0, 1), upgrade_required_max: (0, 0, 1) },
];

/// The first npm release that puts `TransitionChunk`s together. Source: `tests/spec/sync-protocol.md` 1.9.
const FIRST_NPM_WITH_CHUNKS: (u64, u64, u64) = (1, 28, 0);

impl Default for ClientVersion {
    fn default() -> Self {
        ClientVersion { name: "unknown".to_owned(), version: None, text: "unknownversion".to_owned() }
    }
}

impl fmt::Display for ClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.text)
    }
}

impl ClientVersion {
    /// Reads the `Convex-Client` header or else the version in the path, `/api/<version>/sync`.
    ///
    /// A header that is not ASCII counts as absent, so hand over `None` for it.
    pub fn parse(header: Option<&str>, path: Option<&str>) -> Result<ClientVersion, InvalidClientVersion> {
        match (header, path) {
            (Some(header), _) => ClientVersion::from_header(header),
            (None, Some(path)) => ClientVersion::from_path(path),
            (None, None) => Ok(ClientVersion::default()),
        }
    }

    fn from_path(path: &str) -> Result<ClientVersion, InvalidClientVersion> {
        match Version::parse(path) {
            Some(version) => {
                Ok(ClientVersion { name: "npm".to_owned(), version: Some(version), text: path.to_owned() })
            }
            None => Err(InvalidClientVersion {
                place: "version in the path /api/<version>/sync",
                found: path.to_owned(),
                expected: "a semantic version such as 1.28.0",
            }),
        }
    }

    /// The longest suffix that is a version is the version: names and pre-releases both may hold hyphens.
    fn from_header(header: &str) -> Result<ClientVersion, InvalidClientVersion> {
        let hyphens = header.match_indices('-').map(|(at, _)| at);
        let versioned = hyphens.clone().find_map(|at| Some((at, Version::parse(&header[at + 1..])?)));
        let (at, version) = match versioned {
            Some((at, version)) => (at, Some(version)),
            None => match hyphens.min() {
                Some(at) => (at, None),
                None => {
                    return Err(InvalidClientVersion {
                        place: "header Convex-Client",
                        found: header.to_owned(),
                        expected: "<name>-<version> such as rust-0.10.4",
                    });
                }
            },
        };
        Ok(ClientVersion { name: header[..at].to_lowercase(), version, text: header[at + 1..].to_owned() })
    }

    /// Whether this client is let in.
    pub fn support(&self) -> Support {
        let Some(gate) = GATES.iter().find(|gate| gate.names.contains(&self.name.as_str())) else {
            return Support::Supported;
        };
        // A version that is none counts as older than all.
        let is_at_most = |bound| self.version.is_none_or(|version| version.numbers <= bound);
        let advice = |(major, minor, patch)| {
            format!(
                "the client is {} {}; this server works with versions above {major}.{minor}.{patch}: \
                 upgrade the client library",
                self.name, self.text
            )
        };
        if is_at_most(gate.unsupported_max) {
            Support::Unsupported(advice(gate.unsupported_max))
        } else if is_at_most(gate.upgrade_required_max) {
            Support::UpgradeRequired(advice(gate.upgrade_required_max))
        } else {
            Support::Supported
        }
    }

    /// Whether this client expects int64 and bytes in their encoded form from HTTP calls that name no format.
    ///
    /// Source: `tests/spec/data-and-functions.md` 1.8: those that came before the looser form.
    pub fn reads_encoded_json_by_default(&self) -> bool {
        let first_without = match self.name.as_str() {
            "npm" | "npm-cli" | "actions" => (1, 4, 1),
            "python" | "python-convex" => (0, 5, 0),
            _ => return false,
        };
        self.version.is_some_and(|version| !version.is_release_at_least(first_without))
    }

    /// Whether this client puts a Transition together that comes in parts; others fail on it.
    pub fn reads_transition_chunks(&self) -> bool {
        self.name == "npm" && self.version.is_some_and(|version| version.is_release_at_least(FIRST_NPM_WITH_CHUNKS))
    }
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (numbers, pre_release) = text.split_once('-').map_or((text, None), |(text, pre)| (text, Some(pre)));
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_pre_release_part = |part: &str| {
            let is_number = part.bytes().all(|b| b.is_ascii_digit());
            is_word(part) && (!is_number || part == "0" || !part.starts_with('0'))
        };
        if !pre_release.is_none_or(|pre| pre.split('.').all(is_pre_release_part)) {
            return None;
        }
        if !build.is_none_or(|build| build.split('.').all(is_word)) {
            return None;
        }
        let mut parts = numbers.split('.').map(number);
        let numbers = (parts.next()??, parts.next()??, parts.next()??);
        match parts.next() {
            Some(_) => None,
            None => Some(Version { numbers, is_pre_release: pre_release.is_some() }),
        }
    }

    /// A pre-release comes before its release, and after every earlier one.
    fn is_release_at_least(self, bound: (u64, u64, u64)) -> bool {
        self.numbers > bound || self.numbers == bound && !self.is_pre_release
    }
}

/// A number of a semantic version: digits without a needless zero in front.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_number && (text == "0" || !text.starts_with('0')) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn support(header: Option<&str>, path: Option<&str>) -> String {
        match ClientVersion::parse(header, path) {
            Ok(client) => match client.support() {
                Support::Supported => format!("{client} supported"),
                Support::UpgradeRequired(_) => format!("{client} upgrade required"),
                Support::Unsupported(_) => format!("{client} unsupported"),
            },
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_path_must_hold_a_semantic_version() {
        assert_eq!(support(None, Some("1.48.0")), "npm-1.48.0 supported");
        assert_eq!(support(None, Some("1.28.0-alpha.1+build.5")), "npm-1.28.0-alpha.1+build.5 supported");
        for path in
            ["abc", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-a..b", "1.2.3-01", "1.2.3+", "+1.2.3", "1.2.-3", ""]
        {
            let error = support(None, Some(path));
            assert!(error.contains(&format!("{path:?}")) && error.contains("such as 1.28.0"), "{path}: {error}");
        }
    }

    #[test]
    fn a_header_wins_over_the_path() {
        assert_eq!(support(Some("npm-0.18.0"), Some("1.48.0")), "npm-0.18.0 unsupported");
        assert_eq!(support(Some("Rust-0.10.4"), Some("nonsense")), "rust-0.10.4 supported");
        assert_eq!(
            support(Some("foo"), Some("1.48.0")),
            "the header Convex-Client is \"foo\"; expected <name>-<version> such as rust-0.10.4"
        );
    }

    #[test]
    fn unknown_clients_are_let_in() {
        assert_eq!(support(Some("zig-0.0.1"), None), "zig-0.0.1 supported");
        assert_eq!(support(Some("zig-nonsense"), None), "zig-nonsense supported");
        assert_eq!(support(None, None), "unknown-unknownversion supported");
    }

    #[test]
    fn the_longest_version_at_the_end_of_a_header_counts() {
        assert_eq!(ClientVersion::parse(Some("npm-cli-1.2.3-alpha.1"), None).unwrap().name, "npm-cli");
        assert_eq!(ClientVersion::parse(Some("streaming-import-0.1.0"), None).unwrap().name, "streaming-import");
        assert_eq!(ClientVersion::parse(Some("npm-cli-latest"), None).unwrap().name, "npm");
    }

    #[test]
    fn bounds_are_inclusive_and_unreadable_versions_are_below_them() {
        for (header, expected) in [
            ("npm-0.19.1", "unsupported"),
            ("npm-0.19.1-alpha", "unsupported"),
            ("npm-0.19.2-alpha", "supported"),
            ("python-0.0.2", "unsupported"),
            ("python-convex-0.2.0", "upgrade required"),
            ("python-0.2.1", "supported"),
            ("rust-0.0.1", "unsupported"),
            ("rust-unknown", "unsupported"),
        ] {
            assert_eq!(support(Some(header), None), format!("{header} {expected}"));
        }
        let Support::Unsupported(message) = ClientVersion::parse(Some("rust-0.0.1"), None).unwrap().support() else {
            panic!("not refused");
        };
        assert!(message.contains("rust 0.0.1") && message.contains("above 0.0.1"), "{message}");
    }

    #[test]
    fn only_npm_from_1_28_reads_chunks() {
        let reads = |header| ClientVersion::parse(Some(header), None).unwrap().reads_transition_chunks();
        assert!(reads("npm-1.28.0") && reads("npm-1.28.1-alpha.0") && reads("npm-2.0.0"));
        assert!(!reads("npm-1.27.9") && !reads("npm-1.28.0-alpha.1") && !reads("npm-unknown"));
        assert!(!reads("rust-1.28.0") && !reads("python-1.28.0") && !reads("npm-cli-1.28.0"));
        assert!(!ClientVersion::default().reads_transition_chunks());
    }
}
