//! `/dashboard`: the server's own page, as it was built into the binary.
//!
//! The files hold no secret: what they show they ask the server for, with the admin key. They load nothing from
//! elsewhere, and their policy lets a browser talk to this server alone.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::not_found;

/// A file of the built page.
struct File {
    /// Its path below the page's folder.
    name: &'static str,
    content_type: &'static str,
    /// A hash of its bytes, quoted as the header wants it.
    etag: &'static str,
    bytes: &'static [u8],
}

/// Everything that was built; empty when the dashboard had not been built before the server was.
static FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// The page itself, whichever of its addresses was asked for.
const PAGE: &str = "index.html";

/// Files below it are named for their contents, so a browser never needs to ask for one twice.
const NAMED_BY_CONTENT: &str = "assets/";

const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content=\"light dark\">\
    <title>Syncline dashboard</title><h1>The dashboard is not in this binary</h1>\
    <p>It is built with Node 20 or later, before the server is:</p>\
    <pre>runtime/build-page.sh runtime/dashboard\ncargo build</pre>\
    <p><code>./run</code> does both. Everything else of this server works without it.</p>";

/// The page and its files.
pub(super) fn router() -> Router {
    Router::new()
        .route("/dashboard", get(|headers: HeaderMap| async move { page(&headers) }))
        .route("/dashboard/", get(|headers: HeaderMap| async move { page(&headers) }))
        .route("/dashboard/{*path}", get(file_or_page))
}

/// A file, or the page for an address that it makes up itself.
async fn file_or_page(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().find(|file| file.name == path) {
        Some(file) => answer(file, &headers),
        None if path.starts_with(NAMED_BY_CONTENT) => not_found(&format!("/dashboard/{path}")).into_response(),
        None => page(&headers),
    }
}

fn page(headers: &HeaderMap) -> Response {
    match FILES.iter().find(|file| file.name == PAGE) {
        Some(file) => answer(file, headers),
        None => (StatusCode::NOT_FOUND, Html(NOT_BUILT)).into_response(),
    }
}

fn answer(file: &File, headers: &HeaderMap) -> Response {
    let caching =
        if file.name.starts_with(NAMED_BY_CONTENT) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let about = [(ETAG, file.etag), (CACHE_CONTROL, caching)];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == file.etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let kind =
        [(CONTENT_TYPE, file.content_type), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];
    (about, kind, [(CONTENT_SECURITY_POLICY, policy(headers))], file.bytes).into_response()
}

/// Scripts, styles and pictures of this server alone, and connections to it alone.
///
/// Not every browser takes `'self'` to cover the WebSocket of the same host, so that is named.
fn policy(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_authority(host));
    let sockets = host.map(|host| format!(" ws://{host} wss://{host}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{sockets}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Whether a Host header is only that: whatever else it held would become part of the policy.
fn is_authority(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".:-[]".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy_for(host: &str) -> String {
        policy(&HeaderMap::from_iter([(HOST, host.parse().expect("a header value"))]))
    }

    #[test]
    fn the_policy_names_the_sockets_of_this_host_and_of_no_other() {
        let connect = "connect-src 'self' ws://127.0.0.1:3210 wss://127.0.0.1:3210;";
        assert!(policy_for("127.0.0.1:3210").contains(connect), "{}", policy_for("127.0.0.1:3210"));
        assert!(policy_for("[::1]:3210").contains("ws://[::1]:3210"));
        for hostile in ["a; script-src *", "a b", "a,b", "a'", ""] {
            assert!(policy_for(hostile).contains("connect-src 'self';"), "{hostile:?}: {}", policy_for(hostile));
        }
    }

    #[tokio::test]
    async fn an_address_of_the_page_is_answered_with_the_page_or_how_to_build_it() {
        let response = file_or_page(Path("data/messages".to_owned()), HeaderMap::new()).await;
        let expected = if FILES.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(response.status(), expected);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a short page");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let says = if FILES.is_empty() { "runtime/build-page.sh runtime/dashboard" } else { "<div id=\"root\">" };
        assert!(text.contains(says), "{text}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_longer_there_is_not_answered_with_the_page() {
        let response = file_or_page(Path("assets/index-of-another-build.js".to_owned()), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_browser_that_has_a_file_is_not_sent_it_again() {
        let file = File { name: "assets/a.js", content_type: "text/javascript", etag: "\"1\"", bytes: b"1" };
        let first = answer(&file, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let etag = first.headers()[ETAG].clone();
        let again = answer(&file, &HeaderMap::from_iter([(IF_NONE_MATCH, etag)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(first.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
    }
}
