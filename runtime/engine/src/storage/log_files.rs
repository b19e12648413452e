//! The log, in two files that take turns: a batch is one write and one sync.
//!
//! ```text
//! file   = magic (8) format (4) zeros (4) log (16) generation (8) before (8) zeros (12) sum (4)  record*
//! record = length (4) zeros (4) before (8) ts (8) zeros (4) sum (4)  batch  zeros up to a multiple of 8
//! ```
//!
//! Numbers are little-endian. `before` is the newest commit in front of a file or record, `log` the name of the log, by
//! which a file of another store is told apart. A record's sum is of all of it and of its log. What an earlier generation
//! has left in a file is older than what this one has, and so is not taken for the next of its records.
//!
//! Batches go to one file while the other keeps older ones. Once the base has all of the older ones, that file is the
//! next generation, written from its beginning, over what is there: so the files stay as long as two checkpoints need
//! them, and nearly every sync is of data alone.
//!
//! What a crash leaves of a batch ends the log: nothing was acknowledged behind it. Damage looks the same but for what
//! follows: a whole record behind one that is not is damage, and is said to be. Only the last record can be lost to
//! damage without a word, as with any log.

mod recovery;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use syncline_schema::Timestamp;

use super::{LogBatch, StorageError, of_file};
use recovery::Ended;

const MAGIC: [u8; 8] = *b"SynclLog";
const FORMAT: u32 = 1;
const FILE_HEAD: usize = 64;
const RECORD_HEAD: usize = 32;

/// Records begin at multiples of this: so they are soon found among damage.
const ALIGNED: usize = 8;

/// A file that a long log has left is cut when its turn comes again, so that it does not stay as long for ever, bytes.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// Tells logs apart.
pub(super) type LogId = [u8; 16];

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileHead {
    log: LogId,
    /// Which turn it is: each file has every other one.
    generation: u64,
    /// The newest commit before it.
    before: Timestamp,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("heads are longer"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("heads are longer"))
}

impl FileHead {
    fn encode(&self) -> [u8; FILE_HEAD] {
        let mut bytes = [0; FILE_HEAD];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.log);
        bytes[32..40].copy_from_slice(&self.generation.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.before.0.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` when these bytes are none.
    fn decode(bytes: &[u8; FILE_HEAD]) -> Option<Self> {
        let head = FileHead {
            log: *bytes[16..].first_chunk()?,
            generation: u64_at(bytes, 32),
            before: Timestamp(u64_at(bytes, 40)),
        };
        (head.encode() == *bytes).then_some(head)
    }

    /// What the sums of its records begin with.
    fn seed(&self) -> crc32fast::Hasher {
        let mut seed = crc32fast::Hasher::new();
        seed.update(&self.log);
        seed
    }
}

/// What a record begins with.
#[derive(Clone, Copy, Debug)]
struct RecordHead {
    len: u32,
    before: Timestamp,
    ts: Timestamp,
    sum: u32,
}

impl RecordHead {
    /// `None` when these bytes can be none.
    fn decode(bytes: &[u8; RECORD_HEAD]) -> Option<Self> {
        let zeros = u32_at(bytes, 4) | u32_at(bytes, 24);
        let head = RecordHead {
            len: u32_at(bytes, 0),
            before: Timestamp(u64_at(bytes, 8)),
            ts: Timestamp(u64_at(bytes, 16)),
            sum: u32_at(bytes, 28),
        };
        (zeros == 0 && head.before < head.ts).then_some(head)
    }

    /// With the zeros behind it.
    fn record_len(&self) -> u64 {
        (RECORD_HEAD as u64 + u64::from(self.len)).next_multiple_of(ALIGNED as u64)
    }
}

/// Appends a record to `out`.
fn put_record(out: &mut Vec<u8>, seed: &crc32fast::Hasher, before: Timestamp, batch: &LogBatch) -> io::Result<()> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a batch of 4 GiB");
    let len = u32::try_from(batch.bytes.len()).map_err(too_long)?;
    let at = out.len();
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&before.0.to_le_bytes());
    out.extend_from_slice(&batch.ts.0.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let sum = sum_of(seed, &out[at..], &batch.bytes);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(&batch.bytes);
    out.resize(at + (out.len() - at).next_multiple_of(ALIGNED), 0);
    Ok(())
}

/// The sum of a record: of its head up to the sum, and of its batch.
fn sum_of(seed: &crc32fast::Hasher, head: &[u8], batch: &[u8]) -> u32 {
    let mut sum = seed.clone();
    sum.update(head);
    sum.update(batch);
    sum.finalize()
}

/// One of the two files.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(path: PathBuf, truncate: bool) -> Result<Part, StorageError> {
        let opened = OpenOptions::new().create(true).truncate(truncate).read(true).write(true).open(&path);
        match opened {
            Ok(file) => Ok(Part { path, file }),
            Err(error) => Err(of_file(&path, &error)),
        }
    }

    fn len(&self) -> Result<u64, StorageError> {
        self.file.metadata().map(|found| found.len()).map_err(|error| self.failed(&error))
    }

    fn seek(&mut self, at: u64) -> Result<(), StorageError> {
        self.file.seek(SeekFrom::Start(at)).map(drop).map_err(|error| self.failed(&error))
    }

    /// Takes away all from a place on, durably.
    fn cut(&mut self, at: u64) -> Result<(), StorageError> {
        let cut = self.file.set_len(at).and_then(|()| self.file.sync_all());
        cut.map_err(|error| self.failed(&error))?;
        self.seek(at)
    }

    fn failed(&self, error: &io::Error) -> StorageError {
        of_file(&self.path, error)
    }

    fn damaged_at(&self, at: u64) -> StorageError {
        self.damaged(format!("what is written at byte {at} is damaged"))
    }

    fn damaged(&self, what: impl Into<String>) -> StorageError {
        StorageError::Corrupt { what: format!("{}: {}", self.path.display(), what.into()) }
    }
}

/// The records of one file, as far as they are needed.
#[derive(Clone, Copy, Debug)]
struct Records {
    /// Which of the two files.
    part: usize,
    head: FileHead,
    /// Where they end.
    end: u64,
    /// The newest commit in them, or before them when there are none.
    last: Timestamp,
}

impl Records {
    fn none(part: usize, head: FileHead) -> Self {
        Records { part, head, end: FILE_HEAD as u64, last: head.before }
    }
}

/// A log that batches can be appended to.
#[derive(Debug)]
pub(super) struct LogFiles {
    parts: [Part; 2],
    /// Where batches go. Its file's cursor is at its end.
    current: Records,
    /// What the other file still keeps.
    older: Option<Records>,
    /// The newest commit that the base has.
    base: Timestamp,
    /// The base has some of what is in the current file, and so all that is in the other one: the next batch begins that.
    shortened: bool,
    /// What a failed append has written to: not known to be there, nor not to be.
    doubtful: Option<(usize, u64)>,
    /// Where the last piece that was read ended: the next one begins there.
    read_up_to: Option<(Timestamp, usize, u64)>,
    /// Bytes that a file may have.
    file_bytes_max: u64,
    record: Vec<u8>,
}

impl LogFiles {
    fn paths(store: &Path) -> [PathBuf; 2] {
        ["-log0", "-log1"].map(|end| {
            let mut path = store.as_os_str().to_owned();
            path.push(end);
            PathBuf::from(path)
        })
    }

    /// Begins a log behind a commit. What the files had is gone.
    pub fn create(store: &Path, log: LogId, base: Timestamp) -> Result<Self, StorageError> {
        let [first, second] = Self::paths(store);
        let parts = [Part::open(first, true)?, Part::open(second, true)?];
        let head = FileHead { log, generation: 1, before: base };
        let mut files = LogFiles::new(parts, Records::none(0, head), None, base);
        let begin = |part: &mut Part| {
            part.file.write_all(&head.encode())?;
            part.file.sync_all()?;
            sync_folder(store)
        };
        begin(&mut files.parts[0]).map_err(|error| files.parts[0].failed(&error))?;
        Ok(files)
    }

    fn new(parts: [Part; 2], mut current: Records, older: Option<Records>, base: Timestamp) -> Self {
        current.last = current.last.max(base);
        LogFiles {
            parts,
            current,
            older,
            base,
            shortened: current.head.before < base,
            doubtful: None,
            read_up_to: None,
            file_bytes_max: u64::MAX,
            record: Vec::new(),
        }
    }

    /// Removes what a log has left. It must not be needed any more.
    pub fn remove(store: &Path) -> Result<(), StorageError> {
        for path in Self::paths(store) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of_file(&path, &error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Bounds each of its files, bytes.
    pub fn set_file_bytes_max(&mut self, max: u64) {
        self.file_bytes_max = max;
    }

    /// The newest commit.
    pub fn head(&self) -> Timestamp {
        self.current.last
    }

    /// Whether the base has all of it.
    pub fn is_forgotten(&self) -> bool {
        self.doubtful.is_none() && self.current.last <= self.base
    }

    /// Makes sure that what a failed append left is not there. Until then nothing is appended.
    pub fn settle(&mut self) -> Result<(), StorageError> {
        if let Some((part, at)) = self.doubtful {
            // Works on a full disk, too: it takes no space.
            self.parts[part].cut(at)?;
            self.doubtful = None;
        }
        Ok(())
    }

    /// Appends a batch, durably. When it fails, [`LogFiles::settle`] tells what is there.
    pub fn append(&mut self, batch: &LogBatch) -> Result<(), StorageError> {
        let records = self.write(batch)?;
        self.sync(records.part)?;
        self.take(records);
        Ok(())
    }

    /// Appends what another log had. Durable at the end, and good for nothing when it fails.
    pub fn import(
        &mut self,
        batches: impl Iterator<Item = Result<LogBatch, StorageError>>,
    ) -> Result<(), StorageError> {
        for batch in batches {
            let records = self.write(&batch?)?;
            self.take(records);
        }
        self.sync(self.current.part)
    }

    fn sync(&mut self, part: usize) -> Result<(), StorageError> {
        let part = &self.parts[part];
        part.file.sync_data().map_err(|error| part.failed(&error))
    }

    /// Writes a batch. Returns what the records are with it.
    fn write(&mut self, batch: &LogBatch) -> Result<Records, StorageError> {
        self.settle()?;
        let next = self.next_file()?;
        let records = next.map_or(self.current, |head| Records::none(1 - self.current.part, head));
        let begin = if next.is_some() { 0 } else { records.end };
        self.record.clear();
        self.record.extend(next.iter().flat_map(FileHead::encode));
        let part = &mut self.parts[records.part];
        put_record(&mut self.record, &records.head.seed(), records.last, batch).map_err(|error| part.failed(&error))?;
        let end = begin + self.record.len() as u64;
        if end > self.file_bytes_max {
            let what = format!("{}: it may have {} bytes", part.path.display(), self.file_bytes_max);
            return Err(StorageError::Full { what });
        }
        self.doubtful = Some((records.part, begin));
        if next.is_some() {
            part.seek(0)?;
        }
        part.file.write_all(&self.record).map_err(|error| part.failed(&error))?;
        Ok(Records { end, last: batch.ts, ..records })
    }

    /// What was written counts.
    fn take(&mut self, records: Records) {
        self.doubtful = None;
        if records.part != self.current.part {
            self.older = Some(self.current).filter(|older| older.last > self.base);
            self.shortened = false;
        }
        self.current = records;
    }

    /// The head of the other file, if its turn has come.
    fn next_file(&mut self) -> Result<Option<FileHead>, StorageError> {
        if !self.shortened {
            return Ok(None);
        }
        let part = &mut self.parts[1 - self.current.part];
        if part.len()? > KEPT_BYTES_MAX {
            part.cut(0)?;
        }
        let FileHead { log, generation, .. } = self.current.head;
        Ok(Some(FileHead { log, generation: generation + 1, before: self.current.last }))
    }

    /// The base has everything up to here.
    pub fn forget(&mut self, base: Timestamp) {
        self.base = base;
        self.current.last = self.current.last.max(base);
        self.older = self.older.filter(|older| older.last > base);
        self.shortened = self.current.head.before < base;
    }

    /// Batches behind a commit, oldest first, as many as fit and at least one.
    pub fn after(&mut self, ts: Timestamp, bytes_max: usize) -> Result<Vec<LogBatch>, StorageError> {
        let from = self.read_up_to.take().filter(|(read, ..)| *read == ts);
        let (mut batches, mut n_bytes) = (Vec::new(), 0);
        for records in self.older.into_iter().chain([self.current]) {
            let start = match from {
                Some((_, part, at)) if part == records.part => at,
                _ if records.last <= ts => continue,
                _ => FILE_HEAD as u64,
            };
            let ended = recovery::read(&mut self.parts[records.part], &records, start, |head, at, batch| {
                if head.ts > ts {
                    n_bytes += batch.len();
                    batches.push(LogBatch { ts: head.ts, bytes: batch.to_vec() });
                    self.read_up_to = Some((head.ts, records.part, at + head.record_len()));
                }
                if n_bytes < bytes_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            // Where it is written to, whether that is the file that was read or not.
            self.parts[self.current.part].seek(self.current.end)?;
            match ended? {
                Ended::All => {}
                Ended::Stopped => break,
                Ended::NotWhole(at) => return Err(self.parts[records.part].damaged_at(at)),
            }
        }
        Ok(batches)
    }
}

/// Makes the names in the folder of a file durable.
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
