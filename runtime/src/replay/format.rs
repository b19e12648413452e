//! The lines of a handshake, read strictly: what is misspelt is an error with its line, never something to be ignored.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::expectation::Expected;
use super::fixtures::TokenFixture;
use super::issuers::IssuerChange;
use super::members::{Members, shown};
use super::names;

/// The socket that a line is about when it names none.
pub(super) const FIRST_SOCKET: &str = "a";

/// A session to play: what a client says, and what it has to be told.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// Where it was read from, for messages.
    pub file: String,
    /// What it is called.
    pub name: String,
    /// The numbered statements that it proves.
    pub spec: Vec<String>,
    pub(super) setup: Setup,
    pub(super) lines: Vec<Line>,
}

/// The server that a handshake needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub(super) production: bool,
    pub(super) providers: Vec<Value>,
    pub(super) variables: Map<String, Value>,
    pub(super) tokens: BTreeMap<String, TokenFixture>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    /// When it happens, in milliseconds after the start; with the line before when absent.
    pub(super) t_ms: Option<u64>,
    pub(super) event: Event,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A socket is opened at a path.
    Open { socket: String, path: String },
    /// A frame of the client.
    Client { socket: String, frame: Value },
    /// The client closes its socket.
    Close { socket: String },
    /// What the server has to say.
    Server { socket: String, expected: Expected },
    /// A request over HTTP, and what has to be answered.
    Request { request: Request, response: Response },
    /// The issuers change.
    Issuer(IssuerChange),
    /// How often the issuers have been asked since the start.
    Fetched { discovery: Option<u64>, keys: Option<u64> },
    /// Time passes.
    Time,
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) body: Option<Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u64,
    pub(super) body: Value,
}

/// A handshake that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What was expected there, and what was found.
    pub message: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for FormatError {}

impl Handshake {
    /// Reads a handshake; `file` is what messages call it.
    ///
    /// # Errors
    /// The first line that cannot be understood.
    pub fn parse(file: &str, text: &str) -> Result<Self, FormatError> {
        let mut reader = Reader { setup: Setup::default(), lines: Vec::new() };
        let mut head = None;
        for (n, text) in text.lines().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let number = n + 1;
            let error = |message| FormatError { file: file.to_owned(), line: number, message };
            let value = serde_json::from_str(text)
                .map_err(|cause| error(format!("expected one JSON object, found what is no JSON: {cause}")))?;
            let mut members = Members::new("a line", value).map_err(error)?;
            match &head {
                None => head = Some(read_head(&mut members, &mut reader.setup).map_err(error)?),
                Some(_) => reader.line(number, &mut members).map_err(error)?,
            }
            members.finish().map_err(error)?;
        }
        let at = |line, message| FormatError { file: file.to_owned(), line, message };
        let Some((name, spec)) = head else {
            return Err(at(1, "expected a first line {\"handshake\":\"…\"}, found an empty file".to_owned()));
        };
        let handshake = Handshake { file: file.to_owned(), name, spec, setup: reader.setup, lines: reader.lines };
        names::check(&handshake).map_err(|(line, message)| at(line, message))?;
        Ok(handshake)
    }

    /// When its last line happens, in milliseconds after the start.
    pub(super) fn length_ms(&self) -> u64 {
        self.lines.iter().filter_map(|line| line.t_ms).max().unwrap_or(0)
    }

    pub(super) fn uses_admin_key(&self) -> bool {
        self.lines.iter().any(|line| match &line.event {
            Event::Client { frame, .. } => frame["tokenType"] == "Admin",
            Event::Request { request, .. } => {
                request.authorization.as_deref().is_some_and(|text| text.ends_with("$admin"))
            }
            _ => false,
        })
    }
}

fn read_head(members: &mut Members, setup: &mut Setup) -> Result<(String, Vec<String>), String> {
    let name = members.text("handshake")?.ok_or("the first line has to be {\"handshake\":\"what it is called\"}")?;
    setup.production = match members.text("mode")?.as_deref() {
        None | Some("development") => false,
        Some("production") => true,
        Some(other) => return Err(format!("\"mode\": expected \"development\" or \"production\", found {other:?}")),
    };
    // For people only.
    let _ = members.text("about")?;
    Ok((name, members.texts("spec")?.unwrap_or_default()))
}

struct Reader {
    setup: Setup,
    lines: Vec<Line>,
}

/// What a line can be, by the member that says so.
const KINDS: [&str; 11] =
    ["provider", "variables", "token", "open", "client", "close", "server", "closed", "request", "issuer", "fetched"];

impl Reader {
    fn line(&mut self, number: usize, members: &mut Members) -> Result<(), String> {
        let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| members.has(kind)).collect();
        match kinds[..] {
            [kind @ ("provider" | "variables" | "token")] => self.setup_line(kind, members),
            [kind] => self.event(number, kind, members),
            [] if members.has("t") => self.push(number, members, Event::Time),
            [] => Err(format!("a line has to have one of: {}; or \"t\" alone", KINDS.join(", "))),
            [one, other, ..] => Err(format!("a line is either \"{one}\" or \"{other}\", not both")),
        }
    }

    fn setup_line(&mut self, kind: &str, members: &mut Members) -> Result<(), String> {
        match kind {
            "provider" => self.setup.providers.extend(members.object("provider")?.map(Value::Object)),
            "variables" => self.setup.variables.extend(members.object("variables")?.unwrap_or_default()),
            _ => {
                let name = members.text("token")?;
                let name = members.required("token", name)?;
                let fixture = TokenFixture::parse(members)?;
                if self.setup.tokens.insert(name.clone(), fixture).is_some() {
                    return Err(format!("there is a token {name:?} already"));
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, number: usize, kind: &str, members: &mut Members) -> Result<(), String> {
        let event = match kind {
            "request" => {
                let request = read_request(members.take("request").unwrap_or_default())?;
                let response = members.take("response").ok_or("a \"request\" has a \"response\" beside it")?;
                Event::Request { request, response: read_response(response)? }
            }
            "issuer" => Event::Issuer(IssuerChange::parse(members.take("issuer").unwrap_or_default())?),
            "fetched" => {
                let mut counts = Members::new("fetched", members.take("fetched").unwrap_or_default())?;
                let (discovery, keys) = (counts.number("discovery")?, counts.number("keys")?);
                counts.finish()?;
                Event::Fetched { discovery, keys }
            }
            _ => self.socket_event(kind, members)?,
        };
        self.push(number, members, event)
    }

    fn socket_event(&mut self, kind: &str, members: &mut Members) -> Result<Event, String> {
        let socket = members.text("on")?.unwrap_or_else(|| FIRST_SOCKET.to_owned());
        Ok(match kind {
            "open" => {
                let path = members.text("open")?;
                Event::Open { socket, path: members.required("open", path)? }
            }
            "client" => match members.take("client") {
                Some(frame @ Value::Object(_)) => Event::Client { socket, frame },
                other => {
                    return Err(format!("\"client\": expected a frame, found {}", shown(&other.unwrap_or_default())));
                }
            },
            "close" => match members.flag("close")? {
                Some(true) => Event::Close { socket },
                _ => return Err("\"close\" is true, or left out".to_owned()),
            },
            "closed" => {
                let expected = Expected::parse_closed(members.take("closed").unwrap_or_default())?;
                Event::Server { socket, expected }
            }
            _ => {
                let expected = Expected::parse(members.take("server").unwrap_or_default())?;
                Event::Server { socket, expected }
            }
        })
    }

    fn push(&mut self, number: usize, members: &mut Members, event: Event) -> Result<(), String> {
        let t_ms = members.number("t")?;
        let before = self.lines.iter().rev().find_map(|line| line.t_ms).unwrap_or(0);
        if let Some(t_ms) = t_ms.filter(|t_ms| *t_ms < before) {
            return Err(format!("\"t\": expected {before} or later, the time of an earlier line; found {t_ms}"));
        }
        self.lines.push(Line { number, t_ms, event });
        Ok(())
    }
}

fn read_request(value: Value) -> Result<Request, String> {
    let mut members = Members::new("request", value)?;
    let method = members.text("method")?.unwrap_or_else(|| "POST".to_owned());
    let path = members.text("path")?;
    let path = members.required("path", path)?;
    let request = Request { method, path, authorization: members.text("authorization")?, body: members.take("body") };
    members.finish()?;
    Ok(request)
}

fn read_response(value: Value) -> Result<Response, String> {
    let mut members = Members::new("response", value)?;
    let status = members.number("status")?;
    let body = members.take("body");
    let response = Response { status: members.required("status", status)?, body: members.required("body", body)? };
    members.finish()?;
    Ok(response)
}
