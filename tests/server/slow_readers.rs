//! Peers that do not read, and peers that are gone without a word. The streams are pipes that hold little, so that what a
//! peer does not take waits at the server; time is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use syncline::InProcess;
use syncline::clock::{Clock, Timer};
use syncline::config::Config;
use syncline::machine::{Machine, Spawn};
use syncline_tests::app::{self, runs};
use syncline_tests::random::SeededRandom;
use syncline_tests::{RawClient, client::Closed};
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Bytes under way to a peer.
const PIPE_BYTES: usize = 4 << 10;

/// Milliseconds since the start, moved by hand.
#[derive(Clone)]
struct HandClock(watch::Sender<u64>);

impl HandClock {
    fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += by.as_millis() as u64);
    }
}

impl Clock for HandClock {
    fn wall_ns(&self) -> u64 {
        (1_755_800_000_000 + *self.0.borrow()) * 1_000_000
    }

    fn monotonic_ms(&self) -> u64 {
        *self.0.borrow()
    }
}

impl Timer for HandClock {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        let until = *now.borrow() + duration.as_millis() as u64;
        Box::pin(async move {
            // An error means that the test is over.
            drop(now.wait_for(|now| *now >= until).await);
        })
    }
}

struct Tasks(Handle);

impl Spawn for Tasks {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) {
        self.0.spawn(future);
    }
}

async fn start() -> (InProcess, HandClock) {
    let clock = HandClock(watch::Sender::new(0));
    let tasks = Arc::new(Tasks(Handle::current()));
    let machine = Machine {
        timer: Arc::new(clock.clone()),
        random: Arc::new(SeededRandom::new(7)),
        network: tasks.clone(),
        functions: tasks,
    };
    let server = app::server().clock(Arc::new(clock.clone())).machine(machine);
    (server.start_in_process().await.expect("it starts"), clock)
}

/// The client's end of a new socket.
fn pipe(server: &InProcess) -> DuplexStream {
    let (client, served) = tokio::io::duplex(PIPE_BYTES);
    server.serve_socket(served);
    client
}

async fn connect(server: &InProcess) -> RawClient {
    RawClient::over(pipe(server), &uuid::Uuid::new_v4().to_string()).await
}

/// One round trip: a row is added, and seen.
async fn add_row(client: &mut RawClient, list: &str, rank: u64) {
    let args = json!({"list": list, "rank": rank as f64, "text": "a row of some length ".repeat(4)});
    let added = client.mutation("items:add", args).await;
    assert_eq!(added["success"], true, "{added}");
    client.until(0, |rows| n_rows(rows) > rank).await;
}

fn n_rows(rows: &Value) -> u64 {
    rows.as_array().map_or(0, |rows| rows.len() as u64)
}

/// Lets everything that the server has begun come to where it waits: all of it runs on this thread, in turns.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

/// Nothing is read by any of them while everybody else goes on: so all that waits for them is what the server holds, and
/// it is what they get when they read again.
///
/// spec: S67
#[tokio::test]
async fn a_thousand_slow_readers_cost_a_constant_and_delay_nobody() {
    const READERS: usize = 1_000;
    const ROWS: u64 = 40;
    const CHANGES: u64 = 20;
    const STOPPED_AFTER: u64 = 3;
    let (server, _clock) = start().await;
    let list = format!("slow {}", uuid::Uuid::new_v4());
    let mut healthy = connect(&server).await;
    healthy.subscribe(0, "runs:rows", json!({"name": list})).await;
    for rank in 0..ROWS {
        add_row(&mut healthy, &list, rank).await;
    }
    let mut slow = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        let mut reader = connect(&server).await;
        reader.subscribe(0, "runs:rows", json!({"name": list})).await;
        slow.push(reader);
    }
    // What is written to them, and what waits behind it: then they have stopped.
    for rank in ROWS..ROWS + STOPPED_AFTER {
        settle().await;
        add_row(&mut healthy, &list, rank).await;
    }
    settle().await;
    let runs_before = runs::count(&list);
    for rank in ROWS + STOPPED_AFTER..ROWS + CHANGES {
        add_row(&mut healthy, &list, rank).await;
    }
    let n_runs = runs::count(&list) - runs_before;
    let n_changes = CHANGES - STOPPED_AFTER;
    assert_eq!(n_runs, n_changes, "evaluations: one for each change, however many have stopped reading");

    for reader in &mut slow {
        let mut n_transitions = 0;
        while reader.results.get(&0).map_or(0, n_rows) < ROWS + CHANGES {
            reader.transition().await;
            n_transitions += 1;
        }
        assert!(n_transitions <= 3, "{n_transitions} results waited: one being written, one behind it, and the newest");
    }
    add_row(&mut healthy, &list, ROWS + CHANGES).await;
    for reader in &mut slow {
        reader.until(0, |rows| n_rows(rows) > ROWS + CHANGES).await;
    }
}

/// spec: S11
#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_noticed_and_one_that_answers_pings_stays() {
    let (server, clock) = start().await;
    let mut answering = connect(&server).await;
    answering.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    let mut half_open = connect(&server).await;
    half_open.subscribe(0, "counter:get", json!({"name": "x"})).await;
    half_open.transition().await;
    // Behind this, the server has nothing of it left to read: no answer to the first ping either.
    half_open.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;

    clock.advance(Duration::from_secs(60));
    answering.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    clock.advance(Duration::from_secs(61));
    // What the server has said last to the one that took nothing in for two minutes.
    let (_, closed) = half_open.until_closed().await;
    assert_eq!(closed, Closed { code: 1000, reason: "ClientDisconnected".to_owned() });
    let answer = answering.mutation("counter:increment", json!({"name": "x", "by": 1.0})).await;
    assert_eq!(answer["result"], json!(4.0));
}

/// It says something all the time, so it is not silent; but it takes nothing.
///
/// spec: S67
#[tokio::test]
async fn a_peer_that_takes_no_bytes_is_dropped() {
    let (server, clock) = start().await;
    let list = format!("stalled {}", uuid::Uuid::new_v4());
    let mut healthy = connect(&server).await;
    healthy.subscribe(0, "runs:rows", json!({"name": list})).await;
    for rank in 0..20 {
        add_row(&mut healthy, &list, rank).await;
    }
    let mut stalled = connect(&server).await;
    stalled.subscribe(0, "runs:rows", json!({"name": list})).await;
    let limit = Config::default().socket_write_stall_max;
    let mut waited = Duration::ZERO;
    let step = Duration::from_secs(10);
    while stalled.try_send(json!({"type": "Event"})).await {
        clock.advance(step);
        waited += step;
        let answer = healthy.mutation("counter:increment", json!({"name": list, "by": 1.0})).await;
        assert_eq!(answer["success"], true);
        assert!(waited < 4 * limit, "it is still there after {waited:?}");
    }
    assert!(waited >= limit, "it was dropped after {waited:?}");
}
