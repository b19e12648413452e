//! Parts of the log as tools read them. Source: http-and-cli 7.2.

use serde_json::{Value as Json, json};
use syncline_functions::registry::FunctionKind;
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

impl Part {
    /// The part as an entry of the stream.
    pub(crate) fn to_json(&self, format: LineFormat) -> Json {
        match &self.event {
            Event::Completion(completion) => self.completion(completion, format),
            Event::Progress(called, line) => json!({
                "kind": "Progress",
                "udfType": kind_name(called.kind),
                "componentPath": null,
                "identifier": identifier(called),
                "timestamp": self.stamp_ms / 1e3,
                "logLines": [line_json(line, self.stamp_ms, format)],
                "requestId": request_id(called),
                "executionId": execution_id(called.execution),
                "identityType": identity_type(&called.caller),
                "identity": called.caller.user(),
            }),
        }
    }

    fn completion(&self, completion: &Completion, format: LineFormat) -> Json {
        let Completion { called, started_ns, own, lines, error, usage, return_bytes, cached, lost } = completion;
        let started_ms = *started_ns as f64 / 1e6;
        let lines: Vec<Json> = lines.iter().map(|line| line_json(line, started_ms, format)).collect();
        let parent = match called.origin {
            Origin::Action(parent) => Some(execution_id(parent)),
            Origin::Socket | Origin::Http => None,
        };
        json!({
            "kind": "Completion",
            "udfType": kind_name(called.kind),
            "componentPath": null,
            "identifier": identifier(called),
            "logLines": lines,
            "timestamp": self.stamp_ms / 1e3,
            "cachedResult": cached,
            "executionTime": self.ended_ns.saturating_sub(*started_ns) as f64 / 1e9,
            "userExecutionTime": own.map(|own| own.as_secs_f64()),
            "success": null,
            "error": error,
            "requestId": request_id(called),
            "executionId": execution_id(called.execution),
            "caller": origin(called.origin),
            "parentExecutionId": parent,
            "usageStats": usage_json(usage),
            "returnBytes": return_bytes,
            "occInfo": lost.as_ref().map(lost_json),
            "willRetry": lost.is_some(),
            "executionTimestamp": started_ms / 1e3,
            "identityType": identity_type(&called.caller),
            "identity": called.caller.user(),
            "environment": "isolate",
        })
    }
}

/// `[LOG] 'text'`, taken apart where that is asked for.
fn line_json(line: &str, at_ms: f64, format: LineFormat) -> Json {
    if format == LineFormat::Text {
        return line.into();
    }
    let parts = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let (level, text) = parts.unwrap_or(("LOG", line));
    json!({
        "messages": [text],
        "isTruncated": text.ends_with(syncline_functions::log::CUT_MARK),
        "timestamp": at_ms,
        "level": level,
        "systemMetadata": null,
    })
}

/// Bytes and documents that this server counts; of what it does not have there are none. `Io` is what the store moves:
/// documents and index keys.
fn usage_json(usage: &syncline_functions::tx::Usage) -> Json {
    json!({
        "databaseReadBytes": usage.bytes_read,
        "databaseWriteBytes": usage.bytes_written,
        "databaseIoReadBytes": usage.bytes_read + usage.index_bytes_read,
        "databaseIoWriteBytes": usage.bytes_written + usage.index_bytes_written,
        "databaseReadDocuments": usage.documents_read,
        "databaseWriteDocuments": usage.documents_written,
        "storageReadBytes": 0,
        "storageWriteBytes": 0,
        "vectorIndexReadBytes": 0,
        "vectorIndexWriteBytes": 0,
        "textIndexQueryBytes": 0,
        "textIndexWriteQueryBytes": 0,
        "vectorIndexReadQueryBytes": 0,
        "vectorIndexWriteQueryBytes": 0,
        "networkEgressBytes": 0,
        "memoryUsedMb": 0,
    })
}

fn lost_json(lost: &Lost) -> Json {
    json!({
        "tableName": lost.table.as_deref(),
        "documentId": lost.document.as_deref(),
        "writeSource": null,
        "componentPath": null,
        "retryCount": lost.attempt,
    })
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
