//! The limit for durable writes: rows appended to a table of SQLite, so many a synced transaction, and nothing else.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::clock::now;
use super::super::machine;
use super::super::window::Latencies;
use super::Failure;

/// What a transfer writes at least: two versions of a small document.
const ROW: [u8; 200] = [7; 200];

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct Commits {
    /// Rows, that is transfers, per second.
    pub per_second: f64,
    /// CPU, us a row.
    pub cpu: f64,
    /// Half the transactions were durable within this, us.
    pub p50: f64,
    /// All but one of a hundred transactions were durable within this, us.
    pub p99: f64,
}

/// Appends for `length`, `group` rows a transaction, in a folder below `parent`.
pub fn measure(parent: &Path, group: usize, length: Duration) -> Result<Commits, Failure> {
    let folder = TempDir::with_prefix_in("syncline-load-", parent)?;
    let database = Connection::open(folder.path().join("limit.sqlite"))?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE log (ts INTEGER PRIMARY KEY, row BLOB NOT NULL)",
    )?;
    let mut begin = database.prepare("BEGIN IMMEDIATE")?;
    let mut insert = database.prepare("INSERT INTO log VALUES (?1, ?2)")?;
    let mut commit = database.prepare("COMMIT")?;
    let mut latencies = Latencies::new()?;
    let cpu = machine::own_cpu_time()?;
    let (started, mut n_rows) = (now(), 0_i64);
    while started.elapsed() < length {
        let begun = now();
        begin.execute([])?;
        for _ in 0..group {
            insert.execute((n_rows, &ROW[..]))?;
            n_rows += 1;
        }
        commit.execute([])?;
        latencies.record(begun.elapsed());
    }
    let n_rows = n_rows as f64;
    Ok(Commits {
        per_second: n_rows / started.elapsed().as_secs_f64(),
        cpu: (machine::own_cpu_time()? - cpu).as_secs_f64() * 1e6 / n_rows,
        p50: latencies.p50(),
        p99: latencies.p99(),
    })
}
