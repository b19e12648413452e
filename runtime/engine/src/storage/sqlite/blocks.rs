//! Documents and index entries lie in *blocks*: each is a row of SQLite's with many rows of ours, sorted by key. SQLite
//! finds, reads, writes and protects a block; a row in it costs some nanoseconds, and so a range of rows little more than
//! what is made of them.
//!
//! What must be true of the blocks of a tree:
//!
//! - A block has rows of one index only; documents are those of the index `by_id`. It has at least one.
//! - All keys of a block are at or above its `first`, and below that of the next block: so the block of a key is the
//!   last one whose `first` is not above it. The first block of an index has the index alone as its `first`; those of
//!   others are as short as tells them from the block before, which keeps SQLite's index on them small.
//! - A block is not larger than what a page of the file holds, or half of it for entries, unless it has one row only.
//!
//! Rows are written in their order, and each block that they come to is read once and written once. A block that
//! overflows is cut: in the middle, or behind what it had when all that is new comes behind that, as it does when ids
//! and times rise. So blocks are filled in that case, and about two thirds full in others.

mod block;
mod by_start;
mod cut;
mod kept;
mod keys;

use std::ops::{self, ControlFlow, Deref};
use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use smallvec::SmallVec;
use syncline_functions::tx::Order;
use syncline_schema::{InternalId, TableNumber};

use super::error::damaged;
use crate::commit::IndexId;
use crate::storage::{BaseKey, BaseRange};
use block::encode;
pub(super) use block::{Block, Row, Text, text_sum};
pub(super) use cut::BlockSize;
use cut::{Parts, Size, cut, separator};
pub(super) use kept::{Kept, KeptBlocks, Room};
use keys::Keys;

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// One of the two trees of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// Of documents: an id leads to a text.
    Documents,
    /// Of the entries of all indexes: there are keys only, which end with ids.
    Entries,
}

/// The tables of both trees: a block in a row. `keys` are as [`keys`] has them; `json` is an array of the documents, and
/// `table_number` is for a shell, as `first` begins with it.
pub(super) const TABLES: &str = "
    CREATE TABLE document_blocks (
        first BLOB NOT NULL UNIQUE, keys BLOB NOT NULL, json TEXT NOT NULL, table_number INTEGER NOT NULL
    );
    CREATE TABLE entry_blocks (first BLOB NOT NULL UNIQUE, keys BLOB NOT NULL);
";

/// What a shell shows: a document in a row.
pub(super) const BROWSE: &str = "
    CREATE VIEW browse AS SELECT
        (SELECT json_extract(value, '$.name') FROM meta WHERE name = 'table/' || table_number) AS table_name,
        json_extract(document.value, '$._id') AS id, document.value AS json
    FROM document_blocks, json_each(document_blocks.json) AS document;
";

/// What is asked of SQLite.
struct Statements {
    /// The block of a key: from the first of its index to the key.
    find: String,
    /// The block in a row of SQLite's.
    at: String,
    /// The blocks in rows whose numbers follow each other.
    run: String,
    /// Where the block of a key and those behind it begin, and their rows.
    rows: String,
    /// The blocks behind one, up to a bound.
    behind: String,
    /// The blocks of an index below a bound, last first.
    back: String,
    /// Where the next block begins.
    next: String,
    insert: String,
    update: String,
    delete: String,
}

impl Statements {
    fn new(table: &str, columns: &[&str]) -> Self {
        let all = columns.join(", ");
        let json = if columns.contains(&"json") { "json" } else { "NULL" };
        let blocks = format!("SELECT first, keys, {json} FROM {table} WHERE");
        Statements {
            find: format!("{blocks} first >= ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1"),
            at: format!("{blocks} rowid = ?1"),
            run: format!("{blocks} rowid >= ?1 AND rowid <= ?2 ORDER BY rowid"),
            rows: format!(
                "SELECT first, rowid FROM {table} WHERE first >= (
                    SELECT max(first) FROM {table} WHERE first >= ?1 AND first <= ?2
                ) AND first < ?3 ORDER BY first LIMIT ?4"
            ),
            behind: format!("{blocks} first > ?1 AND first < ?2 ORDER BY first"),
            back: format!("{blocks} first >= ?1 AND first < ?2 ORDER BY first DESC"),
            next: format!("SELECT first FROM {table} WHERE first > ?1 AND first < ?2 ORDER BY first LIMIT 1"),
            insert: format!("INSERT INTO {table} (first, {all}) VALUES (?1{})", ", ?".repeat(columns.len())),
            update: format!("UPDATE {table} SET ({all}) = (?2{}) WHERE first = ?1", ", ?".repeat(columns.len() - 1)),
            delete: format!("DELETE FROM {table} WHERE first = ?1"),
        }
    }
}

/// What the `first` of all blocks of an index begin with.
const INDEX_BYTES: usize = 8;

fn index_bytes(index: IndexId) -> [u8; INDEX_BYTES] {
    (u64::from(index.table.0) << 32 | u64::from(index.index)).to_be_bytes()
}

/// Bytes that a `first` is compared with.
type Place = SmallVec<[u8; 64]>;

/// Where a key of an index, or a bound of some, is among all blocks.
fn place_of(index: IndexId, key: &[u8]) -> Place {
    let mut place = SmallVec::from_slice(&index_bytes(index));
    place.extend_from_slice(key);
    place
}

/// Behind all blocks of an index.
fn end_of(index: IndexId) -> Place {
    let next = u64::from_be_bytes(index_bytes(index)).saturating_add(1);
    SmallVec::from_slice(&next.to_be_bytes())
}

/// The index that has the documents of a table.
pub(super) fn documents_of(table: TableNumber) -> IndexId {
    IndexId { table, index: IndexId::BY_ID }
}

/// A row to put, or to remove when it has no text. An entry that is put has an empty one.
#[derive(Clone, Debug)]
pub(super) struct Edit<'a> {
    pub key: BaseKey,
    pub text: Option<Text<'a>>,
}

/// A block and where it is.
pub(super) struct Found {
    first: Place,
    block: Block<Vec<u8>>,
}

impl Found {
    /// Its keys, to be kept.
    pub fn into_kept(self) -> Kept {
        Kept { first: self.first[..].into(), keys: self.block.keys }
    }
}

impl Tree {
    fn statements(self) -> &'static Statements {
        static DOCUMENTS: LazyLock<Statements> =
            LazyLock::new(|| Statements::new("document_blocks", &["keys", "json", "table_number"]));
        static ENTRIES: LazyLock<Statements> = LazyLock::new(|| Statements::new("entry_blocks", &["keys"]));
        match self {
            Tree::Documents => &DOCUMENTS,
            Tree::Entries => &ENTRIES,
        }
    }

    /// The block that has a key, if any has.
    pub fn found(self, connection: &Connection, index: IndexId, key: &[u8]) -> Result<Option<Found>> {
        let mut find = connection.prepare_cached(&self.statements().find)?;
        let bounds = params![&index_bytes(index)[..], &place_of(index, key)[..]];
        find.query_row(bounds, |row| self.found_in(index, row)).optional()
    }

    fn found_in(self, index: IndexId, row: &rusqlite::Row<'_>) -> Result<Found> {
        let (first, keys, json) = columns(row)?;
        Ok(Found { first: first.into(), block: self.block(index, first, keys.to_vec(), json.to_vec())? })
    }

    fn block<B: Deref<Target = [u8]>>(self, index: IndexId, first: &[u8], keys: B, json: B) -> Result<Block<B>> {
        Block::decode(self, keys, json, first).ok_or_else(|| self.not_written(index))
    }

    fn not_written(self, IndexId { table, index }: IndexId) -> rusqlite::Error {
        damaged(match self {
            Tree::Documents => format!("a block of documents of table {table} is not what was written"),
            Tree::Entries => format!("a block of index {index} of table {table} is not what was written"),
        })
    }

    /// Where the block of a key and some hundred behind it lie, as far as where that is `known`: to each belongs its
    /// row. Not of the last, which is where the one before ends.
    pub fn rows_from(
        self,
        connection: &Connection,
        index: IndexId,
        key: &[u8],
        known: Option<&[u8]>,
    ) -> Result<Option<Kept>> {
        const LIMIT: u16 = 128;
        // No id is told from a place by bytes that are 0, and keys of one length are found sooner.
        let place = |key: &[u8]| {
            let mut place = place_of(index, key);
            place.resize(INDEX_BYTES + size_of::<InternalId>(), 0);
            place
        };
        let mut rows = connection.prepare_cached(&self.statements().rows)?;
        let bounds = params![&index_bytes(index)[..], &place_of(index, key)[..], &end_of(index)[..], LIMIT];
        let mut found = rows.query(bounds)?;
        let (mut firsts, mut numbers) = (Vec::new(), Vec::new());
        while let Some(row) = found.next()? {
            let first = place(row.get_ref(0)?.as_blob()?.get(INDEX_BYTES..).unwrap_or_default());
            if known.is_some_and(|known| first[INDEX_BYTES..] >= *known) {
                break;
            }
            firsts.push(first);
            numbers.extend(row.get::<_, i64>(1)?.to_le_bytes());
        }
        let Some(first) = firsts.first().cloned() else { return Ok(None) };
        if firsts.len() < usize::from(LIMIT) {
            // The last of all ids is nobody's.
            firsts.push(place(known.unwrap_or(&[0xff; size_of::<InternalId>()])));
            numbers.extend([0; size_of::<i64>()]);
        }
        let encoded = keys::encode(firsts.iter().map(|first| &first[INDEX_BYTES..]), &numbers, &first);
        let keys = Keys::decode(encoded, size_of::<i64>(), &first).ok_or_else(|| self.not_written(index))?;
        Ok(Some(Kept { first: first[..].into(), keys }))
    }

    /// Calls `visit` for the blocks in some rows of SQLite's, as long as it goes on.
    pub fn visit_rows(
        self,
        connection: &Connection,
        index: IndexId,
        rows: ops::RangeInclusive<i64>,
        mut visit: impl FnMut(&Block<&[u8]>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let (first, last) = rows.into_inner();
        let Statements { at, run, .. } = self.statements();
        let mut find = connection.prepare_cached(if first == last { at } else { run })?;
        let found = if first == last { find.query([first])? } else { find.query([first, last])? };
        self.visit_found(index, found, |_, block| visit(block))
    }

    /// Calls `visit` for the block of a key, and for those that follow as long as it goes on.
    pub fn visit(
        self,
        connection: &Connection,
        index: IndexId,
        key: &[u8],
        mut visit: impl FnMut(&Block<&[u8]>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut find = connection.prepare_cached(&self.statements().find)?;
        let found = find.query(params![&index_bytes(index)[..], &place_of(index, key)[..]])?;
        let mut goes_on_behind = None;
        self.visit_found(index, found, |first, block| {
            let flow = visit(block)?;
            goes_on_behind = flow.is_continue().then(|| Place::from(first));
            Ok(flow)
        })?;
        let Some(first) = goes_on_behind else { return Ok(()) };
        let mut behind = connection.prepare_cached(&self.statements().behind)?;
        let found = behind.query(params![&first[..], &end_of(index)[..]])?;
        self.visit_found(index, found, |_, block| visit(block))
    }

    /// The same for the blocks of an index below a bound, last first.
    fn visit_back(
        self,
        connection: &Connection,
        index: IndexId,
        end: Option<&[u8]>,
        mut visit: impl FnMut(&Block<&[u8]>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let end = end.map_or_else(|| end_of(index), |end| place_of(index, end));
        let mut back = connection.prepare_cached(&self.statements().back)?;
        let found = back.query(params![&index_bytes(index)[..], &end[..]])?;
        self.visit_found(index, found, |_, block| visit(block))
    }

    /// Calls `visit` for blocks and where they begin, as long as it goes on.
    fn visit_found(
        self,
        index: IndexId,
        mut found: rusqlite::Rows<'_>,
        mut visit: impl FnMut(&[u8], &Block<&[u8]>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        while let Some(row) = found.next()? {
            let (first, keys, json) = columns(row)?;
            if visit(first, &self.block(index, first, keys, json)?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Calls `visit` for the rows of a range, as their places in a block: blocks in order, rows of each by rising keys.
    pub fn walk(
        self,
        connection: &Connection,
        index: IndexId,
        range: &BaseRange,
        mut visit: impl FnMut(&Block<&[u8]>, ops::Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let mut left = range.limit;
        let visit_block = |block: &Block<&[u8]>| {
            let (from, to) = block.keys.part(range);
            let n = (to - from).min(left);
            left -= n;
            // Whether there are keys on the other side of the range: then nothing follows.
            let is_last = match range.order {
                Order::Asc => {
                    visit(block, from..from + n)?;
                    to < block.keys.n()
                }
                Order::Desc => {
                    visit(block, to - n..to)?;
                    from > 0
                }
            };
            Ok(if is_last || left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        match range.order {
            Order::Asc => self.visit(connection, index, &range.start, visit_block),
            Order::Desc => self.visit_back(connection, index, range.end.as_deref(), visit_block),
        }
    }

    /// Entries are so small that half a page of them is enough to go through for each that changes.
    fn block_size(self, size: BlockSize) -> BlockSize {
        match self {
            Tree::Documents => size,
            Tree::Entries => BlockSize { max: size.max / 2 },
        }
    }

    /// Puts and removes rows of an index, which come by rising keys.
    pub fn apply(self, connection: &Connection, index: IndexId, edits: &[Edit<'_>], size: BlockSize) -> Result<()> {
        let size = self.block_size(size);
        let mut rest = edits;
        while let Some(Edit { key, .. }) = rest.first() {
            let found = self.found(connection, index, key)?;
            let next = match &found {
                Some(found) => self.next(connection, index, &found.first)?,
                None => None,
            };
            let n = match &next {
                Some(next) => rest.partition_point(|edit| edit.key[..] < next[INDEX_BYTES..]),
                None => rest.len(),
            };
            let (edits, later) = rest.split_at(n);
            self.rewrite(connection, index, found, next, edits, size)?;
            rest = later;
        }
        Ok(())
    }

    /// Where the block begins that follows the one that begins here.
    fn next(self, connection: &Connection, index: IndexId, first: &[u8]) -> Result<Option<Place>> {
        let mut next = connection.prepare_cached(&self.statements().next)?;
        let place = |row: &rusqlite::Row<'_>| Ok(Place::from_slice(row.get_ref(0)?.as_blob()?));
        next.query_row(params![first, &end_of(index)[..]], place).optional()
    }

    /// Writes one block anew, with edits that all fall into it.
    fn rewrite(
        self,
        connection: &Connection,
        index: IndexId,
        found: Option<Found>,
        next: Option<Place>,
        edits: &[Edit<'_>],
        size: BlockSize,
    ) -> Result<()> {
        let neighbour;
        let old = found.as_ref().map_or(Ok(Vec::new()), |found| self.rows(index, found))?;
        let n_old = old.len();
        let is_appended = old.last().is_none_or(|last| edits.first().is_some_and(|edit| last.key < edit.key));
        let before = if is_appended { 0 } else { Size::of(self, &old).bytes() };
        let mut rows = merge(old, edits);
        let mut first = found.as_ref().map_or_else(|| place_of(index, &[]), |found| found.first.clone());
        let after = if is_appended { 0 } else { Size::of(self, &rows).bytes() };
        if after < before && after < size.small() && !(rows.is_empty() && first.len() > INDEX_BYTES) {
            neighbour = self.neighbour(connection, index, &first, next)?;
            if let Some((side, other)) = &neighbour {
                let others = self.rows(index, other)?;
                let (joined, kept, gone) = match side {
                    Side::Before => ([&others[..], &rows].concat(), &other.first, &first),
                    Side::Behind => ([&rows[..], &others].concat(), &first, &other.first),
                };
                if rows.is_empty() || Size::of(self, &joined).bytes() + kept.len() <= size.max {
                    self.delete(connection, gone)?;
                    (rows, first) = (joined, kept.clone());
                }
            }
        }
        if rows.is_empty() {
            return self.delete(connection, &first);
        }
        let parts = if is_appended { Parts::Full } else { Parts::Even };
        let (mut start, statements) = (0, self.statements());
        for end in cut(self, &rows, parts, size, (INDEX_BYTES, first.len() - INDEX_BYTES)) {
            let some = &rows[start..end];
            if start > 0 {
                first = place_of(index, separator(&rows[start - 1].key, &some[0].key));
            }
            let is_there = start == 0 && found.is_some();
            if !(is_there && is_appended && end == n_old) {
                let statement = if is_there { &statements.update } else { &statements.insert };
                self.write(connection, statement, index, &first, some)?;
            }
            start = end;
        }
        Ok(())
    }

    fn rows(self, index: IndexId, found: &Found) -> Result<Vec<Row<'_>>> {
        found.block.rows(self).ok_or_else(|| self.not_written(index))
    }

    /// A block beside the one that begins at `first`: the next, or else the one before.
    fn neighbour(
        self,
        connection: &Connection,
        index: IndexId,
        first: &[u8],
        next: Option<Place>,
    ) -> Result<Option<(Side, Found)>> {
        if let Some(next) = next {
            let found = self.found(connection, index, &next[INDEX_BYTES..])?;
            return Ok(found.map(|found| (Side::Behind, found)));
        }
        let mut before = connection.prepare_cached(&self.statements().back)?;
        let begin = index_bytes(index);
        let found = before.query_row(params![&begin[..], first], |row| self.found_in(index, row));
        Ok(found.optional()?.map(|found| (Side::Before, found)))
    }

    fn write(
        self,
        connection: &Connection,
        statement: &str,
        index: IndexId,
        first: &[u8],
        rows: &[Row<'_>],
    ) -> Result<()> {
        let (keys, json) = encode(self, rows, first);
        let mut write = connection.prepare_cached(statement)?;
        match self {
            Tree::Documents => write.execute(params![first, keys, AsText(&json), index.table.0])?,
            Tree::Entries => write.execute(params![first, keys])?,
        };
        Ok(())
    }

    fn delete(self, connection: &Connection, first: &[u8]) -> Result<()> {
        connection.prepare_cached(&self.statements().delete)?.execute([first])?;
        Ok(())
    }

    /// Removes whole blocks of an index, until so many rows are removed or none is left. Returns how many rows were
    /// removed.
    pub fn drop_some(self, connection: &Connection, index: IndexId, n_max: usize) -> Result<usize> {
        let mut last = connection.prepare_cached(&self.statements().back)?;
        let (begin, end, mut n) = (index_bytes(index), end_of(index), 0);
        while n < n_max {
            let last = last.query_row(params![&begin[..], &end[..]], |row| {
                let (first, keys, _) = columns(row)?;
                // It goes, damaged or not.
                Ok((Place::from(first), keys::count(keys).max(1)))
            });
            let Some((first, n_rows)) = last.optional()? else { break };
            self.delete(connection, &first)?;
            n += n_rows;
        }
        Ok(n)
    }
}

/// Where another block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

/// Bytes of a text, which SQLite takes as they are: a damaged document stays what it is.
struct AsText<'a>(&'a [u8]);

impl ToSql for AsText<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Where a block begins, its keys, and its texts.
fn columns<'a>(row: &'a rusqlite::Row<'_>) -> Result<(&'a [u8], &'a [u8], &'a [u8])> {
    let json = row.get_ref(2)?.as_bytes_or_null()?.unwrap_or_default();
    Ok((row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?, json))
}

/// Rows after some edits.
fn merge<'a>(old: Vec<Row<'a>>, edits: &[Edit<'a>]) -> Vec<Row<'a>> {
    let mut rows = Vec::with_capacity(old.len() + edits.len());
    let mut old = old.into_iter().peekable();
    for Edit { key, text } in edits {
        while let Some(row) = old.next_if(|row| row.key < *key) {
            rows.push(row);
        }
        old.next_if(|row| row.key == *key);
        rows.extend(text.map(|text| Row { key: key.clone(), text }));
    }
    rows.extend(old);
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const SMALL: BlockSize = BlockSize { max: 275 };

    /// Two neighbours: nothing of one may be taken for the other's.
    const INDEXES: [IndexId; 2] =
        [IndexId { table: TableNumber(10_001), index: 0 }, IndexId { table: TableNumber(10_001), index: 1 }];

    type Rows = BTreeMap<BaseKey, Vec<u8>>;

    fn open() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection
    }

    fn text(json: &[u8]) -> Text<'_> {
        Text { sum: json.len() as i64, json, outline: None }
    }

    /// What a block is and holds is right; all rows of an index.
    fn check(tree: Tree, connection: &Connection, index: IndexId) -> Rows {
        let begin = index_bytes(index);
        let sql = tree.statements().back.replace(" DESC", "");
        let mut read = connection.prepare(&sql).unwrap();
        let mut blocks = read.query(params![&begin[..], &end_of(index)[..]]).unwrap();
        let (mut all, mut is_first) = (Rows::new(), true);
        while let Some(row) = blocks.next().unwrap() {
            let (first, keys, json) = columns(row).unwrap();
            assert!(!is_first || *first == begin, "the first block takes all that is below the second");
            let block = tree.block(index, first, keys, json).unwrap();
            let rows = block.rows(tree).unwrap();
            assert!(rows.is_sorted_by(|a, b| a.key < b.key));
            assert!(all.last_key_value().is_none_or(|(last, _)| last[..] < first[INDEX_BYTES..]));
            assert!(rows[0].key[..] >= first[INDEX_BYTES..]);
            let size = Size::of(tree, &rows).bytes();
            assert!(keys.len() + json.len() <= size && size <= keys.len() + json.len() + 1, "{size} bytes as counted");
            assert!(rows.len() == 1 || size + first.len() <= SMALL.max, "{} rows of {size} bytes", rows.len());
            all.extend(rows.into_iter().map(|row| (row.key, row.text.json.to_vec())));
            is_first = false;
        }
        all
    }

    fn walked(tree: Tree, connection: &Connection, index: IndexId, range: &BaseRange) -> Vec<BaseKey> {
        let mut keys = Vec::new();
        let visit = |block: &Block<&[u8]>, part: ops::Range<usize>| {
            let mut some: Vec<_> = part.map(|n| block.keys.key(n).unwrap()).collect();
            if range.order == Order::Desc {
                some.reverse();
            }
            keys.append(&mut some);
            Ok(())
        };
        tree.walk(connection, index, range, visit).unwrap();
        keys
    }

    fn key(tree: Tree, n: u32) -> BaseKey {
        let id = |n: u32| InternalId(u128::from(n).to_be_bytes());
        match tree {
            Tree::Documents => BaseKey::new(&[], id(n)),
            // Many begin alike, and they are of several lengths.
            Tree::Entries => BaseKey::new(&b"an index of strings and numbers"[..(n % 7 * 4) as usize], id(n)),
        }
    }

    /// What is written at once to an index: numbers of keys, each with the length of a text, or to remove.
    type Step = (usize, Vec<(u32, Option<usize>)>);

    fn step() -> impl Strategy<Value = Step> {
        let len = prop_oneof![8 => 0..60_usize, 1 => 200..900_usize];
        let put = (0..400_u32, proptest::option::weighted(0.7, len.clone()));
        let some = vec(put, 1..60);
        let run = |what: Option<usize>| {
            (0..400_u32, 1..150_u32)
                .prop_map(move |(start, n)| (start..start + n).map(|n| (n, what)).collect::<Vec<_>>())
        };
        (0..INDEXES.len(), prop_oneof![4 => some, 1 => run(Some(20)), 1 => run(None)])
    }

    fn check_steps(tree: Tree, steps: Vec<Step>, bounds: Vec<(u32, u32, usize)>) {
        let connection = open();
        let mut model = [Rows::new(), Rows::new()];
        for (n_index, edits) in steps {
            let index = INDEXES[n_index];
            let json = |len| vec![b'x'; if tree == Tree::Documents { len } else { 0 }];
            let edits: BTreeMap<BaseKey, Option<Vec<u8>>> =
                edits.into_iter().map(|(n, len)| (key(tree, n), len.map(json))).collect();
            let texts = edits.values().map(|json| json.as_deref().map(text));
            let given: Vec<_> = edits.keys().cloned().zip(texts).map(|(key, text)| Edit { key, text }).collect();
            tree.apply(&connection, index, &given, SMALL).unwrap();
            for (key, json) in edits {
                match json {
                    Some(json) => drop(model[n_index].insert(key, json)),
                    None => drop(model[n_index].remove(&key)),
                }
            }
            for (index, rows) in INDEXES.iter().zip(&model) {
                assert_eq!(check(tree, &connection, *index), *rows);
            }
        }
        let mut kept = KeptBlocks::new(Room::new(2_000));
        for (index, rows) in INDEXES.iter().zip(&model) {
            for (start, end, limit) in &bounds {
                let (start, end) = (key(tree, *start), key(tree, *end));
                let mut expected: Vec<_> =
                    rows.range(start.clone()..).map(|(key, _)| key.clone()).take_while(|key| *key < end).collect();
                let range = |order, limit| BaseRange { start: start.to_vec(), end: Some(end.to_vec()), order, limit };
                let forward = walked(tree, &connection, *index, &range(Order::Asc, *limit));
                assert_eq!(forward, expected[..expected.len().min(*limit)]);
                // What is kept answers as the file does, or not at all.
                tree.found(&connection, *index, &start)
                    .unwrap()
                    .into_iter()
                    .for_each(|found| kept.add(found.into_kept()));
                assert!(kept.bytes_in_room() <= 2_000);
                for range in [range(Order::Asc, *limit), range(Order::Asc, 1)] {
                    let answer = kept.keys(*index, &range);
                    assert!(answer.is_none_or(|keys| keys == expected[..expected.len().min(range.limit)]));
                }
                expected.reverse();
                let back = walked(tree, &connection, *index, &range(Order::Desc, *limit));
                assert_eq!(back, expected[..expected.len().min(*limit)]);
            }
        }
        kept.clear();
        assert_eq!(kept.bytes_in_room(), 0);
        let n = tree.drop_some(&connection, INDEXES[0], usize::MAX).unwrap();
        assert_eq!(n, model[0].len());
        assert_eq!(check(tree, &connection, INDEXES[0]), Rows::new());
        assert_eq!(check(tree, &connection, INDEXES[1]), model[1], "the other index is as it was");
    }

    proptest! {
        #[test]
        fn documents_are_what_was_written(
            steps in vec(step(), 1..20), bounds in vec((0..400_u32, 0..420_u32, 0..90_usize), 1..10)
        ) {
            check_steps(Tree::Documents, steps, bounds);
        }

        #[test]
        fn entries_are_what_was_written(
            steps in vec(step(), 1..20), bounds in vec((0..400_u32, 0..420_u32, 0..90_usize), 1..10)
        ) {
            check_steps(Tree::Entries, steps, bounds);
        }
    }

    fn n_blocks(tree: Tree, connection: &Connection) -> usize {
        let table = if tree == Tree::Documents { "document_blocks" } else { "entry_blocks" };
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0)).unwrap() as usize
    }

    /// How much of the room in their blocks rows take that are written in some order, a few at a time.
    fn filled(order: impl Iterator<Item = u32>) -> f64 {
        let (connection, tree, index) = (open(), Tree::Documents, INDEXES[0]);
        let json = [b'x'; 30];
        let (mut n, mut bytes) = (0, 0);
        for number in order {
            let edit = Edit { key: key(tree, number), text: Some(text(&json)) };
            bytes += edit.key.len() + tree.beside_key(&text(&json)) + 2;
            tree.apply(&connection, index, &[edit], BlockSize { max: 1_000 }).unwrap();
            n += 1;
        }
        assert_eq!(n, 2_000);
        bytes as f64 / (n_blocks(tree, &connection) * 1_000) as f64
    }

    #[test]
    fn blocks_are_full_when_rows_come_in_order_and_not_half_empty_otherwise() {
        let (rising, mixed) = (filled(0..2_000), filled((0..2_000).map(|n| n * 1_237 % 2_000)));
        assert!(rising > 0.85 && mixed > 0.6, "{rising} and {mixed}");
    }

    #[test]
    fn the_rows_of_blocks_are_known_where_they_were_made_known() {
        let (connection, tree) = (open(), Tree::Documents);
        for index in INDEXES {
            let edits = (1..4_000).map(|n| Edit { key: key(tree, n * 3), text: Some(text(&[b'x'; 20])) });
            tree.apply(&connection, index, &edits.collect::<Vec<_>>(), SMALL).unwrap();
        }
        assert!(n_blocks(tree, &connection) > 600);
        let mut bytes = Vec::new();
        for (made_known, known_min) in
            [(vec![0], 0.1), (vec![0, 1, 2], 0.3), ((0..40).collect(), 1.0), ((0..40).rev().collect(), 1.0)]
        {
            let mut kept = KeptBlocks::new(Room::new(1 << 20));
            for n in &made_known {
                let from = key(tree, n * 12_000 / made_known.len() as u32);
                let known = kept.next_known(INDEXES[0], &from);
                let rows = tree.rows_from(&connection, INDEXES[0], &from, known).unwrap();
                kept.add(rows.expect("there are blocks"));
            }
            bytes.push(kept.bytes_in_room());
            let (mut n_known, mut n_most) = (0, 0);
            for n in 0..12_005 {
                let key = key(tree, n);
                let (mut blocks, mut expected) = (Vec::new(), Vec::new());
                if let Some(rows) = kept.rows_of(INDEXES[0], &key, 3) {
                    n_known += 1;
                    let n_rows = rows.clone().count();
                    assert!((1..=3).contains(&n_rows), "{n}: {rows:?}");
                    tree.visit_rows(&connection, INDEXES[0], rows, |block| {
                        blocks.push(block.keys.key(0));
                        Ok(ControlFlow::Continue(()))
                    })
                    .unwrap();
                    tree.visit(&connection, INDEXES[0], &key, |block| {
                        expected.push(block.keys.key(0));
                        let goes_on = expected.len() < n_rows;
                        Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                    })
                    .unwrap();
                    n_most = n_most.max(n_rows);
                }
                assert_eq!(blocks, expected, "{n}");
                assert_eq!(kept.rows_of(INDEXES[1], &key, 3), None, "of that index nothing is known");
            }
            assert!(f64::from(n_known) >= known_min * 12_000.0, "{n_known} of {made_known:?}");
            assert_eq!(n_most, 3, "blocks that were written one after the other are read in one go");
        }
        assert!(bytes[3] < bytes[2] / 2, "what is known behind is not kept once more: {bytes:?}");
    }

    #[test]
    fn blocks_that_were_emptied_go() {
        let (connection, tree, index) = (open(), Tree::Documents, INDEXES[0]);
        let edits = |numbers: &mut dyn Iterator<Item = u32>, text: Option<Text<'static>>| {
            numbers.map(|n| Edit { key: BaseKey::new(&[], InternalId(u128::from(n).to_be_bytes())), text }).collect()
        };
        let all: Vec<_> = edits(&mut (0..1_000), Some(text(&[b'x'; 20])));
        tree.apply(&connection, index, &all, SMALL).unwrap();
        let n_full = n_blocks(tree, &connection);
        for start in 0..1_000 {
            // All but each twentieth, in some order.
            let gone = start * 389 % 1_000;
            if gone % 20 > 0 {
                tree.apply(&connection, index, &edits(&mut (gone..=gone), None), SMALL).unwrap();
            }
        }
        assert_eq!(check(tree, &connection, index).len(), 50);
        let n_left = n_blocks(tree, &connection);
        assert!(n_left * 6 < n_full, "{n_left} of {n_full} blocks are left");
        tree.apply(&connection, index, &edits(&mut (0..1_000), None), SMALL).unwrap();
        assert_eq!(n_blocks(tree, &connection), 0);
    }
}
