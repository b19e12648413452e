//! The stream of function logs, by long polling: `npx convex logs`, and the log pages of dashboards.
//! Source: http-and-cli 7.1.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use syncline_client_protocol::{RequestId, SessionId};

use super::error::HttpError;
use super::{Answered, Caller};
use crate::config::{LOG_GATHER, LOG_POLL_MAX};
use crate::function_log::{FunctionLog, LineFormat, Part};
use crate::net::host::Host;
use crate::net::stopped;
use crate::request::RequestToken;

/// Parts that come faster than this, in a millisecond, come faster than anybody reads them.
const BUSY_PER_MS: f64 = 0.5;
/// Fewer parts than this tell nothing of how fast they come.
const BUSY_MIN: usize = 8;

/// Which parts a follower wants.
struct Asked {
    cursor_ms: f64,
    /// Only those of one request of a socket.
    request: Option<RequestToken>,
    completions_only: bool,
    format: LineFormat,
}

/// All parts.
pub(super) async fn function_logs(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answered {
    let format = line_format(&headers);
    follow(host, headers, query, |asked| Asked { format, ..asked }).await
}

/// The older variant: only calls that have ended, lines as texts.
pub(super) async fn executions(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answered {
    follow(host, headers, query, |asked| Asked { completions_only: true, ..asked }).await
}

/// Tools that follow logs take lines apart themselves, and so does a page that does not name itself.
fn line_format(headers: &HeaderMap) -> LineFormat {
    match headers.get("convex-client").and_then(|client| client.to_str().ok()) {
        None => LineFormat::Structured,
        Some(client) if client.starts_with("npm-cli") || client.starts_with("dashboard") => LineFormat::Structured,
        Some(_) => LineFormat::Text,
    }
}

async fn follow(
    host: Arc<Host>,
    headers: HeaderMap,
    query: Option<String>,
    change: impl FnOnce(Asked) -> Asked,
) -> Answered {
    let caller = Caller::admin(host, headers, query.as_deref()).await?;
    let asked = change(Asked::parse(query.as_deref().unwrap_or_default())?);
    let log = caller.host.executor.log().clone();
    let mut stopping = caller.host.stopping.clone();
    let (parts, cursor_ms) = tokio::select! {
        found = next(&log, asked.cursor_ms) => found,
        // Clients connect again, and find the next process.
        () = stopped(&mut stopping) => {
            let text = "the server is stopping; ask again.";
            return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "Shutdown", text));
        }
    };
    let wanted = parts.iter().filter(|part| asked.wants(part));
    Ok(([(CONTENT_TYPE, "application/json")], answer(wanted, asked.format, cursor_ms)).into_response())
}

/// `{"entries":[…],"newCursor":…}`.
fn answer<'a>(parts: impl Iterator<Item = &'a Part>, format: LineFormat, cursor_ms: f64) -> Vec<u8> {
    let mut body = br#"{"entries":["#.to_vec();
    for (n, part) in parts.enumerate() {
        if n > 0 {
            body.push(b',');
        }
        part.write_json(format, &mut body);
    }
    body.extend_from_slice(br#"],"newCursor":"#);
    serde_json::to_writer(&mut body, &cursor_ms).expect("a number is JSON, and memory takes it");
    body.push(b'}');
    body
}

/// The parts behind a cursor and the new cursor; waits for one when there is none.
///
/// Whoever asks from the beginning is answered at once, with nothing if need be: the official tool throws its first
/// answer away, and would lose the first call of a fresh server with it.
async fn next(log: &FunctionLog, cursor_ms: f64) -> (Vec<Part>, f64) {
    let news = log.news();
    tokio::pin!(news);
    news.as_mut().enable();
    let (parts, newest) = log.after(cursor_ms);
    if parts.is_empty() && cursor_ms > 0.0 {
        let _follower = log.follower();
        return match tokio::time::timeout(LOG_POLL_MAX, news).await {
            Ok(()) => log.after(cursor_ms),
            Err(_) => (Vec::new(), cursor_ms),
        };
    }
    let is_busy = parts.len() >= BUSY_MIN && parts.len() as f64 > BUSY_PER_MS * (newest - cursor_ms);
    if is_busy && cursor_ms > 0.0 {
        tokio::time::sleep(LOG_GATHER).await;
        return log.after(cursor_ms);
    }
    (parts, newest)
}

impl Asked {
    fn parse(query: &str) -> Result<Self, HttpError> {
        let (mut cursor_ms, mut session, mut request) = (0.0, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let bad = || {
                let message = format!("`{name}` is {value:?}; expected a number, and for sessionId a UUID.");
                HttpError::bad_request("BadQueryArgs", message)
            };
            match &*name {
                "cursor" => {
                    cursor_ms = value.parse().ok().filter(|cursor: &f64| cursor.is_finite()).ok_or_else(bad)?;
                }
                "sessionId" => session = Some(SessionId::parse(&value).ok_or_else(bad)?),
                "clientRequestCounter" => request = Some(RequestId(value.parse().map_err(|_| bad())?)),
                _ => {}
            }
        }
        let request = session.zip(request).map(|(session, request)| RequestToken::of_session(session, request));
        Ok(Asked { cursor_ms, request, completions_only: false, format: LineFormat::Text })
    }

    fn wants(&self, part: &Part) -> bool {
        let of_request = self.request.as_ref().is_none_or(|request| part.is_root_of(request));
        of_request && (!self.completions_only || part.is_completion())
    }
}
