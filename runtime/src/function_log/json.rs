//! Parts of the log as tools read them. Source: http-and-cli 7.2.
//!
//! Written straight into the answer: under load a follower is sent thousands of entries a second.

use serde::Serialize;
use syncline_functions::registry::FunctionKind;
use syncline_functions::tx::Usage;
use syncline_schema::FunctionPath;

use super::{Called, Caller, Completion, Event, ExecutionId, Lost, Origin, Part};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// Objects, with level and time: for `npx convex logs` and dashboards.
    Structured,
    /// Texts, as clients read them.
    Text,
}

/// A call that has ended. `identity` is ours: whose call it was, where that was a user's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CompletionEntry<'a> {
    kind: &'static str,
    udf_type: &'static str,
    component_path: (),
    identifier: String,
    log_lines: Vec<Line<'a>>,
    timestamp: f64,
    cached_result: bool,
    execution_time: f64,
    user_execution_time: Option<f64>,
    success: (),
    error: Option<&'a str>,
    request_id: String,
    execution_id: String,
    caller: &'static str,
    parent_execution_id: Option<String>,
    usage_stats: UsageStats,
    return_bytes: Option<usize>,
    occ_info: Option<OccInfo<'a>>,
    will_retry: bool,
    execution_timestamp: f64,
    identity_type: &'static str,
    identity: Option<&'a str>,
    environment: &'static str,
}

/// A line of an action that runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressEntry<'a> {
    kind: &'static str,
    udf_type: &'static str,
    component_path: (),
    identifier: String,
    timestamp: f64,
    log_lines: [Line<'a>; 1],
    request_id: String,
    execution_id: String,
    identity_type: &'static str,
    identity: Option<&'a str>,
}

/// `[LOG] 'text'`, taken apart where that is asked for.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Line<'a> {
    Text(&'a str),
    Structured { messages: [&'a str; 1], is_truncated: bool, timestamp: f64, level: &'a str, system_metadata: () },
}

/// Bytes and documents that this server counts; of what it does not have there are none. `Io` is what the store moves:
/// documents and index keys.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageStats {
    database_read_bytes: u64,
    database_write_bytes: u64,
    database_io_read_bytes: u64,
    database_io_write_bytes: u64,
    database_read_documents: u64,
    database_write_documents: u64,
    storage_read_bytes: u64,
    storage_write_bytes: u64,
    vector_index_read_bytes: u64,
    vector_index_write_bytes: u64,
    text_index_query_bytes: u64,
    text_index_write_query_bytes: u64,
    vector_index_read_query_bytes: u64,
    vector_index_write_query_bytes: u64,
    network_egress_bytes: u64,
    memory_used_mb: u64,
}

/// What a mutation lost to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OccInfo<'a> {
    table_name: Option<&'a str>,
    document_id: Option<&'a str>,
    write_source: (),
    component_path: (),
    retry_count: u32,
}

impl Part {
    /// Appends the part as an entry of the stream.
    pub(crate) fn write_json(&self, format: LineFormat, out: &mut Vec<u8>) {
        let written = match &self.event {
            Event::Completion(completion) => serde_json::to_writer(out, &self.completion(completion, format)),
            Event::Progress(called, line) => serde_json::to_writer(out, &self.progress(called, line, format)),
        };
        written.expect("numbers and texts are JSON, and memory takes it");
    }

    fn progress<'a>(&self, called: &'a Called, line: &'a str, format: LineFormat) -> ProgressEntry<'a> {
        ProgressEntry {
            kind: "Progress",
            udf_type: kind_name(called.kind),
            component_path: (),
            identifier: identifier(called),
            timestamp: self.stamp_ms / 1e3,
            log_lines: [Line::of(line, self.stamp_ms, format)],
            request_id: request_id(called),
            execution_id: execution_id(called.execution),
            identity_type: identity_type(&called.caller),
            identity: called.caller.user(),
        }
    }

    fn completion<'a>(&self, completion: &'a Completion, format: LineFormat) -> CompletionEntry<'a> {
        let Completion { called, started_ns, own, usage, return_bytes, cached, texts: _ } = completion;
        let (lines, error, lost) = (completion.lines(), completion.error(), completion.lost());
        let started_ms = *started_ns as f64 / 1e6;
        CompletionEntry {
            kind: "Completion",
            udf_type: kind_name(called.kind),
            component_path: (),
            identifier: identifier(called),
            log_lines: lines.iter().map(|line| Line::of(line, started_ms, format)).collect(),
            timestamp: self.stamp_ms / 1e3,
            cached_result: *cached,
            execution_time: self.ended_ns.saturating_sub(*started_ns) as f64 / 1e9,
            user_execution_time: own.map(|own| own.as_secs_f64()),
            success: (),
            error,
            request_id: request_id(called),
            execution_id: execution_id(called.execution),
            caller: origin(called.origin),
            parent_execution_id: match called.origin {
                Origin::Action(parent) => Some(execution_id(parent)),
                Origin::Socket | Origin::Http => None,
            },
            usage_stats: usage.into(),
            return_bytes: *return_bytes,
            occ_info: lost.map(OccInfo::from),
            will_retry: lost.is_some(),
            execution_timestamp: started_ms / 1e3,
            identity_type: identity_type(&called.caller),
            identity: called.caller.user(),
            environment: "isolate",
        }
    }
}

impl<'a> Line<'a> {
    fn of(line: &'a str, at_ms: f64, format: LineFormat) -> Self {
        if format == LineFormat::Text {
            return Line::Text(line);
        }
        let parts = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let (level, text) = parts.unwrap_or(("LOG", line));
        let is_truncated = text.ends_with(syncline_functions::log::CUT_MARK);
        Line::Structured { messages: [text], is_truncated, timestamp: at_ms, level, system_metadata: () }
    }
}

impl From<&Usage> for UsageStats {
    fn from(usage: &Usage) -> Self {
        UsageStats {
            database_read_bytes: usage.bytes_read,
            database_write_bytes: usage.bytes_written,
            database_io_read_bytes: usage.bytes_read + usage.index_bytes_read,
            database_io_write_bytes: usage.bytes_written + usage.index_bytes_written,
            database_read_documents: usage.documents_read,
            database_write_documents: usage.documents_written,
            ..UsageStats::default()
        }
    }
}

impl<'a> From<&'a Lost> for OccInfo<'a> {
    fn from(lost: &'a Lost) -> Self {
        OccInfo {
            table_name: lost.table.as_deref(),
            document_id: lost.document.as_deref(),
            write_source: (),
            component_path: (),
            retry_count: lost.attempt,
        }
    }
}

fn kind_name(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Query => "Query",
        FunctionKind::Mutation => "Mutation",
        FunctionKind::Action => "Action",
    }
}

/// `messages:list`, however the caller spelled it.
fn identifier(called: &Called) -> String {
    FunctionPath::parse(&called.path).map_or_else(|_| called.path.to_string(), |path| path.short())
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Socket => "SyncWorker",
        Origin::Http => "HttpApi",
        Origin::Action(_) => "Action",
    }
}

fn identity_type(caller: &Caller) -> &'static str {
    match caller {
        Caller::Anonymous => "unknown",
        Caller::User(_) => "user",
        Caller::Admin => "instance_admin",
        Caller::ActingAs(_) => "member_acting_user",
    }
}

fn execution_id(execution: ExecutionId) -> String {
    uuid::Uuid::from_u64_pair(0, execution.0).to_string()
}

/// What had no request of its own is told apart by its execution.
fn request_id(called: &Called) -> String {
    match &called.request {
        Some(request) => request.to_string(),
        None => format!("{:016x}", called.execution.0),
    }
}
