//! One write seen by many subscribers of the same query, beside a bare broadcast of as long messages.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::super::client::{self, BALANCE, CALL_BUFFER, Client, Heard, WATCH_BUFFER};
use super::super::clock::{bounded, now};
use super::super::failure::Failure;
use super::super::limits::{Kind, Limit};
use super::super::machine;
use super::super::table::{Quantity, median};
use super::super::workload::Transfer;
use super::Bench;
use super::calls::each;

/// What everybody watches: the account that gives.
const WATCHED: Transfer = Transfer { from: 0, to: 1 };

/// Sockets that are opened at once.
const OPENED_AT_ONCE: usize = 64;

/// Writes of a round at least, however long they take.
const WRITES_MIN: u32 = 3;

/// One round of writes.
struct Burst {
    per_second: f64,
    server_cpu: f64,
    client_cpu: f64,
    until_all_ms: f64,
    until_answered_ms: f64,
}

/// One write, from its sending on.
struct Times {
    /// Until all subscribers had it.
    all: Duration,
    /// Until the writer had its answer.
    answered: Duration,
}

/// What the subscribers share.
struct Watch {
    /// The balance they wait for; of a broadcast each message counts.
    expected: Option<AtomicI64>,
    n_arrived: AtomicUsize,
    n_all: usize,
    all_at: Mutex<Option<Instant>>,
    all: Notify,
    message_bytes: AtomicU64,
}

/// The measure with `n` subscribers.
pub async fn run(bench: &mut Bench<'_>, n: usize) -> Result<(), Failure> {
    let name = format!("one write, {n} subscribers");
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    let balance = bench.ledger.balance(WATCHED.from);
    let mut room = Room::subscribe(bench.server.address(), bench.server.pid(), n, balance).await?;
    bench.ledger.apply(WATCHED, 1);
    for round in 1..=bench.rounds {
        let (burst, n_writes) = room.burst(bench.length).await?;
        eprintln!("{name}, round {round}: {:.0}/s", burst.per_second);
        bench.ledger.apply(WATCHED, n_writes);
        ours.push(burst);
    }
    let reply_bytes = room.message_length();
    drop(room);
    let broadcast = Limit { kind: Kind::Broadcast, reply_bytes }.start()?;
    let mut room = Room::listen(broadcast.address(), broadcast.pid(), n).await?;
    for _ in 0..bench.rounds {
        limit.push(room.burst(bench.length).await?.0);
    }
    let is = "a broadcast of as long messages";
    let table = &mut bench.table;
    let mut line = |quantity, figure: fn(&Burst) -> f64| {
        table.add(&name, quantity, each(&ours, figure), each(&limit, figure), is);
    };
    line(Quantity::rate("deliveries/s"), |burst| burst.per_second);
    line(Quantity::cost("server CPU, us/delivery"), |burst| burst.server_cpu);
    line(Quantity::cost("until all have it, ms"), |burst| burst.until_all_ms);
    table.add_plain(&name, "until the writer has its answer, ms", each(&ours, |burst| burst.until_answered_ms));
    table.add_plain(&name, "client CPU, us/delivery", each(&ours, |burst| burst.client_cpu));
    Ok(())
}

/// A writer and the subscribers, who each have a task.
struct Room {
    writer: Client,
    n_requests: u64,
    pid: u32,
    watch: Arc<Watch>,
    subscribers: JoinSet<Result<(), Failure>>,
}

impl Room {
    /// Subscribers of a server's query, whose result holds `balance`. One write is done, so that all are warm.
    async fn subscribe(address: SocketAddr, pid: u32, n: usize, balance: i64) -> Result<Self, Failure> {
        let open = move || async move {
            let query = ("accounts:get_account", format!(r#"{{"id":{}}}"#, WATCHED.from));
            let mut client = Client::open_session(address, &[query], WATCH_BUFFER).await?;
            client.until(|payload| Ok(client::number_after(payload, BALANCE) == Some(balance))).await?;
            Ok(client)
        };
        let writer = Client::open_session(address, &[], CALL_BUFFER).await?;
        let mut room = Room::open(n, pid, writer, Some(balance), open).await?;
        room.write().await?;
        Ok(room)
    }

    /// Sockets of a broadcast.
    async fn listen(address: SocketAddr, pid: u32, n: usize) -> Result<Self, Failure> {
        let open = move || Client::open(address, "/", WATCH_BUFFER);
        let writer = Client::open(address, "/", CALL_BUFFER).await?;
        let mut room = Room::open(n, pid, writer, None, open).await?;
        room.write().await?;
        Ok(room)
    }

    async fn open<F>(
        n: usize,
        pid: u32,
        writer: Client,
        balance: Option<i64>,
        open: impl Fn() -> F,
    ) -> Result<Self, Failure>
    where
        F: Future<Output = Result<Client, Failure>>,
    {
        let opening = futures::stream::iter(0..n).map(|_| open()).buffer_unordered(OPENED_AT_ONCE);
        let clients: Vec<Client> = bounded("opening sockets", opening.try_collect()).await?;
        let watch = Arc::new(Watch {
            expected: balance.map(AtomicI64::new),
            n_arrived: AtomicUsize::new(0),
            n_all: n,
            all_at: Mutex::new(None),
            all: Notify::new(),
            message_bytes: AtomicU64::new(0),
        });
        let mut subscribers = JoinSet::new();
        for client in clients {
            subscribers.spawn(subscriber(client, Arc::clone(&watch)));
        }
        Ok(Room { writer, n_requests: 0, pid, watch, subscribers })
    }

    /// Writes again and again, each time until all have it; the figures, and how often.
    async fn burst(&mut self, length: Duration) -> Result<(Burst, u32), Failure> {
        let (server_cpu, client_cpu) = (machine::cpu_time(self.pid)?, machine::own_cpu_time()?);
        let (started, mut until_all, mut until_answered) = (now(), Vec::new(), Vec::new());
        let mut n_writes = 0;
        while started.elapsed() < length || n_writes < WRITES_MIN {
            let times = self.write().await?;
            until_all.push(times.all.as_secs_f64() * 1e3);
            until_answered.push(times.answered.as_secs_f64() * 1e3);
            n_writes += 1;
        }
        let n_deliveries = f64::from(n_writes) * self.watch.n_all as f64;
        let burst = Burst {
            per_second: n_deliveries / started.elapsed().as_secs_f64(),
            server_cpu: (machine::cpu_time(self.pid)? - server_cpu).as_secs_f64() * 1e6 / n_deliveries,
            client_cpu: (machine::own_cpu_time()? - client_cpu).as_secs_f64() * 1e6 / n_deliveries,
            until_all_ms: median(until_all),
            until_answered_ms: median(until_answered),
        };
        Ok((burst, n_writes))
    }

    /// One write.
    async fn write(&mut self) -> Result<Times, Failure> {
        self.watch.n_arrived.store(0, Ordering::Relaxed);
        let mut message = Vec::new();
        WATCHED.write_message(self.n_requests, &mut message);
        self.n_requests += 1;
        self.writer.push_text(&message);
        if let Some(expected) = &self.watch.expected {
            expected.fetch_sub(1, Ordering::Relaxed);
        }
        let sent = now();
        self.writer.flush().await?;
        let (writer, watch, subscribers) = (&mut self.writer, &self.watch, &mut self.subscribers);
        let answered = bounded("waiting until all subscribers have a write", async {
            // A broadcast answers its writer nothing.
            if watch.expected.is_some() {
                writer.until(acknowledged).await?;
            }
            let answered = sent.elapsed();
            tokio::select! {
                () = watch.all.notified() => Ok(answered),
                Some(ended) = subscribers.join_next() => {
                    ended??;
                    Err(Failure::new("a subscriber ended"))
                }
            }
        })
        .await?;
        let all_at = watch.all_at.lock().unwrap_or_else(PoisonError::into_inner).take();
        let all = all_at.map(|at| at - sent).ok_or_else(|| Failure::new("nobody saw a write"))?;
        Ok(Times { all, answered })
    }

    /// Of the messages that carried a write.
    fn message_length(&self) -> usize {
        usize::try_from(self.watch.message_bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// Whether this answers a mutation; one that failed ends the measure.
pub fn acknowledged(payload: &[u8]) -> Result<bool, Failure> {
    match client::hear(payload)? {
        Heard::Answer { success: true, .. } => Ok(true),
        Heard::Answer { success: false, .. } => {
            Err(Failure::new(format!("a mutation failed: {}", String::from_utf8_lossy(payload))))
        }
        Heard::Transition | Heard::Ping => Ok(false),
    }
}

/// Listens until it is dropped. A value that came already does not count again.
async fn subscriber(mut client: Client, watch: Arc<Watch>) -> Result<(), Failure> {
    let mut last = None;
    loop {
        client.receive().await?;
        while let Some(payload) = client.next_text()? {
            if let Some(expected) = &watch.expected {
                let balance = client::number_after(payload, BALANCE);
                if balance != Some(expected.load(Ordering::Relaxed)) || balance == last {
                    continue;
                }
                last = balance;
            }
            watch.message_bytes.store(payload.len() as u64, Ordering::Relaxed);
            if watch.n_arrived.fetch_add(1, Ordering::Relaxed) + 1 == watch.n_all {
                *watch.all_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now());
                watch.all.notify_one();
            }
        }
        client.flush().await?;
    }
}
