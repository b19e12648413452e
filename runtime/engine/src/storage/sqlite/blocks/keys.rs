//! The sorted keys of a block, each with a few bytes that belong to it. Pure.
//!
//! ```text
//! keys  = sum (4)  n (2)  length (1)  belonging (1)  alike or other  what belongs to each * n
//! alike = the first key  mask (a bit for each of its bytes)  the bytes in the mask * n
//! other = length of the prefix (2)  prefix  end (2) * (n - 1)  suffix * n
//! ```
//!
//! Numbers are little-endian. Keys of one length, as those of numbers and times are, are *alike*: only bytes that are
//! not the same in all of them are there for each, and these bytes sort as the keys do. When lengths differ, which
//! `length` is 0 for, each key is a prefix and its suffix; ends count from where the suffixes begin. The sum is of all
//! that follows it and of where the block belongs. `belonging` is how many bytes belong to each; 0 also where it was not
//! written yet.
//!
//! So a key is found by bisection among the bytes as they are read. A key that is alone is an `other` without a prefix:
//! it may be of any length, while several take less than a page.

use std::cmp::Ordering;
use std::ops::{Deref, Range};

use smallvec::SmallVec;

use crate::storage::{BaseKey, BaseRange};

const HEAD: usize = 8;
const PREFIX_LEN: usize = 2;
const END: usize = 2;

/// The longest keys that may be alike, bytes.
const ALIKE_BYTES_MAX: usize = 128;

/// Which bytes of keys differ: the first byte is the lowest bit.
type Mask = u128;

/// How many bytes two keys both begin with.
pub fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// What keys have in common, one after the other by rising keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Common<'a> {
    n: usize,
    /// The first.
    first: &'a [u8],
    /// Bytes of all together.
    total: usize,
    prefix: usize,
    /// Which bytes differ, as long as all have one length.
    alike: Option<Mask>,
}

impl<'a> Common<'a> {
    /// How many keys.
    pub fn n(&self) -> usize {
        self.n
    }

    /// With one more.
    pub fn with(self, key: &'a [u8]) -> Self {
        if self.n == 0 {
            let alike = (key.len() <= ALIKE_BYTES_MAX).then_some(0);
            return Common { n: 1, first: key, total: key.len(), prefix: key.len(), alike };
        }
        let mask = self.alike.filter(|_| key.len() == self.first.len()).map(|mask| mask | differing(self.first, key));
        let prefix = match mask {
            Some(mask) => key.len().min(mask.trailing_zeros() as usize),
            None => shared_len(&self.first[..self.prefix], key),
        };
        Common { n: self.n + 1, total: self.total + key.len(), prefix, alike: mask, ..self }
    }

    /// The bytes they take encoded.
    pub fn bytes(&self) -> usize {
        HEAD + match self.alike {
            Some(mask) if self.n > 1 => {
                let len = self.first.len();
                len + len.div_ceil(8) + self.n * mask.count_ones() as usize
            }
            _ => {
                let prefix = if self.n == 1 { 0 } else { self.prefix };
                PREFIX_LEN + prefix + END * self.n.saturating_sub(1) + self.total - self.n * prefix
            }
        }
    }
}

/// Which bytes of two keys of one length differ.
fn differing(a: &[u8], b: &[u8]) -> Mask {
    let mut mask = 0;
    for (n, (a, b)) in a.chunks(8).zip(b.chunks(8)).enumerate() {
        if a != b {
            let bits = a.iter().zip(b).enumerate().fold(0, |bits, (n, (a, b))| bits | Mask::from(a != b) << n);
            mask |= bits << (8 * n);
        }
    }
    mask
}

/// Encodes rising keys, at least one. `belonging` has as many bytes for each of them, one after the other.
pub fn encode<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]> + Clone, belonging: &[u8], place: &[u8]) -> Vec<u8> {
    let short = |len: usize| u16::try_from(len).expect("several keys take less than a page").to_le_bytes();
    let common = keys.clone().fold(Common::default(), Common::with);
    let byte = |len: usize| u8::try_from(len).expect("keys that are alike, and what belongs to one, are short");
    let of_each = byte(belonging.len() / common.n.max(1));
    let mut bytes = Vec::with_capacity(common.bytes() + belonging.len());
    bytes.extend_from_slice(&[0; size_of::<u32>()]);
    bytes.extend_from_slice(&short(common.n));
    match common.alike {
        Some(mask) if common.n > 1 => {
            let len = common.first.len();
            bytes.extend_from_slice(&[byte(len), of_each]);
            bytes.extend_from_slice(common.first);
            bytes.extend_from_slice(&mask.to_le_bytes()[..len.div_ceil(8)]);
            let places = places(mask);
            keys.for_each(|key| bytes.extend(places.iter().map(|at| key[usize::from(*at)])));
        }
        _ => {
            let prefix = if common.n == 1 { 0 } else { common.prefix };
            bytes.extend_from_slice(&[0, of_each]);
            bytes.extend_from_slice(&short(prefix));
            bytes.extend_from_slice(&common.first[..prefix]);
            let mut end = 0;
            for key in keys.clone().take(common.n.saturating_sub(1)) {
                end += key.len() - prefix;
                bytes.extend_from_slice(&short(end));
            }
            keys.for_each(|key| bytes.extend_from_slice(&key[prefix..]));
        }
    }
    bytes.extend_from_slice(belonging);
    let sum = sum(&bytes, place);
    bytes[..sum.len()].copy_from_slice(&sum);
    bytes
}

/// The places of the bytes in a mask.
fn places(mut mask: Mask) -> SmallVec<[u8; 32]> {
    let mut places = SmallVec::new();
    while mask != 0 {
        places.push(mask.trailing_zeros() as u8);
        mask &= mask - 1;
    }
    places
}

fn sum(bytes: &[u8], place: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(place);
    hasher.update(&bytes[size_of::<u32>()..]);
    hasher.finalize().to_le_bytes()
}

fn short_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

/// How many keys there are, if they are as they were written.
pub fn count(bytes: &[u8]) -> usize {
    short_at(bytes, 4).unwrap_or(0)
}

/// The keys of a block.
#[derive(Debug)]
pub struct Keys<B> {
    bytes: B,
    n: usize,
    form: Form,
    /// Where what is there for each key begins and ends.
    each: Range<usize>,
    /// How many bytes belong to each.
    belonging: usize,
}

/// How keys are encoded.
#[derive(Debug)]
enum Form {
    /// Of one length: where its bytes differ.
    Alike { len: usize, places: SmallVec<[u8; 32]>, runs: SmallVec<[Run; 8]> },
    /// Of several: where the prefix ends.
    Other { prefix_end: usize },
}

/// Places that follow each other: the first, and how many.
type Run = (u8, u8);

fn runs(places: &[u8]) -> SmallVec<[Run; 8]> {
    let mut runs = SmallVec::<[Run; 8]>::new();
    for at in places {
        match runs.last_mut() {
            Some((first, n)) if *first + *n == *at => *n += 1,
            _ => runs.push((*at, 1)),
        }
    }
    runs
}

/// Puts the bytes of one key into their places.
fn put(runs: &[Run], mut own: &[u8], key: &mut [u8]) {
    for (first, n) in runs {
        let (run, rest) = own.split_at(usize::from(*n));
        key[usize::from(*first)..][..run.len()].copy_from_slice(run);
        own = rest;
    }
}

impl<B: Deref<Target = [u8]>> Keys<B> {
    /// Reads what [`encode`] wrote for this place; `None` when it is not that. `unsaid` is how many bytes belong to each key
    /// where that was not written.
    pub fn decode(bytes: B, unsaid: usize, place: &[u8]) -> Option<Self> {
        if bytes.len() < HEAD || bytes[..4] != sum(&bytes, place) {
            return None;
        }
        let (n, len) = (count(&bytes), usize::from(bytes[6]));
        let belonging = if bytes[7] == 0 { unsaid } else { bytes[7].into() };
        let (last, end) = (n.checked_sub(1)?, bytes.len().checked_sub(belonging * n)?);
        if len > 0 {
            let start = HEAD + len + len.div_ceil(8);
            let mut mask = [0; size_of::<Mask>()];
            mask.get_mut(..len.div_ceil(8))?.copy_from_slice(bytes.get(HEAD + len..start)?);
            let places = places(Mask::from_le_bytes(mask));
            let is_whole = places.last().is_none_or(|last| usize::from(*last) < len) && start + n * places.len() == end;
            let form = Form::Alike { len, runs: runs(&places), places };
            return is_whole.then_some(Keys { bytes, n, form, each: start..end, belonging });
        }
        let prefix_end = HEAD + PREFIX_LEN + short_at(&bytes, HEAD)?;
        let start = prefix_end + END * last;
        let ends = bytes.get(prefix_end..start)?.as_chunks::<END>().0;
        let are_rising = ends.is_sorted_by_key(|end| u16::from_le_bytes(*end));
        let last = ends.last().map_or(0, |end| u16::from_le_bytes(*end).into());
        let is_whole = are_rising && last <= end.checked_sub(start)?;
        is_whole.then_some(Keys { bytes, n, form: Form::Other { prefix_end }, each: start..end, belonging })
    }

    /// How many bytes they take.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many.
    pub fn n(&self) -> usize {
        self.n
    }

    /// What is there for one alone.
    fn own(&self, n: usize) -> &[u8] {
        match &self.form {
            Form::Alike { places, .. } => &self.bytes[self.each.start + n * places.len()..][..places.len()],
            Form::Other { prefix_end } => {
                let end = |n: usize| match short_at(&self.bytes, prefix_end + END * n) {
                    Some(end) if n + 1 < self.n => self.each.start + end,
                    _ => self.each.end,
                };
                &self.bytes[if n == 0 { self.each.start } else { end(n - 1) }..end(n)]
            }
        }
    }

    /// One of them; `None` when it does not end with an id.
    pub fn key(&self, n: usize) -> Option<BaseKey> {
        match &self.form {
            Form::Alike { len, runs, .. } => {
                let mut key = BaseKey::from_parts(&self.bytes[HEAD..HEAD + len], &[])?;
                put(runs, self.own(n), key.bytes_mut());
                Some(key)
            }
            Form::Other { prefix_end } => BaseKey::from_parts(&self.bytes[HEAD + PREFIX_LEN..*prefix_end], self.own(n)),
        }
    }

    /// How many bytes belong to each.
    pub fn belonging_len(&self) -> usize {
        self.belonging
    }

    /// What belongs to one.
    pub fn belonging(&self, n: usize) -> &[u8] {
        &self.bytes[self.each.end + n * self.belonging..][..self.belonging]
    }

    /// How many of some keys are those from number `n` on, one after the other.
    pub fn n_equal<'a>(&self, n: usize, keys: impl Iterator<Item = &'a [u8]>) -> usize {
        let keys = (n..self.n).zip(keys);
        match &self.form {
            Form::Alike { len, runs, .. } => {
                let mut found = SmallVec::<[u8; ALIKE_BYTES_MAX]>::from_slice(&self.bytes[HEAD..HEAD + len]);
                let is_it = |(n, key): &(usize, &[u8])| {
                    put(runs, self.own(*n), &mut found);
                    found[..] == **key
                };
                keys.take_while(is_it).count()
            }
            Form::Other { prefix_end } => {
                let prefix = &self.bytes[HEAD + PREFIX_LEN..*prefix_end];
                keys.take_while(|(n, key)| key.strip_prefix(prefix) == Some(self.own(*n))).count()
            }
        }
    }

    /// How many are below a key, or a bound of some.
    pub fn n_below(&self, key: &[u8]) -> usize {
        self.search(key).unwrap_or_else(|n| n)
    }

    /// Those in a range: the first of them, and the first behind.
    pub fn part(&self, range: &BaseRange) -> (usize, usize) {
        let from = self.n_below(&range.start);
        (from, range.end.as_ref().map_or(self.n, |end| self.n_below(end)).max(from))
    }

    /// Where a key is; else how many are below it.
    pub fn search(&self, key: &[u8]) -> Result<usize, usize> {
        match &self.form {
            Form::Alike { len, places, .. } => {
                let first = &self.bytes[HEAD..HEAD + len];
                // Up to where the key is told from all by a byte in which they do not differ, or by its length.
                let is_own = |at: usize| places.binary_search(&(at as u8)).is_ok();
                let differs = |at: &usize| first[*at] != key[*at] && !is_own(*at);
                let end = (0..key.len().min(*len)).find(differs);
                let (end, otherwise) = match end {
                    Some(end) => (end, first[end].cmp(&key[end])),
                    None => (key.len().min(*len), len.cmp(&key.len())),
                };
                let own: SmallVec<[u8; 32]> =
                    places.iter().map(|at| usize::from(*at)).take_while(|at| *at < end).map(|at| key[at]).collect();
                let first = leading(&own);
                let compare = |n| {
                    let found = &self.own(n)[..own.len()];
                    leading(found).cmp(&first).then_with(|| found.cmp(&own)).then(otherwise)
                };
                seek(self.n, self.guess(first, own.len()), compare)
            }
            Form::Other { prefix_end } => {
                let prefix = &self.bytes[HEAD + PREFIX_LEN..*prefix_end];
                let (begin, rest) = key.split_at(key.len().min(prefix.len()));
                match begin.cmp(prefix) {
                    Ordering::Less => Err(0),
                    Ordering::Greater => Err(self.n),
                    Ordering::Equal => bisect(0..self.n, |n| self.own(n).cmp(rest)),
                }
            }
        }
    }

    /// Where among keys that are alike one would be that begins so, if all were as far from each other.
    fn guess(&self, first: u64, len: usize) -> usize {
        // There is at least one: else they were not decoded.
        let last = self.n - 1;
        let [begin, end] = [0, last].map(|n| leading(&self.own(n)[..len]));
        let (at, all) = (first.clamp(begin, end) - begin, (end - begin).max(1));
        (u128::from(at) * last as u128 / u128::from(all)) as usize
    }
}

/// Bytes of a key that are compared as one number.
const LEADING: usize = size_of::<u64>();

/// The number that the first bytes are.
fn leading(bytes: &[u8]) -> u64 {
    let first = bytes.first_chunk::<LEADING>().copied();
    u64::from_be_bytes(first.unwrap_or_else(|| {
        let mut padded = [0; LEADING];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    }))
}

/// Where something is among `n` that are sorted; else how many are below it. Near a guess that takes few steps, and
/// those fetch little memory.
fn seek(n: usize, guess: usize, compare: impl Fn(usize) -> Ordering) -> Result<usize, usize> {
    let (mut low, mut high, mut next, mut step) = (0, n, guess, 1);
    while low <= next && next < high {
        match compare(next) {
            Ordering::Less => (low, next) = (next + 1, next + step),
            Ordering::Equal => return Ok(next),
            Ordering::Greater => (high, next) = (next, next.saturating_sub(step)),
        }
        step *= 2;
    }
    bisect(low..high, compare)
}

/// Where something is in a range of what is sorted; else where it would be.
pub fn bisect(mut range: Range<usize>, compare: impl Fn(usize) -> Ordering) -> Result<usize, usize> {
    while !range.is_empty() {
        let middle = range.start + range.len() / 2;
        match compare(middle) {
            Ordering::Less => range.start = middle + 1,
            Ordering::Equal => return Ok(middle),
            Ordering::Greater => range.end = middle,
        }
    }
    Err(range.start)
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

    /// Keys of which many begin alike, and end with sixteen bytes; often all of one length.
    fn keys() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
        let key = |begins: BoxedStrategy<Vec<u8>>| {
            (begins, 0..4_u8).prop_map(|(begin, end)| [&begin[..], &[end; 16]].concat())
        };
        let of_lengths = btree_set(key(vec(0..2_u8, 0..12).boxed()), 1..40);
        let of_one = btree_set(key(vec(0..3_u8, 5).boxed()), 1..40);
        (prop_oneof![of_lengths, of_one], vec(any::<u8>(), 0..120))
            .prop_map(|(keys, shared)| keys.into_iter().map(|key| [&shared[..], &key].concat()).collect())
    }

    proptest! {
        #[test]
        fn keys_are_found_and_given_back(keys in keys(), probe in vec(0..3_u8, 0..50)) {
            let common = keys.iter().fold(Common::default(), |common, key| common.with(key));
            prop_assert_eq!(common.bytes(), encoded(&keys, &[]).len());
            let belonging: Vec<u8> = (0..keys.len()).flat_map(|n| [n as u8, 7]).collect();
            let found = Keys::decode(encoded(&keys, &belonging), 2, PLACE).unwrap();
            prop_assert_eq!(found.n(), keys.len());
            for (n, key) in keys.iter().enumerate() {
                prop_assert_eq!(&*found.key(n).unwrap(), &key[..]);
                prop_assert_eq!(found.belonging(n), [n as u8, 7]);
                prop_assert_eq!(found.search(key), Ok(n));
                let behind = || keys.iter().skip(n).map(|key| &key[..]);
                prop_assert_eq!(found.n_equal(n, behind()), keys.len() - n);
                prop_assert_eq!(found.n_equal(n, behind().take(2).chain([&probe[..]])), 2.min(keys.len() - n));
                prop_assert_eq!(found.n_equal(n, behind().skip(1)), 0);
                for cut in [probe.len(), key.len(), key.len() / 2] {
                    let probe = [&key[..key.len().min(cut)], &probe].concat();
                    prop_assert_eq!(found.n_below(&probe), keys.range(..probe).count());
                }
                let mut other = key.clone();
                let at = probe.len() % key.len();
                other[at] = other[at].wrapping_add(1);
                prop_assert_eq!(found.n_below(&other), keys.range(..other).count());
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
                let _ = keys.search(keys.own(n));
                let _ = keys.key(n).map(|key| keys.search(&key));
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
