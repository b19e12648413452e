//! The bytes of the log: a batch of commits, each a list of what it did.
//!
//! ```text
//! batch   = version (1) checksum (8) commit*
//! commit  = timestamp (8) length (4) step*
//! step    = 1 table text            a table came into being
//!         | 2 table id text keys    a document is now this; keys: those it had before and has no more
//!         | 3 table id keys         a document is no more
//!         | 4 text text             an environment variable is now this
//!         | 5 text                  an environment variable is no more
//!         | 6 session request outcome
//! keys    = n (index text)*
//! outcome = text n text*            the result, the log lines
//! ```
//!
//! Fixed numbers are little-endian; others are groups of seven bits, least significant first. A text is its length and
//! its bytes. The keys let a replay find index entries that have gone without reading what the documents were before.

use std::sync::Arc;

use syncline_schema::{DocumentId, InternalId, TableNumber, Timestamp};

use crate::commit::{Outcome, RequestKey};
use crate::storage::StorageError;

const VERSION: u8 = 1;
const BATCH_HEAD: usize = 9;
const COMMIT_HEAD: usize = 12;

mod tag {
    pub const TABLE: u8 = 1;
    pub const PUT: u8 = 2;
    pub const DELETE: u8 = 3;
    pub const SET_VARIABLE: u8 = 4;
    pub const REMOVE_VARIABLE: u8 = 5;
    pub const OUTCOME: u8 = 6;
}

/// One thing that a commit did, as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step<'a> {
    Table { number: TableNumber, name: &'a str },
    Put { id: DocumentId, json: &'a str, removed_keys: Vec<(u32, &'a [u8])> },
    Delete { id: DocumentId, removed_keys: Vec<(u32, &'a [u8])> },
    SetVariable { name: &'a str, value: &'a str },
    RemoveVariable { name: &'a str },
    Outcome { key: RequestKey, value: &'a str, log_lines: Vec<&'a str> },
}

/// The steps of one commit, as bytes.
#[derive(Debug)]
pub(crate) struct CommitBytes(Vec<u8>);

impl Default for CommitBytes {
    fn default() -> Self {
        // Two small documents and an outcome.
        CommitBytes(Vec::with_capacity(512))
    }
}

impl CommitBytes {
    pub fn push(&mut self, step: &Step<'_>) {
        let out = &mut self.0;
        match step {
            Step::Table { number, name } => {
                out.push(tag::TABLE);
                put_number(out, u64::from(number.0));
                put_bytes(out, name.as_bytes());
            }
            Step::Put { id, json, removed_keys } => {
                out.push(tag::PUT);
                put_id(out, id);
                put_bytes(out, json.as_bytes());
                put_keys(out, removed_keys);
            }
            Step::Delete { id, removed_keys } => {
                out.push(tag::DELETE);
                put_id(out, id);
                put_keys(out, removed_keys);
            }
            Step::SetVariable { name, value } => {
                out.push(tag::SET_VARIABLE);
                put_bytes(out, name.as_bytes());
                put_bytes(out, value.as_bytes());
            }
            Step::RemoveVariable { name } => {
                out.push(tag::REMOVE_VARIABLE);
                put_bytes(out, name.as_bytes());
            }
            Step::Outcome { key, value, log_lines } => {
                out.push(tag::OUTCOME);
                out.extend_from_slice(&key.session);
                put_number(out, key.request);
                put_outcome(out, value, log_lines.iter().copied());
            }
        }
    }
}

/// Most room that a batch is given in advance, bytes.
const ROOM_MAX: usize = 1 << 20;

/// Commits on their way to the log.
#[derive(Debug)]
pub(crate) struct BatchBytes(Vec<u8>);

impl Default for BatchBytes {
    fn default() -> Self {
        BatchBytes(vec![0; BATCH_HEAD])
    }
}

impl BatchBytes {
    /// An empty one with room for as much as this has, or half of what others had before it: batches under the same load
    /// are about as long, and growing copies all of it several times.
    pub fn next(&self) -> Self {
        let room = self.0.len().max(self.0.capacity() / 2);
        let mut bytes = Vec::with_capacity(room.min(ROOM_MAX));
        bytes.resize(BATCH_HEAD, 0);
        BatchBytes(bytes)
    }

    pub fn push(&mut self, ts: Timestamp, commit: &CommitBytes) {
        let len = u32::try_from(commit.0.len()).expect("limits of a transaction are far below 4 GiB");
        self.0.extend_from_slice(&ts.0.to_le_bytes());
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(&commit.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The finished batch.
    pub fn finish(mut self) -> Vec<u8> {
        let sum = checksum(&self.0[BATCH_HEAD..]);
        self.0[0] = VERSION;
        self.0[1..BATCH_HEAD].copy_from_slice(&sum.to_le_bytes());
        self.0
    }
}

/// Calls `each` for the commits of a batch, oldest first.
pub(crate) fn read_batch<'a>(
    batch: &'a [u8],
    mut each: impl FnMut(Timestamp, Vec<Step<'a>>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let damaged = || StorageError::Corrupt { what: "a batch of the log is damaged".to_owned() };
    let (head, mut rest) = batch.split_at_checked(BATCH_HEAD).ok_or_else(damaged)?;
    if head[0] != VERSION {
        return Err(StorageError::Version { found: u64::from(head[0]), known: u64::from(VERSION) });
    }
    if head[1..] != checksum(rest).to_le_bytes() {
        return Err(damaged());
    }
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk::<COMMIT_HEAD>().ok_or_else(damaged)?;
        let ts = Timestamp(u64::from_le_bytes(*head.first_chunk().ok_or_else(damaged)?));
        let len = u32::from_le_bytes(*head.last_chunk().ok_or_else(damaged)?);
        let (commit, behind) = behind.split_at_checked(len as usize).ok_or_else(damaged)?;
        each(ts, read_steps(commit).ok_or_else(damaged)?)?;
        rest = behind;
    }
    Ok(())
}

fn read_steps(bytes: &[u8]) -> Option<Vec<Step<'_>>> {
    let mut reader = Reader(bytes);
    let mut steps = Vec::new();
    while !reader.0.is_empty() {
        steps.push(match reader.byte()? {
            tag::TABLE => {
                let number = TableNumber(u32::try_from(reader.number()?).ok()?);
                Step::Table { number, name: reader.text()? }
            }
            tag::PUT => Step::Put { id: reader.id()?, json: reader.text()?, removed_keys: reader.keys()? },
            tag::DELETE => Step::Delete { id: reader.id()?, removed_keys: reader.keys()? },
            tag::SET_VARIABLE => Step::SetVariable { name: reader.text()?, value: reader.text()? },
            tag::REMOVE_VARIABLE => Step::RemoveVariable { name: reader.text()? },
            tag::OUTCOME => {
                let key = RequestKey { session: reader.array()?, request: reader.number()? };
                Step::Outcome { key, value: reader.text()?, log_lines: reader.texts()? }
            }
            _ => return None,
        });
    }
    Some(steps)
}

/// Appends an outcome to a group of outcomes of one session.
pub(crate) fn put_group_outcome(out: &mut Vec<u8>, request: u64, outcome: &Outcome) {
    put_number(out, request);
    out.extend_from_slice(&outcome.ts.0.to_le_bytes());
    put_outcome(out, &outcome.value, outcome.log_lines.iter().map(String::as_str));
}

/// The outcomes of a group, each with its request; an error, and nothing behind it, where the group is damaged.
pub(crate) fn read_group(group: &[u8]) -> impl Iterator<Item = Result<(u64, Outcome), StorageError>> {
    let mut reader = Reader(group);
    std::iter::from_fn(move || {
        if reader.0.is_empty() {
            return None;
        }
        let read = reader.group_outcome();
        if read.is_none() {
            reader = Reader(&[]);
        }
        let damaged = || StorageError::Corrupt { what: "a group of request outcomes is damaged".to_owned() };
        Some(read.ok_or_else(damaged))
    })
}

/// The outcome of a request in a group. `None` inside when it is not there; an error when the group is damaged.
pub(crate) fn find_in_group(group: &[u8], request: u64) -> Result<Option<Outcome>, StorageError> {
    for read in read_group(group) {
        let (found, outcome) = read?;
        if found == request {
            return Ok(Some(outcome));
        }
    }
    Ok(None)
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_id(out: &mut Vec<u8>, id: &DocumentId) {
    put_number(out, u64::from(id.table.0));
    out.extend_from_slice(&id.internal.0);
}

fn put_keys(out: &mut Vec<u8>, keys: &[(u32, &[u8])]) {
    put_number(out, keys.len() as u64);
    for (index, key) in keys {
        put_number(out, u64::from(*index));
        put_bytes(out, key);
    }
}

fn put_outcome<'a>(out: &mut Vec<u8>, value: &str, log_lines: impl ExactSizeIterator<Item = &'a str>) {
    put_bytes(out, value.as_bytes());
    put_number(out, log_lines.len() as u64);
    log_lines.for_each(|line| put_bytes(out, line.as_bytes()));
}

/// Takes things off the front of bytes; `None` when they are not there.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.bytes()?).ok()
    }

    fn texts(&mut self) -> Option<Vec<&'a str>> {
        let n = self.number()?;
        (0..n).map(|_| self.text()).collect()
    }

    fn id(&mut self) -> Option<DocumentId> {
        let table = TableNumber(u32::try_from(self.number()?).ok()?);
        Some(DocumentId { table, internal: InternalId(self.array()?) })
    }

    fn keys(&mut self) -> Option<Vec<(u32, &'a [u8])>> {
        let n = self.number()?;
        (0..n).map(|_| Some((u32::try_from(self.number()?).ok()?, self.bytes()?))).collect()
    }

    fn group_outcome(&mut self) -> Option<(u64, Outcome)> {
        let request = self.number()?;
        let ts = Timestamp(u64::from_le_bytes(self.array()?));
        let value: Arc<str> = self.text()?.into();
        let log_lines = self.texts()?.into_iter().map(str::to_owned).collect();
        Some((request, Outcome { ts, value, log_lines }))
    }
}

/// A sum that notices damage: eight bytes at a time, multiplied and rotated so that order counts. Not a defence
/// against anyone who writes a log on purpose.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(bytes.len() as u64, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let sum = mix(sum, u64::from_le_bytes(last));
    sum ^ (sum >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> DocumentId {
        DocumentId { table: TableNumber(10_001), internal: InternalId([n; 16]) }
    }

    fn steps() -> Vec<Step<'static>> {
        vec![
            Step::Table { number: TableNumber(10_002), name: "messages" },
            Step::Put { id: id(1), json: r#"{"a":"ü"}"#, removed_keys: vec![] },
            Step::Put { id: id(2), json: "{}", removed_keys: vec![(1, b"k"), (300, b"")] },
            Step::Delete { id: id(3), removed_keys: vec![(2, b"\0\xff")] },
            Step::SetVariable { name: "A", value: "b" },
            Step::RemoveVariable { name: "C" },
            Step::Outcome {
                key: RequestKey { session: [7; 16], request: 1 << 40 },
                value: "null",
                log_lines: vec!["[LOG] 'x'", ""],
            },
        ]
    }

    fn batch() -> Vec<u8> {
        let mut batch = BatchBytes::default();
        let mut commit = CommitBytes::default();
        steps().iter().for_each(|step| commit.push(step));
        batch.push(Timestamp(5), &commit);
        batch.push(Timestamp(u64::MAX >> 1), &CommitBytes::default());
        batch.finish()
    }

    #[test]
    fn a_batch_reads_back() {
        let bytes = batch();
        let mut found = Vec::new();
        read_batch(&bytes, |ts, steps| {
            found.push((ts, steps));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [(Timestamp(5), steps()), (Timestamp(u64::MAX >> 1), vec![])]);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = batch();
        for len in 0..bytes.len() {
            assert!(read_batch(&bytes[..len], |_, _| Ok(())).is_err(), "cut at {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read_batch(&damaged, |_, _| Ok(())).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_group_of_outcomes_is_searched() {
        let outcome = |n: u64| Outcome { ts: Timestamp(n), value: "1.0".into(), log_lines: vec![n.to_string()] };
        let mut group = Vec::new();
        put_group_outcome(&mut group, 3, &outcome(30));
        put_group_outcome(&mut group, 1, &outcome(10));
        assert_eq!(find_in_group(&group, 1), Ok(Some(outcome(10))));
        assert_eq!(find_in_group(&group, 2), Ok(None));
        group.pop();
        assert!(find_in_group(&group, 1).is_err());
        assert_eq!(find_in_group(&group, 3), Ok(Some(outcome(30))));
    }
}
