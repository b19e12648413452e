//! What a transaction has written: the newest version of each document, with what nested transactions may undo.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_schema::DocumentId;

use crate::catalog::Table;
use crate::commit::IndexId;
use crate::memory::{Place, Stored};

/// Above this many documents they are searched by trees. Most transactions write a handful.
const LINEAR_MAX: usize = 16;

/// A written document.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// Which.
    pub id: DocumentId,
    /// Its table.
    pub table: Arc<Table>,
    /// Where memory had it.
    pub place: Place,
    /// As the snapshot has it; its keys are known.
    pub old: Option<Stored>,
    /// As it will be; its keys are known.
    pub new: Option<Stored>,
}

impl Write {
    /// Whether anything is different in the end.
    pub fn changes(&self) -> bool {
        match (&self.old, &self.new) {
            (None, None) => false,
            (Some(old), Some(new)) => !old.json.is_same(&new.json) && old.json != new.json,
            _ => true,
        }
    }

    fn key(&self, index: u32) -> Option<&[u8]> {
        let new = self.new.as_ref()?;
        if index == IndexId::BY_ID {
            return Some(&self.id.internal.0);
        }
        new.keys.as_ref()?.iter().find(|(number, _)| *number == index).map(|(_, key)| &**key)
    }
}

/// The state of a document before a nested transaction wrote it.
#[derive(Debug)]
struct Saved {
    position: usize,
    new: Option<Stored>,
}

/// Documents in the order in which they were first written.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    list: Vec<Write>,
    /// Positions in `list`, once there are many.
    by_id: BTreeMap<DocumentId, usize>,
    /// Positions of the present ones by key, once there are many.
    by_key: BTreeMap<(IndexId, Arc<[u8]>), usize>,
    saved: Vec<Saved>,
    /// Length of `saved` when each open nested transaction began.
    marks: Vec<usize>,
}

impl Writes {
    fn position(&self, id: &DocumentId) -> Option<usize> {
        if self.list.len() <= LINEAR_MAX {
            self.list.iter().position(|write| write.id == *id)
        } else {
            self.by_id.get(id).copied()
        }
    }

    /// One by its place among [all](Writes::iter).
    pub fn at(&self, position: usize) -> &Write {
        &self.list[position]
    }

    /// The same, to be changed.
    pub fn at_mut(&mut self, position: usize) -> &mut Write {
        &mut self.list[position]
    }

    /// A document, if it was written.
    pub fn get(&self, id: &DocumentId) -> Option<&Write> {
        self.position(id).map(|position| &self.list[position])
    }

    /// All, in the order in which they were first written; some may not [change](Write::changes) anything.
    pub fn iter(&self) -> impl Iterator<Item = &Write> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Writes a document. `old` is looked at only when it is the first time.
    pub fn put(
        &mut self,
        id: DocumentId,
        (table, place): (&Arc<Table>, Place),
        old: Option<Stored>,
        new: Option<Stored>,
    ) {
        match self.position(&id) {
            Some(position) => {
                self.unlist_keys(position);
                let before = std::mem::replace(&mut self.list[position].new, new);
                self.save(position, || before);
                self.list_keys(position);
            }
            None => {
                let position = self.list.len();
                if position == 0 {
                    // Most transactions write one or two.
                    self.list.reserve_exact(2);
                }
                self.save(position, || old.clone());
                self.list.push(Write { id, table: table.clone(), place, old, new });
                if self.list.len() == LINEAR_MAX + 1 {
                    (0..self.list.len()).for_each(|position| self.list_keys(position));
                    self.by_id = self.list.iter().enumerate().map(|(position, write)| (write.id, position)).collect();
                } else if self.list.len() > LINEAR_MAX {
                    self.by_id.insert(id, position);
                    self.list_keys(position);
                }
            }
        }
    }

    /// Remembers what a document was, if that may have to be undone.
    fn save(&mut self, position: usize, new: impl FnOnce() -> Option<Stored>) {
        if !self.marks.is_empty() {
            self.saved.push(Saved { position, new: new() });
        }
    }

    fn keys_of(write: &Write) -> impl Iterator<Item = (IndexId, Arc<[u8]>)> + use<'_> {
        let table = write.id.table;
        let by_id = write.new.iter().map(|_| (IndexId::BY_ID, Arc::from(write.id.internal.0)));
        let others =
            write.new.as_ref().and_then(|new| new.keys.as_ref()).into_iter().flat_map(|keys| keys.iter().cloned());
        by_id.chain(others).map(move |(index, key)| (IndexId { table, index }, key))
    }

    fn list_keys(&mut self, position: usize) {
        if self.list.len() > LINEAR_MAX {
            self.by_key.extend(Self::keys_of(&self.list[position]).map(|key| (key, position)));
        }
    }

    fn unlist_keys(&mut self, position: usize) {
        if self.list.len() > LINEAR_MAX {
            for key in Self::keys_of(&self.list[position]) {
                self.by_key.remove(&key);
            }
        }
    }

    /// Present documents whose key in an index is in an interval, in key order.
    pub fn in_range(&self, index: IndexId, start: &[u8], end: Option<&[u8]>) -> Vec<(Arc<[u8]>, &Write)> {
        if self.list.len() > LINEAR_MAX {
            let from = (index, Arc::from(start));
            let in_range = self
                .by_key
                .range(from..)
                .take_while(|((other, key), _)| *other == index && end.is_none_or(|end| **key < *end));
            return in_range.map(|((_, key), position)| (key.clone(), &self.list[*position])).collect();
        }
        let mut found: Vec<(Arc<[u8]>, &Write)> = Vec::new();
        for write in self.list.iter().filter(|write| write.id.table == index.table) {
            if let Some(key) = write.key(index.index)
                && *start <= *key
                && end.is_none_or(|end| *key < *end)
            {
                found.push((key.into(), write));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// Opens a nested transaction.
    pub fn begin_nested(&mut self) {
        self.marks.push(self.saved.len());
    }

    /// Closes the innermost nested transaction; its writes stay.
    pub fn keep_nested(&mut self) {
        self.marks.pop();
        if self.marks.is_empty() {
            self.saved.clear();
        }
    }

    /// Closes the innermost nested transaction; its writes are undone.
    pub fn undo_nested(&mut self) {
        let mark = self.marks.pop().unwrap_or(0);
        while self.saved.len() > mark {
            if let Some(Saved { position, new }) = self.saved.pop() {
                self.unlist_keys(position);
                self.list[position].new = new;
                self.list_keys(position);
            }
        }
    }
}
