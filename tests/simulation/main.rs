//! The whole server under a seeded scheduler: sessions, live queries, functions, commits and a faulty storage, on one
//! thread and by a clock that is moved by hand, with clients that connect, sign in, subscribe, call, are lost and come
//! back.
//!
//! A seed decides everything: which task goes on, when bytes arrive and in which pieces, what fails, when the clock
//! moves, where the process is killed. So a seed that fails does so again, and tells its story.
//!
//! `SYNCLINE_SIMULATION_SEEDS` sets the number of seeds, `SYNCLINE_SIMULATION_SEED` the first; of one alone the whole
//! story is printed.

mod app;
mod client;
mod disk;
mod history;
mod issuer;
mod model;
mod scheduler;
mod simulation;
mod story;
mod wire;

use simulation::{Counts, Simulation};

/// How many seeds `./test` runs.
const SEEDS: u64 = 2_000;

/// How many lines of a failing seed's story are printed.
const LAST_LINES: usize = 150;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn fail(seed: u64, what: &str) -> ! {
    let told = Simulation::run(seed, true);
    let skipped = told.story.len().saturating_sub(LAST_LINES);
    for line in &told.story[skipped..] {
        println!("{line}");
    }
    if told.outcome != Err(what.to_owned()) {
        println!("run again, it came to something else: {:?}", told.outcome);
    }
    panic!(
        "seed {seed}: {what}\n\nThe whole story: \
         SYNCLINE_SIMULATION_SEED={seed} SYNCLINE_SIMULATION_SEEDS=1 \
         cargo test -p syncline-tests --test simulation what_clients -- --nocapture"
    );
}

/// spec: S76
#[test]
fn what_clients_are_told_is_true() {
    let n_seeds = setting("SYNCLINE_SIMULATION_SEEDS", SEEDS);
    let first = setting("SYNCLINE_SIMULATION_SEED", 1);
    let mut all = Counts::default();
    for seed in first..first + n_seeds {
        let told = Simulation::run(seed, n_seeds == 1);
        told.story.iter().for_each(|line| println!("{line}"));
        if let Err(what) = told.outcome {
            fail(seed, &what);
        }
        all.answers += told.counts.answers;
        all.views += told.counts.views;
        all.crashes += told.counts.crashes;
        all.faults += told.counts.faults;
    }
    println!("{n_seeds} seeds: {all:?}");
    let n = n_seeds as usize;
    assert!(n < 100 || all.answers > 10 * n && all.views > 20 * n && all.crashes > n / 10 && all.faults > n / 10);
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 1..=20 {
        let [first, second] = [(); 2].map(|()| Simulation::run(seed, true).story);
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed}, line {at}: first {:?}, then {:?}", first[at], second[at]);
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
