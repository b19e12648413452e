//! Resident memory of an idle session with one subscription, beside a bare socket that had one message each way.
//! Each figure is of a server of its own: memory that another measure gave back would hide what sessions take.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::super::client::{self, Client, Heard, WATCH_BUFFER};
use super::super::clock::bounded;
use super::super::failure::Failure;
use super::super::limits::{Kind, Limit};
use super::super::machine;
use super::super::server_process::ServerProcess;
use super::super::table::Quantity;
use super::super::workload::ACCOUNTS;
use super::Bench;

/// Sockets that are opened at once.
const OPENED_AT_ONCE: usize = 64;

/// Sockets that are opened before memory is looked at first: what they make the process set up is not theirs.
const FIRST_SOCKETS: usize = 200;

/// Length of the message a bare socket is answered with: about that of a Transition with one small document.
const REPLY_BYTES: usize = 300;

/// How often memory is looked at until it stands still, and how often at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_MAX: usize = 20;

/// Who is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sockets {
    /// Sessions that all watch one query.
    SharedQuery,
    /// Sessions with a query each.
    OwnQuery,
    /// No sessions.
    Bare,
}

/// The measure with `n` sessions.
pub async fn run(bench: &mut Bench<'_>, n: usize) -> Result<(), Failure> {
    let n = n.saturating_sub(FIRST_SOCKETS).min(ACCOUNTS as usize - FIRST_SOCKETS);
    let idle = Limit { kind: Kind::Idle, reply_bytes: REPLY_BYTES }.start()?;
    let limit = measure(idle.address(), idle.pid(), n, Sockets::Bare).await?;
    drop(idle);
    for (sockets, what) in [(Sockets::SharedQuery, "the same query"), (Sockets::OwnQuery, "a query each")] {
        let server = ServerProcess::start(bench.folder)?;
        server.seed().await?;
        let name = format!("{n} idle sessions, {what}");
        let ours =
            measure(server.address(), server.pid(), n, sockets).await.map_err(|failure| failure.during(&name))?;
        eprintln!("{name}: {ours:.0} bytes each");
        let quantity = Quantity::cost("resident memory, bytes/session");
        bench.table.add(&name, quantity, vec![ours], vec![limit], "a bare socket with a 4 KiB read buffer");
    }
    Ok(())
}

/// Bytes a socket.
async fn measure(address: SocketAddr, pid: u32, n: usize, sockets: Sockets) -> Result<f64, Failure> {
    let open = |numbers: std::ops::Range<usize>| {
        let opening = futures::stream::iter(numbers).map(|k| socket(address, k, sockets));
        bounded("opening sockets", opening.buffer_unordered(OPENED_AT_ONCE).try_collect::<Vec<Client>>())
    };
    let first = open(0..FIRST_SOCKETS).await?;
    let before = settled(pid).await?;
    let others = open(FIRST_SOCKETS..FIRST_SOCKETS + n).await?;
    let after = settled(pid).await?;
    drop((first, others));
    Ok((after as f64 - before as f64) / n as f64)
}

/// A socket that has had an answer.
async fn socket(address: SocketAddr, number: usize, sockets: Sockets) -> Result<Client, Failure> {
    let account = match sockets {
        Sockets::Bare => {
            let mut client = Client::open(address, "/", WATCH_BUFFER).await?;
            client.push_text(b"hello");
            client.flush().await?;
            client.until(|_| Ok(true)).await?;
            return Ok(client);
        }
        Sockets::SharedQuery => 0,
        Sockets::OwnQuery => number,
    };
    let query = ("accounts:get_account", format!(r#"{{"id":{account}}}"#));
    let mut client = Client::open_session(address, &[query], WATCH_BUFFER).await?;
    client
        .until(|payload| {
            let answered = client::number_after(payload, br#""balance":"#).is_some();
            Ok(client::hear(payload)? == Heard::Transition && answered)
        })
        .await?;
    Ok(client)
}

/// Resident memory once it stands still, or after a while.
async fn settled(pid: u32) -> Result<u64, Failure> {
    let mut before = machine::resident_bytes(pid)?;
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let bytes = machine::resident_bytes(pid)?;
        if bytes.abs_diff(before) < bytes / 1000 {
            return Ok(bytes);
        }
        before = bytes;
    }
    Ok(before)
}
