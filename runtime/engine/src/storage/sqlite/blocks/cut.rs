//! Where rows are cut into blocks.

use rusqlite::Connection;

use super::Tree;
use super::block::Row;
use super::keys::{Common, shared_len};

/// Bytes of a page that a block cannot have: what SQLite keeps beside a row in it, and the row's own head.
const PAGE_OVERHEAD: usize = 64;

/// How large blocks are, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct BlockSize {
    /// What a page holds: of anything more, SQLite would keep a part in pages of its own. A row that is larger is a block.
    pub max: usize,
}

impl BlockSize {
    /// Of a file: what its pages hold.
    pub fn of_file(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(BlockSize { max: (page as usize).saturating_sub(PAGE_OVERHEAD) })
    }

    /// How much a block is filled at first: rows that grow a little later find room.
    pub fn filled(self) -> usize {
        self.max - self.max / 16
    }

    /// A block that has shrunk below this is joined with another one, if they fit together.
    pub fn small(self) -> usize {
        self.max / 4
    }
}

/// How large a block of some rows is.
#[derive(Clone, Copy, Debug)]
pub struct Size<'a> {
    tree: Tree,
    keys: Common<'a>,
    /// Bytes of everything else.
    beside: usize,
}

impl<'a> Size<'a> {
    /// Of no rows.
    fn new(tree: Tree) -> Self {
        Size { tree, keys: Common::default(), beside: 1 }
    }

    pub fn of(tree: Tree, rows: &'a [Row<'_>]) -> Self {
        rows.iter().fold(Size::new(tree), Size::with)
    }

    /// With one more row behind the others.
    fn with(self, row: &'a Row<'_>) -> Self {
        let beside = self.beside + self.tree.beside_key(&row.text);
        Size { keys: self.keys.with(&row.key), beside, ..self }
    }

    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.beside
    }
}

/// What rows are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Full blocks and a rest: for rows that come in their order, of which the next will be behind these.
    Full,
    /// As few as needed, all about as large: wherever the next row comes, there is room.
    Even,
}

/// The shortest bytes that are above one key and not above the next.
pub fn separator<'a>(below: &[u8], key: &'a [u8]) -> &'a [u8] {
    &key[..key.len().min(shared_len(below, key) + 1)]
}

/// Cuts rows into blocks: where each ends. `place` is the number of bytes that stand before a block's separator, and
/// `first` that of the separator of the first.
pub fn cut(tree: Tree, rows: &[Row<'_>], parts: Parts, size: BlockSize, (place, first): (usize, usize)) -> Vec<usize> {
    let whole = Size::of(tree, rows).bytes();
    let room = |separator: usize| size.max.saturating_sub(place + separator);
    if rows.is_empty() || whole <= room(first) {
        return vec![rows.len()];
    }
    let target = match parts {
        Parts::Full => size.filled(),
        Parts::Even => whole / whole.div_ceil(size.filled()),
    };
    let (mut ends, mut current, mut max) = (Vec::new(), Size::new(tree), room(first));
    for (n, row) in rows.iter().enumerate() {
        let with = current.with(row);
        if current.keys.n() > 0 && (with.bytes() > max || current.bytes() >= target) {
            ends.push(n);
            max = room(separator(&rows[n - 1].key, &row.key).len());
            current = Size::new(tree).with(row);
        } else {
            current = with;
        }
    }
    ends.push(rows.len());
    ends
}
