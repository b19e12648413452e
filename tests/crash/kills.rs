//! Kills the server process in the middle of its work, again and again: while it answers, while it moves its log to the
//! base, while it starts. Every moment is chosen by a seed, as a number of answers, or as a line of its log.
//!
//! `SYNCLINE_CRASHES` sets how often, `SYNCLINE_SEED` with which seed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use syncline_tests::random::Rng;

use crate::bank::{self, Crowd};
use crate::process::Process;
use crate::{note, setting};

const CLIENTS: u64 = 16;

/// How the server is started: every other time it checkpoints all the time and keeps little in memory.
fn command(data: &Path, crash: u64) -> Command {
    let mut command = Process::command(data, 0);
    if !crash.is_multiple_of(2) {
        command.env("TEST_APP_SMALL", "1");
    }
    command
}

/// Starts the server and kills it before it listens: at once, while it replays its log, or just behind that.
fn kill_while_it_starts(data: &Path, crash: u64, moment: u64) {
    let mut command = command(data, crash);
    let mut child = command
        .env("SYNCLINE_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test application starts");
    let lines = BufReader::new(child.stderr.take().expect("its log is a pipe")).lines();
    let awaited = ["", "replay", "listening"][moment as usize % 3];
    let line = lines.map_while(Result::ok).find(|line| awaited.is_empty() || line.contains(awaited));
    assert!(line.is_some(), "the server ended before it said `{awaited}`");
    child.kill().expect("it can be killed");
    child.wait().expect("it has ended");
}

/// spec: S69, S74, S75, S76, S82, S84, S85
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_is_true_after_every_crash() {
    let crashes = setting("SYNCLINE_CRASHES", if std::env::var_os("SYNCLINE_LONG").is_some() { 200 } else { 30 });
    let seed = setting("SYNCLINE_SEED", 0x5eed_1234);
    let folder = tempfile::tempdir().expect("a folder");
    let mut moments = Rng(seed);
    let mut crowd = Crowd::new(CLIENTS, seed);
    let mut n_starts = 0;
    for crash in 0..crashes {
        if crash > 0 && moments.one_in(4) {
            n_starts += 1;
            kill_while_it_starts(folder.path(), crash, moments.next_u64());
        }
        let mut process = Process::spawn(&mut command(folder.path(), crash));
        if crash == 0 {
            bank::open(process.address()).await;
        }
        crowd.check_accounts(process.address()).await;
        crowd.work_until_lost(process.address());
        crowd.more_answers(1 + moments.below(400)).await;
        assert!(!process.has_ended(), "the server ended by itself");
        process.kill();
        crowd.until_lost().await;
    }
    let process = Process::spawn(&mut command(folder.path(), 0));
    crowd.check_accounts(process.address()).await;
    crowd.check_effects(process.address()).await;
    let (done, refused, pushed) = crowd.figures();
    note(&format!(
        "seed {seed}: {crashes} kills at work and {n_starts} at start; true are {done} transfers acknowledged, \
         {refused} refused and {pushed} Transitions"
    ));
}
