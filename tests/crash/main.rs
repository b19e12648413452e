//! Kills the server process in the middle of its work, again and again, and checks that everything it told anybody is
//! still true: results, failures and read-only answers, and what was pushed to subscribers; that nothing happened
//! twice; and that no unit was lost.
//!
//! Every moment is chosen by a seed, as a number of answers after which the process is killed. `SYNCLINE_CRASHES` sets
//! how often, `SYNCLINE_SEED` with which seed.

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use process::Process;
use serde_json::{Value, json};
use syncline_tests::RawClient;

const ACCOUNTS: u64 = 20;
const BALANCE: f64 = 5.0;
const CLIENTS: u64 = 16;
/// Requests in flight per client.
const DEPTH: u64 = 12;

/// A small generator: the same numbers for the same seed, on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Everything that anybody was told.
#[derive(Default)]
struct Told {
    /// The newest version of each account.
    versions: BTreeMap<u64, f64>,
    /// Transfers that were acknowledged, and those that were refused.
    done: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Told {
    fn saw(&mut self, seen: &Value) {
        let (Some(number), Some(version)) = (seen["number"].as_f64(), seen["version"].as_f64()) else { return };
        let known = self.versions.entry(number as u64).or_default();
        *known = known.max(version);
    }
}

/// A client over its reconnects: the session and the requests without an answer.
struct Client {
    number: u64,
    session: String,
    next_request: u64,
    unanswered: BTreeMap<u64, Value>,
}

impl Client {
    fn new(number: u64) -> Self {
        let session = uuid::Uuid::new_v4().to_string();
        Client { number, session, next_request: 0, unanswered: BTreeMap::new() }
    }

    fn new_request(&mut self, random: &mut Random) -> Value {
        let request = self.next_request;
        self.next_request += 1;
        let number = random.below(ACCOUNTS);
        let (path, args) = if random.below(4) == 0 {
            ("bank:look", json!({"number": number as f64}))
        } else {
            let name = format!("{}-{request}", self.number);
            let to = random.below(ACCOUNTS);
            ("bank:transfer", json!({"name": name, "from": number as f64, "to": to as f64}))
        };
        let message = json!({"type": "Mutation", "requestId": request, "udfPath": path, "args": [args]});
        self.unanswered.insert(request, message.clone());
        message
    }

    /// Works until the server is gone. Answers what it was told into `told`.
    async fn work(
        &mut self,
        address: std::net::SocketAddr,
        random: &mut Random,
        told: &Mutex<Told>,
        answers: &AtomicU64,
    ) {
        let Ok(mut socket) = RawClient::try_connect_as(address, &self.session).await else { return };
        socket.subscribe(0, "bank:accounts", json!({})).await;
        for message in self.unanswered.values() {
            if !socket.try_send(message.clone()).await {
                return;
            }
        }
        loop {
            while (self.unanswered.len() as u64) < DEPTH {
                let message = self.new_request(random);
                if !socket.try_send(message).await {
                    return;
                }
            }
            let Ok(message) = socket.message_or_close().await else { return };
            self.take(&message, &mut told.lock().expect("no client panics"));
            if message["type"] == "MutationResponse" {
                answers.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn take(&mut self, message: &Value, told: &mut Told) {
        if message["type"] == "Transition" {
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
        } else {
            told.saw(&message["errorData"]);
            told.refused.extend(name);
        }
    }
}

/// Looks whether everything that was told is true.
async fn check(address: std::net::SocketAddr, told: &Told) {
    let mut client = RawClient::connect(address).await;
    client.subscribe(0, "bank:accounts", json!({})).await;
    let accounts = client.until(0, Value::is_array).await;
    let mut total = 0.0;
    for account in accounts.as_array().expect("accounts") {
        total += account["balance"].as_f64().expect("a balance");
        let number = account["number"].as_f64().expect("a number") as u64;
        let told = told.versions.get(&number).copied().unwrap_or_default();
        let found = account["version"].as_f64().expect("a version");
        assert!(found >= told, "account {number}: somebody was told of version {told}, but {found} is there");
    }
    assert_eq!(total, ACCOUNTS as f64 * BALANCE, "units were lost or made");
    client.close().await;
}

/// Looks whether each transfer took effect as its client was told: once, or not at all.
async fn check_effects(address: std::net::SocketAddr, told: &Told) {
    let http = reqwest::Client::new();
    for (names, expected) in [(&told.done, 1.0), (&told.refused, 0.0)] {
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

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// spec: S69, S76, S82, S84, S85
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_is_true_after_every_crash() {
    let crashes = setting("SYNCLINE_CRASHES", 50);
    let seed = setting("SYNCLINE_SEED", 0x5eed_1234);
    println!("SYNCLINE_SEED={seed} SYNCLINE_CRASHES={crashes}");
    let folder = tempfile::tempdir().expect("a folder");
    let told = Arc::new(Mutex::new(Told::default()));
    let mut moments = Random(seed);
    let mut clients: Vec<_> = (0..CLIENTS).map(Client::new).collect();
    for crash in 0..crashes {
        let mut process = Process::start(folder.path());
        if crash == 0 {
            let mut client = RawClient::connect(process.address()).await;
            client.mutation("bank:open", json!({"count": ACCOUNTS as f64, "balance": BALANCE})).await;
        }
        let so_far = told.lock().expect("no client panics").clone_versions();
        check(process.address(), &so_far).await;
        let moment = 1 + moments.below(400);
        let answers = Arc::new(AtomicU64::new(0));
        let address = process.address();
        let mut working = Vec::new();
        for mut client in std::mem::take(&mut clients) {
            let (told, answers) = (told.clone(), answers.clone());
            let mut random = Random(seed ^ (crash << 20) ^ (client.number + 1).wrapping_mul(0x9e37_79b9));
            working.push(tokio::spawn(async move {
                client.work(address, &mut random, &told, &answers).await;
                client
            }));
        }
        while answers.load(Ordering::SeqCst) < moment {
            tokio::task::yield_now().await;
            assert!(!process.has_ended(), "the server ended by itself");
        }
        process.kill();
        for client in working {
            clients.push(client.await.expect("no client fails"));
        }
    }
    let process = Process::start(folder.path());
    let told = std::mem::take(&mut *told.lock().expect("no client panics"));
    check(process.address(), &told.clone_versions()).await;
    check_effects(process.address(), &told).await;
    println!("{} transfers acknowledged, {} refused, {crashes} crashes", told.done.len(), told.refused.len());
}

impl Told {
    /// What has to hold of accounts, without the names of all transfers.
    fn clone_versions(&self) -> Told {
        Told { versions: self.versions.clone(), ..Told::default() }
    }
}
