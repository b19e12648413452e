//! The texts of failures as clients read them.

use syncline_functions::registry::{FunctionError, FunctionKind};
use syncline_schema::FunctionPath;

use crate::config::{ERROR_TEXT_BYTES_MAX, Mode};
use crate::request::RequestToken;

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
///
/// Whoever may call internal functions is not told of public ones: the official tool looks for the words that are left
/// and lists the functions there are.
pub fn not_found(path: &FunctionPath, seen: Seen) -> FunctionError {
    let what = match seen {
        Seen::Public => "public function",
        Seen::All => "function",
    };
    plain(format!(
        "Could not find {what} for '{}'. Is it listed in `functions![…]` of the application?\n",
        path.short()
    ))
}

/// Which functions a caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Public ones.
    Public,
    /// Internal ones too.
    All,
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
    use syncline_client_protocol::{RequestId, SessionId};

    use super::*;

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
