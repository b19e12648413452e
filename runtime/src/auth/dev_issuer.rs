//! The development issuer: an OpenID Connect issuer inside the server, whose tokens have the shape of Clerk's, so that
//! signing in works on a fresh machine without an account and without a network.
//!
//! It gives a token for anybody to whoever asks. So it is off in production, the server has it only when it listens
//! on a loopback address, and it answers requests for this machine only.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use url::Url;

use super::config::{Clerk, Provider};
use super::dev_key::DevKey;
use super::dev_request::TokenRequest;
use super::issuer_url::{IssuerUrl, IssuerUrlError, is_loopback_host};
use super::jwk::KeySet;
use super::jwt::TOKEN_BYTES_MAX;
use super::verifier::LocalIssuer;
use crate::clock::Clock;

/// Where the issuer stands below the server's own address.
const PATH: &str = "/dev-issuer";

/// The longest request for a token, in bytes: no token that comes of a longer one would be accepted.
const REQUEST_BYTES_MAX: usize = TOKEN_BYTES_MAX;

/// How far before its issue a token becomes valid, in seconds, as in Clerk's templates.
const NOT_BEFORE_S: u64 = 5;

/// The issuer. Its key is made once and kept, so that tokens and users survive a restart.
pub struct DevIssuer {
    issuer: IssuerUrl,
    key: DevKey,
    clock: Arc<dyn Clock>,
}

/// Why the development issuer cannot start.
#[derive(Debug)]
pub enum DevIssuerError {
    /// Its key cannot be read from or written to the data folder.
    Key(std::io::Error),
    /// The key file does not hold a key.
    NoKey(std::path::PathBuf),
    /// The key could not be made.
    Crypto,
    /// The address is not one an issuer can have.
    Address(IssuerUrlError),
}

impl std::fmt::Display for DevIssuerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(error) => write!(f, "the key of the development issuer cannot be kept: {error}"),
            Self::NoKey(path) => {
                write!(f, "{} holds no RSA key; delete it, and the development issuer makes another", path.display())
            }
            Self::Crypto => f.write_str("the key of the development issuer could not be made"),
            Self::Address(error) => write!(f, "the development issuer cannot have this address: {error}"),
        }
    }
}

impl std::error::Error for DevIssuerError {}

impl DevIssuer {
    /// The issuer of the server that listens on `port`, with its key in `folder`. Makes the key when there is none,
    /// which takes a tenth of a second; without a folder the key is lost with the process, and every token with it.
    ///
    /// # Errors
    /// The key can neither be read nor made and written.
    pub fn open(folder: Option<&Path>, port: u16, clock: Arc<dyn Clock>) -> Result<Self, DevIssuerError> {
        let issuer = IssuerUrl::parse(&format!("http://127.0.0.1:{port}{PATH}")).map_err(DevIssuerError::Address)?;
        let key = match folder {
            Some(folder) => DevKey::open(folder)?,
            None => DevKey::generate()?,
        };
        Ok(Self { issuer, key, clock })
    }

    /// The issuer's name, as its tokens have it.
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// What a verifier needs to accept its tokens without asking over the network.
    pub fn local_issuer(&self) -> LocalIssuer {
        let provider = Provider::Oidc { domain: self.issuer.clone(), application_id: Clerk::AUDIENCE.to_owned() };
        // Written by this very process, so it can be read; were it not, the issuer's tokens would be refused.
        let keys = KeySet::parse(&self.key.jwks().to_string()).unwrap_or_default();
        LocalIssuer { provider, keys }
    }

    /// The routes, to be nested under `/dev-issuer` of a server that listens on a loopback address. Requests that name
    /// another host than this machine are refused, and those whose [`ConnectInfo`] has another peer.
    pub fn router(self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/.well-known/jwks.json", get(key_set))
            .route("/token", post(token))
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .layer(middleware::from_fn(guard))
            .with_state(Arc::new(self))
    }

    /// Signs a token. `origin` is the page that asks, for the claim `azp`.
    ///
    /// # Errors
    /// What is wrong with the request, in a sentence for a person.
    pub fn mint(&self, request: &str, origin: Option<&str>) -> Result<String, String> {
        let request = TokenRequest::parse(request)?;
        let now_s = self.clock.wall_ns() / 1_000_000_000;
        let mut claims = json!({
            "iss": self.issuer.as_str(),
            "azp": origin.unwrap_or(self.issuer.as_str().trim_end_matches(PATH)),
            "iat": now_s,
            "nbf": now_s.saturating_sub(NOT_BEFORE_S),
            "exp": now_s + request.lifetime_s,
            "jti": self.key.random_id().ok_or("no random number could be had")?,
        });
        for (name, value) in request.claims(now_s) {
            claims[name] = value;
        }
        let token = self.key.sign(&claims).ok_or("the token could not be signed")?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(format!("the token would have {} bytes; at most {TOKEN_BYTES_MAX} are accepted", token.len()));
        }
        Ok(token)
    }
}

async fn discovery(State(issuer): State<Arc<DevIssuer>>) -> Response {
    let name = issuer.issuer();
    json_response(
        StatusCode::OK,
        &json!({
            "issuer": name,
            "jwks_uri": format!("{name}/.well-known/jwks.json"),
            "authorization_endpoint": format!("{name}/authorize"),
            "token_endpoint": format!("{name}/token"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }),
    )
}

async fn key_set(State(issuer): State<Arc<DevIssuer>>) -> Response {
    json_response(StatusCode::OK, &issuer.key.jwks())
}

async fn token(State(issuer): State<Arc<DevIssuer>>, headers: HeaderMap, body: Bytes) -> Response {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let minted = match std::str::from_utf8(&body) {
        Ok(text) => issuer.mint(text, origin),
        Err(_) => Err("the body is not UTF-8".to_owned()),
    };
    match minted {
        Ok(token) => json_response(StatusCode::OK, &json!({ "token": token })),
        Err(why) => {
            let message = format!("{}: {why}.", "No token can be made of this request");
            json_response(StatusCode::BAD_REQUEST, &json!({ "code": "BadTokenRequest", "message": message }))
        }
    }
}

/// Lets requests from and for this machine pass, and lets any page read the answers.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if !is_local(&request) {
        json_response(
            StatusCode::FORBIDDEN,
            &json!({
                "code": "DevIssuerIsLocal",
                "message": "The development issuer gives tokens for anybody, so it answers this machine only.",
            }),
        )
    } else if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, authorization"));
    response
}

/// Whether a request names this machine, as one does not that comes over a name somebody else controls,
/// and comes from it, as far as that is known.
pub(crate) fn is_local(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = host.and_then(|host| Url::parse(&format!("http://{host}")).ok());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    named.is_some_and(|url| is_loopback_host(&url))
        && peer.is_none_or(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::super::tests::support::{HandClock, NoFetch};
    use super::super::{AuthConfig, Verifier};
    use super::*;

    /// An issuer as a server has it, with what the server asks it for before it starts.
    struct Running {
        router: Router,
        local: LocalIssuer,
        clock: Arc<HandClock>,
    }

    fn start(folder: Option<&Path>) -> Running {
        let clock = HandClock::new();
        let issuer = DevIssuer::open(folder, 3210, clock.clone()).unwrap();
        let local = issuer.local_issuer();
        Running { router: Router::new().nest(PATH, issuer.router()), local, clock }
    }

    impl Running {
        async fn call(&self, request: axum::http::request::Builder, body: &str) -> (u16, HeaderMap, Value) {
            let request = request.body(Body::from(body.to_owned())).unwrap();
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
        }

        async fn token(&self, body: &str) -> (u16, HeaderMap, Value) {
            self.call(request("POST", "/token").header(header::ORIGIN, "http://localhost:5173"), body).await
        }
    }

    fn request(method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(format!("{PATH}{path}")).header(header::HOST, "127.0.0.1:3210")
    }

    #[tokio::test]
    async fn its_tokens_are_shaped_like_those_of_clerk_and_are_accepted_without_a_request() {
        let running = start(None);
        let body = r#"{"subject":"user_1","name":"Ada L","email":"ada@example.test","claims":{"org_role":"admin"}}"#;
        let (status, headers, answer) = running.token(body).await;
        assert_eq!((status, headers[header::ACCESS_CONTROL_ALLOW_ORIGIN].to_str().unwrap()), (200, "*"));
        let token = answer["token"].as_str().unwrap();
        let part = |n: usize| {
            let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        let (head, claims, now_s) = (part(0), part(1), running.clock.now_s());
        assert_eq!((&head["alg"], &head["typ"]), (&json!("RS256"), &json!("JWT")));
        assert!(head["kid"].as_str().unwrap().starts_with("ins_") && head["cat"].is_string());
        for (name, expected) in [
            ("iss", json!("http://127.0.0.1:3210/dev-issuer")),
            ("sub", json!("user_1")),
            ("aud", json!("convex")),
            ("azp", json!("http://localhost:5173")),
            ("iat", json!(now_s)),
            ("nbf", json!(now_s - 5)),
            ("exp", json!(now_s + 60)),
            ("given_name", json!("Ada")),
            ("family_name", json!("L")),
            ("email_verified", json!(true)),
            ("phone_number", Value::Null),
            ("org_role", json!("admin")),
        ] {
            assert_eq!(claims[name], expected, "{name}");
        }
        let verifier = verifier(&running);
        let verified = verifier.verify(token).await.unwrap();
        assert_eq!(verified.identity.token_identifier, "http://127.0.0.1:3210/dev-issuer|user_1");
        assert_eq!(verified.identity.email.as_deref(), Some("ada@example.test"));
        running.clock.advance_s(60);
        assert!(verifier.verify(token).await.is_err());
    }

    fn verifier(running: &Running) -> Verifier {
        let local = vec![running.local.clone()];
        Verifier::with_local(AuthConfig::default(), local, Arc::new(NoFetch), running.clock.clone())
    }

    #[tokio::test]
    async fn an_empty_request_gives_a_token_too_and_a_user_may_have_no_name() {
        let running = start(None);
        let verifier = verifier(&running);
        for (body, name) in [("{}", Some("user_dev")), (r#"{"name":null,"email":null}"#, None)] {
            let (_, _, answer) = running.token(body).await;
            let identity = verifier.verify(answer["token"].as_str().unwrap()).await.unwrap().identity;
            assert_eq!((identity.subject.as_str(), identity.name.as_deref()), ("user_dev", name));
        }
    }

    #[tokio::test]
    async fn its_key_survives_a_restart_and_belongs_to_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = start(Some(folder.path())).local.keys;
        assert_eq!(start(Some(folder.path())).local.keys, first);
        assert_ne!(start(None).local.keys, first);
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &files[..] else { panic!("{files:?}") };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(file, "no key").unwrap();
        let error = DevIssuer::open(Some(folder.path()), 3210, HandClock::new()).err().unwrap();
        assert!(matches!(error, DevIssuerError::NoKey(_)), "{error}");
    }

    #[tokio::test]
    async fn it_serves_what_discovery_needs() {
        let running = start(None);
        let (status, _, document) = running.call(request("GET", "/.well-known/openid-configuration"), "").await;
        assert_eq!((status, &document["issuer"]), (200, &json!("http://127.0.0.1:3210/dev-issuer")));
        let path = document["jwks_uri"].as_str().unwrap().strip_prefix("http://127.0.0.1:3210/dev-issuer").unwrap();
        let (status, headers, set) = running.call(request("GET", path), "").await;
        assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (200, "application/json"));
        assert!(set["keys"][0]["d"].is_null(), "only the public half");
        assert_eq!(KeySet::parse(&set.to_string()).unwrap(), running.local.keys);
    }

    #[tokio::test]
    async fn only_this_machine_is_answered() {
        let running = start(None);
        for (peer, expected) in [
            ("127.0.0.1:9", 200),
            ("[::1]:9", 200),
            ("[::ffff:127.0.0.1]:9", 200),
            ("192.168.1.7:9", 403),
            ("[2001:db8::1]:9", 403),
        ] {
            let peer: SocketAddr = peer.parse().unwrap();
            let found = running.call(request("POST", "/token").extension(ConnectInfo(peer)), "{}").await.0;
            assert_eq!(found, expected, "{peer}");
        }
        for (host, expected) in [
            ("localhost:3210", 200),
            ("[::1]:3210", 200),
            ("127.0.0.1", 200),
            ("192.168.1.7:3210", 403),
            ("evil.dev", 403),
        ] {
            let request = Request::builder().method("POST").uri(format!("{PATH}/token")).header(header::HOST, host);
            assert_eq!(running.call(request, "{}").await.0, expected, "{host}");
        }
        let nameless = Request::builder().method("POST").uri(format!("{PATH}/token"));
        assert_eq!(running.call(nameless, "{}").await.0, 403);
        let (status, headers, _) = running.call(request("OPTIONS", "/token"), "").await;
        assert_eq!(status, 204);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap(), "content-type, authorization");
    }

    #[tokio::test]
    async fn a_bad_request_is_told_what_is_wrong_with_it() {
        let running = start(None);
        for (body, part) in [
            ("", "not JSON"),
            ("[]", "has to be an object"),
            (r#"{"subject":5}"#, "\"subject\" has to be a string"),
            (r#"{"subject":""}"#, "\"subject\" is empty"),
            (r#"{"name":[]}"#, "\"name\" has to be a string or null"),
            (r#"{"sub":"x"}"#, "\"sub\" is not known; known: subject"),
            (r#"{"lifetimeSeconds":"60"}"#, "\"lifetimeSeconds\" has to be a whole number from 1 to 31536000"),
            (r#"{"lifetimeSeconds":0}"#, "from 1 to"),
            (r#"{"claims":[]}"#, "\"claims\" has to be an object"),
            (r#"{"claims":{"iss":"acme"}}"#, "\"iss\" cannot be set"),
            (&format!(r#"{{"name":"{}"}}"#, "x".repeat(13_000)), "at most 16384"),
        ] {
            let (status, _, answer) = running.token(body).await;
            assert_eq!((status, &answer["code"]), (400, &json!("BadTokenRequest")), "{body}");
            assert!(answer["message"].as_str().unwrap().contains(part), "{body}: {answer}");
        }
        assert_eq!(running.token(&"x".repeat(REQUEST_BYTES_MAX + 1)).await.0, 413);
    }
}
