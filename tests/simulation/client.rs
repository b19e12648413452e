//! A client: keeps what it watches and what it has asked for over its connections, as the official ones do, and
//! checks everything that it is told as soon as it is told.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use syncline::InProcess;
use syncline::clock::{Clock as _, ManualClock};
use syncline_tests::random::Rng;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocket};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::history::{Answer, Failure, History, View};
use crate::issuer;
use crate::model::{Outcome, Read, Write};
use crate::story::Story;
use crate::wire::{ClientEnd, Wire};

const NS_PER_S: u64 = 1_000_000_000;
const NOBODY: &str = "nobody";
const N_USERS: u64 = 3;

/// What a client is told broke a promise.
pub type Checked = Result<(), String>;

/// What happens around a client in this step.
pub struct Scene<'a> {
    pub rng: &'a mut Rng,
    pub clock: &'a std::sync::Arc<ManualClock>,
    pub history: &'a mut History,
    pub story: &'a mut Story,
    pub step: u64,
    /// The newest timestamp that a crash now would leave.
    pub synced: u64,
    pub may: May,
}

/// What a server may do here because of what is done to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct May {
    /// End sockets because of itself: the storage fails, it is stopped, or snapshots grow too old.
    pub fail: bool,
    /// End calls because they took too long.
    pub be_late: bool,
    /// Judge tokens by a clock that has gone back.
    pub misjudge_time: bool,
}

/// Whom a connection is.
#[derive(Clone, Debug)]
struct Signed {
    who: String,
    until_ns: Option<u64>,
}

/// A mutation without an answer.
struct Pending {
    request: u64,
    op: u64,
    call: Write,
    /// The connections it was sent on, where its frame ends, and who the client was there.
    sends: Vec<(Wire, u64, Signed)>,
    sent_at: u64,
    /// The newest commit that anybody had been told of.
    behind: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Version {
    query_set: u64,
    identity: u64,
    ts: u64,
}

struct Socket {
    frames: WebSocket<ClientEnd>,
    wire: Wire,
    version: Version,
    asked_query_set: u64,
    /// What is watched, by the versions that may still be reached.
    sets: BTreeMap<u64, BTreeMap<u64, Read>>,
    /// By identity version.
    identities: Vec<Signed>,
    results: BTreeMap<u64, Outcome>,
    /// It must not be shown anything older.
    floor: u64,
    /// A Transition must come that reaches this.
    owed: u64,
}

/// See the module.
pub struct Client {
    pub number: usize,
    user: Option<u64>,
    queries: BTreeMap<u64, Read>,
    next_query: u64,
    pending: VecDeque<Pending>,
    next_request: u64,
    n_connections: u64,
    observed: u64,
    answered: u64,
    socket: Option<Socket>,
    /// It does not read for now.
    pub is_stalled: bool,
}

fn timestamp(value: &Value) -> Result<u64, String> {
    let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| format!("no timestamp: {value}"))
}

fn number(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| format!("no number: {value}"))
}

fn version(value: &Value) -> Result<Version, String> {
    let (query_set, identity) = (number(&value["querySet"])?, number(&value["identity"])?);
    Ok(Version { query_set, identity, ts: timestamp(&value["ts"])? })
}

impl Socket {
    fn send(&mut self, message: &Value) -> u64 {
        // A connection that has ended says so when it is read.
        drop(self.frames.send(Message::text(message.to_string())));
        self.wire.n_sent()
    }

    fn signed(&self) -> Signed {
        self.identities.last().expect("it begins with nobody").clone()
    }
}

impl Client {
    pub fn new(number: usize) -> Self {
        Client {
            number,
            user: None,
            queries: BTreeMap::new(),
            next_query: 0,
            pending: VecDeque::new(),
            next_request: 0,
            n_connections: 0,
            observed: 0,
            answered: 0,
            socket: None,
            is_stalled: false,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// How many mutations have no answer.
    pub fn n_pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether everything it asked for is answered.
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty()
            && self.socket.as_ref().is_some_and(|socket| {
                let Version { query_set, identity, ts } = socket.version;
                query_set == socket.asked_query_set
                    && identity as usize + 1 == socket.identities.len()
                    && ts >= socket.owed
            })
    }

    /// What it waits for, for a person.
    pub fn waits_for(&self) -> String {
        let requests: Vec<u64> = self.pending.iter().map(|pending| pending.request).collect();
        let socket = self.socket.as_ref().map(|socket| (socket.version, socket.asked_query_set, socket.owed));
        format!("client {} has no answers to {requests:?}, and is at {socket:?}", self.number)
    }

    fn says(&self, scene: &mut Scene<'_>, what: impl FnOnce() -> String) {
        scene.story.tell(|| format!("client {}: {}", self.number, what()));
    }

    /// Opens a connection, and says on it what it said before and what is unanswered.
    pub fn connect(&mut self, scene: &mut Scene<'_>, server: &InProcess) -> Wire {
        let capacity = if scene.rng.one_in(3) { 300 } else { 64 << 10 };
        let wire = Wire::new(capacity);
        let clock = scene.clock.clone();
        server.serve_socket(wire.server_end(move || clock.wall_ns()));
        let frames = WebSocket::from_raw_socket(wire.client_end(), Role::Client, None);
        let nobody = Signed { who: NOBODY.to_owned(), until_ns: None };
        let mut socket = Socket {
            frames,
            wire: wire.clone(),
            version: Version::default(),
            asked_query_set: 0,
            sets: BTreeMap::from([(0, BTreeMap::new())]),
            identities: vec![nobody],
            results: BTreeMap::new(),
            floor: self.observed,
            owed: 0,
        };
        let mut connect = json!({
            "type": "Connect",
            "sessionId": format!("00000000-0000-4000-8000-{:012}", self.number),
            "connectionCount": self.n_connections,
            "lastCloseReason": "simulation",
            "clientTs": 0,
        });
        if self.observed > 0 {
            connect["maxObservedTimestamp"] = STANDARD.encode(self.observed.to_le_bytes()).into();
        }
        self.n_connections += 1;
        socket.send(&connect);
        self.socket = Some(socket);
        self.is_stalled = false;
        self.says(scene, || format!("connects, has seen {}", self.observed));
        if self.user.is_some() {
            self.authenticate(scene);
        }
        let added: Vec<_> = self.queries.iter().map(|(id, read)| add(*id, read)).collect();
        self.modify(scene, added);
        for at in 0..self.pending.len() {
            self.send_mutation(scene, at);
        }
        wire
    }

    /// Loses the connection.
    pub fn disconnect(&mut self, scene: &mut Scene<'_>) {
        if let Some(socket) = self.socket.take() {
            let is_half_open = scene.rng.one_in(2);
            socket.wire.cut();
            socket.wire.set_half_open(is_half_open);
            self.says(scene, || format!("loses its connection, half open: {is_half_open}"));
        }
    }

    /// Becomes somebody, nobody, or renews its token.
    pub fn change_user(&mut self, scene: &mut Scene<'_>) {
        match scene.rng.below(4) {
            0 => self.user = None,
            1 => self.user = Some(scene.rng.below(N_USERS)),
            _ => {}
        }
        if self.socket.is_some() {
            self.authenticate(scene);
        }
    }

    fn authenticate(&mut self, scene: &mut Scene<'_>) {
        let Some(socket) = &mut self.socket else { return };
        let base = socket.identities.len() - 1;
        let (message, signed) = match self.user {
            None => (
                json!({"type": "Authenticate", "baseVersion": base, "tokenType": "None"}),
                Signed { who: NOBODY.to_owned(), until_ns: None },
            ),
            Some(user) => {
                let now_s = scene.clock.wall_ns() / NS_PER_S;
                let until_s = now_s + [20, 60, 3_600][scene.rng.index(3)];
                let token = issuer::token(user, now_s, until_s);
                (
                    json!({"type": "Authenticate", "baseVersion": base, "tokenType": "User", "value": &*token}),
                    Signed { who: issuer::subject(user), until_ns: Some(until_s * NS_PER_S) },
                )
            }
        };
        let (who, until_ns) = (signed.who.clone(), signed.until_ns);
        socket.identities.push(signed);
        socket.send(&message);
        self.says(scene, || format!("is {who} until {until_ns:?}, identity version {}", base + 1));
    }

    /// Watches another query, or one less.
    pub fn change_queries(&mut self, scene: &mut Scene<'_>) {
        let modification = if self.queries.len() >= 6 || (!self.queries.is_empty() && scene.rng.one_in(3)) {
            let gone = *self.queries.keys().nth(scene.rng.index(self.queries.len())).expect("it was counted");
            self.queries.remove(&gone);
            json!({"type": "Remove", "queryId": gone})
        } else {
            let read = Read::random(scene.rng);
            self.watch(read)
        };
        self.modify(scene, vec![modification]);
    }

    fn watch(&mut self, read: Read) -> Value {
        let id = self.next_query;
        self.next_query += 1;
        let modification = add(id, &read);
        self.queries.insert(id, read);
        modification
    }

    /// Watches all there is.
    pub fn watch_all(&mut self, scene: &mut Scene<'_>) {
        let added = Read::all().into_iter().map(|read| self.watch(read)).collect();
        self.modify(scene, added);
    }

    fn modify(&mut self, scene: &mut Scene<'_>, modifications: Vec<Value>) {
        let Some(socket) = &mut self.socket else { return };
        let base = socket.asked_query_set;
        socket.asked_query_set += 1;
        socket.sets.insert(base + 1, self.queries.clone());
        let what: Vec<String> = modifications.iter().map(ToString::to_string).collect();
        let message = json!({
            "type": "ModifyQuerySet",
            "baseVersion": base,
            "newVersion": base + 1,
            "modifications": modifications,
        });
        socket.send(&message);
        self.says(scene, || format!("query set {} by {}", base + 1, what.join(", ")));
    }

    /// Calls a mutation.
    pub fn mutate(&mut self, scene: &mut Scene<'_>) {
        let call = Write::random(scene.rng);
        let op = scene.history.next_op();
        let behind = scene.history.newest_answer();
        let request = self.next_request;
        self.next_request += 1;
        self.pending.push_back(Pending { request, op, call, sends: Vec::new(), sent_at: scene.step, behind });
        self.send_mutation(scene, self.pending.len() - 1);
    }

    fn send_mutation(&mut self, scene: &mut Scene<'_>, at: usize) {
        let pending = &mut self.pending[at];
        let Some(socket) = &mut self.socket else { return };
        let (path, args) = pending.call.call(pending.op);
        let request = pending.request;
        let message = json!({"type": "Mutation", "requestId": request, "udfPath": path, "args": [args]});
        let end = socket.send(&message);
        pending.sends.push((socket.wire.clone(), end, socket.signed()));
        let n = pending.sends.len();
        self.says(scene, || format!("sends request {request} the {n}. time: {path} {args}"));
    }

    /// Reads what has arrived.
    pub fn read(&mut self, scene: &mut Scene<'_>) -> Checked {
        while let Some(socket) = &mut self.socket {
            let message = match socket.frames.read() {
                Ok(Message::Text(text)) => serde_json::from_str(&text).map_err(|error| format!("no JSON: {error}"))?,
                Ok(Message::Close(frame)) => {
                    drop(socket.frames.flush());
                    self.socket = None;
                    return self.closed(scene, frame.as_ref());
                }
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.socket = None;
                    self.says(scene, || format!("its connection has ended: {error}"));
                    return Ok(());
                }
            };
            self.take(scene, &message)?;
        }
        Ok(())
    }

    fn closed(&mut self, scene: &mut Scene<'_>, frame: Option<&CloseFrame>) -> Checked {
        let code = frame.map_or(1005, |frame| u16::from(frame.code));
        let reason = frame.map_or_else(String::new, |frame| frame.reason.to_string());
        self.says(scene, || format!("is closed with {code} {reason:?}"));
        match code {
            1000 if reason == "ClientDisconnected" => Ok(()),
            1005 => Ok(()),
            1011 if scene.may.fail => Ok(()),
            _ => Err(format!("client {} was closed with {code} {reason:?} for no reason", self.number)),
        }
    }

    fn take(&mut self, scene: &mut Scene<'_>, message: &Value) -> Checked {
        let taken = match message["type"].as_str() {
            Some("Transition") => self.transition(scene, message),
            Some("MutationResponse") => self.response(scene, message),
            Some("AuthError") => self.auth_error(scene, message),
            Some("Ping") => Ok(()),
            _ => Err("nobody should be told this".to_owned()),
        };
        taken.map_err(|what| format!("client {}: {what}: {message}", self.number))
    }

    fn auth_error(&mut self, scene: &mut Scene<'_>, message: &Value) -> Checked {
        self.says(scene, || format!("is told {message}"));
        let now_ns = scene.clock.wall_ns();
        let Some(socket) = self.socket.take() else { return Ok(()) };
        let ran_out = |signed: &Signed| signed.until_ns.is_some_and(|until_ns| until_ns <= now_ns);
        match scene.may.misjudge_time || socket.identities.iter().any(ran_out) {
            true => Ok(()),
            false => Err(format!("a good token was refused at {now_ns}")),
        }
    }

    fn transition(&mut self, scene: &mut Scene<'_>, message: &Value) -> Checked {
        let (start, end) = (version(&message["startVersion"])?, version(&message["endVersion"])?);
        let client = self.number;
        let Some(socket) = &mut self.socket else { return Ok(()) };
        if start != socket.version {
            return Err(format!("it does not start at {:?}", socket.version));
        }
        if end.ts < socket.floor.max(start.ts) {
            return Err(format!("time goes back, {} was seen", socket.floor.max(start.ts)));
        }
        if end.ts > scene.synced {
            return Err(format!("a crash now would leave nothing behind {}", scene.synced));
        }
        let Some(signed) = socket.identities.get(end.identity as usize).cloned() else {
            return Err("an identity version that was never asked for".to_owned());
        };
        let server_ns = number(&message["serverTs"])?;
        // A token that was renewed meanwhile is as good as the one before it.
        let mut tokens = socket.identities[end.identity as usize..].iter().take_while(|other| other.who == signed.who);
        if tokens.all(|token| token.until_ns.is_some_and(|until_ns| until_ns <= server_ns)) {
            return Err(format!("sent to {signed:?}, who had run out"));
        }
        socket.sets = socket.sets.split_off(&end.query_set);
        let Some(set) = socket.sets.get(&end.query_set) else {
            return Err("a query set version that was never asked for".to_owned());
        };
        for modification in message["modifications"].as_array().into_iter().flatten() {
            let query = number(&modification["queryId"])?;
            if (modification["type"] == "QueryRemoved") == set.contains_key(&query) {
                return Err(format!("query {query} in the set {set:?}"));
            }
            if let Some(outcome) =
                outcome(modification, &modification["value"], &modification["errorMessage"], scene.may)?
            {
                socket.results.insert(query, outcome);
            } else {
                socket.results.remove(&query);
            }
        }
        socket.results.retain(|query, _| set.contains_key(query));
        let late = scene.may.be_late;
        if let Some(missing) = set.keys().find(|query| !socket.results.contains_key(query) && !late) {
            return Err(format!("query {missing} has no result"));
        }
        socket.version = end;
        let results = set.iter().filter_map(|(id, read)| Some((read.clone(), socket.results.get(id)?.clone())));
        let view = View { client, ts: end.ts, who: signed.who, results: results.collect() };
        self.observed = self.observed.max(end.ts);
        scene.story.tell(|| format!("client {client}: is moved to {end:?}, holds {:?}", view.results));
        scene.history.saw(view);
        Ok(())
    }

    fn response(&mut self, scene: &mut Scene<'_>, message: &Value) -> Checked {
        self.says(scene, || format!("is told {message}"));
        let client = self.number;
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let Some(pending) = self.pending.pop_front() else { return Err("nothing was asked".to_owned()) };
        let Pending { request, op, call, sends, sent_at, behind } = pending;
        if message["requestId"] != json!(request) || !sends.iter().any(|(wire, ..)| wire.is(&socket.wire)) {
            return Err(format!("request {request} is to be answered first"));
        }
        let answer = outcome(message, &message["result"], &message["result"], scene.may)?;
        let Some(answer) = answer else { return Ok(()) };
        let result = match answer {
            Err(data) => {
                let within = (behind.max(self.answered), scene.synced);
                scene.history.failed(Failure { op, call, data, within });
                return Ok(());
            }
            Ok(result) => result,
        };
        let ts = timestamp(&message["ts"])?;
        if ts > scene.synced {
            return Err(format!("a crash now would leave nothing behind {}", scene.synced));
        }
        if sends.len() == 1 && ts <= socket.version.ts {
            return Err(format!("its effect was shown before, at {}", socket.version.ts));
        }
        socket.owed = socket.owed.max(ts);
        (self.observed, self.answered) = (self.observed.max(ts), self.answered.max(ts));
        let arrived_in_time = |(wire, end, signed): (Wire, u64, Signed)| {
            let read_at_ns = wire.read_at_ns(end)?;
            let is_good = signed.until_ns.is_none_or(|until_ns| read_at_ns < until_ns) || scene.may.misjudge_time;
            is_good.then_some(signed.who)
        };
        let may_have_failed_before = sends.len() > 1 && (scene.may.be_late || matches!(call, Write::Transfer { .. }));
        let callers = sends.into_iter().filter_map(arrived_in_time).collect();
        let answered_at = scene.step;
        scene.history.answered(Answer {
            client,
            request,
            op,
            call,
            callers,
            ts,
            result,
            may_have_failed_before,
            sent_at,
            answered_at,
        });
        Ok(())
    }

    /// What it holds now is to be the newest.
    pub fn look(&mut self, scene: &mut Scene<'_>) {
        let Some(socket) = &self.socket else { return };
        let who = socket.signed().who;
        let results =
            self.queries.iter().filter_map(|(id, read)| Some((read.clone(), socket.results.get(id)?.clone())));
        let view = View { client: self.number, ts: socket.version.ts, who, results: results.collect() };
        scene.history.saw_last(view);
    }
}

fn add(id: u64, read: &Read) -> Value {
    let (path, args) = read.call();
    json!({"type": "Add", "queryId": id, "udfPath": path, "args": [args]})
}

/// What a call came to; `None` when there is none, because it was removed or took too long.
fn outcome(message: &Value, value: &Value, error: &Value, may: May) -> Result<Option<Outcome>, String> {
    let failed = message["type"] == "QueryFailed" || message["success"] == false;
    if message["type"] == "QueryRemoved" {
        return Ok(None);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("no text: {value}"));
    if !failed {
        return Ok(Some(Ok(text(value)?)));
    }
    if let Some(data) = message.get("errorData") {
        return Ok(Some(Err(text(data)?)));
    }
    let error = text(error)?;
    let is_late = error.contains("did not end within") || error.contains("ExclusiveTurnTooLong");
    match is_late && may.be_late {
        true => Ok(None),
        false => Err("no failure of the application's".to_owned()),
    }
}
