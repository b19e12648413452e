//! What a person can ask this program for.

use std::path::PathBuf;
use std::time::Duration;

use super::failure::Failure;
use super::limits::{self, Limit};
use super::measures::Measure;

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Measure and print the table.
    Measure(Arguments),
    /// Be one of the bare limits (hidden: this program starts itself so).
    Limit(Limit),
    /// Print this.
    Explain(String),
}

/// What to measure, and how long.
#[derive(Debug)]
pub struct Arguments {
    /// In the order of the table.
    pub measures: Vec<Measure>,
    /// One round of one measure.
    pub length: Duration,
    /// Rounds; the table has their medians.
    pub rounds: usize,
    /// Sessions whose memory is measured.
    pub idle_sessions: usize,
    /// Mutations of the long run.
    pub mutations: u64,
    /// Documents of a large store.
    pub documents: u32,
    /// Where data folders go: on the disk that is to be measured.
    pub folder: PathBuf,
}

impl Arguments {
    /// From the command line without the program's name.
    pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Command, Failure> {
        let mut arguments = Arguments {
            measures: Vec::new(),
            length: Duration::from_secs(5),
            rounds: 3,
            idle_sessions: 10_000,
            mutations: 1_000_000,
            documents: 1_000_000,
            folder: std::env::temp_dir(),
        };
        let mut started_by_cargo = false;
        while let Some(word) = given.next() {
            match word.as_str() {
                limits::SUBCOMMAND => {
                    let limit = given.next().zip(given.next()).and_then(|(kind, bytes)| Limit::parse(&kind, &bytes));
                    return limit.map(Command::Limit).ok_or_else(|| Failure::new("limit KIND BYTES"));
                }
                "--bench" => started_by_cargo = true,
                "--help" => return Ok(Command::Explain(help())),
                "--quick" => {
                    (arguments.length, arguments.rounds) = (Duration::from_secs(1), 1);
                    arguments.idle_sessions = 2000;
                    (arguments.mutations, arguments.documents) = (50_000, 100_000);
                }
                "--seconds" => {
                    let seconds: f64 = value(&word, given.next())?;
                    arguments.length = Duration::try_from_secs_f64(seconds)
                        .map_err(|error| Failure::new(format!("--seconds {seconds}: {error}")))?;
                }
                "--rounds" => arguments.rounds = value::<usize>(&word, given.next())?.max(1),
                "--idle-sessions" => arguments.idle_sessions = value(&word, given.next())?,
                "--mutations" => arguments.mutations = value(&word, given.next())?,
                "--documents" => arguments.documents = value(&word, given.next())?,
                "--folder" => arguments.folder = value(&word, given.next())?,
                name => arguments.measures.extend(named(name)?),
            }
        }
        if cfg!(debug_assertions) && started_by_cargo {
            return Ok(Command::Explain("skipped: only a release build is worth measuring".into()));
        }
        if arguments.measures.is_empty() {
            arguments.measures = Measure::ALL.iter().map(|(_, measure)| *measure).collect();
        }
        Ok(Command::Measure(arguments))
    }
}

fn value<T: std::str::FromStr>(name: &str, given: Option<String>) -> Result<T, Failure> {
    let value = given.as_deref().and_then(|value| value.parse().ok());
    value.ok_or_else(|| Failure::new(format!("{name} needs a value, not {given:?}")))
}

/// The measure of that name, or else all whose names begin so.
fn named(word: &str) -> Result<Vec<Measure>, Failure> {
    let of = |fits: &dyn Fn(&str) -> bool| -> Vec<Measure> {
        Measure::ALL.iter().filter(|(name, _)| fits(name)).map(|(_, measure)| *measure).collect()
    };
    let exact = of(&|name| name == word);
    let found = if exact.is_empty() { of(&|name| name.starts_with(word)) } else { exact };
    if found.is_empty() { Err(Failure::new(format!("there is no {word}.\n{}", help()))) } else { Ok(found) }
}

fn help() -> String {
    let names: Vec<&str> = Measure::ALL.iter().map(|(name, _)| *name).collect();
    format!(
        "cargo bench -p syncline-tests --bench load -- [MEASURE...] [OPTION...]\n\
         \n\
         MEASURE  {} (or how several of them begin); all of them when none is named\n\
         --seconds S        length of a round (5)\n\
         --rounds N         rounds of each measure; the table has their medians (3)\n\
         --quick            one round of a second, fewer idle sessions, mutations and documents\n\
         --idle-sessions N  sessions whose memory is measured (10000)\n\
         --mutations N      mutations of the long run (1000000)\n\
         --documents N      documents of a large store: its start, its reads (1000000)\n\
         --folder DIR       where data folders are made (the system's temporary folder)\n\
         \n\
         The server is the example beside this program (cargo build --release -p syncline --example bench) or the\n\
         executable named in SYNCLINE_BENCH_SERVER.",
        names.join(", ")
    )
}
