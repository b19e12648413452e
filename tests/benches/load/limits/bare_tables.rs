//! The limit for reading much: the same rows in tables of SQLite, read in this process and made nothing of.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::clock::now;
use super::Failure;

/// Rows of a synced transaction where tables are filled.
const ROWS_A_COMMIT: u32 = 10_000;

/// A database with one table. Its folder goes with it.
pub struct BareTable {
    // Declared first: it closes before its folder is removed.
    database: Connection,
    _folder: TempDir,
}

impl BareTable {
    fn make(parent: &Path, cache_bytes: u64, create: &str) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix_in("syncline-load-", parent)?;
        let database = Connection::open(folder.path().join("limit.sqlite"))?;
        database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        // Negative: in KiB, not in pages.
        database.pragma_update(None, "cache_size", -i64::try_from(cache_bytes >> 10).unwrap_or(i64::MAX))?;
        database.execute_batch(create)?;
        Ok(BareTable { database, _folder: folder })
    }

    /// `n` documents, numbered, with a body of `body_bytes` each and an index on their numbers.
    pub fn documents(parent: &Path, n: u32, body_bytes: usize, cache_bytes: u64) -> Result<Self, Failure> {
        let create = "CREATE TABLE documents (number REAL NOT NULL, body TEXT NOT NULL);
            CREATE UNIQUE INDEX by_number ON documents (number)";
        let table = BareTable::make(parent, cache_bytes, create)?;
        let body = "x".repeat(body_bytes);
        table.fill(n, "INSERT INTO documents VALUES (?1, ?2)", |insert, number| insert.execute((number, &body)))?;
        Ok(table)
    }

    /// `n` accounts that hold `balance` each.
    pub fn accounts(parent: &Path, n: u32, balance: f64, cache_bytes: u64) -> Result<Self, Failure> {
        let create = "CREATE TABLE accounts (id REAL NOT NULL, balance REAL NOT NULL);
            CREATE UNIQUE INDEX by_account_id ON accounts (id)";
        let table = BareTable::make(parent, cache_bytes, create)?;
        table.fill(n, "INSERT INTO accounts VALUES (?1, ?2)", |insert, id| insert.execute((id, balance)))?;
        Ok(table)
    }

    fn fill(
        &self,
        n: u32,
        insert: &str,
        row: impl Fn(&mut rusqlite::Statement<'_>, f64) -> rusqlite::Result<usize>,
    ) -> Result<(), Failure> {
        let mut insert = self.database.prepare(insert)?;
        for start in (0..n).step_by(ROWS_A_COMMIT as usize) {
            self.database.execute_batch("BEGIN IMMEDIATE")?;
            for number in start..(start + ROWS_A_COMMIT).min(n) {
                row(&mut insert, f64::from(number))?;
            }
            self.database.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    /// How long the bodies of these documents are together, each looked up by its number.
    pub fn read_each(&self, numbers: impl Iterator<Item = u32>) -> Result<usize, Failure> {
        let mut select = self.database.prepare_cached("SELECT number, body FROM documents WHERE number = ?1")?;
        let mut bytes = 0;
        for number in numbers {
            bytes += select.query_row([f64::from(number)], |row| Ok(row.get_ref(1)?.as_bytes()?.len()))?;
        }
        Ok(bytes)
    }

    /// How long the bodies of `count` documents from number `start` on are together.
    pub fn read_range(&self, start: u32, count: u32) -> Result<usize, Failure> {
        let mut select = self
            .database
            .prepare_cached("SELECT number, body FROM documents WHERE number >= ?1 AND number < ?2 ORDER BY number")?;
        let mut rows = select.query([f64::from(start), f64::from(start + count)])?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            bytes += row.get_ref(1)?.as_bytes().map_or(0, <[u8]>::len);
        }
        Ok(bytes)
    }

    /// How many accounts do not hold `balance`: each row is stepped to and looked at here.
    pub fn count_changed(&self, balance: f64) -> Result<u32, Failure> {
        let mut select = self.database.prepare_cached("SELECT id, balance FROM accounts")?;
        let mut rows = select.query([])?;
        let mut n = 0;
        while let Some(row) = rows.next()? {
            let (_id, found): (f64, f64) = (row.get(0)?, row.get(1)?);
            n += u32::from(found != balance);
        }
        Ok(n)
    }

    /// How long it takes to index the accounts by their balance; the index goes again.
    pub fn build_index(&self) -> Result<Duration, Failure> {
        let started = now();
        self.database.execute_batch("CREATE INDEX by_balance ON accounts (balance)")?;
        let taken = started.elapsed();
        self.database.execute_batch("DROP INDEX by_balance")?;
        Ok(taken)
    }
}
