//! Plays a script against a session: what happens on one side, all that comes out on the other.
//!
//! ```text
//! > frame        from the client: JSON, or in short as below
//! ! event        from the server around the session
//! = query value  a query's result
//! < output       what comes out; `nothing` if nothing does
//! ```
//!
//! Inputs that follow each other are one batch. All outputs of a batch must be listed, in order; a line that ends
//! in `…` is compared up to there. Outputs are rendered from the JSON text that a client would read.
//!
//! Frames in short: `Connect`, `Connect seen 9`, `Modify 0 1 +4 list +5 list -2`, `Mutation 7 send`, `Action 8 ask`,
//! `Authenticate 0 User tok`, `Authenticate 0 Admin key`, `Authenticate 1 None`. Versions of a Transition are written
//! `querySet.identity.ts`.
//!
//! Unless `! hold targets` or `! hold writes` says otherwise, a target is chosen (the newest durable timestamp) and a
//! Transition is written as soon as the session wants it. The store begins durable at 7. `! keep 0` remembers a run of
//! query 0, and `! late 0 value` answers it, whatever has happened in between.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value;
use syncline_client_protocol::{
    AuthAttempt, AuthToken, ClientVersion, Failure, FunctionCall, IdentityKey, Input, Json, LogLines, MutationSuccess,
    Now, Output, QueryId, QueryResult, RequestId, RunId, Session, SessionConfig, SessionId, SessionLimits,
    SystemFailure, Timestamp, Verdict, VerifierFault,
};

/// When scripts begin, in seconds since the Unix epoch.
pub const START_S: u64 = 1_755_800_000;

pub struct Player {
    session: Session,
    now_ms: u64,
    durable: Timestamp,
    holds_targets: bool,
    holds_writes: bool,
    attempt: Option<AuthAttempt>,
    runs: BTreeMap<QueryId, RunId>,
    /// Runs that the session may have given up since.
    kept: BTreeMap<QueryId, RunId>,
    mutations: Vec<RequestId>,
    actions: Vec<RequestId>,
    identities: Vec<String>,
    rendered: Vec<String>,
    texts: Vec<Value>,
    is_closed: bool,
}

/// Plays a script with the limits of production and a client of the newest version.
pub fn check(script: &str) {
    // One mutation at a time, so that a script shows what starts when.
    let limits = SessionLimits { mutations_ahead_max: 1, ..SessionLimits::default() };
    check_with(SessionConfig { client: client("npm-1.48.0"), limits }, script);
}

pub fn check_with(config: SessionConfig, script: &str) {
    let mut player = Player::new(config);
    let lines: Vec<&str> =
        script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut rest = &lines[..];
    while !rest.is_empty() {
        let n_inputs = rest.iter().take_while(|line| !line.starts_with('<')).count();
        for line in &rest[..n_inputs] {
            player.input(line);
        }
        rest = &rest[n_inputs..];
        let n_expected = rest.iter().take_while(|line| line.starts_with('<')).count();
        let expected: Vec<&str> = rest[..n_expected].iter().map(|line| line[1..].trim()).collect();
        rest = &rest[n_expected..];
        player.poll();
        compare(
            &lines[lines.len() - rest.len() - n_inputs - n_expected..][..n_inputs],
            &expected,
            &player.take_rendered(),
        );
    }
}

pub fn client(header: &str) -> ClientVersion {
    ClientVersion::parse(Some(header), None).expect("a client version")
}

fn compare(inputs: &[&str], expected: &[&str], found: &[String]) {
    let expected: Vec<&str> = expected.iter().copied().filter(|line| *line != "nothing").collect();
    let is_equal = expected.len() == found.len()
        && expected.iter().zip(found).all(|(expected, found)| match expected.strip_suffix('…') {
            Some(beginning) => found.starts_with(beginning),
            None => expected == found,
        });
    assert!(
        is_equal,
        "after\n  {}\nexpected\n  < {}\nfound\n  < {}\n",
        inputs.join("\n  "),
        expected.join("\n  < "),
        found.join("\n  < ")
    );
}

impl Player {
    pub fn new(config: SessionConfig) -> Player {
        let now = Now { monotonic_ms: 0, wall_ns: START_S * 1_000_000_000 };
        Player {
            session: Session::new(config, now),
            now_ms: 0,
            durable: Timestamp(7),
            holds_targets: false,
            holds_writes: false,
            attempt: None,
            runs: BTreeMap::new(),
            kept: BTreeMap::new(),
            mutations: Vec::new(),
            actions: Vec::new(),
            identities: vec!["nobody".to_owned()],
            rendered: Vec::new(),
            texts: Vec::new(),
            is_closed: false,
        }
    }

    fn take_rendered(&mut self) -> Vec<String> {
        std::mem::take(&mut self.rendered)
    }

    /// Answers everything that is asked, until nothing is.
    pub fn answer_all(&mut self) {
        loop {
            if self.attempt.is_some() {
                self.input("! token someone");
            } else if let Some(query) = self.runs.keys().next().copied() {
                self.input(&format!("= {} []", query.0));
            } else if let Some(request) = self.mutations.pop() {
                self.input(&format!("! done {} @8 null", request.0));
            } else if let Some(request) = self.actions.pop() {
                self.input(&format!("! acted {} null", request.0));
            } else {
                return;
            }
            self.poll();
        }
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The messages sent, whole.
    pub fn take_texts(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.texts)
    }

    fn handle(&mut self, input: Input<'_>) {
        let wall_ns = START_S * 1_000_000_000 + self.now_ms * 1_000_000;
        let now = Now { monotonic_ms: self.now_ms, wall_ns };
        self.session.handle(now, input);
        if self.session.awaits_durable().is_some_and(|ts| ts <= self.durable) {
            self.session.handle(now, Input::Durable { ts: self.durable });
        }
    }

    pub fn poll(&mut self) {
        while let Some(output) = self.session.poll() {
            assert!(!self.is_closed, "{output:?} after the close");
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        let line = match output {
            Output::VerifyToken { attempt, token } => {
                self.attempt = Some(attempt);
                match token {
                    AuthToken::User(token) => format!("verify user {token}"),
                    AuthToken::Admin { key, acting_as: None } => format!("verify admin {key}"),
                    AuthToken::Admin { key, acting_as: Some(user) } => {
                        format!("verify admin {key} acting as {}", user.token_identifier)
                    }
                    AuthToken::None => panic!("the anonymous need no verification"),
                }
            }
            Output::ChooseTarget { at_least } if self.holds_targets => format!("choose {}", at_least.0),
            Output::ChooseTarget { at_least } if at_least <= self.durable => {
                return self.handle(Input::TargetChosen { ts: self.durable });
            }
            Output::ChooseTarget { .. } => return self.handle(Input::TargetUnreachable { newest: self.durable }),
            Output::RunQuery { query, run, ts, call, journal, identity } => {
                self.runs.insert(query, run);
                let journal = journal.map_or(String::new(), |journal| format!(" journal {journal}"));
                format!("run {} {} @{}{}{journal}", query.0, self.call(&call), ts.0, self.caller(identity, None))
            }
            Output::DropQuery { query } => format!("drop {}", query.0),
            Output::RunMutation { request, call, identity, session } => {
                self.mutations.push(request);
                format!("mutation {} {}{}", request.0, self.call(&call), self.caller(identity, session))
            }
            Output::RunAction { request, call, identity, session } => {
                self.actions.push(request);
                format!("action {} {}{}", request.0, self.call(&call), self.caller(identity, session))
            }
            Output::Send(message) => {
                let mut text = String::new();
                message.write(&mut text);
                let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
                self.rendered.push(render(&json));
                self.texts.push(json);
                if message.completes_transition() && !self.holds_writes {
                    self.handle(Input::TransitionWritten);
                }
                return;
            }
            Output::Close(close) => {
                self.is_closed = true;
                let code = close.code.map_or("without code".to_owned(), |code| code.to_string());
                format!("close {code} {}", close.reason).trim_end().to_owned()
            }
        };
        self.rendered.push(line);
    }

    fn call(&self, call: &FunctionCall) -> String {
        let component = call.component.as_ref().map_or(String::new(), |component| format!(" in {component}"));
        format!("{} {}{component}", call.path, call.args)
    }

    fn caller(&self, identity: IdentityKey, session: Option<SessionId>) -> String {
        let mut text = String::new();
        if identity != IdentityKey::ANONYMOUS {
            write!(text, " as {}", self.identities[identity.0 as usize]).unwrap();
        }
        if let Some(session) = session {
            write!(text, " of {}", &session.to_string()[..8]).unwrap();
        }
        text
    }

    fn identity(&mut self, name: &str) -> IdentityKey {
        let known = self.identities.iter().position(|known| known == name);
        let key = known.unwrap_or_else(|| {
            self.identities.push(name.to_owned());
            self.identities.len() - 1
        });
        IdentityKey(key as u64)
    }

    pub fn input(&mut self, line: &str) {
        let (kind, text) = line.split_at(1);
        let text = text.trim();
        match kind {
            ">" if text == "binary" => self.handle(Input::BinaryFrame),
            ">" if text == "too large" => self.handle(Input::MessageTooLarge),
            ">" => self.handle(Input::Frame(&frame(text))),
            "=" => self.query_done(text, None),
            "!" => self.event(text),
            _ => panic!("not a line of a script: {line}"),
        }
    }

    fn query_done(&mut self, text: &str, run: Option<RunId>) {
        let (query, text) = split(text);
        let (outcome, rest) = match text.strip_prefix("fail ") {
            Some(text) => {
                let (failure, rest) = failure(text);
                (Err(failure), rest)
            }
            None => {
                let (value, rest) = value(text);
                (Ok(value), rest)
            }
        };
        let journal = rest.strip_prefix("journal ").map(Arc::from);
        let query = QueryId(query.parse().expect("a query"));
        let run = run.or_else(|| self.runs.remove(&query)).unwrap_or_else(|| panic!("query {} does not run", query.0));
        // The hash leaves out a request id, as the runtime's does.
        let told = match &outcome {
            Ok(value) => format!("value {value}"),
            Err(failure) => {
                let message = failure.message.split("] ").last().unwrap_or_default();
                format!("failure {message} {:?}", failure.data)
            }
        };
        let hash = told.bytes().fold(17, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let result = QueryResult { outcome, log_lines: LogLines::default(), journal, hash };
        self.handle(Input::QueryDone { query, run, result: Arc::new(result) });
    }

    fn event(&mut self, text: &str) {
        let (event, text) = split(text);
        match event {
            "hold" if text == "targets" => self.holds_targets = true,
            "hold" if text == "writes" => self.holds_writes = true,
            "at" => {
                let seconds: f64 = text.parse().expect("seconds");
                self.now_ms = (seconds * 1000.0) as u64;
                if self.session.deadline().is_some_and(|deadline| deadline <= self.now_ms) {
                    self.handle(Input::Tick);
                }
            }
            "deadline" => {
                let deadline = self.session.deadline().map_or("none".to_owned(), |ms| format!("{} ms", ms));
                self.rendered.push(format!("deadline {deadline}"));
            }
            "tick" => self.handle(Input::Tick),
            "heard" => self.handle(Input::Heard),
            "written" => self.handle(Input::TransitionWritten),
            "gone" => self.handle(Input::PeerClosed),
            "token" => self.token(text),
            "target" => self.handle(Input::TargetChosen { ts: ts(text) }),
            "durable" => {
                self.durable = ts(text);
                self.handle(Input::Durable { ts: ts(text) });
            }
            "invalidate" => self.handle(Input::QueryInvalidated { query: QueryId(text.parse().expect("a query")) }),
            "retry" => {
                let query = QueryId(text.parse().expect("a query"));
                let run = self.runs[&query];
                self.handle(Input::QueryRetry { query, run });
            }
            "keep" => {
                let query = QueryId(text.parse().expect("a query"));
                self.kept.insert(query, self.runs[&query]);
            }
            "late" => {
                let query = QueryId(split(text).0.parse().expect("a query"));
                let run = self.kept[&query];
                self.query_done(text, Some(run));
            }
            "internal" => self.handle(Input::SystemFailure(SystemFailure::Internal)),
            "overloaded" => {
                let reason = String::leak(text.to_owned());
                self.handle(Input::SystemFailure(SystemFailure::Overloaded { reason }));
            }
            "revoked" => self.handle(Input::AdminKeyRevoked { error: text.to_owned() }),
            "shutdown" => self.handle(Input::SystemFailure(SystemFailure::Shutdown)),
            _ => self.request_event(event, text),
        }
    }

    fn request_event(&mut self, event: &str, text: &str) {
        let (request, text) = split(text);
        let request = RequestId(request.parse().expect("a request"));
        let log_lines = LogLines::default();
        match event {
            "committed" => self.handle(Input::MutationCommitted { request, ts: ts(text) }),
            "done" => {
                let (at, text) = split(text);
                let success = MutationSuccess { ts: ts(at), value: value(text).0 };
                let outcome = Ok(success);
                self.handle(Input::MutationFinished { request, outcome, log_lines, durable_at: ts(at) });
            }
            "failed" => {
                let (at, text) = split(text);
                let outcome = Err(failure(text).0);
                self.handle(Input::MutationFinished { request, outcome, log_lines, durable_at: ts(at) });
            }
            "acted" => self.handle(Input::ActionFinished { request, outcome: Ok(value(text).0), log_lines }),
            "unacted" => self.handle(Input::ActionFinished { request, outcome: Err(failure(text).0), log_lines }),
            _ => panic!("no such event: {event}"),
        }
    }

    fn token(&mut self, text: &str) {
        let (verdict, text) = split(text);
        let verdict = match verdict {
            "rejected" => Verdict::Rejected { error: text.to_owned() },
            "bad-key" => Verdict::BadAdminKey { error: text.to_owned() },
            "unavailable" => {
                Verdict::Unavailable { reason: "AuthProviderDiscoveryFailed", fault: VerifierFault::Issuer }
            }
            "issuer-not-found" => {
                Verdict::Unavailable { reason: "AuthProviderDiscoveryFailed", fault: VerifierFault::IssuerNotFound }
            }
            "verifier-broke" => Verdict::Unavailable { reason: "Unused", fault: VerifierFault::Internal },
            name => {
                let mut words = text.split_whitespace().peekable();
                let expires_at_ns = words.next_if_eq(&"until").and_then(|_| words.next()).map(|seconds| {
                    let seconds: u64 = seconds.parse().expect("seconds");
                    (START_S + seconds) * 1_000_000_000
                });
                Verdict::Accepted { identity: self.identity(name), expires_at_ns }
            }
        };
        let attempt = self.attempt.take().expect("a token under verification");
        self.handle(Input::TokenVerified { attempt, verdict });
    }
}

/// The first word, and what follows.
fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

fn ts(text: &str) -> Timestamp {
    Timestamp(text.trim_start_matches('@').parse().expect("a timestamp"))
}

/// A JSON value at the beginning of a text.
fn value(text: &str) -> (Json, &str) {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next().expect("a value").expect("JSON");
    (value.to_string().into(), text[values.byte_offset()..].trim())
}

/// `"text"` or `"text" data {...}` at the beginning of a text.
fn failure(text: &str) -> (Failure, &str) {
    let (message, rest) = value(text);
    let message: String = serde_json::from_str(&message).expect("a text");
    let (data, rest) = match rest.strip_prefix("data ") {
        Some(rest) => {
            let (data, rest) = value(rest);
            (Some(data), rest)
        }
        None => (None, rest),
    };
    (Failure { message: message.into(), data }, rest)
}

/// The JSON of a frame that may be given in short.
fn frame(text: &str) -> String {
    const SESSION: &str = "0b5b9a4e-8a1f-4d3a-9c7e-2f6a1d5c3b21";
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["Connect"] => format!(r#"{{"type":"Connect","sessionId":"{SESSION}","connectionCount":0}}"#),
        ["Connect", "seen", observed] => format!(
            r#"{{"type":"Connect","sessionId":"{SESSION}","connectionCount":1,"maxObservedTimestamp":"{}"}}"#,
            encode_ts(observed.parse().expect("a timestamp"))
        ),
        ["Modify", base, new, ref modifications @ ..] => {
            let mut words = modifications.iter();
            let mut json = Vec::new();
            while let Some(word) = words.next() {
                json.push(match word.split_at(1) {
                    ("-", query) => format!(r#"{{"type":"Remove","queryId":{query}}}"#),
                    ("+", query) => {
                        let path = words.next().expect("a path");
                        format!(r#"{{"type":"Add","queryId":{query},"udfPath":"{path}","args":[{{}}]}}"#)
                    }
                    _ => panic!("neither + nor -: {word}"),
                });
            }
            let modifications = json.join(",");
            format!(
                r#"{{"type":"ModifyQuerySet","baseVersion":{base},"newVersion":{new},"modifications":[{modifications}]}}"#
            )
        }
        [kind @ ("Mutation" | "Action"), request, path] => {
            format!(r#"{{"type":"{kind}","requestId":{request},"udfPath":"{path}","args":[{{}}]}}"#)
        }
        ["Authenticate", base, kind, ref value @ ..] => {
            let value = value.first().map_or(String::new(), |value| format!(r#","value":"{value}""#));
            format!(r#"{{"type":"Authenticate","baseVersion":{base},"tokenType":"{kind}"{value}}}"#)
        }
        _ => text.to_owned(),
    }
}

/// A server message as scripts write it, from the text that a client would read.
fn render(json: &Value) -> String {
    let kind = json["type"].as_str().expect("a type");
    match kind {
        "Transition" => render_transition(json),
        "MutationResponse" | "ActionResponse" => {
            let result = &json["result"];
            let data = json.get("errorData").map_or(String::new(), |data| format!(" data {data}"));
            let ts = json["ts"].as_str().map_or(String::new(), |ts| format!(" @{}", decode_ts(ts)));
            let outcome = if json["success"] == true { "done" } else { "failed" };
            format!("{kind} {} {outcome}{ts} {result}{data}", json["requestId"])
        }
        "AuthError" => {
            let whose = if json["authUpdateAttempted"] == true { "offered" } else { "in use" };
            format!("AuthError {whose} {} {}", json["baseVersion"], json["error"].as_str().expect("a text"))
        }
        "FatalError" => format!("FatalError {}", json["error"].as_str().expect("a text")),
        "TransitionChunk" => format!("TransitionChunk {} of {}", json["partNumber"], json["totalParts"]),
        "Ping" => "Ping".to_owned(),
        _ => panic!("not a server message: {json}"),
    }
}

fn render_transition(json: &Value) -> String {
    let version = |version: &Value| {
        format!("{}.{}.{}", version["querySet"], version["identity"], decode_ts(version["ts"].as_str().expect("a ts")))
    };
    let mut text = format!("Transition {} -> {}", version(&json["startVersion"]), version(&json["endVersion"]));
    for modification in json["modifications"].as_array().expect("modifications") {
        let query = &modification["queryId"];
        let journal = modification["journal"].as_str().map_or(String::new(), |journal| format!(" journal {journal}"));
        match modification["type"].as_str().expect("a type") {
            "QueryUpdated" => write!(text, " {query}={}{journal}", modification["value"]).unwrap(),
            "QueryFailed" => {
                let data = modification.get("errorData").map_or(String::new(), |data| format!(" data {data}"));
                write!(text, " {query}!{}{data}{journal}", modification["errorMessage"]).unwrap();
            }
            "QueryRemoved" => write!(text, " -{query}").unwrap(),
            other => panic!("not a modification: {other}"),
        }
    }
    if !json["clientClockSkew"].is_null() {
        write!(text, " skew {}", json["clientClockSkew"]).unwrap();
    }
    text
}

/// Base64 by hand, as a check on the crate's own.
fn encode_ts(ts: u64) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut bits = 0u128;
    for byte in ts.to_le_bytes() {
        bits = bits << 8 | u128::from(byte);
    }
    bits <<= 2;
    let digits = (0..11).rev().map(|digit| alphabet[(bits >> (digit * 6)) as usize & 63]);
    digits.chain(['=']).collect()
}

fn decode_ts(text: &str) -> u64 {
    assert!(text.len() == 12 && text.ends_with('='), "not a timestamp: {text}");
    let digit = |c: char| match c {
        'A'..='Z' => c as u128 - 'A' as u128,
        'a'..='z' => c as u128 - 'a' as u128 + 26,
        '0'..='9' => c as u128 - '0' as u128 + 52,
        '+' => 62,
        '/' => 63,
        _ => panic!("not base64: {text}"),
    };
    let bits = text.trim_end_matches('=').chars().fold(0u128, |bits, c| bits << 6 | digit(c)) >> 2;
    u64::from_le_bytes((bits as u64).to_be_bytes())
}
