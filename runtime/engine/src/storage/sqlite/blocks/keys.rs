//! The sorted keys of a block, each with a few bytes that belong to it. Pure.
//!
//! ```text
//! keys = sum (4)  n (2)  length of the prefix (2)  prefix  end (2) * (n - 1)  suffix * n  what belongs to it * n
//! ```
//!
//! Numbers are little-endian. Each key is the prefix and its suffix. Ends count from where the suffixes begin; the last
//! one ends where the next part begins. The sum is of all that follows it and of where the block belongs.
//!
//! So a key is found by bisection among the bytes as they are read, and what many keys begin with is there once. A key
//! that is alone has no prefix: it may be of any length, while several take less than a page.

use std::cmp::Ordering;
use std::ops::{Deref, Range};

use crate::storage::BaseKey;

const HEAD: usize = 8;
const END: usize = 2;

/// Bytes that `n` keys take, of which all begin with the same `prefix` bytes and which have `total` together.
pub fn encoded_len(n: usize, prefix: usize, total: usize) -> usize {
    HEAD + prefix + END * n.saturating_sub(1) + total - n * prefix
}

/// How many bytes two keys both begin with.
pub fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Encodes rising keys, at least one. `belonging` has as many bytes for each of them, one after the other.
pub fn encode<'a>(
    keys: impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone,
    belonging: &[u8],
    place: &[u8],
) -> Vec<u8> {
    let short = |len: usize| u16::try_from(len).expect("several keys take less than a page").to_le_bytes();
    let (n, total) = (keys.len(), keys.clone().map(<[u8]>::len).sum());
    let (first, last) = (keys.clone().next().unwrap_or_default(), keys.clone().next_back().unwrap_or_default());
    let prefix = if n == 1 { 0 } else { shared_len(first, last) };
    let mut bytes = Vec::with_capacity(encoded_len(n, prefix, total) + belonging.len());
    bytes.extend_from_slice(&[0; size_of::<u32>()]);
    bytes.extend_from_slice(&short(n));
    bytes.extend_from_slice(&short(prefix));
    bytes.extend_from_slice(&first[..prefix]);
    let mut end = 0;
    for key in keys.clone().take(n - 1) {
        end += key.len() - prefix;
        bytes.extend_from_slice(&short(end));
    }
    keys.for_each(|key| bytes.extend_from_slice(&key[prefix..]));
    bytes.extend_from_slice(belonging);
    let sum = sum(&bytes, place);
    bytes[..sum.len()].copy_from_slice(&sum);
    bytes
}

fn sum(bytes: &[u8], place: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(place);
    hasher.update(&bytes[size_of::<u32>()..]);
    hasher.finalize().to_le_bytes()
}

/// How many keys there are, if they are as they were written.
pub fn count(bytes: &[u8]) -> usize {
    bytes.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |n| u16::from_le_bytes(*n).into())
}

/// The keys of a block.
#[derive(Debug)]
pub struct Keys<B> {
    bytes: B,
    n: usize,
    prefix_end: usize,
    suffixes: Range<usize>,
}

impl<B: Deref<Target = [u8]>> Keys<B> {
    /// Reads what [`encode`] wrote for this place, with so many bytes that belong to each key; `None` when it is not that.
    pub fn decode(bytes: B, belonging: usize, place: &[u8]) -> Option<Self> {
        if bytes.len() < HEAD || bytes[..4] != sum(&bytes, place) {
            return None;
        }
        let n = count(&bytes);
        let prefix_end = HEAD + usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
        let suffixes = prefix_end + END * n.checked_sub(1)?..bytes.len().checked_sub(belonging * n)?;
        let keys = Keys { bytes, n, prefix_end, suffixes };
        let ends = keys.bytes.get(keys.prefix_end..keys.suffixes.start)?.as_chunks::<END>().0;
        let are_rising = ends.is_sorted_by_key(|end| u16::from_le_bytes(*end));
        let last = ends.last().map_or(0, |end| u16::from_le_bytes(*end).into());
        (are_rising && last <= keys.suffixes.end.checked_sub(keys.suffixes.start)?).then_some(keys)
    }

    /// How many.
    pub fn n(&self) -> usize {
        self.n
    }

    /// What all begin with.
    fn prefix(&self) -> &[u8] {
        &self.bytes[HEAD..self.prefix_end]
    }

    /// What follows that in one of them.
    fn suffix(&self, n: usize) -> &[u8] {
        let start = if n == 0 { self.suffixes.start } else { self.end(n - 1) };
        &self.bytes[start..self.end(n)]
    }

    fn end(&self, n: usize) -> usize {
        if n + 1 == self.n {
            return self.suffixes.end;
        }
        let at = self.prefix_end + END * n;
        self.suffixes.start + usize::from(u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]))
    }

    /// One of them; `None` when it does not end with an id.
    pub fn key(&self, n: usize) -> Option<BaseKey> {
        BaseKey::from_parts(self.prefix(), self.suffix(n))
    }

    /// What belongs to one.
    pub fn belonging(&self, n: usize) -> &[u8] {
        let each = (self.bytes.len() - self.suffixes.end) / self.n;
        &self.bytes[self.suffixes.end + n * each..][..each]
    }

    /// How many are below a key, or a bound of some.
    pub fn n_below(&self, key: &[u8]) -> usize {
        self.search(key).unwrap_or_else(|n| n)
    }

    /// Where a key is; else how many are below it.
    pub fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let prefix = self.prefix();
        let (begin, rest) = key.split_at(key.len().min(prefix.len()));
        match begin.cmp(prefix) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(self.n),
            Ordering::Equal => {}
        }
        let (mut low, mut high) = (0, self.n);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.suffix(middle).cmp(rest) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    const PLACE: &[u8] = b"here";

    fn encoded(keys: &BTreeSet<Vec<u8>>, belonging: &[u8]) -> Vec<u8> {
        let keys: Vec<_> = keys.iter().map(|key| &key[..]).collect();
        encode(keys.iter().copied(), belonging, PLACE)
    }

    /// Keys of which many begin alike, and end with sixteen bytes.
    fn keys() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
        let key = (vec(0..2_u8, 0..12), any::<u8>()).prop_map(|(begin, end)| [&begin[..], &[end; 16]].concat());
        (btree_set(key, 1..40), vec(any::<u8>(), 0..40))
            .prop_map(|(keys, shared)| keys.into_iter().map(|key| [&shared[..], &key].concat()).collect())
    }

    proptest! {
        #[test]
        fn keys_are_found_and_given_back(keys in keys(), probe in vec(0..3_u8, 0..50)) {
            let belonging: Vec<u8> = (0..keys.len()).flat_map(|n| [n as u8, 7]).collect();
            let found = Keys::decode(encoded(&keys, &belonging), 2, PLACE).unwrap();
            prop_assert_eq!(found.n(), keys.len());
            for (n, key) in keys.iter().enumerate() {
                prop_assert_eq!(&*found.key(n).unwrap(), &key[..]);
                prop_assert_eq!(found.belonging(n), [n as u8, 7]);
                prop_assert_eq!(found.search(key), Ok(n));
                let probe = [&key[..key.len().min(probe.len())], &probe].concat();
                prop_assert_eq!(found.n_below(&probe), keys.range(..probe).count());
            }
            prop_assert_eq!(found.n_below(&probe), keys.range(..probe).count());
        }

        #[test]
        fn what_was_not_written_is_refused(keys in keys(), at in any::<proptest::sample::Index>(), bit in 0..8) {
            let mut bytes = encoded(&keys, &[]);
            prop_assert!(Keys::decode(&bytes[..], 0, b"there").is_none(), "it belongs elsewhere");
            let at = at.index(bytes.len());
            prop_assert!(Keys::decode(&bytes[..at], 0, PLACE).is_none(), "the rest is missing");
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(Keys::decode(bytes, 0, PLACE).is_none(), "a bit has changed");
        }

        /// Also where the sum is right.
        #[test]
        fn no_bytes_upset_it(mut bytes in vec(prop_oneof![0..4_u8, any::<u8>()], 0..80), each in 0..3_usize) {
            if bytes.len() >= HEAD {
                let sum = sum(&bytes, PLACE);
                bytes[..4].copy_from_slice(&sum);
            }
            let Some(keys) = Keys::decode(bytes, each, PLACE) else { return Ok(()) };
            for n in 0..keys.n() {
                let _ = (keys.key(n), keys.belonging(n));
                let _ = keys.search(keys.suffix(n));
            }
        }
    }

    #[test]
    fn one_key_may_be_of_any_length() {
        let key = vec![7; 100_000];
        let found = Keys::decode(encoded(&BTreeSet::from([key.clone()]), &[1]), 1, PLACE).unwrap();
        assert_eq!((&*found.key(0).unwrap(), found.belonging(0)), (&key[..], &[1][..]));
    }
}
