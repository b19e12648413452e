//! A session, a store and a client take random steps, and the client checks everything it is told.
//!
//! The store is a map with its history, so the client can evaluate each of its queries itself at the moment and under
//! the identity that a Transition names. The runtime between them answers when it likes: late, out of order, twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use syncline_client_protocol::{
    AuthAttempt, AuthToken, Failure, IdentityKey, Input, LogLines, MutationSuccess, Now, Output, QueryId, QueryResult,
    RequestId, RunId, Session, SessionConfig, Timestamp, Verdict,
};

const KEYS: u64 = 4;
const QUERIES: u32 = 6;
const USERS: u64 = 3;

/// The store: the values of each key with the timestamp of their commit.
struct Store {
    history: Vec<Vec<(u64, u64)>>,
    newest: u64,
    durable: u64,
}

impl Store {
    fn commit(&mut self, key: u64, value: u64) -> u64 {
        self.newest += 1;
        self.history[key as usize].push((self.newest, value));
        self.newest
    }

    /// The last value of a key at a moment. Values repeat, so that results do.
    fn value_at(&self, key: u64, ts: u64) -> u64 {
        self.history[key as usize].iter().rev().find(|(commit, _)| *commit <= ts).map_or(0, |(_, value)| *value)
    }

    fn has_changed(&self, key: u64, since: u64) -> bool {
        self.history[key as usize].last().is_some_and(|(commit, _)| *commit > since)
    }

    /// What a function gives. `me` shows who asks, `odd` fails now and then.
    fn evaluate(&self, path: &str, ts: u64, identity: u64) -> Result<String, String> {
        let (name, key) = path.split_once('/').expect("a name and a key");
        let value = self.value_at(key.parse().expect("a key"), ts);
        match name {
            "me" => Ok(format!("[{identity},{value}]")),
            "odd" if value % 2 == 1 => Err(format!("{value} is odd")),
            _ => Ok(value.to_string()),
        }
    }
}

struct Run {
    id: RunId,
    ts: u64,
    identity: u64,
    path: String,
}

/// What the last result of a query read.
struct Subscription {
    key: u64,
    since: u64,
}

/// What the client knows, and what it has said.
#[derive(Default)]
struct Client {
    at: (u32, u32, u64),
    /// The query set of each version it has asked for.
    query_sets: BTreeMap<u32, BTreeMap<u32, String>>,
    /// The ids that each version removed.
    removed: BTreeMap<u32, BTreeSet<u32>>,
    identities: Vec<u64>,
    results: BTreeMap<u32, Value>,
    journals: BTreeMap<u32, String>,
    n_requests: u32,
    mutations: VecDeque<u32>,
    actions: BTreeSet<u32>,
    /// Who it was when it made each request.
    callers: BTreeMap<u32, u64>,
    /// A Transition to at least here has to come.
    owed: Option<u64>,
}

struct Walk {
    session: Session,
    store: Store,
    client: Client,
    n_accepted: usize,
    verification: Option<(AuthAttempt, u64)>,
    target: Option<u64>,
    runs: BTreeMap<u32, Run>,
    given_up: Vec<(u32, RunId)>,
    subscriptions: BTreeMap<u32, Subscription>,
    /// Handed over, in order: the first runs.
    running: VecDeque<u32>,
    /// Committed or failed, not yet told: the request, its key, its commit.
    finished: Vec<(u32, Option<u64>)>,
    /// The commit of each mutation that took effect and has no answer.
    commits: BTreeMap<u32, u64>,
    actions: Vec<u32>,
    unwritten: u32,
    n_journals: u64,
}

impl Walk {
    fn new() -> Walk {
        let mut client = Client { identities: vec![0], ..Client::default() };
        client.query_sets.insert(0, BTreeMap::new());
        Walk {
            session: Session::new(SessionConfig::default(), Now { monotonic_ms: 0, wall_ns: 1 }),
            store: Store { history: vec![Vec::new(); KEYS as usize], newest: 1, durable: 1 },
            client,
            n_accepted: 0,
            verification: None,
            target: None,
            runs: BTreeMap::new(),
            given_up: Vec::new(),
            subscriptions: BTreeMap::new(),
            running: VecDeque::new(),
            finished: Vec::new(),
            commits: BTreeMap::new(),
            actions: Vec::new(),
            unwritten: 0,
            n_journals: 0,
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.session.handle(Now { monotonic_ms: 0, wall_ns: 1 }, input);
    }

    fn say(&mut self, message: Value) {
        self.handle(Input::Frame(&message.to_string()));
    }

    /// One step, as a number says.
    fn step(&mut self, choice: u32) {
        let detail = u64::from(choice / 16);
        match choice % 16 {
            0 | 1 => self.modify_query_set(detail),
            2 | 3 => self.request("Mutation"),
            4 => self.request("Action"),
            5 => self.authenticate(detail),
            6 => drop(self.store.commit(detail % KEYS, detail / KEYS % 3)),
            7 => self.make_durable(),
            8 => self.verify(),
            9 => self.choose_target(),
            10 | 11 => self.finish_run(detail),
            12 => self.run_mutation(detail),
            13 => self.tell_outcome(detail),
            14 => self.finish_action(detail),
            _ => self.write_transition(),
        }
        if detail % 3 > 0 {
            self.poll();
        }
    }

    // ---- the client -----------------------------------------------------------------------------------------------

    fn modify_query_set(&mut self, detail: u64) {
        let (&base, queries) = self.client.query_sets.last_key_value().expect("a version");
        let mut queries = queries.clone();
        let mut removed = BTreeSet::new();
        let mut modifications = Vec::new();
        for n in 0..detail % 4 {
            let id = (detail / 4 + n * 7) as u32 % QUERIES;
            if queries.remove(&id).is_some() {
                removed.insert(id);
                modifications.push(json!({ "type": "Remove", "queryId": id }));
            }
            if detail / 8 % 3 < 2 {
                let path = format!("{}/{}", ["get", "me", "odd"][(detail / 24 % 3) as usize], (detail / 72 + n) % KEYS);
                modifications.push(json!({ "type": "Add", "queryId": id, "udfPath": path, "args": [{}] }));
                queries.insert(id, path);
            }
        }
        let new = base + 1 + (detail % 2) as u32;
        self.client.query_sets.insert(new, queries);
        self.client.removed.insert(new, removed);
        self.say(
            json!({ "type": "ModifyQuerySet", "baseVersion": base, "newVersion": new, "modifications": modifications }),
        );
    }

    fn request(&mut self, kind: &str) {
        let request = self.client.n_requests;
        self.client.n_requests += 1;
        self.client.callers.insert(request, *self.client.identities.last().expect("an identity"));
        match kind {
            "Mutation" => self.client.mutations.push_back(request),
            _ => drop(self.client.actions.insert(request)),
        }
        self.say(json!({ "type": kind, "requestId": request, "udfPath": "do", "args": [] }));
    }

    fn authenticate(&mut self, detail: u64) {
        let base = self.client.identities.len() - 1;
        let user = detail % USERS;
        self.client.identities.push(user);
        self.say(match user {
            0 => json!({ "type": "Authenticate", "baseVersion": base, "tokenType": "None" }),
            user => {
                json!({ "type": "Authenticate", "baseVersion": base, "tokenType": "User", "value": user.to_string() })
            }
        });
        self.count_accepted(self.n_accepted);
    }

    fn told(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).expect("JSON");
        match message["type"].as_str().expect("a type") {
            "Transition" => self.told_transition(&message),
            "MutationResponse" => {
                let request = message["requestId"].as_u64().expect("a number") as u32;
                assert_eq!(self.client.mutations.pop_front(), Some(request), "answers come once and in order");
                let commit = self.commits.remove(&request);
                assert_eq!(message["success"], commit.is_some());
                let commit = commit.unwrap_or(0);
                assert!(commit <= self.store.durable, "what was told could be lost");
                self.client.owed = self.client.owed.max(Some(commit));
            }
            "ActionResponse" => {
                let request = message["requestId"].as_u64().expect("a number") as u32;
                assert!(self.client.actions.remove(&request), "answers come once");
            }
            other => panic!("{other} was not to come"),
        }
    }

    fn told_transition(&mut self, message: &Value) {
        let version = |version: &Value| {
            let number = |name: &str| version[name].as_u64().expect("a number") as u32;
            (number("querySet"), number("identity"), ts_of(version["ts"].as_str().expect("a text")))
        };
        let (start, end) = (version(&message["startVersion"]), version(&message["endVersion"]));
        assert_eq!(start, self.client.at, "a gap in the chain");
        assert!(start.0 <= end.0 && start.1 <= end.1 && start.2 <= end.2, "{start:?} -> {end:?} goes back");
        assert!(end.1 as usize <= self.n_accepted && end.2 <= self.store.durable);
        for (request, commit) in &self.commits {
            assert!(*commit > end.2, "request {request} is shown at {} before its answer", end.2);
        }
        let modifications = message["modifications"].as_array().expect("modifications");
        let is_owed = self.client.owed.is_some_and(|owed| owed <= end.2);
        assert!(!modifications.is_empty() || is_owed || start.0 < end.0 || start.1 < end.1, "it says nothing");
        self.client.owed = self.client.owed.filter(|owed| *owed > end.2);
        self.client.at = end;

        let mut last = None;
        for modification in modifications {
            let id = modification["queryId"].as_u64().expect("a number") as u32;
            assert!(last < Some(id), "query {id} twice or out of order");
            last = Some(id);
            if modification["type"] == "QueryRemoved" {
                let mut steps = self.client.removed.range(start.0 + 1..=end.0);
                assert!(steps.any(|(_, removed)| removed.contains(&id)), "query {id} was not removed");
                self.client.results.remove(&id);
                self.client.journals.remove(&id);
            } else {
                self.client.results.insert(id, modification.clone());
                self.client.journals.insert(id, modification["journal"].as_str().expect("a journal").to_owned());
            }
        }
        self.check_snapshot();
    }

    /// All results are those of one moment, one identity and one query set: of the ones the Transition names.
    fn check_snapshot(&self) {
        let (query_set, identity, ts) = self.client.at;
        let queries = self.client.query_sets.get(&query_set).expect("a version that was asked for");
        let identity = self.client.identities[identity as usize];
        assert_eq!(queries.keys().collect::<Vec<_>>(), self.client.results.keys().collect::<Vec<_>>());
        for (id, path) in queries {
            let result = &self.client.results[id];
            match self.store.evaluate(path, ts, identity) {
                Ok(value) => assert_eq!(result["value"].to_string(), value, "query {id}, {path} at {ts} as {identity}"),
                Err(error) => assert_eq!(result["errorMessage"], error, "query {id}, {path} at {ts} as {identity}"),
            }
        }
    }

    // ---- the runtime ----------------------------------------------------------------------------------------------

    fn poll(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::VerifyToken { attempt, token: AuthToken::User(token) } => {
                    assert!(self.verification.is_none(), "one token at a time");
                    self.verification = Some((attempt, token.parse().expect("a user")));
                }
                Output::VerifyToken { .. } | Output::Close(_) => panic!("{output:?} was not to come"),
                Output::ChooseTarget { at_least } => {
                    assert!(self.target.is_none() && at_least.0 <= self.store.durable);
                    self.target = Some(at_least.0);
                }
                Output::RunQuery { query, run, ts, call, journal, identity } => {
                    let held = self.client.journals.get(&query.0).map(String::as_str);
                    assert!(journal.as_deref() == held || self.is_new(query.0), "{journal:?} is not {held:?}");
                    self.subscriptions.remove(&query.0);
                    let run = Run { id: run, ts: ts.0, identity: identity.0, path: call.path.to_string() };
                    if let Some(earlier) = self.runs.insert(query.0, run) {
                        self.given_up.push((query.0, earlier.id));
                    }
                }
                Output::DropQuery { query } => {
                    self.subscriptions.remove(&query.0);
                    if let Some(run) = self.runs.remove(&query.0) {
                        self.given_up.push((query.0, run.id));
                    }
                }
                Output::RunMutation { request, identity, .. } => {
                    assert_eq!(identity.0, self.client.callers[&request.0]);
                    self.running.push_back(request.0);
                }
                Output::RunAction { request, identity, .. } => {
                    assert_eq!(identity.0, self.client.callers[&request.0]);
                    self.actions.push(request.0);
                }
                Output::Send(message) => {
                    let mut text = String::new();
                    message.write(&mut text);
                    self.unwritten += u32::from(message.completes_transition());
                    assert!(self.unwritten <= 2, "too many Transitions wait to be written");
                    self.told(&text);
                }
            }
        }
        self.tell_durable();
    }

    /// Whether a query is not the one the client holds a result of: it was removed and added again since.
    fn is_new(&self, id: u32) -> bool {
        self.client.removed.range(self.client.at.0 + 1..).any(|(_, removed)| removed.contains(&id))
    }

    fn make_durable(&mut self) {
        self.store.durable = self.store.newest;
        self.tell_durable();
    }

    fn tell_durable(&mut self) {
        if self.session.awaits_durable().is_some_and(|ts| ts.0 <= self.store.durable) {
            self.handle(Input::Durable { ts: Timestamp(self.store.durable) });
        }
    }

    fn verify(&mut self) {
        let Some((attempt, user)) = self.verification.take() else { return };
        let verdict = Verdict::Accepted { identity: IdentityKey(user), expires_at_ns: None };
        self.handle(Input::TokenVerified { attempt, verdict });
        self.count_accepted(self.n_accepted + 1);
    }

    /// An `Authenticate` with `None` is accepted as soon as its turn comes.
    fn count_accepted(&mut self, n_accepted: usize) {
        self.n_accepted = n_accepted;
        while self.client.identities.get(self.n_accepted + 1) == Some(&0) {
            self.n_accepted += 1;
        }
    }

    /// First the news of what has changed, then the target.
    fn choose_target(&mut self) {
        let Some(at_least) = self.target.take() else { return };
        self.make_durable();
        assert!(at_least <= self.store.durable);
        let subscriptions = std::mem::take(&mut self.subscriptions);
        for (query, subscription) in subscriptions {
            if self.store.has_changed(subscription.key, subscription.since) {
                self.handle(Input::QueryInvalidated { query: QueryId(query) });
            } else {
                self.subscriptions.insert(query, subscription);
            }
        }
        self.handle(Input::TargetChosen { ts: Timestamp(self.store.durable) });
    }

    fn finish_run(&mut self, detail: u64) {
        let n_given_up = self.given_up.len() as u64;
        if detail.is_multiple_of(5) && n_given_up > 0 {
            let (query, run) = self.given_up[(detail / 5 % n_given_up) as usize];
            return self.finish_given_up(query, run);
        }
        let n_runs = self.runs.len() as u64;
        let Some(&id) = detail.checked_rem(n_runs).and_then(|n| self.runs.keys().nth(n as usize)) else { return };
        let run = self.runs.remove(&id).expect("a run");
        if detail.is_multiple_of(7) {
            self.given_up.extend(std::mem::take(&mut self.runs).into_iter().map(|(query, run)| (query, run.id)));
            return self.handle(Input::QueryRetry { query: QueryId(id), run: run.id });
        }
        let outcome = self.store.evaluate(&run.path, run.ts, run.identity);
        let hash =
            format!("{outcome:?}").bytes().fold(17, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        self.n_journals += 1;
        let result = QueryResult {
            outcome: outcome.map(Into::into).map_err(|error| Failure { message: error.into(), data: None }),
            log_lines: LogLines::default(),
            journal: Some(self.n_journals.to_string().into()),
            hash,
        };
        self.handle(Input::QueryDone { query: QueryId(id), run: run.id, result: Arc::new(result) });
        let key = run.path.split_once('/').expect("a key").1.parse().expect("a key");
        self.subscriptions.insert(id, Subscription { key, since: run.ts });
        if detail.is_multiple_of(3) && self.store.has_changed(key, run.ts) {
            self.handle(Input::QueryInvalidated { query: QueryId(id) });
        }
    }

    /// The answer to a run that nobody waits for any more, which must not be taken for anything.
    fn finish_given_up(&mut self, query: u32, run: RunId) {
        let wrong = QueryResult {
            outcome: Ok("\"given up\"".into()),
            log_lines: LogLines::default(),
            journal: Some("given up".into()),
            hash: 0,
        };
        self.handle(Input::QueryDone { query: QueryId(query), run, result: Arc::new(wrong) });
        self.handle(Input::QueryRetry { query: QueryId(query), run });
    }

    fn run_mutation(&mut self, detail: u64) {
        let Some(request) = self.running.pop_front() else { return };
        if detail.is_multiple_of(4) {
            return self.finish_mutation(request, None);
        }
        let ts = self.store.commit(detail / 4 % KEYS, detail % 3);
        self.commits.insert(request, ts);
        self.finished.push((request, Some(ts)));
        self.handle(Input::MutationCommitted { request: RequestId(request), ts: Timestamp(ts) });
    }

    /// The answer of a mutation that has committed: not in order.
    fn tell_outcome(&mut self, detail: u64) {
        if let Some(n) = detail.checked_rem(self.finished.len() as u64) {
            let (request, ts) = self.finished.remove(n as usize);
            self.finish_mutation(request, ts);
        }
    }

    fn finish_mutation(&mut self, request: u32, ts: Option<u64>) {
        let outcome = match ts {
            Some(ts) => Ok(MutationSuccess { ts: Timestamp(ts), value: "null".into() }),
            None => Err(Failure { message: "no".into(), data: None }),
        };
        let durable_at = Timestamp(ts.unwrap_or(self.store.newest));
        let log_lines = LogLines::default();
        self.handle(Input::MutationFinished { request: RequestId(request), outcome, log_lines, durable_at });
    }

    fn finish_action(&mut self, detail: u64) {
        if let Some(n) = detail.checked_rem(self.actions.len() as u64) {
            let request = RequestId(self.actions.remove(n as usize));
            self.handle(Input::ActionFinished { request, outcome: Ok("null".into()), log_lines: LogLines::default() });
        }
    }

    fn write_transition(&mut self) {
        if self.unwritten > 0 {
            self.unwritten -= 1;
            self.handle(Input::TransitionWritten);
        }
    }

    // ---- the end --------------------------------------------------------------------------------------------------

    fn is_busy(&self) -> bool {
        self.verification.is_some()
            || self.target.is_some()
            || !self.runs.is_empty()
            || !self.running.is_empty()
            || !self.finished.is_empty()
            || !self.actions.is_empty()
            || self.unwritten > 0
            || self.session.awaits_durable().is_some()
    }

    /// Everything is answered; then the client must have been told everything, and nothing may be left to say.
    fn settle(&mut self) {
        self.poll();
        let mut n_rounds = 0;
        while self.is_busy() {
            n_rounds += 1;
            assert!(n_rounds < 10_000, "it never ends");
            self.verify();
            self.choose_target();
            self.finish_run(1);
            self.run_mutation(1);
            self.tell_outcome(0);
            self.finish_action(0);
            self.write_transition();
            self.make_durable();
            self.poll();
        }
        let (&last, _) = self.client.query_sets.last_key_value().expect("a version");
        assert_eq!(self.client.at.0, last, "a query set was never reached");
        assert_eq!(self.client.at.1 as usize + 1, self.client.identities.len(), "an identity was never confirmed");
        assert!(self.client.mutations.is_empty() && self.client.actions.is_empty(), "requests without an answer");
        assert_eq!(self.client.owed, None, "no Transition after an answer");
        self.check_snapshot();
    }
}

fn ts_of(text: &str) -> u64 {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// spec: S40, S42, S43, S44, S49, S51, S52, S55, S56, S57, S58, S60, S61, S62, S63, S67, S70, S86, S87, S88
    #[test]
    fn whatever_happens_the_client_is_told_the_truth(steps in prop::collection::vec(any::<u32>(), 0..500)) {
        let mut walk = Walk::new();
        for choice in steps {
            walk.step(choice);
        }
        walk.settle();
    }
}
