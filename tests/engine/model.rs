//! Random transactions beside a simple map, with checkpoints, evictions, restarts and subscriptions in between.
//!
//! Every read of every snapshot that is kept must equal the model at its timestamp; every subscriber that a commit
//! changed must be told; conflicts must be those that the model sees. A failing seed is printed and replays exactly.
//! `SYNCLINE_MODEL_STEPS` sets the number of steps, `SYNCLINE_MODEL_SEED` the first seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_engine::{At, BeginOptions, CommitError, Engine, Limits, Pin, ReadSet, Subscriptions, Transaction};
use syncline_functions::tx::{NestedEnd, Order, Tx};
use syncline_schema::{DocumentId, RangeOp, Timestamp, Value};
use syncline_tests::random::Rng;

use crate::world::{Read, World, begin, commit, get, insert, items, own, patch};

/// The fields of a document.
#[derive(Clone, Debug, PartialEq)]
struct Fields {
    n: Option<u8>,
    s: Option<u8>,
}

impl Fields {
    fn random(rng: &mut Rng) -> Self {
        Fields { n: (!rng.one_in(8)).then(|| rng.below(12) as u8), s: (!rng.one_in(3)).then(|| rng.below(4) as u8) }
    }

    fn text(&self) -> String {
        let n = self.n.map(|n| format!(r#""n":{n}.0"#));
        let s = self.s.map(|s| format!(r#""s":"{s}""#));
        let fields: Vec<String> = [n, s].into_iter().flatten().collect();
        format!("{{{}}}", fields.join(","))
    }

    fn patch_to(&self, new: &Fields) -> String {
        let field = |name, old: Option<u8>, new: Option<String>| match (old, new) {
            (_, Some(new)) => Some(format!(r#""{name}":{new}"#)),
            (Some(_), None) => Some(format!(r#""{name}":{{"$undefined":null}}"#)),
            (None, None) => None,
        };
        let n = field("n", self.n, new.n.map(|n| format!("{n}.0")));
        let s = field("s", self.s, new.s.map(|s| format!(r#""{s}""#)));
        let fields: Vec<String> = [n, s].into_iter().flatten().collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// A document as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: DocumentId,
    creation_time: f64,
    fields: Fields,
}

type State = BTreeMap<DocumentId, Row>;

/// What is read: the same question is put to the engine and to the model.
#[derive(Clone, Debug)]
enum Question {
    Get(DocumentId),
    /// `by_n` between two numbers, so many of them, from one end.
    Range {
        from: u8,
        to: u8,
        limit: usize,
        order: Order,
    },
    /// `by_s_n` with equalities on both.
    Point {
        n: u8,
        s: u8,
    },
    /// All, in order of creation.
    All {
        order: Order,
    },
}

impl Question {
    fn random(rng: &mut Rng, ids: &[DocumentId]) -> Self {
        let order = if rng.one_in(2) { Order::Asc } else { Order::Desc };
        match rng.below(8) {
            0..=2 if !ids.is_empty() => Question::Get(ids[rng.below(ids.len() as u64) as usize]),
            0..=4 => {
                let from = rng.below(12) as u8;
                let limit = if rng.one_in(2) { 100 } else { 1 + rng.below(3) as usize };
                Question::Range { from, to: from + rng.below(4) as u8, limit, order }
            }
            5 | 6 => Question::Point { n: rng.below(12) as u8, s: rng.below(4) as u8 },
            _ => Question::All { order },
        }
    }

    async fn ask(&self, tx: &Transaction) -> Vec<String> {
        let number = |n: u8| Value::Float64(f64::from(n));
        match self {
            Question::Get(id) => get(tx, *id).await.into_iter().collect(),
            Question::Range { from, to, limit, order } => {
                let read = Read { order: *order, ..Read::all("items", "by_n") };
                let read = read.with(RangeOp::Gte, "n", number(*from)).with(RangeOp::Lte, "n", number(*to));
                let batch = read.take(*limit).step(tx, None, None).await.unwrap();
                batch.documents.iter().map(own).collect()
            }
            Question::Point { n, s } => {
                let read = Read::all("items", "by_s_n").with(RangeOp::Eq, "s", Value::String(s.to_string()));
                read.with(RangeOp::Eq, "n", number(*n)).take(2).run_all(tx).await
            }
            Question::All { order } => {
                let read = Read { order: *order, ..Read::all("items", "by_creation_time") };
                read.take(7).run_all(tx).await
            }
        }
    }

    fn expected(&self, state: &State) -> Vec<String> {
        let mut rows: Vec<&Row> = match self {
            Question::Get(id) => return state.get(id).map(|row| row.fields.text()).into_iter().collect(),
            Question::Range { from, to, .. } => {
                state.values().filter(|row| row.fields.n.is_some_and(|n| (*from..=*to).contains(&n))).collect()
            }
            Question::Point { n, s } => {
                state.values().filter(|row| row.fields == Fields { n: Some(*n), s: Some(*s) }).collect()
            }
            Question::All { .. } => state.values().collect(),
        };
        // Creation times rise in a transaction, but two transactions may give out the same ones.
        rows.sort_by(|a, b| {
            let created = a.creation_time.total_cmp(&b.creation_time).then(a.id.cmp(&b.id));
            if matches!(self, Question::Range { .. }) { a.fields.n.cmp(&b.fields.n).then(created) } else { created }
        });
        let (order, limit) = match self {
            Question::Range { order, limit, .. } => (*order, *limit),
            Question::All { order } => (*order, usize::MAX),
            Question::Get(_) | Question::Point { .. } => (Order::Asc, usize::MAX),
        };
        if order == Order::Desc {
            rows.reverse();
        }
        rows.into_iter().take(limit).map(|row| row.fields.text()).collect()
    }
}

/// A question, its answer, and what the transaction had written when it asked.
struct Asked {
    question: Question,
    found: Vec<String>,
    written: Vec<(DocumentId, Option<Row>)>,
}

/// What is different from one state to the next.
fn difference(before: &State, after: &State) -> Vec<(DocumentId, Option<Row>)> {
    let changed = after.iter().filter(|(id, row)| before.get(id) != Some(row));
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    changed.map(|(id, row)| (*id, Some(row.clone()))).chain(gone.map(|id| (*id, None))).collect()
}

fn with(mut state: State, changes: &[(DocumentId, Option<Row>)]) -> State {
    for (id, row) in changes {
        match row {
            Some(row) => state.insert(*id, row.clone()),
            None => state.remove(id),
        };
    }
    state
}

/// A transaction under way, with what the model says it sees.
struct Open {
    tx: Arc<Transaction>,
    state: State,
    asked: Vec<Asked>,
    n_nested: Vec<State>,
}

/// A live query: what it asks, what it was last told, and at which timestamp.
struct Watcher {
    question: Question,
    known: Vec<String>,
}

struct Model {
    world: World,
    engine: Engine,
    rng: Rng,
    /// Every commit, by timestamp.
    history: BTreeMap<Timestamp, State>,
    ids: Vec<DocumentId>,
    open: Vec<Open>,
    pins: Vec<Pin>,
    watchers: Vec<Watcher>,
    subscriptions: Subscriptions<usize>,
    published: Timestamp,
    n_conflicts: u64,
    n_commits: u64,
    n_told: u64,
}

impl Model {
    async fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut world = items().with_seed(seed);
        // From "everything fits" to "hardly anything does".
        world.config.memory_budget_bytes = [usize::MAX, 20_000, 4_000, 1_000][rng.below(4) as usize];
        world.config.checkpoint_rows_max = 1 + rng.below(20) as usize;
        world.config.limits = Limits::default();
        let engine = world.open().await;
        let published = engine.durable();
        Model {
            world,
            rng,
            history: BTreeMap::from([(published, State::new())]),
            ids: Vec::new(),
            open: Vec::new(),
            pins: Vec::new(),
            watchers: Vec::new(),
            subscriptions: Subscriptions::default(),
            published,
            engine,
            n_conflicts: 0,
            n_commits: 0,
            n_told: 0,
        }
    }

    fn state_at(&self, ts: Timestamp) -> &State {
        self.history.range(..=ts).next_back().map(|(_, state)| state).expect("the store's beginning is in it")
    }

    fn begin(&mut self) {
        let tx = begin(&self.engine);
        let state = self.state_at(tx.snapshot()).clone();
        self.open.push(Open { tx, state, asked: Vec::new(), n_nested: Vec::new() });
    }

    async fn read(&mut self, at: usize) {
        let question = Question::random(&mut self.rng, &self.ids);
        let before = self.state_at(self.open[at].tx.snapshot()).clone();
        let open = &mut self.open[at];
        let found = question.ask(&open.tx).await;
        assert_eq!(found, question.expected(&open.state), "{question:?} at {}", open.tx.snapshot());
        open.asked.push(Asked { question, found, written: difference(&before, &open.state) });
    }

    async fn write(&mut self, at: usize) {
        let fields = Fields::random(&mut self.rng);
        let open = &mut self.open[at];
        let present: Vec<DocumentId> = open.state.keys().copied().collect();
        if present.len() < 3 || (present.len() < 60 && self.rng.one_in(3)) {
            let id = insert(&open.tx, "items", &fields.text()).await;
            let creation_time = open.tx.get(id).await.unwrap().unwrap().creation_time;
            open.state.insert(id, Row { id, creation_time, fields });
            self.ids.push(id);
            return;
        }
        let id = present[self.rng.below(present.len() as u64) as usize];
        if self.rng.one_in(4) {
            open.tx.delete(id).await.unwrap();
            open.state.remove(&id);
            return;
        }
        let row = open.state.get_mut(&id).expect("it is present");
        patch(&open.tx, id, &row.fields.patch_to(&fields)).await;
        row.fields = fields;
    }

    fn nest(&mut self, at: usize) {
        let open = &mut self.open[at];
        if open.n_nested.len() < 3 && self.rng.one_in(2) {
            open.tx.begin_nested();
            open.n_nested.push(open.state.clone());
        } else if let Some(before) = open.n_nested.pop() {
            if self.rng.one_in(2) {
                open.tx.end_nested(NestedEnd::Keep);
            } else {
                open.tx.end_nested(NestedEnd::Undo);
                open.state = before;
            }
        }
    }

    fn commit(&mut self, at: usize) {
        let mut open = self.open.swap_remove(at);
        while open.n_nested.pop().is_some() {
            open.tx.end_nested(NestedEnd::Keep);
        }
        let snapshot = open.tx.snapshot();
        let newest = self.history.last_key_value().expect("never empty").1.clone();
        match commit(&self.engine, &open.tx) {
            Ok(committed) if committed.wrote => {
                // Serializable: every answer is what it would have been, had it run now.
                for Asked { question, found, written } in &open.asked {
                    let again = question.expected(&with(newest.clone(), written));
                    assert_eq!(&again, found, "{question:?} was answered otherwise at {snapshot} than at the commit");
                }
                let now = with(newest, &difference(self.state_at(snapshot), &open.state));
                assert!(committed.ts > *self.history.last_key_value().expect("never empty").0);
                self.history.insert(committed.ts, now);
                self.n_commits += 1;
            }
            Ok(committed) => assert_eq!((committed.ts, &open.state), (snapshot, self.state_at(snapshot))),
            Err(CommitError::Conflict(conflict)) => {
                assert!(conflict.newest > snapshot, "nothing newer was committed");
                self.n_conflicts += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn watch(&mut self) {
        if self.watchers.len() >= 40 {
            return;
        }
        let question = Question::random(&mut self.rng, &self.ids);
        let known = question.expected(self.state_at(self.published));
        let at = self.watchers.len();
        self.watchers.push(Watcher { question, known });
        self.run_watcher(at).await;
    }

    /// Runs a live query at the newest durable timestamp and registers what it read.
    async fn run_watcher(&mut self, at: usize) {
        let tx = self.engine.begin(At::Durable, BeginOptions::default()).unwrap();
        let watcher = &mut self.watchers[at];
        watcher.known = watcher.question.ask(&tx).await;
        let expected = watcher
            .question
            .expected(self.history.range(..=tx.snapshot()).next_back().map(|(_, state)| state).expect("never empty"));
        assert_eq!(watcher.known, expected, "{:?}", watcher.question);
        let reads: ReadSet = tx.read_set();
        self.subscriptions.register(at, &reads);
        // It is ahead of what was published: the commits in between were seen by this run.
    }

    /// Tells watchers of the commits that have become durable.
    async fn publish(&mut self) {
        let durable = self.engine.durable();
        if durable == self.published {
            return;
        }
        let mut due = Vec::new();
        for commit in self.engine.commits_after(self.published).unwrap() {
            due.extend(self.subscriptions.affected(&commit));
        }
        self.published = durable;
        due.sort_unstable();
        due.dedup();
        self.n_told += due.len() as u64;
        for at in due {
            self.run_watcher(at).await;
        }
        let state = self.state_at(durable);
        for watcher in &self.watchers {
            assert_eq!(watcher.known, watcher.question.expected(state), "{:?} was not told", watcher.question);
        }
    }

    /// Any timestamp that is pinned reads as it did.
    async fn look_back(&mut self) {
        if self.pins.is_empty() {
            return;
        }
        let ts = self.pins[self.rng.below(self.pins.len() as u64) as usize].ts();
        let tx = self.engine.begin(At::Timestamp(ts), BeginOptions::default()).unwrap();
        for _ in 0..3 {
            let question = Question::random(&mut self.rng, &self.ids);
            assert_eq!(question.ask(&tx).await, question.expected(self.state_at(ts)), "{question:?} at {ts}");
        }
    }

    async fn restart(&mut self, crash: bool) {
        self.open.clear();
        self.pins.clear();
        if crash {
            // Commits that are not durable yet are gone.
            let durable = self.engine.durable();
            self.history.retain(|ts, _| *ts <= durable);
        } else {
            let newest = begin(&self.engine);
            assert!(self.engine.wait_durable(newest.snapshot(), newest.generation()).await);
            drop(newest);
            self.engine.clone().shutdown().await.unwrap();
        }
        self.engine = self.world.crash_and_open().await;
        self.published = self.engine.durable();
        assert_eq!(self.published, *self.history.last_key_value().expect("never empty").0);
        self.subscriptions = Subscriptions::default();
        for at in 0..self.watchers.len() {
            self.run_watcher(at).await;
        }
    }

    async fn step(&mut self) {
        if self.open.len() < 4 && self.rng.one_in(4) {
            self.begin();
            return;
        }
        let at = self.rng.below(self.open.len().max(1) as u64) as usize;
        match self.rng.below(1_000) {
            0..300 if at < self.open.len() => self.read(at).await,
            300..600 if at < self.open.len() => self.write(at).await,
            600..640 if at < self.open.len() => self.nest(at),
            640..800 if at < self.open.len() => self.commit(at),
            800..830 => self.watch().await,
            830..850 => {
                self.pins.extend(self.engine.pin_durable());
                if self.pins.len() > 6 {
                    let gone = self.rng.below(self.pins.len() as u64) as usize;
                    self.pins.swap_remove(gone);
                }
            }
            850..900 => self.look_back().await,
            900..980 => {
                tokio::task::yield_now().await;
                self.publish().await;
            }
            980..995 => self.engine.checkpoint().await.unwrap(),
            995 if self.rng.one_in(4) => {
                let crash = self.rng.one_in(2);
                self.publish().await;
                self.restart(crash).await;
            }
            _ => {}
        }
        // Older states cannot be asked for any more.
        if self.history.len() > 400 {
            let kept = self.pins.iter().map(Pin::ts).chain(self.open.iter().map(|open| open.tx.snapshot()));
            let oldest = kept.chain([self.published]).min().expect("it has one");
            let first = self.history.range(..=oldest).next_back().map(|(ts, _)| *ts).expect("never empty");
            self.history = self.history.split_off(&first);
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// spec: D64, D82, D84, D86, D89
#[test]
fn the_engine_is_a_map_with_a_history() {
    const STEPS_A_SEED: u64 = 4_000;
    let n_steps = setting("SYNCLINE_MODEL_STEPS", 120_000);
    let first_seed = setting("SYNCLINE_MODEL_SEED", 1);
    let (mut n_commits, mut n_conflicts, mut n_told) = (0, 0, 0);
    for seed in first_seed..first_seed + n_steps.div_ceil(STEPS_A_SEED) {
        println!("seed {seed}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new(seed).await;
            for _ in 0..STEPS_A_SEED {
                model.step().await;
            }
            n_commits += model.n_commits;
            n_conflicts += model.n_conflicts;
            n_told += model.n_told;
        });
    }
    println!("{n_commits} commits, {n_conflicts} conflicts, {n_told} times a live query was told");
    assert!(n_commits > n_steps / 100 && n_conflicts > n_steps / 1_000 && n_told > n_steps / 200);
}
