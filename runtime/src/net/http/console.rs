//! What this server's own dashboard asks that lives in memory only: live queries, health, handshakes, providers, and
//! what the matter is with a token. Administrators only.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::body::{parse, read};
use super::route::Entry;
use super::{Answered, Caller};
use crate::auth::{Check, Explanation, Handshake, Outcome, ProviderCheck, Row, explain};
use crate::identity::Identity;
use crate::live::LiveQuery;
use crate::net::host::Host;
use crate::surface::Access::Administrators;

/// Most live queries of one answer.
const QUERIES_MAX: usize = 200;

pub(super) fn table() -> Vec<Entry> {
    vec![
        Entry::get(Administrators, "/api/syncline/live_queries", live_queries),
        Entry::get(Administrators, "/api/syncline/health", health),
        Entry::get(Administrators, "/api/syncline/handshakes", handshakes),
        Entry::get(Administrators, "/api/syncline/providers", providers),
        Entry::post(Administrators, "/api/syncline/explain", explain_token),
    ]
}

async fn live_queries(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let host = Caller::admin(host, headers, query.as_deref()).await?.host;
    let queries: Vec<Json> = host.live.describe(QUERIES_MAX).into_iter().map(live_query).collect();
    Ok(axum::Json(json!({ "queries": queries })).into_response())
}

fn live_query(query: LiveQuery) -> Json {
    let identity = query.identity.as_ref().and_then(Identity::user).map(|user| user.token_identifier.clone());
    json!({
        "path": &*query.key.path,
        "args": &*query.key.args,
        "identity": identity,
        "watchers": query.watchers,
        "runs": query.runs,
        "lastRunMs": query.last_run_ms,
        "lastRunAt": query.last_run_at_ms,
        "reads": query.reads,
        "cause": query.cause,
        "resultBytes": query.result_bytes,
    })
}

async fn health(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let host = Caller::admin(host, headers, query.as_deref()).await?.host;
    let log = host.executor.log();
    let totals = log.totals();
    let by_kind = |counts: [u64; 3]| {
        let [query, mutation, action] = counts;
        json!({"query": query, "mutation": mutation, "action": action, "http": 0})
    };
    let [queries, mutations, actions] = log.durations_ns();
    let latency = |sorted: &[u64]| json!({"p50": at(sorted, 50), "p90": at(sorted, 90), "p99": at(sorted, 99)});
    let syncs = host.engine.sync_durations_ns();
    let (live_queries, _) = host.live.counts();
    let uptime_ms = host.clock.monotonic_ms().saturating_sub(host.started_ms);
    let answer = json!({
        "uptimeSeconds": uptime_ms / 1000,
        "sessions": host.sessions.load(std::sync::atomic::Ordering::Relaxed),
        "liveQueries": live_queries,
        "calls": by_kind(totals.calls),
        "errors": by_kind(totals.errors),
        "latencyMs": {
            "query": latency(&queries),
            "mutation": latency(&mutations),
            "action": latency(&actions),
        },
        "followers": log.n_followers(),
        "commits": host.engine.n_commits(),
        "conflicts": totals.conflicts,
        "syncMs": {"p50": at(&syncs, 50), "p99": at(&syncs, 99)},
        "memoryBytes": memory_bytes(),
        "logBytes": host.engine.log_bytes(),
    });
    Ok(axum::Json(answer).into_response())
}

/// A percentile in milliseconds; null when nothing was measured.
fn at(sorted_ns: &[u64], percent: usize) -> Option<f64> {
    let last = sorted_ns.len().checked_sub(1)?;
    Some(sorted_ns[last * percent / 100] as f64 / 1e6)
}

/// What the operating system keeps in memory for this process; known on Linux.
fn memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

async fn handshakes(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let host = Caller::admin(host, headers, query.as_deref()).await?.host;
    let newest: Vec<Json> = host.authenticator.handshakes().newest().into_iter().map(handshake).collect();
    Ok(axum::Json(json!({ "handshakes": newest })).into_response())
}

fn handshake(handshake: Handshake) -> Json {
    json!({
        "at": handshake.at_ms,
        "outcome": handshake.outcome,
        "reason": handshake.reason,
        "issuer": handshake.issuer,
        "audience": handshake.audience,
        "subject": handshake.subject,
        "expiresInS": handshake.expires_in_s,
        "text": handshake.text,
        "remedy": handshake.remedy,
    })
}

async fn providers(State(host): State<Arc<Host>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let host = Caller::admin(host, headers, query.as_deref()).await?.host;
    let (checked_at_ms, checks) = host.authenticator.provider_checks(host.clock.wall_ns() / 1_000_000).await;
    let providers: Vec<Json> = checks.iter().map(|check| provider(check, checked_at_ms)).collect();
    Ok(axum::Json(json!({ "providers": providers })).into_response())
}

fn provider(check: &ProviderCheck, checked_at_ms: u64) -> Json {
    json!({
        "kind": check.provider.kind(),
        "issuer": check.provider.issuer().to_string(),
        "audience": check.provider.application_id(),
        "health": {"ok": check.is_well(), "checkedAt": checked_at_ms, "text": check.to_string()},
    })
}

#[derive(Deserialize)]
struct ExplainBody {
    token: String,
}

/// What this server makes of a token, which is neither logged nor kept.
async fn explain_token(State(host): State<Arc<Host>>, headers: HeaderMap, body: Body) -> Answered {
    let bytes = read(&headers, body, host.config.body_bytes_max).await?;
    let host = Caller::admin(host, headers, None).await?.host;
    let ExplainBody { token } = parse(&bytes)?;
    let explanation = explain(host.authenticator.verifier(), token.trim()).await;
    Ok(axum::Json(explained(&explanation)).into_response())
}

fn explained(explanation: &Explanation) -> Json {
    let row = |Row { check, outcome, expected, found }: &Row| {
        let ok = match outcome {
            Outcome::Passed => Some(true),
            Outcome::Failed => Some(false),
            Outcome::NotReached => None,
        };
        json!({"name": Check::title(*check), "ok": ok, "expected": expected, "found": found})
    };
    json!({
        "accepted": explanation.is_accepted(),
        "checks": explanation.rows.iter().map(row).collect::<Vec<_>>(),
        "sentence": explanation.summary(),
        "remedy": explanation.remedy(),
    })
}
