//! Keys of ordered maps, with their first bytes beside the pointer.
//!
//! A search in a large map compares some twenty keys. When each lies behind a pointer of its own, that is twenty
//! cache misses; the first 16 bytes, kept in the map's node, decide nearly all of them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

const PREFIX_BYTES: usize = 16;

/// A key of an index. Cheap to clone; orders as its bytes do.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    prefix: u128,
    bytes: Arc<[u8]>,
}

/// Looks like a [`Key`], owned or not: what maps are searched with.
pub(crate) trait KeyLike {
    /// The first bytes, big-endian, filled up with zeros.
    fn prefix(&self) -> u128;
    /// All bytes.
    fn bytes(&self) -> &[u8];
}

/// Borrowed bytes to search with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe<'a> {
    prefix: u128,
    bytes: &'a [u8],
}

impl Key {
    pub fn new(bytes: Arc<[u8]>) -> Self {
        Key { prefix: prefix(&bytes), bytes }
    }

    /// The least of all keys: none.
    pub fn least() -> Self {
        Key::new(Arc::default())
    }

    pub fn shared(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The first 8 bytes as a number that sorts as they do, filled up with zeros.
    pub fn head(&self) -> u64 {
        (self.prefix >> 64) as u64
    }
}

impl<'a> Probe<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Probe { prefix: prefix(bytes), bytes }
    }
}

fn prefix(bytes: &[u8]) -> u128 {
    if let Some(first) = bytes.first_chunk::<PREFIX_BYTES>() {
        return u128::from_be_bytes(*first);
    }
    let mut first = [0; PREFIX_BYTES];
    first[..bytes.len()].copy_from_slice(bytes);
    u128::from_be_bytes(first)
}

impl KeyLike for Key {
    fn prefix(&self) -> u128 {
        self.prefix
    }
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl KeyLike for Probe<'_> {
    fn prefix(&self) -> u128 {
        self.prefix
    }
    fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.prefix == other.prefix && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.bytes.cmp(&other.bytes))
    }
}

impl PartialEq for dyn KeyLike + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for dyn KeyLike + '_ {}

impl PartialOrd for dyn KeyLike + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn KeyLike + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        // Equal prefixes say nothing about lengths (they are filled up with zeros): then all bytes decide.
        self.prefix().cmp(&other.prefix()).then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl<'a> Borrow<dyn KeyLike + 'a> for Key {
    fn borrow(&self) -> &(dyn KeyLike + 'a) {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_their_bytes() {
        let long = [7u8; 40];
        let mut longer = long.to_vec();
        longer.push(0);
        let bytes: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"a\0\0b", &long[..16], &long[..17], &longer];
        for a in bytes {
            for b in bytes {
                let (ka, kb) = (Key::new(a.into()), Key::new(b.into()));
                assert_eq!(ka.cmp(&kb), a.cmp(b), "{a:?} {b:?}");
                let (pa, pb): (&dyn KeyLike, &dyn KeyLike) = (&Probe::new(a), &Probe::new(b));
                assert_eq!(pa.cmp(pb), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }
}
