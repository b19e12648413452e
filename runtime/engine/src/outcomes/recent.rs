//! The outcomes of a session that the base lacks, in the form in which the base will have them.
//!
//! They are many, and hardly ever read: as bytes they take a fifth of what values with texts of their own take, and a
//! checkpoint has only to take them.

use std::ops::RangeInclusive;

use syncline_schema::Timestamp;

use crate::commit::Outcome;
use crate::record::{put_group_outcome, read_group};

/// A block as long as this takes no more, bytes: to find one outcome, a block is read.
const BLOCK_BYTES: usize = 4 << 10;

/// What a block has room for beyond that, bytes: a small outcome, so that its memory is had at once.
const LAST_BYTES: usize = 128;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// In the order in which they came, which is nearly always that of their requests.
    blocks: Vec<Block>,
    /// No request is above this one.
    greatest: u64,
}

/// Some outcomes; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// From the smallest request to the greatest.
    pub requests: RangeInclusive<u64>,
    /// The oldest of their commits.
    oldest: Timestamp,
    /// The newest.
    pub newest: Timestamp,
    pub bytes: Vec<u8>,
}

impl Block {
    fn new(request: u64, outcome: &Outcome, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(room);
        put_group_outcome(&mut bytes, request, outcome);
        Block { requests: request..=request, oldest: outcome.ts, newest: outcome.ts, bytes }
    }

    fn push(&mut self, request: u64, outcome: &Outcome) {
        put_group_outcome(&mut self.bytes, request, outcome);
        self.reach(&(request..=request), outcome.ts, outcome.ts);
    }

    fn reach(&mut self, requests: &RangeInclusive<u64>, oldest: Timestamp, newest: Timestamp) {
        self.requests = *self.requests.start().min(requests.start())..=*self.requests.end().max(requests.end());
        (self.oldest, self.newest) = (self.oldest.min(oldest), self.newest.max(newest));
    }

    fn outcomes(&self) -> impl Iterator<Item = (u64, Outcome)> {
        read_group(&self.bytes).map(|outcome| outcome.expect("what was put here is read as it was put"))
    }

    /// Those of its outcomes that are wanted; `None` when that is none.
    fn part(&self, is_wanted: impl Fn(u64, &Outcome) -> bool) -> Option<Self> {
        let mut part: Option<Block> = None;
        for (request, outcome) in self.outcomes().filter(|(request, outcome)| is_wanted(*request, outcome)) {
            match &mut part {
                Some(part) => part.push(request, &outcome),
                None => part = Some(Block::new(request, &outcome, 0)),
            }
        }
        part
    }
}

impl Recent {
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// What a request came to. Nearly always it is a new one, greater than all.
    pub fn get(&self, request: u64) -> Option<Outcome> {
        if request > self.greatest {
            return None;
        }
        let mut blocks = self.blocks.iter().rev().filter(|block| block.requests.contains(&request));
        blocks.find_map(|block| block.outcomes().find(|(known, _)| *known == request)).map(|(_, outcome)| outcome)
    }

    /// Adds the outcome of a request that has none.
    pub fn insert(&mut self, request: u64, outcome: &Outcome) {
        self.greatest = self.greatest.max(request);
        match self.blocks.last_mut() {
            Some(last) if last.bytes.len() < BLOCK_BYTES => last.push(request, outcome),
            Some(_) => self.blocks.push(Block::new(request, outcome, BLOCK_BYTES + LAST_BYTES)),
            None => self.blocks.push(Block::new(request, outcome, 0)),
        }
    }

    pub fn remove(&mut self, request: u64) {
        self.change(|block| block.requests.contains(&request), |known, _| known != request);
    }

    /// Lets go of what was committed up to a timestamp.
    pub fn forget(&mut self, to: Timestamp) {
        self.blocks.retain(|block| block.newest > to);
        self.change(|block| block.oldest <= to, |_, outcome| outcome.ts > to);
        self.blocks.shrink_to_fit();
    }

    /// Keeps of some blocks only the outcomes that are wanted.
    fn change(&mut self, which: impl Fn(&Block) -> bool, is_wanted: impl Fn(u64, &Outcome) -> bool) {
        let blocks = std::mem::take(&mut self.blocks).into_iter();
        let changed = blocks.filter_map(|block| if which(&block) { block.part(&is_wanted) } else { Some(block) });
        self.blocks = changed.collect();
    }

    /// All that was committed up to a timestamp, in one block.
    pub fn up_to(&self, to: Timestamp) -> Option<Block> {
        let mut all: Option<Block> = None;
        for block in self.blocks.iter().filter(|block| block.oldest <= to) {
            let part = if block.newest <= to { Some(block.clone()) } else { block.part(|_, outcome| outcome.ts <= to) };
            match (&mut all, part) {
                (Some(all), Some(part)) => {
                    all.bytes.extend_from_slice(&part.bytes);
                    all.reach(&part.requests, part.oldest, part.newest);
                }
                (None, part) => all = part,
                (Some(_), None) => {}
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn outcome(ts: u64) -> Outcome {
        Outcome {
            ts: Timestamp(ts),
            value: format!("{ts}.0").into(),
            log_lines: vec!["[LOG] 'x'".to_owned(); (ts % 3) as usize],
        }
    }

    fn same(recent: &Recent, model: &BTreeMap<u64, Outcome>, n: u64) {
        for request in 0..=n {
            assert_eq!(recent.get(request).as_ref(), model.get(&request), "request {request}");
        }
        assert_eq!(recent.is_empty(), model.is_empty());
    }

    /// Requests mostly in their order, some not; taken back, taken by a checkpoint in the middle, and added again.
    #[test]
    fn they_are_found_as_in_a_map() {
        const N: u64 = 2_000;
        let (mut recent, mut model) = (Recent::default(), BTreeMap::new());
        for n in 0..N {
            // Each ninth comes later than the one behind it.
            let request = if n % 9 == 0 {
                n + 1
            } else if n % 9 == 1 {
                n - 1
            } else {
                n
            };
            recent.insert(request, &outcome(100 + n));
            model.insert(request, outcome(100 + n));
        }
        assert!(recent.blocks.len() > 4, "{} blocks", recent.blocks.len());
        same(&recent, &model, N + 2);
        for request in (0..N).step_by(7) {
            recent.remove(request);
            model.remove(&request);
        }
        same(&recent, &model, N + 2);

        let to = Timestamp(100 + N / 2);
        let block = recent.up_to(to).unwrap();
        let moved: BTreeMap<u64, Outcome> = block.outcomes().collect();
        let expected: BTreeMap<u64, Outcome> = model
            .iter()
            .filter(|(_, outcome)| outcome.ts <= to)
            .map(|(request, one)| (*request, one.clone()))
            .collect();
        assert_eq!(moved, expected);
        assert_eq!(block.requests, *expected.keys().next().unwrap()..=*expected.keys().next_back().unwrap());
        assert_eq!(Some(block.newest), expected.values().map(|outcome| outcome.ts).max());
        recent.forget(to);
        model.retain(|_, outcome| outcome.ts > to);
        same(&recent, &model, N + 2);
        assert_eq!(recent.up_to(to), None);

        recent.insert(0, &outcome(9_000));
        model.insert(0, outcome(9_000));
        same(&recent, &model, N + 2);
        recent.forget(Timestamp(9_000));
        same(&recent, &BTreeMap::new(), N + 2);
    }
}
