//! The ids of requests: they tie what a client reads of a failure to the log.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use sha2::{Digest, Sha256};
use syncline_client_protocol::{RequestId, SessionId};

/// The id of one request: 16 lower-case hex digits, computed when somebody asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestToken(Source);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Session(SessionId, RequestId),
    Number(u64),
}

impl RequestToken {
    /// The id that clients and tools can compute themselves: of a session's request.
    /// Source: sync-protocol 8.1.
    pub fn of_session(session: SessionId, request: RequestId) -> Self {
        RequestToken(Source::Session(session, request))
    }

    /// A random one. It only has to differ from others, as the keys of hash tables do.
    pub fn random() -> Self {
        RequestToken(Source::Number(RandomState::new().build_hasher().finish()))
    }

    /// One from a random number.
    pub fn from_number(number: u64) -> Self {
        RequestToken(Source::Number(number))
    }

    /// One that the caller chose, or a random one when it is not 16 hex digits.
    pub fn given_or_random(given: Option<&str>) -> Self {
        let is_id = |text: &&str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = given.filter(is_id).and_then(|text| u64::from_str_radix(text, 16).ok());
        number.map_or_else(Self::random, |number| RequestToken(Source::Number(number)))
    }
}

impl fmt::Display for RequestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self.0 {
            Source::Number(number) => number,
            Source::Session(session, request) => {
                let digest = Sha256::digest(format!("{session}|{}", request.0));
                digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
            }
        };
        write!(f, "{number:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec: S111
    #[test]
    fn a_sessions_request_id_is_the_one_that_tools_compute() {
        let session = SessionId(0x0b5b_9a4e_8a1f_4d3a_9c7e_2f6a_1d5c_3b21);
        let token = RequestToken::of_session(session, RequestId(7));
        assert_eq!(token.to_string(), "140da210f1623a96");
    }
}
