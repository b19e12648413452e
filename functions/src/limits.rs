//! The limits of functions, and of what a transaction uses where its engine names no others.
//!
//! Source of all: `tests/spec/data-and-functions.md` 1.7, 4.2, 4.5, 5.1 and 7.5.

/// Most documents that a transaction reads.
pub const DOCUMENTS_READ_MAX: u64 = 32_000;

/// Most bytes of documents that a transaction reads.
pub const BYTES_READ_MAX: u64 = 16 << 20;

/// Most index intervals that a transaction reads.
pub const INTERVALS_READ_MAX: u64 = 4_096;

/// Most documents that a transaction writes; the same one twice counts twice.
pub const DOCUMENTS_WRITTEN_MAX: u64 = 16_000;

/// Most bytes of documents that a transaction writes.
pub const BYTES_WRITTEN_MAX: u64 = 16 << 20;

/// Most bytes of a document, `_id` and `_creationTime` included.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Most bytes of the arguments of a function, as the size of an array that holds them.
pub const ARGUMENTS_BYTES_MAX: usize = 16 << 20;

/// Most bytes of the result of a function.
pub const RESULT_BYTES_MAX: usize = 16 << 20;

/// Most filters and orders of a query.
pub const QUERY_OPERATORS_MAX: usize = 256;

/// Most documents that a page may ask for.
pub const PAGE_ITEMS_MAX: u64 = 32_000;

/// A page with more documents than this should be split.
pub const PAGE_ITEMS_UNSPLIT_MAX: usize = 6_144;

/// Most log lines of a run; one more tells that the rest was dropped.
pub const LOG_LINES_MAX: usize = 256;

/// Most bytes of a log line.
pub const LOG_LINE_BYTES_MAX: usize = 32_768;

/// Most bytes of the text of an error; the rest is cut.
pub const ERROR_TEXT_BYTES_MAX: usize = 64 << 10;

/// How deep functions may call functions in one transaction.
pub const CALL_DEPTH_MAX: usize = 8;
