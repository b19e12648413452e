//! What strangers may send, taken as bytes: a token, a key set, a discovery document, frames. Each function holds for every
//! input or panics; the seeds in `tests/fuzz/seeds` are where searches begin.
//!
//! The genuine tokens among the seeds are signed by keys of `tests/fuzz/keys.json` whose private halves exist no more:
//! whatever else is accepted is a forgery.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;
use serde_json::value::RawValue;
use syncline::auth::{
    Algorithm, AuthConfig, Fetch, FetchError, IssuerUrl, JwksSource, KeySet, LocalIssuer, Provider, Reach, Redaction,
    Rejection, Response, Verified, Verifier, explain,
};
use syncline::clock::ManualClock;
use syncline_client_protocol::{
    ClientMessage, Failure, IdentityKey, Input, LogLines, MutationSuccess, Now, Output, QueryResult, Session,
    SessionConfig, Timestamp, Verdict,
};

/// A function that holds for every input, and answers whether that input is as it should be.
pub type Target = fn(&[u8]) -> bool;

/// All of them, with the folders of their seeds.
pub const TARGETS: [(&str, Target); 4] = [("token", token), ("jwks", jwks), ("discovery", discovery), ("frame", frame)];

/// When the genuine tokens are valid, in seconds.
const T: u64 = 1_755_800_000;
const ISSUER: &str = "https://quiet-ox-46.clerk.accounts.dev";
const KEYS: &str = include_str!("../fuzz/keys.json");
/// Clerk's, RS256.
const CLERK_TOKEN: &str = include_str!("../fuzz/seeds/token/genuine-clerk");
/// One for each kind of key.
const GENUINE: [&str; 3] = [
    CLERK_TOKEN,
    include_str!("../fuzz/seeds/token/genuine-eddsa"),
    include_str!("../fuzz/seeds/token/genuine-custom"),
];
/// The longest message about anything, in bytes: what is repeated of an input is cut off long before.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// How many things one frame may lead to before the session is taken to run in circles.
const STEPS_MAX: usize = 10_000;

/// A token. Two lines of JSON are a header and a payload with the signature of a genuine token behind them, so that a
/// search need not find base64.
pub fn token(data: &[u8]) -> bool {
    let given = String::from_utf8_lossy(data);
    let token = match given.split_once('\n') {
        Some((header, payload)) if header.starts_with('{') => put_together(header, payload),
        _ => given.into_owned(),
    };
    let verifier = with_keys(KeySet::parse(KEYS).expect("the keys of the seeds"));
    let outcome = run(verifier.verify(&token));
    match &outcome {
        Ok(_) => assert!(GENUINE.iter().any(|genuine| signed_part(genuine) == signed_part(&token)), "forged: {token}"),
        Err(rejection) => check_message(rejection, &token),
    }
    assert_eq!(run(verifier.verify(&token)).err(), outcome.as_ref().err().cloned(), "the second time");
    let explained = run(explain(&verifier, &token));
    assert_eq!(explained.is_accepted(), outcome.is_ok());
    assert!(explained.to_string().chars().all(|c| c == '\n' || !c.is_control()), "{explained}");
    outcome.is_ok()
}

/// A key set: with keys that are not the issuer's, its token is refused.
pub fn jwks(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Ok(keys) = KeySet::parse(&text) else { return false };
    let outcome = run(with_keys(keys).verify(CLERK_TOKEN));
    match &outcome {
        Ok(_) => assert!(holds_genuine_key(&text), "accepted with the keys {text}"),
        Err(rejection) => check_message(rejection, CLERK_TOKEN),
    }
    outcome.is_ok()
}

/// A discovery document: it leads to keys only if it is the issuer's, and never out of the public Internet.
pub fn discovery(data: &[u8]) -> bool {
    let provider = Provider::Oidc { domain: issuer(ISSUER), application_id: "convex".to_owned() };
    let config = AuthConfig { providers: vec![provider], allow_insecure_issuers: false };
    let verifier = Verifier::new(config, Arc::new(Answers(data.to_vec())), Arc::new(ManualClock::at_seconds(T)));
    let outcome = run(verifier.verify(CLERK_TOKEN));
    match &outcome {
        Ok(Verified { identity, .. }) => {
            let document: Value = serde_json::from_slice(data).expect("what was understood is JSON");
            assert_eq!(document["issuer"], ISSUER);
            assert!(document["jwks_uri"].is_string(), "{document}");
            assert_eq!(identity.issuer, ISSUER);
        }
        Err(rejection) => check_message(rejection, CLERK_TOKEN),
    }
    outcome.is_ok()
}

/// Frames of a client, one on each line, to a session whose runtime answers everything at once.
pub fn frame(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let mut session = Session::new(SessionConfig::default(), now());
    for line in text.lines() {
        if let Err(error) = ClientMessage::decode(line) {
            assert!(error.to_string().len() <= MESSAGE_BYTES_MAX, "{error}");
        }
        session.handle(now(), Input::Frame(line));
        let mut has_closed = false;
        for step in 0.. {
            assert!(step < STEPS_MAX, "the session runs in circles after {line}");
            let Some(output) = session.poll() else { break };
            assert!(!has_closed, "after the close: {output:?}");
            has_closed = matches!(output, Output::Close(_));
            answer(&mut session, output);
        }
        assert_eq!(session.deadline().is_none(), has_closed, "after {line}");
        if has_closed {
            return false;
        }
    }
    true
}

/// Answers as a runtime would: every token is good, every function gives an empty list.
fn answer(session: &mut Session, output: Output) {
    // After every timestamp of the recorded frames, before the greatest there is.
    let newest = Timestamp(u64::MAX / 2);
    let log_lines = LogLines::default;
    let value = || "[]".into();
    match output {
        Output::VerifyToken { attempt, .. } => {
            let verdict = Verdict::Accepted { identity: IdentityKey(1), expires_at_ns: None };
            session.handle(now(), Input::TokenVerified { attempt, verdict });
        }
        Output::ChooseTarget { at_least } if at_least > newest => {
            session.handle(now(), Input::TargetUnreachable { newest });
        }
        Output::ChooseTarget { .. } => session.handle(now(), Input::TargetChosen { ts: newest }),
        Output::RunQuery { query, run, .. } => {
            let result = QueryResult { outcome: Ok(value()), log_lines: log_lines(), journal: None, hash: 0 };
            session.handle(now(), Input::QueryDone { query, run, result: Arc::new(result) });
        }
        Output::RunMutation { request, .. } => {
            session.handle(now(), Input::MutationCommitted { request, ts: newest });
            let outcome = Ok(MutationSuccess { ts: newest, value: value() });
            let finished = Input::MutationFinished { request, outcome, log_lines: log_lines(), durable_at: newest };
            session.handle(now(), finished);
            session.handle(now(), Input::Durable { ts: newest });
        }
        Output::RunAction { request, .. } => {
            let outcome = Err(Failure { message: "it always fails".into(), data: None });
            session.handle(now(), Input::ActionFinished { request, outcome, log_lines: log_lines() });
        }
        Output::Send(message) => {
            let mut text = String::new();
            message.write(&mut text);
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "no JSON: {text}");
            if message.completes_transition() {
                session.handle(now(), Input::TransitionWritten);
            }
        }
        Output::DropQuery { .. } | Output::Close(_) => {}
    }
}

fn now() -> Now {
    Now { monotonic_ms: 0, wall_ns: T * 1_000_000_000 }
}

/// A refusal says its code first, is short, and has neither the token nor what a terminal or a log takes for a command.
fn check_message(rejection: &Rejection, token: &str) {
    let message = rejection.client_text(Redaction::Development);
    assert!(message.starts_with(rejection.code()), "{message}");
    assert!(message.len() <= MESSAGE_BYTES_MAX, "{} bytes: {message}", message.len());
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(token.len() < 64 || !message.contains(token), "the token is in {message}");
}

/// A verifier that knows a Clerk instance and an issuer of other tokens, both with these keys.
fn with_keys(keys: KeySet) -> Verifier {
    let clerk = Provider::Oidc { domain: issuer(ISSUER), application_id: "convex".to_owned() };
    let custom = Provider::CustomJwt {
        issuer: issuer("https://id.acme.test"),
        jwks: JwksSource::Data(String::new()),
        algorithm: Algorithm::Es256,
        application_id: Some("acme-app".to_owned()),
    };
    let local = [clerk, custom].map(|provider| LocalIssuer { provider, keys: keys.clone() });
    let clock = Arc::new(ManualClock::at_seconds(T));
    Verifier::with_local(AuthConfig::default(), local.into(), Arc::new(Answers(Vec::new())), clock)
}

fn issuer(address: &str) -> IssuerUrl {
    IssuerUrl::parse(address).expect("an issuer")
}

/// Whether the modulus of the issuer's key is in a key set, however its JSON is written. Members that nobody looks at
/// may hold what no string or number is.
fn holds_genuine_key(text: &str) -> bool {
    let genuine = moduli(KEYS);
    moduli(text).iter().any(|modulus| genuine.contains(modulus))
}

fn moduli(text: &str) -> Vec<String> {
    let member = |text: &str, name: &str| {
        let mut members: HashMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
        members.remove(name)
    };
    let keys = member(text, "keys").and_then(|keys| serde_json::from_str(keys.get()).ok());
    let keys: Vec<Box<RawValue>> = keys.unwrap_or_default();
    keys.iter().filter_map(|key| serde_json::from_str(member(key.get(), "n")?.get()).ok()).collect()
}

/// Answers with one document as discovery and with the genuine keys to everything else that may be asked.
struct Answers(Vec<u8>);

impl Fetch for Answers {
    fn get(&self, url: reqwest::Url, reach: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        assert_eq!(reach, Reach::Public, "{url}");
        if let Err(why) = reach.check_url(&url) {
            return futures::future::ready(Err(FetchError::Refused { url: url.to_string(), why })).boxed();
        }
        let is_discovery = url.as_str() == format!("{ISSUER}/.well-known/openid-configuration");
        let body = if is_discovery { self.0.clone() } else { KEYS.as_bytes().to_vec() };
        let content_type = Some("application/json".to_owned());
        async move { Ok(Response { status: 200, content_type, body, ..Response::default() }) }.boxed()
    }
}

fn put_together(header: &str, payload: &str) -> String {
    let (_, signature) = CLERK_TOKEN.rsplit_once('.').expect("three parts");
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

/// What a signature is of.
fn signed_part(token: &str) -> Option<&str> {
    token.rsplit_once('.').map(|(signed, _)| signed)
}

/// Runs what asks for keys, on this thread.
fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
        });
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
