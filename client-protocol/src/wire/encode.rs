//! Server messages -> JSON text, member by member as `tests/spec/sync-protocol.md` 3 lists them.

use itoa::{Buffer, Integer};

use super::{write_string, write_timestamp};
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
        Some(skew_ms) => write_number(r#"],"clientClockSkew":"#, skew_ms, out),
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
    write_number(r#","transitionId":""#, chunk.whole.len(), out);
    out.push_str(r#""}"#);
}

fn write_number(member: &str, number: impl Integer, out: &mut String) {
    out.push_str(member);
    out.push_str(Buffer::new().format(number));
}
