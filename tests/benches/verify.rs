//! What it costs to find out who somebody is: verifications of tokens on one core, beside the bare signature check of
//! the crypto library in the same rounds.
//!
//! *Cold* is a token never seen before, with everything that is decoded, checked and remembered; *remembered* is one that
//! was accepted before and is shown again, as after a reconnect; *expired* is a remembered one whose time is over, which
//! the memory must not answer for. Times are those of this thread, so that others on the machine do not count.
//!
//! `cargo bench -p syncline-tests --bench verify`

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::executor::block_on;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use syncline::auth::{
    Algorithm, AuthConfig, Fetch, FetchError, IssuerUrl, JwksSource, KeySet, LocalIssuer, Provider, Reach, Reason,
    Response, Verifier,
};
use syncline::clock::ManualClock;

/// As in the servers that are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ISSUER: &str = "https://quiet-ox-46.clerk.accounts.dev";
const AUDIENCE: &str = "convex";
const T: u64 = 1_755_800_000;

/// Seconds a token lives, as Clerk makes them.
const LIFETIME_S: u64 = 60;

/// More than one generation of the memory of tokens, so that forgetting is part of what is measured.
const TOKENS: u64 = 20_000;

/// Tokens that are shown again while they are remembered.
const SHOWN_AGAIN: usize = 2_000;

const ROUNDS: usize = 5;

/// Sessions for which the share of a core is told, each renewing once a minute.
const SESSIONS: f64 = 100_000.0;

/// A key that signs, and what its tokens say of it.
enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    fn alg(&self) -> &'static str {
        match self {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The public half, as in a key set.
    fn jwk(&self) -> Value {
        match self {
            Pair::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"use": "sig", "kty": "RSA", "kid": "k", "alg": "RS256", "n": b64(public.n), "e": b64(public.e)})
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "x": b64(x), "y": b64(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "alg": "EdDSA", "x": b64(pair.public_key())})
            }
        }
    }

    /// The public half, as the crypto library checks with it.
    fn public(&self) -> ParsedPublicKey {
        match self {
            Pair::Rsa(pair) => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key()),
            Pair::P256(pair) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key()),
            Pair::Ed25519(pair) => ParsedPublicKey::new(&ED25519, pair.public_key()),
        }
        .expect("a key that was just made")
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("it signs");
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message).expect("it signs").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Its issuer: ES256 is for customJwt only.
    fn provider(&self) -> Provider {
        let issuer = IssuerUrl::parse(ISSUER).expect("an issuer");
        match self {
            Pair::P256(_) => Provider::CustomJwt {
                issuer,
                jwks: JwksSource::Data(String::new()),
                algorithm: Algorithm::Es256,
                application_id: Some(AUDIENCE.to_owned()),
            },
            Pair::Rsa(_) | Pair::Ed25519(_) => Provider::Oidc { domain: issuer, application_id: AUDIENCE.to_owned() },
        }
    }
}

/// A token, and the parts of it that the crypto library needs.
struct Signed {
    token: String,
    signed_len: usize,
    signature: Vec<u8>,
}

impl Signed {
    /// With the claims of Clerk's preset.
    fn of(pair: &Pair, n: u64) -> Self {
        let header = json!({"alg": pair.alg(), "cat": "cl_B7d4PD222AAA", "kid": "k", "typ": "JWT"});
        let claims = json!({
            "iss": ISSUER, "sub": format!("user_{n:024}"), "aud": AUDIENCE, "azp": "http://localhost:5173",
            "iat": T, "nbf": T - 5, "exp": T + LIFETIME_S, "jti": format!("{n:020x}"), "name": "Ada L",
            "given_name": "Ada", "family_name": "L", "nickname": "ada", "picture": "https://img.clerk.com/x",
            "email": "ada@example.test", "email_verified": true, "phone_number": null, "phone_number_verified": false,
            "updated_at": 1_755_770_400,
        });
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = pair.sign(signed.as_bytes());
        Signed { signed_len: signed.len(), token: format!("{signed}.{}", b64(&signature)), signature }
    }
}

/// For issuers whose keys are known.
struct NoFetch;

impl Fetch for NoFetch {
    fn get(&self, url: reqwest::Url, _reach: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        panic!("nothing was to be fetched, but {url} was");
    }
}

/// Seconds of this thread for each of a number of things.
struct Costs {
    bare: f64,
    cold: f64,
    remembered: f64,
    expired: f64,
}

fn main() {
    let pairs = [
        Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))),
        Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")),
        Pair::Ed25519(Ed25519KeyPair::generate().expect("a key")),
    ];
    println!("verifications of tokens, on one core; the limit is the bare signature check");
    println!("{:6} {:11} {:>9} {:>8} {:>9}", "", "", "per s", "us each", "of limit");
    for pair in &pairs {
        let tokens: Vec<Signed> = (0..TOKENS).map(|n| Signed::of(pair, n)).collect();
        let costs = measure(pair, &tokens);
        print_costs(pair.alg(), &costs);
    }
}

fn print_costs(alg: &str, costs: &Costs) {
    for (what, seconds) in
        [("bare", costs.bare), ("cold", costs.cold), ("remembered", costs.remembered), ("expired", costs.expired)]
    {
        println!("{alg:6} {what:11} {:9.0} {:8.2} {:8.2}x", 1.0 / seconds, seconds * 1e6, costs.bare / seconds);
    }
    let share = |seconds: f64| SESSIONS / 60.0 * seconds * 100.0;
    println!(
        "{alg:6} {SESSIONS} sessions that renew every minute: {:.1} % of a core (bare {:.1} %)",
        share(costs.cold),
        share(costs.bare)
    );
}

/// The medians of some rounds.
fn measure(pair: &Pair, tokens: &[Signed]) -> Costs {
    let rounds: Vec<Costs> = (0..ROUNDS).map(|_| round(pair, tokens)).collect();
    let median = |part: fn(&Costs) -> f64| {
        let mut parts: Vec<f64> = rounds.iter().map(part).collect();
        parts.sort_unstable_by(f64::total_cmp);
        parts[parts.len() / 2]
    };
    Costs {
        bare: median(|costs| costs.bare),
        cold: median(|costs| costs.cold),
        remembered: median(|costs| costs.remembered),
        expired: median(|costs| costs.expired),
    }
}

fn round(pair: &Pair, tokens: &[Signed]) -> Costs {
    let public = pair.public();
    let keys = KeySet::parse(&json!({"keys": [pair.jwk()]}).to_string()).expect("a key set");
    let local = vec![LocalIssuer { provider: pair.provider(), keys }];
    let clock = Arc::new(ManualClock::at_seconds(T));
    let verifier = Verifier::with_local(AuthConfig::default(), local, Arc::new(NoFetch), clock.clone());
    let bare = each(tokens, |Signed { token, signed_len, signature }| {
        public.verify_sig(&token.as_bytes()[..*signed_len], signature).expect("a good signature");
    });
    let verify = |signed: &Signed| {
        block_on(verifier.verify(&signed.token)).expect("a good token");
    };
    let cold = each(tokens, verify);
    let last = &tokens[tokens.len() - SHOWN_AGAIN..];
    let remembered = each(last, verify);
    clock.advance_ms((LIFETIME_S + 10) * 1_000);
    let expired = each(last, |signed| {
        let refused = block_on(verifier.verify(&signed.token)).expect_err("its time is over");
        assert_eq!(refused.reason(), Reason::Expired);
    });
    Costs { bare, cold, remembered, expired }
}

/// Seconds of this thread for one of them.
fn each(tokens: &[Signed], mut what: impl FnMut(&Signed)) -> f64 {
    let before = thread_time();
    tokens.iter().for_each(&mut what);
    (thread_time() - before).as_secs_f64() / tokens.len() as f64
}

/// What this thread has used of a core.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the time of a thread has no safe interface; the call only writes `time`")]
    // SAFETY: `time` is a valid timespec that lives through the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0, "this system tells the time of a thread");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
