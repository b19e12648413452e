//! The fuzz targets on a stable toolchain: their seeds, and mutations of them. `PROPTEST_CASES=100000` searches longer;
//! `tests/fuzz/README.md` says how a search is guided by coverage.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use syncline_tests::fuzz::{TARGETS, Target};

/// Mutations tried in each case: one case costs little more than another input.
const INPUTS_PER_CASE: usize = 64;

/// What an input is made of, and what breaks readers of it.
const WORDS: [&str; 28] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    ".",
    "\\u0000",
    "\u{202e}",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"iss\"",
    "\"aud\"",
    "\"exp\"",
    "\"alg\":\"none\"",
    "\"kid\"",
    "\"keys\"",
    "\"n\"",
    "\"jwks_uri\"",
    "\"type\"",
    "\"baseVersion\"",
    "\"requestId\"",
    "https://",
    "\n",
];

/// One change of an input.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, &'static str),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Truncate(Index),
    /// From somewhere on it is another seed.
    Splice(Index, Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1..=u8::MAX).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (at(), select(&WORDS[..])).prop_map(|(at, word)| Mutation::Insert(at, word)),
        (at(), 1..20_usize).prop_map(|(at, n)| Mutation::Remove(at, n)),
        (at(), 1..40_usize, 1..200_usize).prop_map(|(at, n, times)| Mutation::Repeat(at, n, times)),
        at().prop_map(Mutation::Truncate),
        (at(), at(), at()).prop_map(|(at, seed, from)| Mutation::Splice(at, seed, from)),
    ]
}

impl Mutation {
    fn apply(&self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        // One place more than there are bytes: the end.
        let place = |at: &Index, input: &Vec<u8>| at.index(input.len() + 1);
        match self {
            Mutation::Flip(at, bits) => {
                let at = place(at, input);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Mutation::Insert(at, word) => {
                let at = place(at, input);
                input.splice(at..at, word.bytes());
            }
            Mutation::Remove(at, n) => {
                let at = place(at, input);
                input.drain(at..(at + n).min(input.len()));
            }
            Mutation::Repeat(at, n, times) => {
                let at = place(at, input);
                let part = input[at..(at + n).min(input.len())].repeat(*times);
                input.splice(at..at, part);
            }
            Mutation::Truncate(at) => input.truncate(place(at, input)),
            Mutation::Splice(at, seed, from) => {
                let other = &seeds[seed.index(seeds.len())];
                input.truncate(place(at, input));
                input.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

/// The seeds of a target, with their names.
fn seeds_of(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    let named = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    paths.iter().map(|path| (named(path), fs::read(path).expect("a seed"))).collect()
}

fn target(name: &str) -> Target {
    TARGETS.iter().find(|(known, _)| *known == name).expect("a target").1
}

/// Runs mutated seeds; what fails is made smaller and printed.
fn check(name: &str) {
    let target = target(name);
    let seeds: Vec<Vec<u8>> = seeds_of(name).into_iter().map(|(_, seed)| seed).collect();
    let inputs = vec((any::<Index>(), vec(mutation(), 1..6)), INPUTS_PER_CASE);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&inputs, |inputs| {
        for (seed, mutations) in &inputs {
            let mut input = seeds[seed.index(seeds.len())].clone();
            mutations.iter().for_each(|mutation| mutation.apply(&mut input, &seeds));
            target(&input);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{name}: {failure}");
    }
}

/// What a seed is called tells whether it is as it should be.
///
/// spec: A25
#[test]
fn genuine_seeds_are_accepted_and_no_others() {
    for (target_name, target) in TARGETS {
        let seeds = seeds_of(target_name);
        assert!(seeds.len() >= 7, "{target_name} has {} seeds", seeds.len());
        for (name, seed) in seeds {
            assert_eq!(target(&seed), name.starts_with("genuine"), "{target_name}/{name}");
        }
    }
}

/// spec: A25, A72
#[test]
fn mutated_tokens() {
    check("token");
}

/// spec: A25
#[test]
fn mutated_key_sets() {
    check("jwks");
}

/// spec: A25, A28
#[test]
fn mutated_discovery_documents() {
    check("discovery");
}

#[test]
fn mutated_frames() {
    check("frame");
}
