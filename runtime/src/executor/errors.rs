//! The texts of failures as clients read them, and the request ids that tie them to the log.

use std::fmt;

use sha2::{Digest, Sha256};
use syncline_client_protocol::{RequestId, SessionId};
use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_schema::FunctionPath;

use crate::config::{ERROR_TEXT_BYTES_MAX, Mode};

/// The id of one request: 16 lower-case hex digits, computed when somebody asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestToken(Origin);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Session(SessionId, RequestId),
    Number(u64),
}

impl RequestToken {
    /// The id that clients and tools can compute themselves: of a session's request.
    /// Source: sync-protocol 8.1.
    pub fn of_session(session: SessionId, request: RequestId) -> Self {
        RequestToken(Origin::Session(session, request))
    }

    /// A random one.
    pub fn random() -> Self {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
        RequestToken(Origin::Number(u64::from_be_bytes(bytes)))
    }

    /// One that the caller chose, or a random one when it is not 16 hex digits.
    pub fn given_or_random(given: Option<&str>) -> Self {
        let is_id = |text: &&str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = given.filter(is_id).and_then(|text| u64::from_str_radix(text, 16).ok());
        number.map_or_else(Self::random, |number| RequestToken(Origin::Number(number)))
    }
}

impl fmt::Display for RequestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self.0 {
            Origin::Number(number) => number,
            Origin::Session(session, request) => {
                let digest = Sha256::digest(format!("{session}|{}", request.0));
                digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
            }
        };
        write!(f, "{number:016x}")
    }
}

/// The whole text of a failure as a client reads it.
/// Source: sync-protocol 8.1; in production nothing stands behind `Server Error`.
pub fn client_text(mode: Mode, request: &RequestToken, error: &FunctionError) -> String {
    let head = format!("[Request ID: {request}] Server Error");
    match mode {
        Mode::Production => head,
        Mode::Development => {
            let mut text = cut(&error.message, ERROR_TEXT_BYTES_MAX).to_owned();
            if !text.ends_with('\n') {
                text.push('\n');
            }
            format!("{head}\n{text}")
        }
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn plain(message: String) -> FunctionError {
    FunctionError { message, data: None }
}

/// The function is missing, or looks so to this caller. Same text on purpose (S114).
pub fn not_found(path: &FunctionPath) -> FunctionError {
    plain(format!(
        "Could not find public function for '{}'. Is it listed in `functions![…]` of the application?\n",
        path.short()
    ))
}

/// The text of a path that does not parse.
pub fn bad_path(path: &str, cause: &dyn std::fmt::Display) -> FunctionError {
    plain(format!("The function path {path:?} does not parse: {cause}\n"))
}

/// A query was called as a mutation, or the like.
pub fn wrong_kind(path: &FunctionPath, asked: FunctionKind, is: FunctionKind) -> FunctionError {
    let name = is.with_article();
    plain(format!("{} was called as {}, but it is {name}. Call it as {name}.\n", path.short(), asked.with_article()))
}

/// Arguments or result are over their limit.
pub fn too_large(path: &FunctionPath, what: &str, found: usize, limit: usize) -> FunctionError {
    plain(format!("The {what} of {} are too large: {found} bytes, the limit is {limit} bytes.\n", path.short()))
}

/// The function used more than its own time.
pub fn own_time_over(path: &FunctionPath, used_ms: u128, limit_ms: u128) -> FunctionError {
    plain(format!(
        "{} took too long: {used_ms} ms of its own time, the limit is {limit_ms} ms. Do less in one call, or use an action.\n",
        path.short()
    ))
}

/// The function did not end in time.
pub fn wall_time_over(path: &FunctionPath, limit_ms: u128) -> FunctionError {
    plain(format!(
        "{} did not end within {limit_ms} ms. It waits for something that does not come, or reads too much in one call.\n",
        path.short()
    ))
}

/// The mutation lost several conflicts, ran alone, and kept everybody else waiting for too long.
pub fn turn_too_long(path: &FunctionPath, limit_ms: u128) -> FunctionError {
    plain(format!(
        "ExclusiveTurnTooLong: {} lost to other mutations several times and was then run alone, but did not end within {limit_ms} ms. Let it read less, by a narrower index range.\n",
        path.short()
    ))
}

/// The function panicked.
pub fn panicked(path: &FunctionPath, what: &(dyn std::any::Any + Send)) -> FunctionError {
    let text = what
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| what.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned());
    plain(format!("Uncaught Error: {} panicked: {text}\n", path.short()))
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

    /// spec: S112, S113
    #[test]
    fn production_tells_only_the_request_id() {
        let token = RequestToken::of_session(SessionId(1), RequestId(0));
        let error = FunctionError { message: "Uncaught Error: no\n".into(), data: None };
        let head = format!("[Request ID: {token}] Server Error");
        assert_eq!(client_text(Mode::Production, &token, &error), head);
        assert_eq!(client_text(Mode::Development, &token, &error), format!("{head}\nUncaught Error: no\n"));
    }
}
