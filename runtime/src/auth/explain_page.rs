//! `/dev/auth`: a page of the development server that explains a token, as `auth explain` does.
//!
//! Plain HTML and a form. The token is checked by this very server, is neither logged nor kept nor shown again, and
//! nothing is loaded from elsewhere. Only this machine is answered: the page names the configuration.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::config::Provider;
use super::dev_issuer::is_local;
use super::explain::{Explanation, Outcome, explain};
use super::jwt::TOKEN_BYTES_MAX;
use super::verifier::Verifier;

/// Where the page stands.
pub(crate) const PATH: &str = "/dev/auth";

/// The longest form, in bytes: a token that is too long is still told so, whatever has to be escaped in it.
const FORM_BYTES_MAX: usize = 8 * TOKEN_BYTES_MAX;

const STYLE: &str = "body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    textarea{width:100%;height:8rem;font:13px monospace}td{padding:.1rem .8rem .1rem 0;vertical-align:top}\
    td,pre{overflow-wrap:anywhere;white-space:pre-wrap}.failed{color:#b00020;font-weight:600}.not-reached{color:#888}\
    .answer{border-left:.3rem solid #888;padding:.2rem 1rem}";

/// The routes of the page.
pub(crate) fn router(verifier: Arc<Verifier>) -> Router {
    Router::new()
        .route(PATH, get(form).post(answer))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn(guard))
        .with_state(verifier)
}

async fn form(State(verifier): State<Arc<Verifier>>) -> Html<String> {
    page(&verifier, "")
}

async fn answer(State(verifier): State<Arc<Verifier>>, body: Bytes) -> Html<String> {
    let token = url::form_urlencoded::parse(&body).find(|(name, _)| name == "token").map(|(_, token)| token);
    let explanation = explain(&verifier, token.unwrap_or_default().trim()).await;
    page(&verifier, &shown(&explanation))
}

/// Lets requests from and for this machine pass; nobody keeps the answers, and they load nothing.
async fn guard(request: Request, next: Next) -> Response {
    if !is_local(&request) {
        let text = "This page names the server's configuration, so it answers this machine only.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ] {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn page(verifier: &Verifier, answer: &str) -> Html<String> {
    let providers: String = verifier.providers().iter().map(described).collect();
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Explain a token</title><style>{STYLE}</style>\
         <h1>What does this server make of a token?</h1>{answer}\
         <form method=post autocomplete=off><label for=token>A token, as the client sends it:</label>\
         <textarea id=token name=token required spellcheck=false></textarea>\
         <p><button>Explain it</button> It is checked here; it is neither logged nor kept, and goes nowhere else.</form>\
         <h2>Configured providers</h2><ol start=0>{providers}</ol></html>"
    ))
}

fn described(provider: &Provider) -> String {
    let audience = provider.application_id().map_or_else(|| "any audience".to_owned(), |id| format!("audience {id:?}"));
    format!("<li>{} {}, {}", provider.kind(), escaped(provider.issuer().as_str()), escaped(&audience))
}

fn shown(explanation: &Explanation) -> String {
    let verdict = match &explanation.outcome {
        Ok(_) => "✓ accepted".to_owned(),
        Err(rejection) => format!("✗ {} ({})", rejection.code(), rejection.reason()),
    };
    let mut html = format!(
        "<div class=answer><h2>{}</h2><p>{}<p>{}</div><table>",
        escaped(&verdict),
        escaped(&explanation.summary()),
        escaped(explanation.remedy().unwrap_or_default())
    );
    for row in &explanation.rows {
        let (class, mark) = match row.outcome {
            Outcome::Passed => ("passed", '✓'),
            Outcome::Failed => ("failed", '✗'),
            Outcome::NotReached => ("not-reached", '·'),
        };
        let title = row.check.title();
        let (expected, found) = (escaped(&row.expected), escaped(&row.found));
        let _ = write!(html, "<tr class={class}><td>{mark}<td>{title}<td>{expected}<td>{found}");
    }
    html.push_str("</table>");
    for (name, decoded) in [("Header", &explanation.header), ("Claims", &explanation.payload)] {
        if let Some(text) = decoded {
            let _ = write!(html, "<h3>{name}</h3><pre>{}</pre>", escaped(text));
        }
    }
    html
}

/// A text as it may stand between tags.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
