//! The store in words and numbers, for people who look for the cause of something.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use syncline_schema::{BY_ID, KeyRange, TableNumber, describe_key};

use crate::commit::IndexId;
use crate::engine::Engine;
use crate::reads::ReadSet;

impl Engine {
    /// How many commits were made since the start.
    pub fn n_commits(&self) -> u64 {
        self.shared.n_commits.load(Ordering::Relaxed)
    }

    /// Bytes of the log since the last checkpoint.
    pub fn log_bytes(&self) -> u64 {
        self.shared.log_bytes.load(Ordering::Relaxed)
    }

    /// About the memory that documents and index entries take, bytes.
    pub fn data_bytes(&self) -> usize {
        self.shared.data_bytes()
    }

    /// How long the newest appends to the log took, nanoseconds, ascending.
    pub fn sync_durations_ns(&self) -> Vec<u64> {
        let syncs = self.shared.syncs_ns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut durations: Vec<u64> = syncs.iter().copied().collect();
        drop(syncs);
        durations.sort_unstable();
        durations
    }

    /// The name of a table, if there is one of that number.
    pub fn table_name(&self, number: TableNumber) -> Option<String> {
        let catalog = self.shared.catalog();
        catalog.numbered(number, self.committed()).map(|table| table.name.to_string())
    }

    /// The names of all tables.
    pub fn table_names(&self) -> Vec<String> {
        let committed = self.committed();
        let catalog = self.shared.catalog();
        catalog.iter().filter(|table| table.created() <= committed).map(|table| table.name.to_string()).collect()
    }

    /// The parts of a read set, at most `limit` of them: `messages.by_channel ["general" .. "general" ...)`.
    pub fn describe_reads(&self, reads: &ReadSet, limit: usize) -> Vec<String> {
        let name = |number| self.table_name(number).unwrap_or_else(|| format!("table {number}"));
        let documents = reads.documents().map(|id| format!("{} {id}", name(id.table)));
        let mut parts: Vec<String> = documents.take(limit).collect();
        reads.for_each_range(|index, range| {
            if parts.len() < limit {
                parts.push(self.describe_range(index, range));
            }
        });
        parts
    }

    fn describe_range(&self, index: IndexId, range: &KeyRange) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        match index {
            IndexId::TABLE_NAMES if range.start.is_empty() => return "the list of tables".to_owned(),
            IndexId::TABLE_NAMES => return format!("whether there is a table {}", text(&range.start)),
            IndexId::ENVIRONMENT_VARIABLES if range.start.is_empty() => return "all variables".to_owned(),
            IndexId::ENVIRONMENT_VARIABLES => return format!("the variable {}", text(&range.start)),
            _ => {}
        }
        let catalog = self.shared.catalog();
        let table = catalog.numbered(index.table, self.committed());
        let (table, name) = match table {
            Some(table) => (table.name.to_string(), table.index_name(index.index).to_owned()),
            None => (format!("table {}", index.table), format!("index {}", index.index)),
        };
        // The keys of `by_id` are the bytes of ids, not keys of values.
        let bound = |bytes: &[u8]| match &*name {
            BY_ID => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => describe_key(bytes),
        };
        match &range.end {
            None if range.start.is_empty() => format!("{table}.{name} (all)"),
            None => format!("{table}.{name} [{}, …)", bound(&range.start)),
            Some(end) => format!("{table}.{name} [{}, {})", bound(&range.start), bound(end)),
        }
    }
}
