//! The server as a process, under load from many clients, while everything around it goes wrong: it is killed, its disk
//! is full, fails or is held by others, its file is damaged. What it told anybody has to be true behind each of them.

mod bank;
mod damage;
mod faults;
mod kills;
mod place;
mod process;
mod start;

use std::io::{self, Write};

/// What the environment sets, or a number of ours.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Says something past the test runner, which keeps to itself what a passing test prints.
fn note(what: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Nobody who listens is no reason to fail.
    let _ = writeln!(io::stderr(), "{name}: {what}");
}
