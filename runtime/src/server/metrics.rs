//! Prometheus text at `/metrics`.
//!
//! The recorder is one for the whole process: two servers in one process count together, and an application that has
//! installed a recorder of its own keeps it.

use std::sync::OnceLock;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

fn recorder() -> Option<&'static PrometheusHandle> {
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).as_ref()
}

/// Whether the route tells anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricsRoute {
    Enabled,
    Disabled,
}

/// The route.
pub(super) fn router(route: MetricsRoute) -> Router {
    recorder();
    match route {
        MetricsRoute::Enabled => Router::new().route("/metrics", get(render)),
        MetricsRoute::Disabled => Router::new().route("/metrics", get(disabled)),
    }
}

/// Source: http-and-cli 1.1.
async fn disabled() -> Response {
    let message = "metrics are switched off here; start the server without DISABLE_METRICS_ENDPOINT to have them.";
    let body = serde_json::json!({"code": "MetricsDisabled", "message": message});
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

async fn render() -> Response {
    match recorder() {
        Some(recorder) => recorder.render().into_response(),
        None => {
            let text = "this application has a metrics recorder of its own; ask it instead\n";
            (StatusCode::NOT_FOUND, text).into_response()
        }
    }
}

/// Keeps the recorder's own memory level; to be called now and then.
pub(super) fn upkeep() {
    if let Some(recorder) = recorder() {
        recorder.run_upkeep();
    }
}
