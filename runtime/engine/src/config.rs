//! Every limit of the engine, with its unit, its default and where the number comes from.

use std::time::Duration;

/// What one transaction may use.
///
/// Source of all but the last: `tests/spec/data-and-functions.md` 4.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Documents read, a number; repeated and filtered-out ones count. Default 32,000.
    pub documents_read_max: u64,
    /// Bytes of documents read. Default 16 MiB.
    pub bytes_read_max: u64,
    /// Index intervals read, a number; overlapping ones are merged. Default 4,096.
    pub intervals_read_max: u64,
    /// Documents written, a number; the same document twice counts twice. Default 16,000.
    pub documents_written_max: u64,
    /// Bytes of documents written. Default 16 MiB.
    pub bytes_written_max: u64,
    /// Size of a document with its two system fields, bytes. Default 2^20. Source: data-and-functions 1.7.
    pub document_bytes_max: u64,
    /// Nesting of a document, itself counted, levels. Default 16. Source: data-and-functions 1.7.
    pub document_depth_max: u64,
    /// User tables, a number. Default 10,000. Source: data-and-functions 2.4.
    pub tables_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            documents_read_max: 32_000,
            bytes_read_max: 16 << 20,
            intervals_read_max: 4_096,
            documents_written_max: 16_000,
            bytes_written_max: 16 << 20,
            document_bytes_max: 1 << 20,
            document_depth_max: 16,
            tables_max: 10_000,
        }
    }
}

/// All limits of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// What one transaction may use.
    pub limits: Limits,
    /// How long a snapshot can be read. Default 20 s. Source: DESIGN 2; longer holds old versions and commits in memory.
    pub snapshot_age_max: Duration,
    /// How long an [`ExclusiveTurn`](crate::ExclusiveTurn) keeps others from committing. Default 1 s. Source: DESIGN 3.
    pub exclusive_turn_max: Duration,
    /// Snapshots held by [`Engine::pin`](crate::Engine::pin) at once, a number. Default 4,096. Source: ours; P7.
    pub pins_max: usize,
    /// Memory for data, bytes: documents and index entries, those that are in the log only included, what the storage
    /// caches, and an eighth for what allocators hold beyond that. Not counted: what running functions hold, commits that
    /// transactions still need, and the program itself. Default 1 GiB. Source: ours.
    pub memory_budget_bytes: usize,
    /// Commits kept for conflicts and subscriptions beyond what running transactions need, bytes. When those need
    /// more, the oldest transactions are ended early. Default 256 MiB. Source: ours; P7.
    pub recent_commits_bytes_max: usize,
    /// Commits that wait for the disk, bytes; more are refused. Default 256 MiB. Source: ours; P7.
    pub pending_bytes_max: usize,
    /// The log is moved to the base when it has grown by so many bytes, or by an eighth of the memory for documents if
    /// that is less. Default 128 MiB. Source: ours; longer means a slower start after a crash (about a second for so
    /// much), shorter that documents written often are moved more often.
    pub checkpoint_log_bytes: u64,
    /// Commits wait for the base when the log that it lacks has grown to so many bytes, or to a quarter of the memory
    /// for documents if that is less, but not below 1 MiB: until the base has it, all of it stays in memory and takes
    /// two to three times as much there. Default 256 MiB.
    /// Source: ours; P7.
    pub log_bytes_max: u64,
    /// Rows moved to the base in one transaction of the storage, a number. Default 512. Source: ours; commits wait
    /// for such a transaction, and this takes about as long as two syncs.
    pub checkpoint_rows_max: usize,
    /// How long the outcome of a request is kept. Default 14 days. Source: sync-protocol 4.6, S81.
    pub outcome_age_max: Duration,
    /// Outcomes of requests kept, bytes; the oldest go first. Default 4 GiB. Source: DESIGN 2.
    pub outcome_bytes_max: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            limits: Limits::default(),
            snapshot_age_max: Duration::from_secs(20),
            exclusive_turn_max: Duration::from_secs(1),
            pins_max: 4_096,
            memory_budget_bytes: 1 << 30,
            recent_commits_bytes_max: 256 << 20,
            pending_bytes_max: 256 << 20,
            checkpoint_log_bytes: 128 << 20,
            log_bytes_max: 256 << 20,
            checkpoint_rows_max: 512,
            outcome_age_max: Duration::from_secs(14 * 24 * 3600),
            outcome_bytes_max: 4 << 30,
        }
    }
}
