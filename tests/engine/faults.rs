//! A random workload, stopped or failed at each of its syncs in turn: what was acknowledged is there, what is there
//! is a prefix of what was committed, and nothing took effect twice.

use std::collections::BTreeMap;

use syncline_engine::{CommitError, Durability, Engine, Fault, Outcome, RequestKey};
use syncline_functions::tx::Tx;
use syncline_schema::{DocumentId, RangeOp, Timestamp, Value};
use syncline_tests::random::Rng;

use crate::world::{Read, World, begin, get, insert, items, own, patch};

const N_ACCOUNTS: u64 = 12;
const START: i64 = 100;
const N_STEPS: u64 = 60;
const SESSION: [u8; 16] = [3; 16];

/// Balances by account, and the requests that were done.
type State = (BTreeMap<u64, i64>, Vec<u64>);

struct Run {
    world: World,
    engine: Engine,
    rng: Rng,
    accounts: Vec<DocumentId>,
    /// What each commit made of the store.
    history: BTreeMap<Timestamp, State>,
    /// The newest commit that was told to be durable.
    acknowledged: Timestamp,
    /// Commits that were told to be undone.
    undone: Vec<Timestamp>,
}

fn balance(text: &str) -> (u64, i64) {
    let value = Value::from_json(text).unwrap();
    let Value::Object(fields) = value else { panic!("{text}") };
    match (&fields["n"], &fields["balance"]) {
        (Value::Float64(n), Value::Float64(balance)) => (*n as u64, *balance as i64),
        other => panic!("{other:?}"),
    }
}

impl Run {
    /// Makes the accounts and lets them become durable.
    async fn begin(seed: u64) -> Self {
        let mut world = items().with_seed(seed);
        world.config.checkpoint_rows_max = 3;
        world.config.memory_budget_bytes = if seed.is_multiple_of(2) { 2_000 } else { usize::MAX };
        let engine = world.open().await;
        let tx = begin(&engine);
        let mut accounts = Vec::new();
        for n in 0..N_ACCOUNTS {
            accounts.push(insert(&tx, "items", &format!(r#"{{"balance":{START}.0,"n":{n}.0}}"#)).await);
        }
        let ts = engine.commit(&tx, None).unwrap().ts;
        assert!(engine.wait_durable(ts, 0).await);
        drop(tx);
        let state = ((0..N_ACCOUNTS).map(|n| (n, START)).collect(), Vec::new());
        let history = BTreeMap::from([(ts, state)]);
        Run { world, engine, rng: Rng(seed), accounts, history, acknowledged: ts, undone: Vec::new() }
    }

    /// Moves money under a request number. `None` when the store takes nothing.
    async fn transfer(&mut self, request: u64) -> Option<Timestamp> {
        let (from, to) = (self.rng.below(N_ACCOUNTS), self.rng.below(N_ACCOUNTS));
        let amount = self.rng.below(20) as i64;
        let key = RequestKey { session: SESSION, request };
        let tx = begin(&self.engine);
        if tx.request_outcome(&key).await.ok()?.is_some() {
            return None;
        }
        if from != to {
            for (account, amount) in [(from, -amount), (to, amount)] {
                let id = self.accounts[account as usize];
                let (_, old) = balance(&own(&tx.get(id).await.ok()??));
                let fields = format!(r#"{{"balance":{}.0}}"#, old + amount);
                tx.patch(id, syncline_functions::tx::Fields::Typed(&fields)).await.ok()?;
            }
        }
        let outcome = Outcome { ts: Timestamp::ZERO, value: format!("{request}.0").into(), log_lines: Vec::new() };
        match self.engine.commit(&tx, Some((key, outcome))) {
            Ok(committed) => {
                let (mut balances, mut requests) = self.newest().clone();
                if from != to {
                    *balances.get_mut(&from).unwrap() -= amount;
                    *balances.get_mut(&to).unwrap() += amount;
                }
                requests.push(request);
                self.history.insert(committed.ts, (balances, requests));
                Some(committed.ts)
            }
            Err(CommitError::Undone | CommitError::Storage(_) | CommitError::Conflict(_)) => None,
            Err(other) => panic!("{other}"),
        }
    }

    fn newest(&self) -> &State {
        self.history.last_key_value().expect("it begins with one").1
    }

    /// Notes what has become durable, and what was undone.
    fn acknowledge(&mut self, waiting: &mut Vec<(Timestamp, u64)>) {
        let engine = &self.engine;
        let mut first_undone = None;
        waiting.retain(|(ts, generation)| match engine.durability(*ts, *generation) {
            Durability::Durable => {
                self.acknowledged = self.acknowledged.max(*ts);
                false
            }
            Durability::Undone => {
                self.undone.push(*ts);
                first_undone = first_undone.or(Some(*ts));
                false
            }
            Durability::Pending => true,
        });
        if let Some(first) = first_undone {
            self.history.split_off(&first);
        }
    }

    async fn go(&mut self) {
        let mut waiting = Vec::new();
        for request in 0..N_STEPS {
            let generation = self.engine.watch_durable().borrow().generation;
            if let Some(ts) = self.transfer(request).await {
                waiting.push((ts, generation));
            }
            if self.rng.one_in(3) {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
            if self.rng.one_in(8) {
                // It may fail; the log has everything.
                let _ = self.engine.checkpoint().await;
            }
            self.acknowledge(&mut waiting);
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.acknowledge(&mut waiting);
    }

    /// Opens the store as the next process does, and compares.
    async fn check(&mut self, what: &str) {
        let engine = self.world.crash_and_open().await;
        let head = engine.durable();
        assert!(head >= self.acknowledged, "{what}: lost {} acknowledged, found {head}", self.acknowledged);
        let (balances, requests) = self.history.range(..=head).next_back().expect("it begins with one").1;
        let tx = begin(&engine);
        let rows = Read::all("items", "by_n").with(RangeOp::Gte, "n", Value::Float64(0.0)).run(&tx).await;
        let found: BTreeMap<u64, i64> = rows.iter().map(|text| balance(text)).collect();
        assert_eq!(&found, balances, "{what}");
        assert_eq!(found.values().sum::<i64>(), N_ACCOUNTS as i64 * START, "{what}");
        for (n, id) in self.accounts.iter().enumerate() {
            assert_eq!(balance(&get(&tx, *id).await.unwrap()), (n as u64, found[&(n as u64)]), "{what}: indexes agree");
        }
        for request in 0..N_STEPS {
            let known = tx.request_outcome(&RequestKey { session: SESSION, request }).await.unwrap();
            assert_eq!(known.is_some(), requests.contains(&request), "{what}: request {request}");
        }
        // It goes on.
        patch(&tx, self.accounts[0], r#"{"more":1.0}"#).await;
        let ts = engine.commit(&tx, None).unwrap().ts;
        assert!(self.undone.iter().all(|undone| *undone != ts) && ts > head, "{what}: a timestamp was used twice");
        assert!(engine.wait_durable(ts, 0).await, "{what}");
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
}

/// How many syncs the whole workload has, behind those that set it up.
fn syncs_of(seed: u64) -> (u64, u64) {
    let mut counts = (0, 0);
    block_on(async {
        let mut run = Run::begin(seed).await;
        counts.0 = run.world.storage.n_syncs();
        run.go().await;
        counts.1 = run.world.storage.n_syncs();
        run.check("no fault").await;
    });
    counts
}

fn with_fault_at_each_sync(fault: Fault) {
    for seed in [11, 12] {
        let (first, end) = syncs_of(seed);
        assert!(end - first > 20, "{} syncs", end - first);
        for sync in first..end {
            block_on(async {
                let mut run = Run::begin(seed).await;
                run.world.storage.fail_at(sync, fault);
                run.go().await;
                run.check(&format!("seed {seed}, {fault:?} at sync {sync}")).await;
            });
        }
    }
}

/// spec: S76
#[test]
fn a_crash_before_each_sync() {
    with_fault_at_each_sync(Fault::Crash);
}

/// spec: S76
#[test]
fn a_crash_after_each_sync() {
    with_fault_at_each_sync(Fault::CrashStored);
}

/// spec: S76
#[test]
fn a_crash_that_leaves_half_of_what_was_not_synced() {
    with_fault_at_each_sync(Fault::CrashTorn);
}

#[test]
fn each_sync_fails_once() {
    with_fault_at_each_sync(Fault::Fails);
}

#[test]
fn each_sync_fails_but_was_stored() {
    with_fault_at_each_sync(Fault::FailsButStored);
}
