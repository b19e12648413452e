//! Opening a log: where it ends, and whether all of it is there.

use super::*;

/// What a file is searched in at once for a whole record, bytes.
const SEARCHED_AT_ONCE: usize = 1 << 20;

/// What is read at once, bytes.
const READ_AT_ONCE: usize = 1 << 18;

/// What the file of a log turned out to be.
enum Found {
    /// One of this log's.
    Begun(FileHead),
    /// Nothing that was acknowledged is in it, unless it is damaged.
    Nothing,
}

impl LogFiles {
    /// Opens the log of a store whose base is at `base`. Reads all of it.
    pub fn open(store: &Path, log: LogId, base: Timestamp) -> Result<Self, StorageError> {
        let paths = Self::paths(store);
        if let Some(missing) = paths.iter().find(|path| !path.exists()) {
            let what = format!("{}: this part of its log is not there", missing.display());
            return Err(StorageError::Corrupt { what });
        }
        let [first, second] = paths;
        let mut parts = [Part::open(first, false)?, Part::open(second, false)?];
        let found = [parts[0].head(&log)?, parts[1].head(&log)?];
        let (part, head, other) = match found {
            [Found::Nothing, Found::Nothing] => {
                let both =
                    format!("neither this file nor {} begins as one of this store's log", parts[1].path.display());
                return Err(parts[0].damaged(both));
            }
            [Found::Begun(head), Found::Nothing] => (0, head, None),
            [Found::Nothing, Found::Begun(head)] => (1, head, None),
            [Found::Begun(first), Found::Begun(second)] => {
                let (part, newer, older) =
                    if first.generation > second.generation { (0, first, second) } else { (1, second, first) };
                if newer.generation != older.generation + 1 {
                    return Err(parts[part].damaged("the two files of the log do not belong together"));
                }
                (part, newer, Some(older))
            }
        };
        let older = match other.filter(|_| head.before > base) {
            Some(other) => Some(parts[1 - part].whole(1 - part, other, head.before)?),
            None if head.before > base => {
                let what = format!("the log goes on behind {}, and the base ends at {base}", head.before);
                return Err(parts[part].damaged(what));
            }
            None => None,
        };
        let current = parts[part].records(part, head)?;
        if other.is_none() {
            let next = FileHead { generation: head.generation + 1, before: current.last, ..head };
            parts[1 - part].check_not_begun(&next)?;
        }
        parts[part].seek(current.end)?;
        Ok(LogFiles::new(parts, current, older, base))
    }
}

impl Part {
    fn head(&mut self, log: &LogId) -> Result<Found, StorageError> {
        let mut bytes = [0; FILE_HEAD];
        let is_filled = fill(&mut &self.file, &mut bytes, self)?;
        match FileHead::decode(&bytes) {
            Some(head) if is_filled && head.log == *log => Ok(Found::Begun(head)),
            // A file that an earlier log left, or one whose first write a crash has cut.
            _ => Ok(Found::Nothing),
        }
    }

    /// The records of a file that were all acknowledged, up to a commit.
    fn whole(&mut self, part: usize, head: FileHead, last: Timestamp) -> Result<Records, StorageError> {
        let records = self.records(part, head)?;
        if records.last == last {
            return Ok(records);
        }
        Err(self.damaged(format!("what it has ends at {}, and the log goes on behind {last}", records.last)))
    }

    /// The records of a file up to where they end.
    fn records(&mut self, part: usize, head: FileHead) -> Result<Records, StorageError> {
        let mut records = Records::none(part, head);
        let all = Records { end: self.len()?, ..records };
        // Where they are not whole any more, they end.
        read(self, &all, records.end, |head, at, _| {
            (records.last, records.end) = (head.ts, at + head.record_len());
            ControlFlow::Continue(())
        })?;
        match self.whole_record_behind(records.end, &head, records.last)? {
            None => Ok(records),
            Some(at) => {
                let what = format!("what is written at byte {} is damaged, and at byte {at} it goes on", records.end);
                Err(self.damaged(what))
            }
        }
    }

    /// Makes sure that a file whose head is not one has no records either.
    fn check_not_begun(&mut self, head: &FileHead) -> Result<(), StorageError> {
        match self.whole_record_behind(0, head, head.before)? {
            None => Ok(()),
            Some(at) => Err(self.damaged(format!("its head is damaged, and at byte {at} it goes on"))),
        }
    }

    /// Looks behind a place for a record of a later commit that is whole, and tells where it is.
    fn whole_record_behind(
        &mut self,
        mut at: u64,
        head: &FileHead,
        last: Timestamp,
    ) -> Result<Option<u64>, StorageError> {
        let len = self.len()?;
        let mut bytes = Vec::new();
        while at + RECORD_HEAD as u64 <= len {
            self.seek(at)?;
            bytes.clear();
            let some = (&self.file).take((SEARCHED_AT_ONCE + RECORD_HEAD - ALIGNED) as u64).read_to_end(&mut bytes);
            some.map_err(|error| self.failed(&error))?;
            for n in (0..bytes.len().saturating_sub(RECORD_HEAD - 1)).step_by(ALIGNED) {
                let here = at + n as u64;
                let window = bytes[n..].first_chunk().expect("as long as a head");
                let Some(found) = RecordHead::decode(window) else { continue };
                let end = here.saturating_add(found.record_len());
                let alone = Records { end, ..Records::none(0, FileHead { before: last, ..*head }) };
                if found.before >= last
                    && end <= len
                    && read(self, &alone, here, |_, _, _| ControlFlow::Continue(()))? == Ended::All
                {
                    return Ok(Some(here));
                }
            }
            at += SEARCHED_AT_ONCE as u64;
        }
        Ok(None)
    }
}

/// Where a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Behind the last record.
    All,
    /// Where the reader had enough.
    Stopped,
    /// Before a record that is not whole.
    NotWhole(u64),
}

/// Calls `each` for whole records, one behind the other from a place on, with where each begins and its batch.
pub(super) fn read(
    part: &mut Part,
    records: &Records,
    start: u64,
    mut each: impl FnMut(&RecordHead, u64, &[u8]) -> ControlFlow<()>,
) -> Result<Ended, StorageError> {
    part.seek(start)?;
    let seed = records.head.seed();
    let mut file = io::BufReader::with_capacity(READ_AT_ONCE, &part.file);
    let (mut at, mut last, mut record) = (start, records.head.before, Vec::new());
    while at < records.end {
        record.resize(RECORD_HEAD, 0);
        let Some(head) = fill(&mut file, &mut record, part)?.then(|| decode_behind(&record, last)).flatten() else {
            return Ok(Ended::NotWhole(at));
        };
        if head.record_len() > records.end - at {
            return Ok(Ended::NotWhole(at));
        }
        record.resize(head.record_len() as usize, 0);
        let (bytes, rest) = record.split_at_mut(RECORD_HEAD);
        if !fill(&mut file, rest, part)? {
            return Ok(Ended::NotWhole(at));
        }
        let batch = &rest[..head.len as usize];
        if sum_of(&seed, &bytes[..RECORD_HEAD - size_of::<u32>()], batch) != head.sum {
            return Ok(Ended::NotWhole(at));
        }
        if each(&head, at, batch).is_break() {
            return Ok(Ended::Stopped);
        }
        last = head.ts;
        at += head.record_len();
    }
    Ok(Ended::All)
}

fn decode_behind(bytes: &[u8], last: Timestamp) -> Option<RecordHead> {
    RecordHead::decode(bytes.first_chunk()?).filter(|head| head.before >= last)
}

/// Reads as many bytes; `false` when the file ends before.
fn fill(file: &mut impl Read, bytes: &mut [u8], part: &Part) -> Result<bool, StorageError> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(part.failed(&error)),
    }
}
