//! From a tape to a handshake that can be played again: what differs from run to run becomes a name or a pattern.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use serde_json::{Map, Value, json};
use syncline_schema::DocumentId;

use super::format::FIRST_SOCKET;
use super::tape::{Tape, Taped, Token, Verdict, What, token_name};

/// Members of the server's messages that differ from run to run.
const INCIDENTAL: [&str; 6] = ["startVersion", "serverTs", "clientClockSkew", "ts", "logLines", "journal"];

/// The file of a recording.
pub(super) fn render(tape: &Tape, name: &str, about: &str) -> String {
    let mut lines = vec![json!({"handshake": name, "about": about})];
    lines.extend(providers(tape));
    lines.extend(tape.tokens.iter().enumerate().map(|(n, token)| token_line(tape.started_s, n, token)));
    let mut rendering = Rendering::new(tape);
    lines.extend(tape.events.iter().filter_map(|event| rendering.line(event)));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The issuer and the audience of a token that some provider has to be for.
fn issued(token: &Token) -> Option<(String, Vec<String>)> {
    let claims = token.claims.as_ref()?;
    let issuer = claims.get("iss")?.as_str()?.to_owned();
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    Some((issuer, audience))
}

fn algorithm(token: &Token) -> &str {
    token.header.get("alg").and_then(Value::as_str).unwrap_or_default()
}

/// A provider for each issuer that the server knew: those whose tokens it accepted, or refused for another reason.
fn providers(tape: &Tape) -> Vec<Value> {
    let mut known = BTreeSet::new();
    let mut lines = Vec::new();
    for token in &tape.tokens {
        let is_of_provider = match &token.verdict {
            Verdict::Accepted => true,
            Verdict::Refused { code, .. } => code != "NoAuthProvider",
            Verdict::Unknown => false,
        };
        let Some((issuer, audience)) = issued(token).filter(|_| is_of_provider) else { continue };
        let application = audience.first().cloned();
        if !known.insert((issuer.clone(), application.clone())) {
            continue;
        }
        // An ID token has exactly one audience and is not signed with ES256.
        let provider = match (algorithm(token), &audience[..]) {
            ("ES256", _) => custom(&issuer, application, "ES256", "$jwks:E1"),
            (_, [one]) => json!({"domain": issuer, "applicationID": one}),
            _ => custom(&issuer, application, "RS256", "$jwks:K1"),
        };
        lines.push(json!({ "provider": provider }));
    }
    lines
}

fn custom(issuer: &str, application: Option<String>, algorithm: &str, jwks: &str) -> Value {
    let mut provider = json!({"type": "customJwt", "issuer": issuer, "algorithm": algorithm, "jwks": jwks});
    if let Some(application) = application {
        provider["applicationID"] = application.into();
    }
    provider
}

/// A token as a fixture: its claims, with times from the start of the recording, and a key that leads to the same
/// verdict.
fn token_line(started_s: u64, n: usize, token: &Token) -> Value {
    let mut line = json!({"token": token_name(n)});
    let Some(claims) = &token.claims else {
        line["text"] = "unreadable".into();
        return line;
    };
    let mut relative = claims.clone();
    for (name, value) in &mut relative {
        if let ("iat" | "nbf" | "exp", Some(seconds)) = (name.as_str(), value.as_f64()) {
            *value = (seconds.floor() as i64 - started_s as i64).into();
        }
    }
    // What a fixture has unless it says otherwise.
    for usual in ["iss", "sub", "aud", "iat", "nbf", "exp"] {
        relative.entry(usual).or_insert(Value::Null);
    }
    let expires = relative["exp"].as_i64();
    line["claims"] = Value::Object(relative);
    let was_valid = |t_ms: u64| expires.is_some_and(|expires| expires > (t_ms / 1000) as i64);
    match (&token.verdict, algorithm(token)) {
        (Verdict::Refused { code, t_ms }, "RS256" | "EdDSA") if code == "Unauthenticated" && was_valid(*t_ms) => {
            line["key"] = "X".into();
        }
        (_, "RS256" | "EdDSA") => {}
        (_, "ES256") => line["key"] = "E1".into(),
        (_, other) => line["header"] = json!({ "alg": other }),
    }
    line
}

/// Names given so far.
struct Rendering {
    sessions: BTreeMap<String, String>,
    /// Ids of documents by their text, with how often they come.
    uses: BTreeMap<String, usize>,
    ids: BTreeMap<String, String>,
}

impl Rendering {
    fn new(tape: &Tape) -> Self {
        let mut rendering = Rendering { sessions: BTreeMap::new(), uses: BTreeMap::new(), ids: BTreeMap::new() };
        for event in &tape.events {
            match &event.what {
                What::Client(value) => rendering.count(value, false),
                What::Server(value) => rendering.count(value, true),
                What::Request { request, answer, .. } => {
                    rendering.count(request, false);
                    rendering.count(answer, true);
                }
                What::Open(_) | What::Close | What::Closed { .. } => {}
            }
        }
        rendering
    }

    /// An id is a name only from where the server first says it.
    fn count(&mut self, value: &Value, is_server: bool) {
        match value {
            Value::String(text) if is_id(text) => match self.uses.get_mut(text) {
                Some(uses) => *uses += 1,
                None if is_server => drop(self.uses.insert(text.clone(), 1)),
                None => {}
            },
            Value::Array(items) => items.iter().for_each(|item| self.count(item, is_server)),
            Value::Object(members) => members.values().for_each(|member| self.count(member, is_server)),
            _ => {}
        }
    }

    fn line(&mut self, event: &Taped) -> Option<Value> {
        let mut line = Map::new();
        line.insert("t".to_owned(), event.t_ms.into());
        if let Some(socket) = event.socket.as_deref().filter(|socket| *socket != FIRST_SOCKET) {
            line.insert("on".to_owned(), socket.into());
        }
        match &event.what {
            What::Open(path) => drop(line.insert("open".to_owned(), path.as_str().into())),
            What::Client(frame) => drop(line.insert("client".to_owned(), self.client(frame))),
            What::Server(message) => drop(line.insert("server".to_owned(), self.server(message)?)),
            What::Close => drop(line.insert("close".to_owned(), true.into())),
            What::Closed { code, reason } => {
                let closed =
                    if reason.is_empty() { json!({"code": code}) } else { json!({"code": code, "reason": reason}) };
                line.insert("closed".to_owned(), closed);
            }
            What::Request { request, status, answer } => {
                let mut request = request.clone();
                if let Some(body) = request.get("body").map(|body| self.said(body)) {
                    request["body"] = body;
                }
                let mut answer = answer.clone();
                pattern(&mut answer, "errorMessage");
                line.insert("request".to_owned(), request);
                line.insert("response".to_owned(), json!({"status": status, "body": self.heard(&answer)}));
            }
        }
        Some(Value::Object(line))
    }

    fn client(&mut self, frame: &Value) -> Value {
        let mut said = match frame["type"].as_str() {
            // Its credential is a name already, and nothing else in it may be taken for one.
            Some("Authenticate") => return frame.clone(),
            _ => self.said(frame),
        };
        if said["type"] == "Connect" {
            if let Some(session) = said["sessionId"].as_str().map(str::to_owned) {
                let n = self.sessions.len() + 1;
                let name = if n == 1 { "$session".to_owned() } else { format!("$session:{n}") };
                said["sessionId"] = self.sessions.entry(session).or_insert(name).as_str().into();
            }
            if let Some(members) = said.as_object_mut() {
                members.remove("clientTs");
                if let Some(observed) = members.get_mut("maxObservedTimestamp").filter(|observed| !observed.is_null()) {
                    *observed = "$observed".into();
                }
            }
        }
        said
    }

    /// What the client says.
    fn said(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match self.ids.get(text) {
                Some(name) => name.as_str().into(),
                None => itself(text),
            },
            Value::Array(items) => items.iter().map(|item| self.said(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, member)| (name.clone(), self.said(member))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    /// A message of the server; `None` for one that says nothing.
    fn server(&mut self, message: &Value) -> Option<Value> {
        let mut message = message.clone();
        let start = message["startVersion"].clone();
        strip(&mut message);
        match message["type"].as_str() {
            Some("Transition") => {
                let end = message["endVersion"].as_object_mut()?;
                end.remove("ts");
                let moves = ["querySet", "identity"].iter().any(|name| end.get(*name) != start.get(*name));
                let modifications = message["modifications"].as_array_mut()?;
                if !moves && modifications.is_empty() {
                    return None;
                }
                for modification in modifications {
                    strip(modification);
                    pattern(modification, "errorMessage");
                }
            }
            Some("MutationResponse" | "ActionResponse") if message["success"] == false => {
                pattern(&mut message, "result")
            }
            Some("AuthError" | "FatalError") => {
                let text = message["error"].as_str().unwrap_or_default();
                let code = text.split(':').next().unwrap_or_default();
                message["error"] = format!("$like:{code}: *").into();
            }
            _ => {}
        }
        Some(self.heard(&message))
    }

    /// What the server says.
    fn heard(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) if text.starts_with("$like:") => value.clone(),
            Value::String(text) => match self.uses.get(text) {
                None => itself(text),
                Some(1) => "$any".into(),
                Some(_) => {
                    let name = format!("$same:id{}", self.ids.len() + 1);
                    self.ids.entry(text.clone()).or_insert(name).as_str().into()
                }
            },
            Value::Array(items) => items.iter().map(|item| self.heard(item)).collect(),
            Value::Object(members) => {
                let heard = members.iter().map(|(name, member)| match name.as_str() {
                    "_creationTime" => (name.clone(), "$any".into()),
                    _ => (name.clone(), self.heard(member)),
                });
                heard.collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }
}

fn is_id(text: &str) -> bool {
    DocumentId::from_str(text).is_ok()
}

/// A text that means itself, whatever it begins with.
fn itself(text: &str) -> Value {
    if text.starts_with('$') { format!("$text:{text}").into() } else { text.into() }
}

fn strip(message: &mut Value) {
    if let Some(members) = message.as_object_mut() {
        members.retain(|name, _| !INCIDENTAL.contains(&name.as_str()));
    }
}

/// The number of a request is another one each time.
fn pattern(message: &mut Value, member: &str) {
    let Some(text) = message.get(member).and_then(Value::as_str) else { return };
    let Some((head, rest)) = text.split_once("[Request ID: ") else { return };
    let Some((_, rest)) = rest.split_once(']') else { return };
    message[member] = format!("$like:{head}[Request ID: *]{rest}").into();
}
