//! Answers of functions over HTTP, in the format that the caller reads.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use syncline_client_protocol::ClientVersion;
use syncline_functions::registry::FunctionError;
use syncline_schema::{Format, Value};

use super::error::HttpError;
use crate::config::Mode;
use crate::executor::errors::client_text;
use crate::executor::{QueryRun, shown};
use crate::request::RequestToken;

/// What a call came to.
pub(super) struct Outcome {
    pub(super) value: Result<Arc<str>, FunctionError>,
    pub(super) log_lines: Vec<String>,
}

/// How answers to one request are written.
pub(super) struct Answer {
    mode: Mode,
    token: RequestToken,
    format: Format,
}

impl Answer {
    /// Chooses the format: the one asked for, or the one that this client expects. Source: data-and-functions 1.8.
    pub(super) fn new(
        mode: Mode,
        token: RequestToken,
        format: Option<&str>,
        client: &ClientVersion,
    ) -> Result<Self, HttpError> {
        let format = match format {
            Some(name) => Format::parse(name).ok_or_else(|| bad_format(name))?,
            None if client.reads_encoded_json_by_default() => Format::Encoded,
            None => Format::Clean,
        };
        Ok(Answer { mode, token, format })
    }

    pub(super) fn query(&self, run: &QueryRun) -> Response {
        self.response(&Outcome { value: run.value.clone(), log_lines: run.log_lines.clone() })
    }

    pub(super) fn response(&self, outcome: &Outcome) -> Response {
        json_response(self.json(outcome))
    }

    /// The answer's JSON. Log lines are left out when there are none, data unless the application attached some.
    pub(super) fn json(&self, outcome: &Outcome) -> String {
        let mut json = String::new();
        match &outcome.value {
            Ok(value) => {
                json.reserve(AROUND_BYTES + value.len());
                json.push_str("{\"status\":\"success\",\"value\":");
                json.push_str(&self.formatted(value));
            }
            Err(error) => {
                let text = client_text(self.mode, &self.token, error);
                json.push_str("{\"status\":\"error\",\"errorMessage\":");
                json.push_str(&quoted(&text));
                if let Some(data) = &error.data {
                    json.push_str(",\"errorData\":");
                    json.push_str(&self.formatted(data));
                }
            }
        }
        let lines = shown(self.mode, &outcome.log_lines);
        if !lines.is_empty() {
            json.push_str(",\"logLines\":");
            json.push_str(&serde_json::to_string(&lines).expect("strings are JSON"));
        }
        json.push('}');
        json
    }

    /// A value without tags, whose names begin with `$`, is the same text in all formats.
    fn formatted<'v>(&self, value: &'v str) -> Cow<'v, str> {
        if self.format == Format::Encoded || !value.contains("\"$") {
            return Cow::Borrowed(value);
        }
        let parsed = Value::from_json(value).expect("functions answer with the JSON of values");
        let mut json = String::with_capacity(value.len());
        parsed.write_json_as(self.format, &mut json);
        Cow::Owned(json)
    }
}

/// Bytes of a successful answer around its value, without log lines.
const AROUND_BYTES: usize = 32;

fn bad_format(found: &str) -> HttpError {
    HttpError::bad_request(
        "BadFormat",
        format!(
            "the format {found:?} is unknown; expected \"json\", \"convex_clean_json\", \"convex_encoded_json\", \"convex_json\" or \"export_json\"."
        ),
    )
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

pub(super) fn json_response(json: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}
