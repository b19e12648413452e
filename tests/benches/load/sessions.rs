//! Sessions with a query each, which keep what their rows hold together: so that it can be told when all have seen what
//! was written, and that they have seen it right.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use futures::{StreamExt, TryStreamExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::client::{self, BALANCE, Client, WATCH_BUFFER};
use super::clock::bounded;
use super::failure::Failure;

/// Sessions that are opened at once.
const OPENED_AT_ONCE: usize = 64;

/// The sessions. They go when this is dropped.
pub struct Sessions {
    tasks: JoinSet<Result<(), Failure>>,
    seen: Arc<Seen>,
}

/// What the sessions have seen.
struct Seen {
    /// What the accounts in the last result of each hold together.
    sums: Vec<AtomicI64>,
    n_results: AtomicUsize,
    more: Notify,
}

impl Sessions {
    /// A session for each query. Each has had a first result, with the sum expected of it, when this returns.
    pub async fn open(
        address: SocketAddr,
        queries: Vec<(&str, String)>,
        expected: impl Fn(usize) -> i64,
    ) -> Result<Self, Failure> {
        let seen = Arc::new(Seen {
            sums: queries.iter().map(|_| AtomicI64::new(0)).collect(),
            n_results: AtomicUsize::new(0),
            more: Notify::new(),
        });
        let opening = futures::stream::iter(queries.into_iter().enumerate())
            .map(async |(session, query)| Ok((session, Client::open_session(address, &[query], WATCH_BUFFER).await?)));
        let clients: Vec<(usize, Client)> =
            bounded("opening sessions", opening.buffer_unordered(OPENED_AT_ONCE).try_collect()).await?;
        let mut tasks = JoinSet::new();
        for (session, client) in clients {
            tasks.spawn(listen(client, session, Arc::clone(&seen)));
        }
        let mut sessions = Sessions { tasks, seen };
        sessions.wait_for(expected).await?;
        sessions.seen.n_results.store(0, Ordering::Relaxed);
        Ok(sessions)
    }

    /// Results that have come after the first ones.
    pub fn n_results(&self) -> usize {
        self.seen.n_results.load(Ordering::Relaxed)
    }

    /// Waits until each session has the sum expected of it.
    pub async fn wait_for(&mut self, expected: impl Fn(usize) -> i64) -> Result<(), Failure> {
        let (tasks, seen) = (&mut self.tasks, &self.seen);
        let is_behind =
            |(session, sum): (usize, &AtomicI64)| -> bool { sum.load(Ordering::Relaxed) != expected(session) };
        bounded("waiting until all sessions have the last writes", async {
            while seen.sums.iter().enumerate().any(is_behind) {
                tokio::select! {
                    () = seen.more.notified() => {}
                    Some(ended) = tasks.join_next() => {
                        ended??;
                        return Err(Failure::new("a session ended"));
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

/// Keeps the sum of the last result, for ever.
async fn listen(mut client: Client, session: usize, seen: Arc<Seen>) -> Result<(), Failure> {
    client
        .until(|payload| {
            client::hear(payload)?;
            if client::results(payload)? > 0 {
                let (_, sum) = client::sum_after(payload, BALANCE);
                seen.sums[session].store(sum, Ordering::Relaxed);
                seen.n_results.fetch_add(1, Ordering::Relaxed);
                seen.more.notify_one();
            }
            Ok(false)
        })
        .await
}
