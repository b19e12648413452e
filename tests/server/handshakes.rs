//! The recorded handshakes of `tests/handshakes`: in process, over a socket, and each of them wrong by one character.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde_json::Value;
use syncline::replay::{Handshake, Outcome, Place, Player};
use syncline_tests::app;

/// All files, by name, with their text.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("handshakes");
    let entries = std::fs::read_dir(folder).expect("the folder of handshakes").flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a file is text");
    let named = paths.map(|path| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(&path)));
    named.collect()
}

fn handshakes() -> Vec<Handshake> {
    let parse =
        |(name, text): &(String, String)| Handshake::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
    files().iter().map(parse).collect()
}

async fn all_pass(place: Place) {
    let player = Player::new(app::server(), place);
    let mut faults = Vec::new();
    for handshake in handshakes() {
        match player.play(&handshake).await {
            Outcome::Passed => {}
            Outcome::Failed(failure) => faults.push(format!("{}:{}: {failure}", handshake.file, failure.line)),
            Outcome::Skipped(why) => faults.push(format!("{}: skipped: {why}", handshake.file)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// spec: A80
#[test]
fn every_handshake_of_the_specification_has_its_file() {
    let mut numbers = Vec::new();
    for handshake in handshakes() {
        let number = handshake.spec.first().expect("the first statement of a handshake is its own").clone();
        let name = handshake.name.strip_prefix(&format!("{number} ")).expect("its name begins with its number");
        assert_eq!(handshake.file, format!("{number}-{name}.jsonl"));
        numbers.push(number);
    }
    numbers.sort_by_key(|number| number.trim_start_matches("HS").parse::<u32>().unwrap_or(0));
    let expected: Vec<String> = (1..=40).map(|number| format!("HS{number}")).collect();
    assert_eq!(numbers, expected);
}

/// spec: A80, HS1-HS37, HS39, HS40
#[tokio::test]
async fn all_handshakes_pass_in_process() {
    all_pass(Place::InProcess).await;
}

/// spec: A80, HS1-HS37, HS39, HS40
#[tokio::test]
async fn all_handshakes_pass_over_a_socket() {
    all_pass(Place::Loopback).await;
}

/// One expectation, wrong by one character.
struct Mutant {
    file: String,
    line: usize,
    text: String,
    /// The line as it is now.
    changed: String,
}

/// Every copy of a file in which one value of one expectation differs by one character.
fn mutants(file: &str, text: &str) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        let whole: Value = serde_json::from_str(line).expect("a line is JSON");
        for expectation in ["server", "closed", "response", "fetched"] {
            let Some(expected) = whole.get(expectation) else { continue };
            for other in wrong_by_one_character(expected) {
                let mut changed = whole.clone();
                changed[expectation] = other;
                let changed = changed.to_string();
                let mut all: Vec<&str> = lines.clone();
                all[n] = &changed;
                mutants.push(Mutant {
                    file: file.to_owned(),
                    line: n + 1,
                    text: all.join("\n"),
                    changed: changed.clone(),
                });
            }
        }
    }
    mutants
}

/// A value with one of its leaves changed, for each leaf that means something.
fn wrong_by_one_character(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![Value::from(0)],
        Value::Bool(flag) => vec![Value::from(!flag)],
        Value::Number(number) => vec![Value::from(number.as_f64().unwrap_or(0.0) as u64 + 1)],
        // It asks for nothing that could be wrong.
        Value::String(text) if text == "$any" => Vec::new(),
        Value::String(text) => {
            let last = text.trim_end_matches('*');
            let (rest, star) =
                (&last[..last.len() - last.chars().last().map_or(0, char::len_utf8)], &text[last.len()..]);
            vec![Value::from(format!("{rest}#{star}"))]
        }
        Value::Array(items) => changed_inside(items.iter().enumerate(), |n, item| {
            let mut items = items.clone();
            items[n] = item;
            Value::Array(items)
        }),
        Value::Object(members) => changed_inside(members.iter(), |name, member| {
            let mut members = members.clone();
            members.insert(name.clone(), member);
            Value::Object(members)
        }),
    }
}

fn changed_inside<'a, K>(members: impl Iterator<Item = (K, &'a Value)>, put: impl Fn(K, Value) -> Value) -> Vec<Value>
where
    K: Copy,
{
    members
        .flat_map(|(key, value)| {
            wrong_by_one_character(value).into_iter().map(|other| (key, other)).collect::<Vec<_>>()
        })
        .map(|(key, other)| put(key, other))
        .collect()
}

/// A socket that says less than it should is waited for; a mutant need not be waited for long.
const MUTANT_PATIENCE: Duration = Duration::from_secs(1);

/// Mutants that are played at once.
const AT_ONCE: usize = 24;

/// spec: A80
#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_character_fails_where_it_stands() {
    let mutants: Vec<Mutant> = files().iter().flat_map(|(file, text)| mutants(file, text)).collect();
    assert!(mutants.len() > 300, "{} expectations", mutants.len());
    let player = &Player::new(app::server(), Place::InProcess).patience(MUTANT_PATIENCE);
    let faults: Vec<String> = stream::iter(mutants)
        .map(|mutant| async move {
            let found = match Handshake::parse(&mutant.file, &mutant.text) {
                Err(error) => Some((error.line, error.message)),
                Ok(handshake) => match player.play(&handshake).await {
                    Outcome::Failed(failure) => Some((failure.line, failure.to_string())),
                    Outcome::Passed | Outcome::Skipped(_) => None,
                },
            };
            match found {
                Some((line, _)) if line == mutant.line => None,
                found => Some(format!("{}:{}: {}\n    gave {found:?}", mutant.file, mutant.line, mutant.changed)),
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|fault| async move { fault })
        .collect()
        .await;
    assert!(faults.is_empty(), "{} mutants were not found where they are:\n{}", faults.len(), faults.join("\n"));
}
