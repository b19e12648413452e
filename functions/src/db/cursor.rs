//! Cursors: a position in an index, and a fingerprint of the query that it belongs to.
//!
//! `base64url( version, fingerprint (8), kind, index key, check (4) )`. It carries no secret: a forged one can do no
//! more than begin at another place of the same range, since the range is not read from it. The check refuses what
//! was damaged on the way.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::query::Plan;
use crate::error::{Error, Result};
use crate::tx::{DbError, Order};

/// The form of cursors; another one cannot be read.
const VERSION: u8 = 1;

const KIND_KEY: u8 = 0;
const KIND_END: u8 = 1;

/// Version, fingerprint and kind.
const HEAD_LEN: usize = 1 + 8 + 1;

/// The check at the end.
const CHECK_LEN: usize = 4;

/// What a `ConvexError` for a bad cursor carries; clients look for it and begin anew.
const INVALID_CURSOR_DATA: &str = r#"{"isConvexSystemError":true,"paginationError":"InvalidCursor"}"#;

/// A position in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Behind the document with this index key.
    Behind(Vec<u8>),
    /// Behind all documents, those included that are yet to come.
    End,
}

/// A query, as far as its cursors must not be mixed up with those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// Of what is read. The code of filters cannot be compared: where they are written stands for it.
    pub(super) fn of(plan: &Plan, filters: &[Cow<'static, str>]) -> Self {
        let mut hash = Hash::default();
        hash.text(&plan.table);
        hash.text(&plan.index);
        hash.text(match plan.order {
            Order::Asc => "asc",
            Order::Desc => "desc",
        });
        for part in &plan.range {
            hash.text(part.op.symbol());
            hash.text(&part.field.to_string());
            hash.text(&part.value.as_ref().map_or_else(String::new, |value| value.to_json()));
        }
        hash.text("filters");
        for filter in filters {
            hash.text(filter);
        }
        Fingerprint(hash.0)
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every build.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// With its length, so that no two lists of texts look the same.
    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK_LEN] {
    let mut hash = Hash::default();
    hash.bytes(bytes);
    // Both halves, so that no bit of the hash is lost.
    ((hash.0 >> 32) as u32 ^ hash.0 as u32).to_le_bytes()
}

/// The text of a position.
pub(super) fn write(position: &Position, fingerprint: Fingerprint) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(fingerprint.0.to_le_bytes());
    match position {
        Position::Behind(key) => {
            bytes.push(KIND_KEY);
            bytes.extend(key);
        }
        Position::End => bytes.push(KIND_END),
    }
    bytes.extend(check(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in a text that [`write`] wrote for the same query.
pub(super) fn read(text: &str, fingerprint: Fingerprint) -> Result<Position> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unreadable())?;
    if bytes.len() < HEAD_LEN + CHECK_LEN {
        return Err(unreadable());
    }
    let (bytes, found) = bytes.split_at(bytes.len() - CHECK_LEN);
    if found != check(bytes) || bytes[0] != VERSION {
        return Err(unreadable());
    }
    if bytes[1..9] != fingerprint.0.to_le_bytes() {
        return Err(invalid(
            "this cursor was made by a query of another table, index, range, order or filter; begin again with the \
             first page",
        ));
    }
    match (bytes[9], &bytes[HEAD_LEN..]) {
        (KIND_KEY, key) => Ok(Position::Behind(key.to_vec())),
        (KIND_END, []) => Ok(Position::End),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> Error {
    invalid("this text is no cursor of this server; begin again with the first page")
}

fn invalid(text: &str) -> Error {
    let refusal = DbError::Refused {
        code: "InvalidCursor",
        message: format!("InvalidCursor: {text}"),
        data: Some(INVALID_CURSOR_DATA.to_owned()),
    };
    refusal.into()
}
