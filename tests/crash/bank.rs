//! The bank that is put under load: clients that move units between accounts, over as many sockets as it takes, and
//! everything that they were told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use syncline_tests::RawClient;
use syncline_tests::client::Closed;
use syncline_tests::random::Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const ACCOUNTS: u64 = 20;
const BALANCE: f64 = 5.0;
/// Requests in flight per client.
const DEPTH: u64 = 12;
/// Answers that each client keeps, to ask for them again.
const KEPT: usize = 8;
/// Nothing that a test waits for takes longer on a machine that is merely busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that anybody was told.
#[derive(Default)]
pub struct Told {
    /// The newest version of each account.
    versions: BTreeMap<u64, f64>,
    /// Transfers that were acknowledged, and those that were refused.
    pub done: BTreeSet<String>,
    pub refused: BTreeSet<String>,
    /// Transitions that were pushed.
    pub n_pushed: u64,
}

impl Told {
    fn saw(&mut self, seen: &Value) {
        let (Some(number), Some(version)) = (seen["number"].as_f64(), seen["version"].as_f64()) else { return };
        let known = self.versions.entry(number as u64).or_default();
        *known = known.max(version);
    }
}

/// What clients are to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Orders {
    /// Ask for more, until the socket ends.
    UntilLost,
    /// Ask for more, and come back when the socket ends.
    Work,
    /// Come back until all is answered, and ask for nothing new.
    Finish,
}

/// What has happened to all clients together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Mutations that were answered.
    pub answers: u64,
    /// Sockets that the server ended with 1011, so that clients come back.
    pub told_to_come_back: u64,
}

/// What clients share with their test.
struct Shared {
    told: Mutex<Told>,
    seen: watch::Sender<Seen>,
    orders: watch::Sender<Orders>,
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client over its reconnects: the session, the requests without an answer, and some that have one.
struct Client {
    number: u64,
    session: String,
    rng: Rng,
    next_request: u64,
    unanswered: BTreeMap<u64, Value>,
    answered: VecDeque<(Value, Value)>,
}

impl Client {
    fn new(number: u64, seed: u64) -> Self {
        let session = uuid::Uuid::new_v4().to_string();
        let rng = Rng(seed ^ (number + 1).wrapping_mul(0x9e37_79b9));
        Client { number, session, rng, next_request: 0, unanswered: BTreeMap::new(), answered: VecDeque::new() }
    }

    fn new_request(&mut self) -> Value {
        let request = self.next_request;
        self.next_request += 1;
        let number = self.rng.below(ACCOUNTS);
        let (path, args) = if self.rng.one_in(4) {
            ("bank:look", json!({"number": number as f64}))
        } else {
            let name = format!("{}-{request}", self.number);
            let to = self.rng.below(ACCOUNTS);
            ("bank:transfer", json!({"name": name, "from": number as f64, "to": to as f64}))
        };
        let message = json!({"type": "Mutation", "requestId": request, "udfPath": path, "args": [args]});
        self.unanswered.insert(request, message.clone());
        message
    }

    async fn work(mut self, address: SocketAddr, shared: Arc<Shared>) -> Self {
        loop {
            let closed = self.serve_socket(address, &shared).await;
            if closed.is_some_and(|closed| closed.code == 1011) {
                shared.seen.send_modify(|seen| seen.told_to_come_back += 1);
            }
            let has_ended = match *shared.orders.borrow() {
                Orders::UntilLost => true,
                Orders::Work => false,
                Orders::Finish => self.unanswered.is_empty(),
            };
            if has_ended {
                return self;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Works over one socket until it ends, or all is done.
    async fn serve_socket(&mut self, address: SocketAddr, shared: &Shared) -> Option<Closed> {
        let mut socket = RawClient::try_connect_as(address, &self.session).await.ok()?;
        let accounts = json!({"type": "Add", "queryId": 0, "udfPath": "bank:accounts", "args": [{}]});
        let watch = json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [accounts]});
        let mut is_open = socket.try_send(watch).await;
        for message in self.unanswered.values() {
            is_open = is_open && socket.try_send(message.clone()).await;
        }
        loop {
            let asks = *shared.orders.borrow() != Orders::Finish;
            while is_open && asks && (self.unanswered.len() as u64) < DEPTH {
                is_open = socket.try_send(self.new_request()).await;
            }
            if !asks && self.unanswered.is_empty() {
                socket.close().await;
                return None;
            }
            // Also when sending failed: what was said before the end is true, and so is how it ended.
            match socket.message_or_close().await {
                Ok(message) => self.take(&message, shared),
                Err(closed) => return Some(closed),
            }
        }
    }

    fn take(&mut self, message: &Value, shared: &Shared) {
        let mut told = shared.told();
        if message["type"] == "Transition" {
            told.n_pushed += 1;
            for modification in message["modifications"].as_array().into_iter().flatten() {
                modification["value"].as_array().into_iter().flatten().for_each(|seen| told.saw(seen));
            }
            return;
        }
        let request = message["requestId"].as_u64().expect("a response names its request");
        let Some(sent) = self.unanswered.remove(&request) else { return };
        let name = sent["args"][0]["name"].as_str().map(str::to_owned);
        if message["success"] == true {
            match &message["result"] {
                Value::Array(both) => both.iter().for_each(|seen| told.saw(seen)),
                one => told.saw(one),
            }
            told.done.extend(name);
            self.answered.push_back((sent, message.clone()));
            self.answered.drain(..self.answered.len().saturating_sub(KEPT));
        } else {
            told.saw(&message["errorData"]);
            told.refused.extend(name);
        }
        drop(told);
        shared.seen.send_modify(|seen| seen.answers += 1);
    }

    /// Sends again what was answered: the answers are the same.
    async fn ask_again(&self, address: SocketAddr) {
        let mut socket = RawClient::connect_as(address, &self.session).await;
        for (sent, answered) in &self.answered {
            socket.send(sent.clone()).await;
            let answer = socket.response(sent["requestId"].as_u64().expect("a number")).await;
            assert_eq!(&answer, answered, "a request that was answered is answered in the same way");
        }
        socket.close().await;
    }
}

/// The clients of a bank.
pub struct Crowd {
    clients: Vec<Client>,
    shared: Arc<Shared>,
    working: Vec<JoinHandle<Client>>,
}

impl Crowd {
    /// So many clients, which do not work yet.
    pub fn new(n_clients: u64, seed: u64) -> Self {
        let shared = Shared {
            told: Mutex::default(),
            seen: watch::Sender::new(Seen::default()),
            orders: watch::Sender::new(Orders::Finish),
        };
        let clients = (0..n_clients).map(|number| Client::new(number, seed)).collect();
        Crowd { clients, shared: Arc::new(shared), working: Vec::new() }
    }

    /// Lets all of them work until their sockets end.
    pub fn work_until_lost(&mut self, address: SocketAddr) {
        self.start(address, Orders::UntilLost);
    }

    /// Lets all of them work; they come back however often their sockets end.
    pub fn work(&mut self, address: SocketAddr) {
        self.start(address, Orders::Work);
    }

    fn start(&mut self, address: SocketAddr, orders: Orders) {
        self.shared.orders.send_replace(orders);
        for client in self.clients.drain(..) {
            self.working.push(tokio::spawn(client.work(address, self.shared.clone())));
        }
    }

    /// Waits until their sockets have ended.
    pub async fn until_lost(&mut self) {
        for client in self.working.drain(..) {
            self.clients.push(client.await.expect("no client fails"));
        }
    }

    /// Lets them ask for nothing more, and waits until everything has been answered.
    pub async fn finish(&mut self) {
        self.shared.orders.send_replace(Orders::Finish);
        self.until_lost().await;
    }

    /// Waits until so many more mutations have been answered.
    pub async fn more_answers(&self, n: u64) {
        let from = self.shared.seen.borrow().answers;
        self.until(|seen| seen.answers >= from + n, "answers").await;
    }

    /// Waits until so many more sockets were told to come back.
    pub async fn more_told_to_come_back(&self, n: u64) {
        let from = self.shared.seen.borrow().told_to_come_back;
        self.until(|seen| seen.told_to_come_back >= from + n, "sockets that are told to come back").await;
    }

    async fn until(&self, enough: impl Fn(&Seen) -> bool, what: &str) {
        let mut seen = self.shared.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(enough)).await;
        assert!(waited.is_ok(), "too few {what}: {:?}", *self.shared.seen.borrow());
    }

    /// What has happened to all of them.
    pub fn seen(&self) -> Seen {
        *self.shared.seen.borrow()
    }

    /// How many transfers were acknowledged, how many refused, and how many Transitions were pushed.
    pub fn figures(&self) -> (usize, usize, u64) {
        let told = self.shared.told();
        (told.done.len(), told.refused.len(), told.n_pushed)
    }

    /// Looks whether no account is older than anybody was told, and no unit was lost or made.
    pub async fn check_accounts(&self, address: SocketAddr) {
        let versions = self.shared.told().versions.clone();
        let mut client = RawClient::connect(address).await;
        client.subscribe(0, "bank:accounts", json!({})).await;
        let accounts = client.until(0, Value::is_array).await;
        for account in accounts.as_array().expect("accounts") {
            let number = account["number"].as_f64().expect("a number") as u64;
            let told = versions.get(&number).copied().unwrap_or_default();
            let found = account["version"].as_f64().expect("a version");
            assert!(found >= told, "account {number}: somebody was told of version {told}, but {found} is there");
        }
        check_total(&accounts);
        client.close().await;
    }

    /// Looks whether each transfer took effect as its client was told, once or not at all, and whether answers that
    /// were given are given again.
    pub async fn check_effects(&self, address: SocketAddr) {
        for client in &self.clients {
            client.ask_again(address).await;
        }
        let (done, refused) = {
            let told = self.shared.told();
            (told.done.clone(), told.refused.clone())
        };
        let http = reqwest::Client::new();
        for (names, expected) in [(done, 1.0), (refused, 0.0)] {
            let names: Vec<_> = names.iter().collect();
            for names in names.chunks(500) {
                let queries: Vec<_> =
                    names.iter().map(|name| json!({"path": "bank:effects", "args": {"name": name}})).collect();
                let request = http.post(format!("http://{address}/api/query_batch")).json(&json!({"queries": queries}));
                let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
                for (name, result) in names.iter().zip(answer["results"].as_array().expect("results")) {
                    assert_eq!(result["value"], json!(expected), "transfer {name} took effect {result} times");
                }
            }
        }
    }
}

/// Makes the accounts.
pub async fn open(address: SocketAddr) {
    let mut client = RawClient::connect(address).await;
    let opened = client.mutation("bank:open", json!({"count": ACCOUNTS as f64, "balance": BALANCE})).await;
    assert_eq!(opened["success"], true, "{opened}");
    client.close().await;
}

/// Looks whether all units are there, in an answer of `bank:accounts`.
pub fn check_total(accounts: &Value) {
    let accounts = accounts.as_array().expect("accounts");
    let total: f64 = accounts.iter().map(|account| account["balance"].as_f64().expect("a balance")).sum();
    assert_eq!((accounts.len() as u64, total), (ACCOUNTS, ACCOUNTS as f64 * BALANCE), "units were lost or made");
}
