//! Fixture keys, tokens, an issuer that counts what it is asked, and a clock that is moved by hand.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use url::Url;

use crate::auth::{
    AuthConfig, AuthSettings, Fetch, FetchError, Reach, Reason, Redaction, Rejection, Response, UserIdentity, Verified,
    Verifier,
};
use crate::clock::Clock;

/// The issuer of `spec/auth.md` section 10.
pub const ISS: &str = "https://quiet-ox-46.clerk.accounts.dev";

/// The time of section 10, in seconds.
pub const T: u64 = 1_755_800_000;

/// A clock that is moved by hand. It starts at [`T`].
pub struct HandClock {
    wall_ns: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl HandClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { wall_ns: AtomicU64::new(T * 1_000_000_000), monotonic_ms: AtomicU64::new(1_000_000) })
    }

    pub fn advance_s(&self, seconds: u64) {
        self.advance_ms(seconds * 1000);
    }

    pub fn advance_ms(&self, ms: u64) {
        self.wall_ns.fetch_add(ms * 1_000_000, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn now_s(&self) -> u64 {
        self.wall_ns() / 1_000_000_000
    }
}

impl Clock for HandClock {
    fn wall_ns(&self) -> u64 {
        self.wall_ns.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// For tests in which nothing may be fetched.
pub struct NoFetch;

impl Fetch for NoFetch {
    fn get(&self, url: Url, _: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        panic!("nothing was to be fetched, but {url} was");
    }
}

/// A key pair with its id.
pub struct TestKey {
    pub kid: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

fn rsa_key(kid: &'static str) -> TestKey {
    TestKey { kid, pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
}

pub static K1: LazyLock<TestKey> = LazyLock::new(|| rsa_key("ins_1"));
pub static K2: LazyLock<TestKey> = LazyLock::new(|| rsa_key("ins_2"));
/// The attacker's, with the id of the good one.
pub static X: LazyLock<TestKey> = LazyLock::new(|| rsa_key("ins_1"));
pub static E1: LazyLock<TestKey> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    TestKey { kid: "es_1", pair: Pair::P256(pair) }
});
pub static D1: LazyLock<TestKey> =
    LazyLock::new(|| TestKey { kid: "ed_1", pair: Pair::Ed25519(Ed25519KeyPair::generate().unwrap()) });

impl TestKey {
    /// The public half, as in a key set.
    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"use": "sig", "kty": "RSA", "kid": self.kid, "alg": "RS256", "n": b64(public.n), "e": b64(public.e)})
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "alg": "ES256", "x": b64(x), "y": b64(y)})
            }
            Pair::Ed25519(pair) => {
                let x = b64(pair.public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "alg": "EdDSA", "x": x})
            }
        }
    }

    /// The private half, for another library to sign with: PKCS#8, or PKCS#1 for RSA.
    pub fn private_der(&self) -> Vec<u8> {
        match &self.pair {
            // The PKCS#1 key begins after a head of fixed length, because all keys here have 2048 bits.
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).unwrap().as_ref()[26..].to_vec(),
            Pair::P256(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).unwrap().as_ref().to_vec(),
        }
    }

    fn alg(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &rng, message, &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key set of these keys.
pub fn jwks(keys: &[&TestKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

/// A key set as a `data:` URI.
pub fn data_url(set: &Value) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(set.to_string());
    format!("data:application/json;base64,{text}")
}

/// A token in the making: U1 of section 10, and what is changed of it.
#[derive(Clone)]
pub struct TestToken {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    key: &'static TestKey,
}

/// U1: the template token of `user_1`, signed with K1.
pub fn u1() -> TestToken {
    let Value::Object(claims) = json!({
        "iss": ISS, "sub": "user_1", "aud": "convex", "azp": "http://localhost:5173", "iat": T, "nbf": T - 5,
        "exp": T + 60, "jti": "5f1e0c9d", "name": "Ada L", "given_name": "Ada", "family_name": "L", "nickname": null,
        "email": "ada@example.test", "email_verified": true, "phone_number": null, "phone_number_verified": false,
        "updated_at": 1_755_770_400,
    }) else {
        unreachable!()
    };
    TestToken { header: Map::new(), claims, key: &K1 }.header("typ", json!("JWT")).key(&K1)
}

impl TestToken {
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs with a key, under its id and algorithm.
    pub fn key(self, key: &'static LazyLock<TestKey>) -> Self {
        let key: &'static TestKey = key;
        Self { key, ..self }.header("alg", key.alg()).header("kid", key.kid)
    }

    /// Signs with another key than the header says.
    pub fn signed_by(self, key: &'static LazyLock<TestKey>) -> Self {
        Self { key, ..self }
    }

    /// What is to be signed.
    pub fn unsigned(&self) -> String {
        let part = |members: &Map<String, Value>| b64(Value::Object(members.clone()).to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    pub fn claims_value(&self) -> Value {
        Value::Object(self.claims.clone())
    }

    pub fn text(&self) -> String {
        let unsigned = self.unsigned();
        let alg = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        format!("{unsigned}.{}", b64(self.key.sign(alg, unsigned.as_bytes())))
    }
}

/// An issuer that serves what it is told, and counts.
pub struct TestIssuer {
    answers: Mutex<HashMap<String, Result<Response, FetchError>>>,
    asked: Mutex<Vec<String>>,
    /// Requests wait for a permit when there is one to wait for.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

pub const DISCOVERY: &str = "https://quiet-ox-46.clerk.accounts.dev/.well-known/openid-configuration";
pub const JWKS: &str = "https://quiet-ox-46.clerk.accounts.dev/.well-known/jwks.json";

/// An answer with status 200 and a body of JSON.
pub fn ok(body: &Value) -> Result<Response, FetchError> {
    Ok(Response {
        status: 200,
        content_type: Some("application/json".to_owned()),
        body: body.to_string().into_bytes(),
        ..Response::default()
    })
}

/// An answer with another status.
pub fn status(status: u16) -> Result<Response, FetchError> {
    Ok(Response { status, body: b"out of order".to_vec(), ..Response::default() })
}

impl TestIssuer {
    /// The issuer of section 10, with JWKS {K1}.
    pub fn new() -> Arc<Self> {
        let issuer = Self { answers: Mutex::default(), asked: Mutex::default(), gate: Mutex::default() };
        issuer.serve(DISCOVERY, ok(&json!({"issuer": ISS, "jwks_uri": JWKS})));
        issuer.serve(JWKS, ok(&jwks(&[&K1])));
        Arc::new(issuer)
    }

    pub fn serve(&self, url: &str, answer: Result<Response, FetchError>) {
        self.answers.lock().unwrap().insert(url.to_owned(), answer);
    }

    /// Serves a key set at its usual place, with a `Cache-Control`.
    pub fn serve_keys(&self, keys: &[&TestKey], cache_control: Option<&str>) {
        let mut answer = ok(&jwks(keys)).unwrap();
        answer.cache_control = cache_control.map(str::to_owned);
        self.serve(JWKS, Ok(answer));
    }

    /// How often each address was asked since the last call.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// From now on requests wait for permits of the semaphore that is returned.
    pub fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }
}

impl Fetch for TestIssuer {
    fn get(&self, url: Url, _: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        self.asked.lock().unwrap().push(url.to_string());
        let answer = self.answers.lock().unwrap().get(url.as_str()).cloned();
        let gate = self.gate.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            answer.unwrap_or_else(|| status(404))
        })
    }
}

/// A verifier with its issuer and its clock.
pub struct World {
    pub clock: Arc<HandClock>,
    pub issuer: Arc<TestIssuer>,
    pub verifier: Arc<Verifier>,
}

impl World {
    /// With provider P of section 10.
    pub fn oidc() -> Self {
        Self::new(&json!({"providers": [{"domain": ISS, "applicationID": "convex"}]}))
    }

    /// With a customJwt provider of K1, K2 and E1 in a data URI.
    pub fn custom(algorithm: &str) -> Self {
        Self::new(&custom_config(algorithm, &data_url(&jwks(&[&K1, &K2, &E1, &D1]))))
    }

    pub fn new(config: &Value) -> Self {
        let (clock, issuer) = (HandClock::new(), TestIssuer::new());
        let verifier = Verifier::new(auth_config(config), issuer.clone(), clock.clone());
        Self { clock, issuer, verifier: Arc::new(verifier) }
    }

    pub async fn verify(&self, token: &TestToken) -> Result<Verified, Rejection> {
        self.verifier.verify(&token.text()).await
    }

    /// The identity of a token that has to be accepted.
    pub async fn accepted(&self, token: &TestToken) -> Arc<UserIdentity> {
        let outcome = self.verify(token).await;
        outcome.unwrap_or_else(|rejection| panic!("{rejection}: {}", token.claims_value())).identity
    }

    /// The refusal of a token.
    pub async fn refused(&self, token: &TestToken) -> Rejection {
        self.refused_text(&token.text()).await
    }

    pub async fn refused_text(&self, token: &str) -> Rejection {
        match self.verifier.verify(token).await {
            Ok(verified) => panic!("accepted as {}: {token}", verified.identity.token_identifier),
            Err(rejection) => rejection,
        }
    }

    /// Checks reason and code of a refusal.
    pub async fn check(&self, token: &TestToken, code: &str, reason: Reason) {
        self.check_text(&token.text(), code, reason).await;
    }

    pub async fn check_text(&self, token: &str, code: &str, reason: Reason) {
        let rejection = self.refused_text(token).await;
        assert_eq!((rejection.code(), rejection.reason()), (code, reason), "{rejection}");
        assert!(rejection.client_text(Redaction::Redacted).starts_with(&format!("{code}: ")));
    }
}

pub fn custom_config(algorithm: &str, jwks: &str) -> Value {
    json!({"providers": [
        {"type": "customJwt", "issuer": ISS, "applicationID": "convex", "algorithm": algorithm, "jwks": jwks}
    ]})
}

pub fn auth_config(config: &Value) -> AuthConfig {
    AuthSettings::from_json(&config.to_string()).unwrap().resolve(&|_| None).unwrap()
}
