//! Entries of new indexes on their way from the documents to the base.
//!
//! They are written in the order of their keys: each page of the base is then written once for all of its entries. In the
//! order of the documents nearly every entry would rewrite a page of its own. So they are gathered and sorted, as many
//! as memory may hold. But where the keys rise with the documents, as those of times and numbers do, nothing has to be
//! held: some are written while the next are gathered.

use std::fmt;

use syncline_schema::{DocumentId, IndexDefinition, IndexedFields, TableNumber, Value, write_key};

use super::Work;
use crate::commit::IndexId;
use crate::document::Outline;
use crate::storage::{BaseKey, BaseRow, StorageError};

/// Index entries written in one transaction of the storage, a number: about a megabyte.
pub(super) const ENTRIES_AT_ONCE: usize = 16 * 1_024;

/// Of so many entries, one may be out of the order that the others rise in.
const STRAYS_ONE_OF: usize = 64;

/// An entry of an index.
pub(super) type NewEntry = (IndexId, BaseKey);

/// The entries of all new indexes of a table.
pub(super) struct NewEntries<'a> {
    table: TableNumber,
    fields: IndexedFields<'a>,
    of: Vec<Gathered>,
    /// About the memory they take.
    bytes: usize,
}

/// The entries of one index.
struct Gathered {
    index: IndexId,
    /// The newest, in the order of the documents.
    newest: Vec<BaseKey>,
    /// Those before, sorted.
    before: Vec<BaseKey>,
    /// Those that have to wait.
    waiting: Vec<BaseKey>,
}

impl<'a> NewEntries<'a> {
    /// None yet; `definitions` are those of the indexes to build.
    pub fn new(work: &Work<'_>, definitions: &'a [IndexDefinition]) -> Self {
        let table = work.table.number;
        let gathered = |index| Gathered { index, newest: Vec::new(), before: Vec::new(), waiting: Vec::new() };
        let of = work.build.iter().map(|index| gathered(IndexId { table, index: index.number })).collect();
        NewEntries { table, fields: IndexedFields::new(definitions), of, bytes: 0 }
    }

    /// About the memory they take, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the entries of some documents.
    pub fn gather(&mut self, rows: &[BaseRow]) -> Result<(), StorageError> {
        if self.of.is_empty() {
            return Ok(());
        }
        for BaseRow { key, json } in rows {
            let id = key.id();
            let corrupt = |what: &dyn fmt::Display| {
                let document = DocumentId { table: self.table, internal: id };
                StorageError::Corrupt { what: format!("document {document}: {what}") }
            };
            let known = json.as_ref().and_then(|json| Some((json, json.outline()?)));
            let (json, Outline { creation_time, head_len, .. }) =
                known.ok_or_else(|| corrupt(&"it has no creation time"))?;
            let mut of = self.of.iter_mut();
            let read = self.fields.read(json, head_len as usize, |key| {
                let Some(Gathered { newest, .. }) = of.next() else { return };
                write_key(Some(&Value::Float64(creation_time)), key);
                let key = BaseKey::new(key, id);
                self.bytes += bytes_of(&key);
                newest.push(key);
            });
            read.map_err(|error| corrupt(&error))?;
        }
        Ok(())
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.take_all();
    }

    /// Takes out what comes before the newest in the order of the keys, if that is most of what was gathered before
    /// them.
    pub fn take_due(&mut self) -> Vec<Vec<NewEntry>> {
        let mut all = Vec::new();
        for gathered in &mut self.of {
            let due = gathered.take_due();
            self.bytes -= due.iter().map(bytes_of).sum::<usize>();
            if !due.is_empty() {
                all.push(gathered.entries(due.into_iter()));
            }
        }
        all
    }

    /// Takes out all, as it is to be written.
    pub fn take_all(&mut self) -> Vec<Vec<NewEntry>> {
        self.bytes = 0;
        let mut all = Vec::new();
        for gathered in &mut self.of {
            let mut keys = gathered.take_all().into_iter();
            while keys.len() > 0 {
                all.push(gathered.entries(keys.by_ref().take(ENTRIES_AT_ONCE)));
            }
        }
        all
    }
}

fn bytes_of(key: &BaseKey) -> usize {
    size_of::<NewEntry>() + key.len()
}

impl Gathered {
    fn entries(&self, keys: impl Iterator<Item = BaseKey>) -> Vec<NewEntry> {
        keys.map(|key| (self.index, key)).collect()
    }

    fn take_due(&mut self) -> Vec<BaseKey> {
        sort(&mut self.newest);
        let newest = std::mem::take(&mut self.newest);
        let mut before = std::mem::replace(&mut self.before, newest);
        let n_lower = match self.before.get(self.before.len() / STRAYS_ONE_OF) {
            Some(low) => before.partition_point(|key| key < low),
            None => before.len(),
        };
        if n_lower < before.len() / 2 {
            self.waiting.append(&mut before);
            return before;
        }
        self.waiting.extend(before.drain(n_lower..));
        before
    }

    fn take_all(&mut self) -> Vec<BaseKey> {
        let mut all = std::mem::take(&mut self.waiting);
        all.append(&mut self.before);
        all.append(&mut self.newest);
        sort(&mut all);
        all
    }
}

/// Stable: quick where the order of the documents is nearly that of the keys.
fn sort(keys: &mut [BaseKey]) {
    keys.sort();
}

#[cfg(test)]
mod tests {
    use syncline_schema::InternalId;

    use super::*;

    const INDEX: IndexId = IndexId { table: TableNumber(10_001), index: 2 };

    fn gathered() -> Gathered {
        Gathered { index: INDEX, newest: Vec::new(), before: Vec::new(), waiting: Vec::new() }
    }

    fn add(gathered: &mut Gathered, keys: impl IntoIterator<Item = u32>) {
        gathered.newest.extend(keys.into_iter().map(key_of));
    }

    fn key_of(n: u32) -> BaseKey {
        BaseKey::new(&n.to_be_bytes(), InternalId([0; 16]))
    }

    fn keys(keys: Vec<BaseKey>) -> Vec<u32> {
        keys.iter().map(|key| u32::from_be_bytes(*key.head().first_chunk().unwrap())).collect()
    }

    #[test]
    fn rising_keys_are_due_as_soon_as_the_next_ones_are_there() {
        let mut gathered = gathered();
        add(&mut gathered, (0..100).chain([5_000]));
        assert_eq!(keys(gathered.take_due()), Vec::<u32>::new());
        add(&mut gathered, (100..200).chain([3]));
        assert_eq!(keys(gathered.take_due()), Vec::from_iter(0..100), "all but the one that is far above");
        add(&mut gathered, 200..300);
        assert_eq!(keys(gathered.take_due()), Vec::from_iter([3].into_iter().chain(100..200)));
        assert_eq!(keys(gathered.take_all()), Vec::from_iter((200..300).chain([5_000])));
        assert_eq!(keys(gathered.take_all()), Vec::<u32>::new());
    }

    #[test]
    fn keys_in_any_other_order_are_sorted_together() {
        let mut gathered = gathered();
        for n in (0..10).rev() {
            add(&mut gathered, (n * 100..(n + 1) * 100).rev());
            assert_eq!(keys(gathered.take_due()), Vec::<u32>::new());
        }
        assert_eq!(keys(gathered.take_all()), Vec::from_iter(0..1_000));
        for n in 0..10 {
            add(&mut gathered, (0..100).map(|k| 10 * k + n));
            assert_eq!(keys(gathered.take_due()), Vec::<u32>::new());
        }
        assert_eq!(keys(gathered.take_all()), Vec::from_iter(0..1_000));
    }
}
