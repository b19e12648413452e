//! Bodies and addresses of HTTP calls, and what is said of those that cannot be read.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use syncline_schema::Timestamp;

use super::error::HttpError;

/// A call: `{path, args, format?}`, and `ts` where one is asked for.
#[derive(Deserialize)]
pub(super) struct CallBody {
    pub(super) path: String,
    /// An object, or the older array of one object; checked by the function.
    pub(super) args: Box<RawValue>,
    pub(super) format: Option<String>,
    pub(super) ts: Option<String>,
}

/// A call whose function stands in the address.
#[derive(Deserialize)]
pub(super) struct RunBody {
    pub(super) args: Box<RawValue>,
    pub(super) format: Option<String>,
}

/// Several queries.
#[derive(Deserialize)]
pub(super) struct BatchBody {
    pub(super) queries: Vec<CallBody>,
}

impl CallBody {
    /// `path=…&args=…&format=…`, the arguments as JSON text.
    pub(super) fn from_query(query: &str) -> Result<Self, HttpError> {
        let mut body = CallBody { path: String::new(), args: RawValue::NULL.to_owned(), format: None, ts: None };
        let mut has_args = false;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "path" => body.path = value.into_owned(),
                "format" => body.format = Some(value.into_owned()),
                "args" => {
                    has_args = true;
                    body.args = RawValue::from_string(value.into_owned())
                        .map_err(|cause| bad_query(&format!("`args` is not JSON: {cause}")))?;
                }
                _ => {}
            }
        }
        match (body.path.is_empty(), has_args) {
            (true, _) => Err(bad_query("`path` is missing; expected path=module:function")),
            (false, false) => Err(bad_query("`args` is missing; expected args={} as JSON text")),
            (false, true) => Ok(body),
        }
    }
}

fn bad_query(what: &str) -> HttpError {
    HttpError::bad_request("BadQueryArgs", format!("the query string cannot be used: {what}."))
}

/// Reads a whole body that says it is JSON.
pub(super) async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, HttpError> {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = found.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        let found = found.map_or_else(|| "there is none".to_owned(), |found| format!("it is {found:?}"));
        return Err(bad_body(format!("the content type must be application/json; {found}")));
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(bad_body(format!("it is too large: the limit is {bytes_max} bytes")))
        }
        Err(error) => Err(bad_body(format!("it did not arrive: {error}"))),
    }
}

/// Reads the JSON of a body.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    serde_json::from_slice(bytes).map_err(|cause| bad_body(cause.to_string()))
}

fn bad_body(what: String) -> HttpError {
    HttpError::bad_request("BadJsonBody", format!("the body of the request cannot be used: {what}."))
}

/// A timestamp as the wire has it: base64 of 8 bytes, little-endian.
pub(super) fn write_ts(ts: Timestamp) -> String {
    STANDARD.encode(ts.0.to_le_bytes())
}

/// Reads what [`write_ts`] wrote.
pub(super) fn read_ts(text: Option<&str>) -> Result<Timestamp, HttpError> {
    let Some(text) = text else {
        return Err(bad_body("`ts` is missing; expected what /api/query_ts answered".to_owned()));
    };
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    match bytes.map(u64::from_le_bytes) {
        Some(ts) if i64::try_from(ts).is_ok() => Ok(Timestamp(ts)),
        _ => Err(bad_body(format!("`ts` is {text:?}; expected base64 of 8 bytes, as /api/query_ts answered"))),
    }
}
