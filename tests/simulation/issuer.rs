//! Who signs the users in: an issuer inside the process, with one key.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use reqwest::Url;
use serde_json::json;
use syncline::auth::{Fetch, FetchError, Reach, Response};

use crate::scheduler::breathe;

pub const ADDRESS: &str = "https://issuer.example.com";
pub const AUDIENCE: &str = "simulation";

/// The issuer's key; nobody's.
static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key can be made"));

thread_local! {
    /// Tokens that were made: seeds begin at the same time, and signing takes longer than all else of a handshake.
    static TOKENS: RefCell<HashMap<(u64, u64, u64), Rc<str>>> = RefCell::default();
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The name of a user.
pub fn subject(user: u64) -> String {
    format!("user{user}")
}

/// A token of a user, good from and until a second.
pub fn token(user: u64, from_s: u64, until_s: u64) -> Rc<str> {
    TOKENS.with_borrow_mut(|tokens| {
        tokens.entry((user, from_s, until_s)).or_insert_with_key(|_| mint(user, from_s, until_s)).clone()
    })
}

fn mint(user: u64, from_s: u64, until_s: u64) -> Rc<str> {
    let header = json!({"alg": "EdDSA", "kid": "one", "typ": "JWT"});
    let claims = json!({"iss": ADDRESS, "aud": AUDIENCE, "sub": subject(user), "iat": from_s, "exp": until_s});
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = KEY.sign(signed.as_bytes());
    format!("{signed}.{}", b64(signature)).into()
}

/// The issuer's documents.
pub struct Documents;

impl Fetch for Documents {
    fn get(&self, url: Url, _reach: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        let body = if url.path().ends_with("openid-configuration") {
            json!({"issuer": ADDRESS, "jwks_uri": format!("{ADDRESS}/keys")})
        } else {
            let x = b64(KEY.public_key());
            let key = json!({"use": "sig", "kid": "one", "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": x});
            json!({ "keys": [key] })
        };
        Box::pin(async move {
            breathe().await;
            let content_type = Some("application/json".to_owned());
            Ok(Response { status: 200, content_type, body: body.to_string().into_bytes(), ..Response::default() })
        })
    }
}
