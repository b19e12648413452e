//! SQLite as a storage: the base is one file, written by a thread of its own, read by whoever asks, so that reads never
//! wait for a sync. The log is [beside it](super::log_files): an append is one write and one sync, takes no lock, and
//! leaves what readers have in their caches. A server that has stopped leaves the one file.
//!
//! The file is in WAL mode. One server at a time may have it open, which a lock on a file beside it makes sure of; the
//! `sqlite3` shell can read it meanwhile (`SELECT * FROM browse`).

mod ahead;
mod blocks;
mod error;
mod reader;
mod tables;
mod upgrade;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use syncline_schema::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{
    BaseAnswer, BaseRead, BaseWrites, Checkpoint, LogBatch, Meta, Position, Pruned, Storage, StorageError,
    StorageFuture, of_file,
};
use crate::ports::Progress;
use ahead::AHEAD_BYTES_MAX;
use blocks::Room;
use reader::{Reader, Readers};
use writer::Writer;

/// How SQLite is used.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// Reads at once, each on a connection of its own; a number. Default 2. Source: ours; with one,
    /// nothing is read ahead.
    pub n_readers: usize,
    /// Memory that each connection caches pages in, bytes. Default 4 MiB. Source: ours, measured; what leads to the
    /// blocks of a gigabyte has room in it, and documents are cached above.
    pub page_cache_bytes: usize,
    /// Memory that all readers keep blocks of index entries in, and where documents lie, bytes. Default 16 MiB. Source:
    /// ours; it is for data that is larger than memory: with its entries at hand, a document is one read away.
    pub entry_cache_bytes: usize,
    /// Calls that wait for the thread that writes, a number; callers wait for a place. Default 1,024. Source: ours; P7.
    pub queue_max: usize,
    /// Pages of the write-ahead log after which SQLite moves it to the file, a number. Default 2,000: 16 MB.
    /// Source: ours; more grows that log, fewer sync the file more often.
    pub wal_pages_max: u32,
    /// The greatest size of the file, and of each of the log's, bytes; beyond it the store is full. Default: no bound but
    /// the disk's. Source: ours; P7.
    pub file_bytes_max: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        SqliteOptions {
            n_readers: 2,
            page_cache_bytes: 4 << 20,
            entry_cache_bytes: 16 << 20,
            queue_max: 1_024,
            wal_pages_max: 2_000,
            file_bytes_max: None,
        }
    }
}

/// What the thread that writes is asked to do.
type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// A store in an SQLite file.
pub struct SqliteStorage {
    path: Arc<Path>,
    /// Gone when it is closed.
    threads: Mutex<Option<Threads>>,
    readers: Arc<Readers>,
    cache_bytes_max: usize,
}

struct Threads {
    write: mpsc::Sender<Job>,
    /// The thread and each reader hold a sender; receiving ends when all have ended.
    ended: mpsc::Receiver<()>,
}

impl SqliteStorage {
    /// Opens a file, or makes one; its folder must exist. Blocks while it does.
    ///
    /// # Errors
    /// When it is in use, cannot be written, is damaged, is not a store, or is one of a newer version.
    pub fn open(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, StorageError> {
        Self::open_and_tell(path, options, &|_| {})
    }

    /// The same, and tells how far it is: a file of an older format is brought up to date, all or nothing. When it is
    /// large that takes a while, and for this time as much space again.
    ///
    /// # Errors
    /// As [`SqliteStorage::open`].
    pub fn open_and_tell(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
        on_progress: &dyn Fn(&Progress),
    ) -> Result<Self, StorageError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        Self::open_locked(path, options, lock, on_progress).map_err(|error| error.of(path))
    }

    fn open_locked(
        path: &Path,
        options: &SqliteOptions,
        lock: File,
        on_progress: &dyn Fn(&Progress),
    ) -> Result<Self, StorageError> {
        let (connection, log) = tables::open_for_writing(path, options, on_progress)?;
        let (write, write_jobs) = mpsc::channel(options.queue_max.max(1));
        let (ends, ended) = mpsc::channel(1);
        let room = Room::new(options.entry_cache_bytes);
        let reader = |_| Ok(Reader::new(tables::open_for_reading(path, options)?, room.clone(), ends.clone()));
        let readers = (0..options.n_readers.max(1)).map(reader).collect::<Result<_, StorageError>>()?;
        let readers = Arc::new(Readers::new(readers));
        let path: Arc<Path> = path.into();
        let writer = Writer::new(connection, log, path.clone(), readers.clone())?;
        start("sqlite writer", move || {
            writer::run(writer, write_jobs);
            // Others may open it once this thread has ended, and not before.
            drop(lock);
            drop(ends);
        })?;
        // Its end is that of the readers, which the writer closes at the latest.
        let reading = readers.clone();
        start("sqlite reader", move || reading.read_ahead())?;
        let pages = options.page_cache_bytes.saturating_mul(options.n_readers.max(1) + 1);
        let cache_bytes_max = pages.saturating_add(options.entry_cache_bytes).saturating_add(AHEAD_BYTES_MAX);
        let threads = Mutex::new(Some(Threads { write, ended }));
        Ok(SqliteStorage { path, threads, readers, cache_bytes_max })
    }

    fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Writer) -> Result<T, StorageError> + Send + 'static,
    ) -> StorageFuture<T> {
        let jobs =
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|threads| threads.write.clone());
        let path = self.path.clone();
        async move {
            let jobs = jobs.ok_or(StorageError::Closed)?;
            let (answer, answered) = oneshot::channel();
            let job: Job = Box::new(move |writer| {
                // Nobody waits any more: fine, it was done all the same.
                let _ = answer.send(f(writer));
            });
            jobs.send(job).await.map_err(|_| StorageError::Closed)?;
            drop(jobs);
            answered.await.map_err(|_| StorageError::Closed)?.map_err(|error| error.of(&path))
        }
        .boxed()
    }
}

fn start(name: &str, f: impl FnOnce() + Send + 'static) -> Result<(), StorageError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(f);
    started.map(drop).map_err(|error| StorageError::Io { what: format!("starting the thread `{name}`: {error}") })
}

/// Takes the lock that makes this the only server of a file.
fn lock(path: &Path) -> Result<File, StorageError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
    let file = opened.map_err(|error| of_file(&lock_path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::Locked { what: path.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(of_file(&lock_path, &error)),
    }
}

impl Storage for SqliteStorage {
    fn position(&self) -> StorageFuture<Position> {
        self.write(Writer::position)
    }

    fn meta(&self) -> StorageFuture<Meta> {
        self.write(|writer| writer.meta())
    }

    fn append(&self, expected_head: Timestamp, batch: LogBatch) -> StorageFuture<()> {
        self.write(move |writer| writer.append(expected_head, &batch))
    }

    fn log_after(&self, ts: Timestamp, bytes_max: usize) -> StorageFuture<Vec<LogBatch>> {
        self.write(move |writer| writer.log_after(ts, bytes_max))
    }

    fn read(&self, parts: Vec<BaseRead>) -> StorageFuture<Vec<BaseAnswer>> {
        let read = self.readers.read(parts);
        ready(read.map_err(|error| error.of(&self.path))).boxed()
    }

    fn write_base(&self, writes: BaseWrites) -> StorageFuture<usize> {
        self.write(move |writer| writer.write_base(&writes))
    }

    fn finish_checkpoint(&self, checkpoint: Checkpoint) -> StorageFuture<Pruned> {
        self.write(move |writer| writer.finish_checkpoint(&checkpoint))
    }

    fn cache_bytes_max(&self) -> usize {
        self.cache_bytes_max
    }

    fn base_bytes(&self) -> StorageFuture<u64> {
        self.write(|writer| writer.base_bytes())
    }

    fn close(&self) -> StorageFuture<()> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.readers.close();
        async move {
            let Threads { write, mut ended } = threads.ok_or(StorageError::Closed)?;
            // The thread ends when nobody can ask it any more.
            drop(write);
            ended.recv().await;
            Ok(())
        }
        .boxed()
    }
}

/// A connection with statements that are prepared once.
fn configure(connection: &Connection, options: &SqliteOptions) -> Result<(), rusqlite::Error> {
    connection.set_prepared_statement_cache_capacity(64);
    let kib = i64::try_from(options.page_cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kib)?;
    // Without this guarantee SQLite looks at what `LIMIT ?` is bound to and plans such a statement anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}
