//! Server messages -> JSON text, member by member as `tests/spec/sync-protocol.md` 3 lists them.

use super::{push_ascii, write_string, write_timestamp};
use crate::message::{
    ActionResponse, AuthError, FailedIdentity, Failure, LogLines, MutationResponse, QueryId, QueryResult,
    ServerMessage, StateModification, StateVersion, Transition, TransitionChunk,
};

pub(super) fn server_message(message: &ServerMessage, out: &mut String) {
    match message {
        ServerMessage::Transition(transition) => write_transition(transition, out),
        ServerMessage::TransitionChunk(chunk) => write_chunk(chunk, out),
        ServerMessage::MutationResponse(response) => write_mutation_response(response, out),
        ServerMessage::ActionResponse(response) => write_action_response(response, out),
        ServerMessage::AuthError(error) => write_auth_error(error, out),
        ServerMessage::FatalError(error) => {
            out.push_str(r#"{"type":"FatalError","error":"#);
            write_string(out, &error.error);
            out.push('}');
        }
        ServerMessage::Ping => out.push_str(r#"{"type":"Ping"}"#),
    }
}

fn write_transition(transition: &Transition, out: &mut String) {
    out.reserve(transition.len_hint());
    out.push_str(r#"{"type":"Transition","startVersion":"#);
    write_version(transition.start_version, out);
    out.push_str(r#","endVersion":"#);
    write_version(transition.end_version, out);
    out.push_str(r#","modifications":["#);
    for (n, modification) in transition.modifications.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        match modification {
            StateModification::Answered { query, result } => write_answered(*query, result, out),
            StateModification::Removed { query } => {
                out.push_str(r#"{"type":"QueryRemoved""#);
                write_number(r#","queryId":"#, query.0, out);
                out.push('}');
            }
        }
    }
    match transition.client_clock_skew_ms {
        Some(skew_ms) => {
            let member = if skew_ms < 0 { r#"],"clientClockSkew":-"# } else { r#"],"clientClockSkew":"# };
            write_number(member, skew_ms.unsigned_abs(), out);
        }
        None => out.push_str(r#"],"clientClockSkew":null"#),
    }
    write_number(r#","serverTs":"#, transition.server_ts_ns, out);
    out.push('}');
}

fn write_version(version: StateVersion, out: &mut String) {
    write_number(r#"{"querySet":"#, version.query_set.0, out);
    write_number(r#","identity":"#, version.identity.0, out);
    out.push_str(r#","ts":""#);
    write_timestamp(out, version.ts);
    out.push_str(r#""}"#);
}

fn write_answered(query: QueryId, result: &QueryResult, out: &mut String) {
    match &result.outcome {
        Ok(value) => {
            write_number(r#"{"type":"QueryUpdated","queryId":"#, query.0, out);
            out.push_str(r#","value":"#);
            out.push_str(value);
        }
        Err(failure) => {
            write_number(r#"{"type":"QueryFailed","queryId":"#, query.0, out);
            write_failure(r#","errorMessage":"#, failure, out);
        }
    }
    write_log_lines(&result.log_lines, out);
    // Always there: clients overwrite the journal they hold with it, with null too.
    match &result.journal {
        Some(journal) => {
            out.push_str(r#","journal":"#);
            write_string(out, journal);
        }
        None => out.push_str(r#","journal":null"#),
    }
    out.push('}');
}

/// Bytes of a response around its value and its log lines, at most.
const RESPONSE_BYTES: usize = 128;

fn write_mutation_response(response: &MutationResponse, out: &mut String) {
    let value = response.outcome.as_ref().map_or(0, |success| success.value.len());
    out.reserve(RESPONSE_BYTES + value + response.log_lines.as_json().len());
    write_number(r#"{"type":"MutationResponse","requestId":"#, response.request.0, out);
    match &response.outcome {
        Ok(success) => {
            out.push_str(r#","success":true,"result":"#);
            out.push_str(&success.value);
            out.push_str(r#","ts":""#);
            write_timestamp(out, success.ts);
            out.push('"');
        }
        Err(failure) => {
            write_failure(r#","success":false,"result":"#, failure, out);
            out.push_str(r#","ts":null"#);
        }
    }
    write_log_lines(&response.log_lines, out);
    out.push('}');
}

fn write_action_response(response: &ActionResponse, out: &mut String) {
    let value = response.outcome.as_ref().map_or(0, |value| value.len());
    out.reserve(RESPONSE_BYTES + value + response.log_lines.as_json().len());
    write_number(r#"{"type":"ActionResponse","requestId":"#, response.request.0, out);
    match &response.outcome {
        Ok(value) => {
            out.push_str(r#","success":true,"result":"#);
            out.push_str(value);
        }
        Err(failure) => write_failure(r#","success":false,"result":"#, failure, out),
    }
    write_log_lines(&response.log_lines, out);
    out.push('}');
}

/// `errorData` is there only if the application attached some: its mere presence changes the class of the error
/// that clients raise.
fn write_failure(member: &str, failure: &Failure, out: &mut String) {
    out.push_str(member);
    write_string(out, &failure.message);
    if let Some(data) = &failure.data {
        out.push_str(r#","errorData":"#);
        out.push_str(data);
    }
}

fn write_log_lines(lines: &LogLines, out: &mut String) {
    out.push_str(r#","logLines":"#);
    out.push_str(lines.as_json());
}

fn write_auth_error(error: &AuthError, out: &mut String) {
    out.push_str(r#"{"type":"AuthError","error":"#);
    write_string(out, &error.error);
    write_number(r#","baseVersion":"#, error.base_version.0, out);
    out.push_str(match error.failed {
        FailedIdentity::Offered => r#","authUpdateAttempted":true}"#,
        FailedIdentity::InUse => r#","authUpdateAttempted":false}"#,
    });
}

fn write_chunk(chunk: &TransitionChunk, out: &mut String) {
    out.reserve(chunk.part.len() + chunk.part.len() / 8);
    out.push_str(r#"{"type":"TransitionChunk","chunk":"#);
    write_string(out, chunk.text());
    write_number(r#","partNumber":"#, chunk.part_number, out);
    write_number(r#","totalParts":"#, chunk.total_parts, out);
    write_number(r#","transitionId":""#, chunk.whole.len() as u64, out);
    out.push_str(r#""}"#);
}

fn write_number(member: &str, number: impl Into<u64>, out: &mut String) {
    const DIGITS_MAX: usize = 20;
    out.push_str(member);
    let (mut digits, mut first, mut rest) = ([0; DIGITS_MAX], DIGITS_MAX, number.into());
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return push_ascii(out, &digits[first..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_number(number: u64) {
        let mut out = String::new();
        write_number("n", number, &mut out);
        assert_eq!(out, format!("n{number}"));
    }

    #[test]
    fn the_least_and_the_greatest_number_are_written() {
        check_number(0);
        check_number(u64::MAX);
    }

    proptest! {
        #[test]
        fn numbers_are_written_in_decimal(number: u64, shift in 0..64_u32) {
            check_number(number >> shift);
        }
    }
}
