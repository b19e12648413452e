//! Fixture keys, and tokens signed with them. Source: `tests/spec/auth.md` section 10.
//!
//! The keys are made anew in each process and are nobody's: a handshake names them and never holds a token.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::members::Members;

/// When every handshake begins, in seconds since the epoch.
pub(super) const START_S: u64 = 1_755_800_000;

/// The issuer of tokens that name none.
pub(super) const ISSUER: &str = "https://quiet-ox-46.clerk.accounts.dev";

/// The audience of tokens that name none.
pub(super) const AUDIENCE: &str = "convex";

/// Seconds that a token is valid which does not say how long.
const LIFETIME_S: i64 = 60;

/// Seconds before its issue that a token becomes valid.
const NOT_BEFORE_S: i64 = 5;

/// A fixture key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    /// RSA, the key id `ins_1`.
    #[default]
    K1,
    /// RSA, `ins_2`.
    K2,
    /// P-256, `es_1`.
    E1,
    /// RSA, an attacker's, under the id of `K1`. No issuer serves it unless it is told to.
    X,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Pair {
    fn rsa() -> Self {
        Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key can be made"))
    }
}

static K1: LazyLock<Pair> = LazyLock::new(Pair::rsa);
static K2: LazyLock<Pair> = LazyLock::new(Pair::rsa);
static X: LazyLock<Pair> = LazyLock::new(Pair::rsa);
static E1: LazyLock<Pair> = LazyLock::new(|| {
    Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key can be made"))
});

impl Key {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "K1" => Ok(Key::K1),
            "K2" => Ok(Key::K2),
            "E1" => Ok(Key::E1),
            "X" => Ok(Key::X),
            _ => Err(format!("expected a fixture key, one of K1, K2, E1 and X; found {name:?}")),
        }
    }

    fn pair(self) -> &'static Pair {
        match self {
            Key::K1 => &K1,
            Key::K2 => &K2,
            Key::E1 => &E1,
            Key::X => &X,
        }
    }

    fn id(self) -> &'static str {
        match self {
            Key::K1 | Key::X => "ins_1",
            Key::K2 => "ins_2",
            Key::E1 => "es_1",
        }
    }

    fn algorithm(self) -> &'static str {
        match self.pair() {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
        }
    }

    /// The public half, as in a key set.
    fn jwk(self) -> Value {
        let mut jwk = json!({"use": "sig", "kid": self.id(), "alg": self.algorithm()});
        let members = match self.pair() {
            Pair::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                [("kty", "RSA".to_owned()), ("n", b64(public.n)), ("e", b64(public.e))].to_vec()
            }
            Pair::P256(pair) => {
                // The uncompressed point: a byte that says so, then the coordinates.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                [("kty", "EC".to_owned()), ("crv", "P-256".to_owned()), ("x", b64(x)), ("y", b64(y))].to_vec()
            }
        };
        for (name, value) in members {
            jwk[name] = value.into();
        }
        jwk
    }

    fn public_der(self) -> Vec<u8> {
        let der = match self.pair() {
            Pair::Rsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
            Pair::P256(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()),
        };
        der.expect("a public key can be encoded").as_ref().to_vec()
    }

    fn sign(self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self.pair() {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a message can be signed");
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message).expect("a message can be signed").as_ref().to_vec(),
        }
    }
}

/// The key set of an issuer.
pub(super) fn key_set(keys: &[Key]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

/// A provider as it is configured: `"$jwks:E1"` becomes a data URI with these keys.
pub(super) fn provider(provider: &Value) -> Result<Value, String> {
    let mut provider = provider.clone();
    if let Some(names) = provider["jwks"].as_str().and_then(|jwks| jwks.strip_prefix("$jwks:")) {
        let keys = names.split(',').map(Key::parse).collect::<Result<Vec<_>, _>>()?;
        let set = STANDARD.encode(key_set(&keys).to_string());
        provider["jwks"] = format!("data:application/json;base64,{set}").into();
    }
    Ok(provider)
}

/// How a token is made.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenFixture {
    /// Over the usual ones; null leaves one out. `iat`, `nbf` and `exp` are seconds from the start.
    claims: Map<String, Value>,
    /// Over the usual ones; null leaves one out.
    header: Map<String, Value>,
    key: Key,
    /// The text itself, for what is no token at all.
    text: Option<String>,
}

/// The claims that are times, in seconds.
const TIMES: [&str; 3] = ["iat", "nbf", "exp"];

impl TokenFixture {
    pub(super) fn parse(members: &mut Members) -> Result<Self, String> {
        Ok(TokenFixture {
            claims: members.object("claims")?.unwrap_or_default(),
            header: members.object("header")?.unwrap_or_default(),
            key: members.text("key")?.as_deref().map_or(Ok(Key::K1), Key::parse)?,
            text: members.text("text")?,
        })
    }

    /// The token, made at `start_s`.
    pub(super) fn make(&self, start_s: u64) -> String {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let mut header = object(json!({"alg": self.key.algorithm(), "kid": self.key.id(), "typ": "JWT"}));
        overlay(&mut header, &self.header);
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default().to_owned();
        let part = |members: Map<String, Value>| b64(Value::Object(members).to_string());
        let signed = format!("{}.{}", part(header), part(self.claims_at(start_s)));
        let signature = match algorithm.to_ascii_lowercase().as_str() {
            "none" => Vec::new(),
            // What an attacker can do who knows the public key.
            "hs256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key.public_der());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            _ => self.key.sign(signed.as_bytes()),
        };
        format!("{signed}.{}", b64(signature))
    }

    fn claims_at(&self, start_s: u64) -> Map<String, Value> {
        let seconds = |name: &str| self.claims.get(name).and_then(Value::as_i64);
        let issued = seconds("iat").unwrap_or(0);
        let mut claims = object(json!({
            "iss": ISSUER, "sub": "user_1", "aud": AUDIENCE,
            "iat": issued, "nbf": issued - NOT_BEFORE_S, "exp": issued + LIFETIME_S,
        }));
        overlay(&mut claims, &self.claims);
        for name in TIMES {
            if let Some(relative) = claims.get(name).and_then(Value::as_i64) {
                claims.insert(name.to_owned(), (start_s as i64 + relative).into());
            }
        }
        claims
    }

    /// What a development issuer has to be asked for to give such a token, or why it cannot.
    pub(super) fn dev_request(&self) -> Result<Value, String> {
        if self.text.is_some() || !self.header.is_empty() || self.key != Key::K1 {
            return Err("needs a token that no issuer signs".to_owned());
        }
        let mut extra = self.claims.clone();
        let subject = extra.remove("sub").unwrap_or_else(|| "user_1".into());
        let issued = extra.remove("iat").map_or(0, |issued| issued.as_i64().unwrap_or(i64::MAX));
        let expires = extra.remove("exp").map_or(issued + LIFETIME_S, |expires| expires.as_i64().unwrap_or(0));
        if issued != 0 || expires <= 0 || ["iss", "nbf", "jti", "azp"].iter().any(|own| extra.contains_key(*own)) {
            return Err("needs a token with other times or another issuer than the development issuer gives".to_owned());
        }
        // The issuer fills in a profile; a fixture has none but what it says.
        for profile in ["name", "email", "email_verified", "phone_number_verified", "updated_at"] {
            extra.entry(profile).or_insert(Value::Null);
        }
        let (name, email) = (extra.remove("name"), extra.remove("email"));
        Ok(json!({"subject": subject, "name": name, "email": email, "lifetimeSeconds": expires, "claims": extra}))
    }
}

fn overlay(members: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, value) in changes {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => unreachable!("{other} is an object"),
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
