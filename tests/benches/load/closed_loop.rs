//! A closed loop of calls over WebSocket: so many connections, so many calls in flight on each (at least three quarters of
//! them at any time), and another call for each answer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::client::{self, CALL_BUFFER, Client, Heard};
use super::clock::{bounded, now};
use super::failure::Failure;
use super::window::{Seen, Window};
use super::workload::{Spread, Transfers};

/// The part of a connection's calls that must have been answered before others are sent, one in so many. Sent one by
/// one, most of the time would go into this program's system calls: the load would be what is measured.
const REFILL: usize = 4;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A server of the sync protocol.
    Syncline,
    /// One message for each message, whatever it says.
    Echo,
}

/// A closed loop of calls.
#[derive(Clone, Debug)]
pub struct Load {
    /// Who is called.
    pub peer: Peer,
    /// Where.
    pub address: SocketAddr,
    /// Its process, whose CPU is counted.
    pub pid: u32,
    /// Connections.
    pub connections: usize,
    /// Calls in flight on each, at most.
    pub depth: usize,
    /// Which accounts.
    pub spread: Spread,
    /// Of the row of transfers.
    pub seed: u64,
    /// How long is measured.
    pub length: Duration,
}

/// What became of it.
pub struct Round {
    /// The measured stretch.
    pub seen: Seen,
    /// All connections together, before and after that stretch too.
    pub tally: Tally,
    /// What was acknowledged.
    pub rows: Rows,
}

/// What each connection asked for, and how many of it were acknowledged.
pub type Rows = Vec<(Transfers, u64)>;

/// Messages of one or more connections.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls answered, well or not.
    pub answered: u64,
    /// Calls answered with a failure.
    pub failed: u64,
    /// The text of one of those.
    pub failure: Option<String>,
    /// Transitions that came.
    pub transitions: u64,
    /// Bytes of all answers.
    pub answer_bytes: u64,
}

impl Tally {
    /// Takes in one message; whether it answers the next call. Answers out of order are a failure of the run.
    fn hear(&mut self, peer: Peer, payload: &[u8]) -> Result<bool, Failure> {
        let heard = match peer {
            Peer::Syncline => client::hear(payload)?,
            Peer::Echo => Heard::Answer { request: self.answered, success: true },
        };
        match heard {
            Heard::Answer { request, .. } if request != self.answered => {
                Err(Failure::new(format!("request {request} was answered before request {}", self.answered)))
            }
            Heard::Answer { success, .. } => {
                self.answered += 1;
                self.answer_bytes += payload.len() as u64;
                if !success {
                    self.failed += 1;
                    self.failure.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
                }
                Ok(true)
            }
            Heard::Transition => {
                self.transitions += 1;
                Ok(false)
            }
            Heard::Ping => Ok(false),
        }
    }

    /// Adds another connection's.
    pub fn add(&mut self, other: Tally) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        self.transitions += other.transitions;
        self.answer_bytes += other.answer_bytes;
    }

    /// Mean length of an answer.
    pub fn answer_length(&self) -> usize {
        usize::try_from(self.answer_bytes / self.answered.max(1)).unwrap_or(0)
    }
}

/// One round: opens the connections, keeps their calls in flight, and waits for the last answer.
pub async fn run_load(load: &Load) -> Result<Round, Failure> {
    let window = Arc::new(Window::new()?);
    let mut connections = JoinSet::new();
    for row in Transfers::rows(load.spread, load.seed, load.connections) {
        let client = bounded("opening a socket", async {
            match load.peer {
                Peer::Syncline => Client::open_session(load.address, &[], CALL_BUFFER).await,
                Peer::Echo => Client::open(load.address, "/", CALL_BUFFER).await,
            }
        })
        .await?;
        connections.spawn(converse(client, load.peer, load.depth, row, Arc::clone(&window)));
    }
    let seen = window.watch(load.pid, load.length).await;
    window.close();
    let (tally, rows) = bounded("waiting for the last answers", gather(connections)).await?;
    Ok(Round { seen: seen?, tally, rows })
}

/// Waits for the end of all connections.
pub async fn gather(mut connections: JoinSet<Result<(Transfers, Tally), Failure>>) -> Result<(Tally, Rows), Failure> {
    let (mut tally, mut rows) = (Tally::default(), Vec::new());
    while let Some(ended) = connections.join_next().await {
        let (row, connection) = ended??;
        rows.push((row, connection.answered - connection.failed));
        tally.add(connection);
    }
    Ok((tally, rows))
}

/// One connection: for each answer another call, some at once when many are in flight.
async fn converse(
    mut client: Client,
    peer: Peer,
    depth: usize,
    row: Transfers,
    window: Arc<Window>,
) -> Result<(Transfers, Tally), Failure> {
    let mut transfers = row.clone();
    let mut tally = Tally::default();
    let (mut n_sent, mut in_flight) = (0, VecDeque::with_capacity(depth));
    let (mut message, mut latencies) = (Vec::with_capacity(256), Vec::with_capacity(depth));
    let mut send = |client: &mut Client| {
        transfers.next().write_message(n_sent, &mut message);
        client.push_text(&message);
        n_sent += 1;
    };
    let refill = (depth / REFILL).max(1);
    let begun = now();
    for _ in 0..depth {
        send(&mut client);
        in_flight.push_back(begun);
    }
    client.flush().await?;
    while !in_flight.is_empty() {
        client.receive().await?;
        let arrived = now();
        let mut n_answers = 0;
        while let Some(payload) = client.next_text()? {
            n_answers += usize::from(tally.hear(peer, payload)?);
        }
        for sent in in_flight.drain(..n_answers) {
            latencies.push(arrived - sent);
        }
        let n_free = depth - in_flight.len();
        if n_free >= refill && window.goes_on() {
            for _ in 0..n_free {
                send(&mut client);
                in_flight.push_back(arrived);
            }
        }
        window.record(&mut latencies);
        client.flush().await?;
    }
    Ok((row, tally))
}
