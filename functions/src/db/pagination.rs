//! What a client asks of a page, and what it gets. Source: `tests/spec/data-and-functions.md` 5.1.

use syncline_macros::Object;
use syncline_schema::Nullable;

use crate::error::{Error, Result};
use crate::limits::PAGE_ITEMS_MAX;

/// Which page a client asks for: the argument `paginationOpts`.
#[derive(Clone, Debug, Default, PartialEq, Object)]
pub struct PaginationOptions {
    /// How many documents the page should have: from 1 to 32,000.
    pub num_items: f64,
    /// Where the page before ended; null for the first page.
    pub cursor: Nullable<String>,
    /// Where this page ends; then it has all documents up to there, however many.
    pub end_cursor: Option<Nullable<String>>,
    /// Stop after so many documents were read.
    pub maximum_rows_read: Option<f64>,
    /// Stop after so many bytes were read.
    pub maximum_bytes_read: Option<f64>,
    /// Clients change it to get a new result; it means nothing here.
    pub id: Option<f64>,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Object)]
pub struct PaginationResult<T> {
    /// The documents.
    pub page: Vec<T>,
    /// Whether the end of the range was reached.
    pub is_done: bool,
    /// Where the next page begins.
    pub continue_cursor: String,
    /// Where to divide this page when it has grown too large.
    pub split_cursor: Nullable<String>,
    /// Whether it has grown too large.
    pub page_status: Nullable<PageStatus>,
}

/// Whether a page has grown too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Object)]
#[object(rename_all = "PascalCase")]
pub enum PageStatus {
    /// It is close to a limit: divide it.
    SplitRecommended,
    /// A limit cut it short: divide it before showing what follows.
    SplitRequired,
}

impl PaginationOptions {
    /// The first page, of `num_items` documents.
    pub fn first(num_items: usize) -> Self {
        PaginationOptions { num_items: num_items as f64, ..Self::default() }
    }

    /// The page after one that ended at `cursor`.
    pub fn after(num_items: usize, cursor: impl Into<String>) -> Self {
        PaginationOptions { cursor: Nullable::Some(cursor.into()), ..Self::first(num_items) }
    }

    /// Checks the numbers.
    pub(super) fn bounds(&self) -> Result<Bounds> {
        let items = self.num_items;
        if items.is_nan() || items < 1.0 {
            let text = format!("`numItems` is {items}; a page has at least 1 document");
            return Err(Error::refused("NoDocumentsForPagination", text));
        }
        if items > PAGE_ITEMS_MAX as f64 {
            let text = format!("`numItems` is {items}; a page has at most {PAGE_ITEMS_MAX} documents");
            return Err(Error::refused("PageSizeTooLarge", text));
        }
        Ok(Bounds {
            items: items as usize,
            rows: limit("maximumRowsRead", self.maximum_rows_read)?.map(|rows| rows as usize),
            bytes: limit("maximumBytesRead", self.maximum_bytes_read)?,
        })
    }

    /// The end that the client asks for.
    pub(super) fn end(&self) -> Option<&str> {
        self.end_cursor.as_ref()?.as_option().map(String::as_str)
    }
}

/// The numbers of [`PaginationOptions`], checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) items: usize,
    pub(super) rows: Option<usize>,
    pub(super) bytes: Option<u64>,
}

fn limit(option: &str, given: Option<f64>) -> Result<Option<u64>> {
    match given {
        None => Ok(None),
        // Casting saturates: infinity is no limit at all.
        Some(limit) if limit >= 1.0 => Ok(Some(limit as u64)),
        Some(limit) => {
            let text = format!("`{option}` is {limit}; 1 is the least");
            Err(Error::refused("InvalidPaginationLimit", text))
        }
    }
}

impl<T> PaginationResult<T> {
    /// The same page of something made from its documents.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> PaginationResult<U> {
        PaginationResult {
            page: self.page.into_iter().map(make).collect(),
            is_done: self.is_done,
            continue_cursor: self.continue_cursor,
            split_cursor: self.split_cursor,
            page_status: self.page_status,
        }
    }
}
