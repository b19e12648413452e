//! Plays a handshake: says the client's lines, moves the clock, and compares what comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::difference::{Failure, Outcome};
use super::expectation::{Block, Expected, Heard};
use super::fixtures::{ISSUER, START_S};
use super::format::{Event, Handshake, Line, Request, Response};
use super::members::shown;
use super::names::Names;
use super::place::{Asked, Place, Server};
use super::socket::{Fault, Socket};
use super::world::World;

/// The path of the socket, for lines that open none themselves.
const SYNC_PATH: &str = "/api/1.48.0/sync";

/// How far the clock moves before every socket is heard from again, in milliseconds: a client that is there answers
/// pings more often than that. Source: sync-protocol 1.5, two minutes of silence end a socket.
const CLOCK_STEP_MS: u64 = 10_000;

/// How long a message is waited for. Source: ours; a busy machine takes a second at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays handshakes against an application.
pub struct Player {
    application: crate::Server,
    place: Place,
    patience: Duration,
}

impl Player {
    /// Plays against the tables and functions of `application`; its storage, providers and clock are left alone.
    pub fn new(application: crate::Server, place: Place) -> Self {
        Player { application, place, patience: PATIENCE }
    }

    /// Waits for each message this long, before it counts as not said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Plays one handshake.
    pub async fn play(&self, handshake: &Handshake) -> Outcome {
        if let Place::Url(server) = &self.place
            && let Some(obstacle) = server.obstacle(handshake)
        {
            return Outcome::Skipped(obstacle);
        }
        let begun = async {
            let (server, names) = self.begin(handshake).await?;
            Ok(Run {
                server,
                names,
                sockets: BTreeMap::new(),
                t_ms: 0,
                started: Instant::now(),
                patience: self.patience,
            })
        };
        let mut run = match begun.await {
            Ok(run) => run,
            Err(what) => return Outcome::Failed(plain(1, what)),
        };
        let played = run.play(&handshake.lines).await;
        run.end().await;
        match played {
            Ok(()) => Outcome::Passed,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    async fn begin(&self, handshake: &Handshake) -> Result<(Server, Names), String> {
        let setup = &handshake.setup;
        let mut names = Names::default();
        if let Place::Url(server) = &self.place {
            names.admin_key = server.admin_key();
            for (name, fixture) in &setup.tokens {
                let token = server.token(&fixture.dev_request()?).await?;
                names.issuer = issuer_of(&token).ok_or("the development issuer gave what is no token")?;
                names.tokens.insert(name.clone(), token);
            }
            return Ok((Server::Running(server.clone()), names));
        }
        let world = World::start(&self.application, setup, matches!(self.place, Place::Loopback)).await?;
        names.issuer = ISSUER.to_owned();
        names.admin_key = Some(world.admin_key.clone());
        names.tokens = setup.tokens.iter().map(|(name, token)| (name.clone(), token.make(START_S))).collect();
        Ok((Server::Own(world), names))
    }
}

fn issuer_of(token: &str) -> Option<String> {
    use base64::Engine as _;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

fn plain(line: usize, what: String) -> Failure {
    Failure { line, what, differences: Vec::new(), said: None }
}

/// One handshake under way.
struct Run {
    server: Server,
    names: Names,
    sockets: BTreeMap<String, Socket>,
    /// Since the start, in the time of the handshake.
    t_ms: u64,
    started: Instant,
    patience: Duration,
}

type Played = Result<(), Failure>;

impl Run {
    async fn play(&mut self, lines: &[Line]) -> Played {
        let mut rest = lines;
        while let [line, behind @ ..] = rest {
            if let Event::Server { .. } = line.event {
                let n = rest.iter().take_while(|line| matches!(line.event, Event::Server { .. })).count();
                let (expected, behind) = rest.split_at(n);
                self.flush().await;
                self.hear(expected).await?;
                rest = behind;
                continue;
            }
            self.advance(line).await?;
            self.happen(line).await?;
            rest = behind;
        }
        self.flush().await;
        self.hear_nothing_more(lines.last().map_or(1, |line| line.number)).await
    }

    async fn happen(&mut self, line: &Line) -> Played {
        let failed = |what| plain(line.number, what);
        match &line.event {
            Event::Open { socket, path } => self.open(socket, path).await.map_err(failed)?,
            Event::Client { socket, frame } => {
                // After the end of a socket, the next frame begins another one.
                if self.sockets.get(socket).is_none_or(Socket::is_closed) {
                    self.open(socket, SYNC_PATH).await.map_err(failed)?;
                }
                self.observe();
                let frame = self.names.fill(frame).map_err(failed)?;
                let socket = self.sockets.get_mut(socket).expect("it has just been opened");
                socket.say(&frame).await.map_err(|Fault(what)| failed(what))?;
            }
            Event::Close { socket } => {
                self.flush().await;
                match self.sockets.get_mut(socket) {
                    Some(socket) => socket.close().await,
                    None => return Err(failed(format!("the socket {socket:?} was never opened"))),
                }
            }
            Event::Request { request, response } => {
                self.flush().await;
                self.request(line.number, request, response).await?;
            }
            Event::Issuer(change) => {
                // What was said before is handled before.
                self.settle(line.number).await?;
                if let Server::Own(world) = &self.server {
                    world.issuers.change(change);
                }
            }
            Event::Fetched { discovery, keys } => {
                let Server::Own(world) = &self.server else { return Ok(()) };
                let asked = world.issuers.asked();
                let (expected, found) = (
                    json!({"discovery": discovery.unwrap_or(asked.0), "keys": keys.unwrap_or(asked.1)}),
                    json!({"discovery": asked.0, "keys": asked.1}),
                );
                let differences = self.names.compare(&expected, &found, &[]);
                if !differences.is_empty() {
                    let what = "the issuers were asked another number of times".to_owned();
                    return Err(Failure { line: line.number, what, differences, said: None });
                }
            }
            Event::Time | Event::Server { .. } => {}
        }
        Ok(())
    }

    async fn open(&mut self, name: &str, path: &str) -> Result<(), String> {
        let socket = self.server.open(path).await?;
        match self.sockets.insert(name.to_owned(), socket) {
            Some(before) if !before.is_closed() => Err(format!("the socket {name:?} is open already")),
            _ => Ok(()),
        }
    }

    /// Puts the clock to the time of a line: by hand, in steps in which every socket is heard from; or by waiting.
    async fn advance(&mut self, line: &Line) -> Played {
        let Some(t_ms) = line.t_ms.filter(|t_ms| *t_ms > self.t_ms) else { return Ok(()) };
        self.flush().await;
        while self.t_ms < t_ms {
            let step = (t_ms - self.t_ms).min(CLOCK_STEP_MS);
            // What was said before the clock moves is handled at the old time.
            self.settle(line.number).await?;
            self.t_ms += step;
            match &self.server {
                Server::Own(world) => world.clock.advance_ms(step),
                Server::Running(_) => {
                    tokio::time::sleep_until(self.started + Duration::from_millis(self.t_ms)).await;
                }
            }
        }
        self.settle(line.number).await
    }

    async fn settle(&mut self, line: usize) -> Played {
        self.flush().await;
        for (name, socket) in &mut self.sockets {
            let settled = socket.settle(self.patience).await;
            settled.map_err(|Fault(what)| plain(line, format!("socket {name}: {what}")))?;
        }
        Ok(())
    }

    async fn flush(&mut self) {
        for socket in self.sockets.values_mut() {
            socket.flush().await;
        }
    }

    fn observe(&mut self) {
        let newest = self.sockets.values().map(Socket::observed_ts).max();
        self.names.observed_ts = newest.max(Some(self.names.observed_ts)).unwrap_or_default();
    }

    /// Waits for everything that is expected before the client goes on; each socket by itself.
    async fn hear(&mut self, lines: &[Line]) -> Played {
        let mut by_socket: BTreeMap<&str, Vec<(usize, Expected)>> = BTreeMap::new();
        for line in lines {
            if let Event::Server { socket, expected } = &line.event {
                by_socket.entry(socket).or_default().push((line.number, expected.clone()));
            }
        }
        for (name, expected) in by_socket {
            let first = expected.first().map_or(1, |(line, _)| *line);
            let Some(socket) = self.sockets.get_mut(name) else {
                return Err(plain(first, format!("the socket {name:?} was never opened")));
            };
            let mut block = Block::new(socket.at(), socket.results().clone(), expected);
            while let Some((line, missing)) = block.missing() {
                let on = |what: String| format!("socket {name}: {what}");
                let heard = socket.next(self.patience).await.map_err(|Fault(what)| plain(line, on(what)))?;
                let Some(heard) = heard else {
                    let end = if socket.is_closed() { "the socket has ended" } else { "nothing more was said" };
                    return Err(plain(line, on(format!("expected {missing}, but {end}"))));
                };
                let taken = block.take(&heard, &mut self.names);
                taken.map_err(|failure| Failure { what: on(failure.what), ..failure })?;
            }
        }
        Ok(())
    }

    /// A step that changes nothing brings out whatever the server still had to say: it has to be nothing. An identity
    /// that has run out is found out by it, and not before.
    async fn hear_nothing_more(&mut self, line: usize) -> Played {
        self.settle(line).await?;
        for (name, socket) in &mut self.sockets {
            let failed = |Fault(what)| plain(line, format!("socket {name}: {what}"));
            let too_much = |message: &serde_json::Value| Failure {
                said: Some(shown(message)),
                ..plain(line, format!("socket {name}: expected nothing more after the last line, found a message"))
            };
            if !socket.is_closed() {
                let (query_set, identity) = socket.at();
                let step = socket.empty_step();
                // What was heard until now came without the step.
                let unasked = socket.next(Duration::ZERO).await.map_err(failed)?;
                if let Some(heard) = unasked {
                    return Err(too_much(&heard.to_json()));
                }
                socket.say(&step).await.map_err(failed)?;
                socket.flush().await;
                let heard = socket.next(self.patience).await.map_err(failed)?;
                let is_expected = match &heard {
                    Some(Heard::Message(message)) if message["type"] == "AuthError" => {
                        message["authUpdateAttempted"] == false
                    }
                    Some(Heard::Message(message)) => {
                        let end = &message["endVersion"];
                        end["identity"] == identity
                            && end["querySet"].as_u64() > Some(query_set)
                            && message["modifications"] == json!([])
                    }
                    Some(Heard::Closed { .. }) | None => false,
                };
                if !is_expected {
                    return Err(too_much(&heard.map_or_else(|| "nothing at all".into(), |heard| heard.to_json())));
                }
                if !socket.covers_answers() {
                    return Err(plain(
                        line,
                        format!("socket {name}: no Transition covers a mutation that was answered"),
                    ));
                }
            } else if let Some(heard) = socket.next(Duration::ZERO).await.map_err(failed)? {
                return Err(too_much(&heard.to_json()));
            }
        }
        Ok(())
    }

    async fn request(&mut self, line: usize, request: &Request, expected: &Response) -> Played {
        let failed = |what| plain(line, what);
        let authorization = request.authorization.as_deref();
        let asked = Asked {
            method: request.method.clone(),
            path: request.path.clone(),
            authorization: authorization.map(|text| self.names.fill_authorization(text)).transpose().map_err(failed)?,
            body: request.body.as_ref().map(|body| self.names.fill(body)).transpose().map_err(failed)?,
        };
        let (status, body) = self.server.ask(asked).await.map_err(failed)?;
        let found = json!({"status": status, "body": body});
        let wanted = json!({"status": expected.status, "body": expected.body});
        let differences = self.names.compare(&wanted, &found, &[]);
        if differences.is_empty() {
            return Ok(());
        }
        let what = format!("the answer to {} {} differs", request.method, request.path);
        Err(Failure { line, what, differences, said: Some(shown(&found)) })
    }

    async fn end(mut self) {
        for socket in self.sockets.values_mut().filter(|socket| !socket.is_closed()) {
            socket.close().await;
        }
        drop(self.sockets);
        if let Server::Own(world) = self.server {
            world.stop().await;
        }
    }
}

impl Heard {
    fn to_json(&self) -> serde_json::Value {
        match self {
            Heard::Message(message) => message.clone(),
            Heard::Closed { code, reason } => json!({"closed": {"code": code, "reason": reason}}),
        }
    }
}
