//! The disk goes wrong under a server that works for many clients, and comes back. Meanwhile nobody is told of what is
//! not stored, and everybody is told to come back; afterwards the same process goes on by itself, and what was sent again
//! took effect once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::bank::{self, Crowd};
use crate::note;
use crate::place::{FailingSync, Volume, limit_files, told_of_limits};
use crate::process::Process;

const CLIENTS: u64 = 6;
/// Answers before, during and behind a fault that show that work goes on.
const ANSWERS: u64 = 200;
/// Sockets that have to be told to come back before a fault ends: more than one for each client.
const TOLD: u64 = 2 * CLIENTS;
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and what it says.
pub struct Watched {
    pub process: Process,
    log: mpsc::UnboundedReceiver<String>,
}

impl Watched {
    pub fn spawn(mut command: Command) -> Self {
        let mut process = Process::spawn(command.stderr(Stdio::piped()));
        let lines = BufReader::new(process.child.stderr.take().expect("its log is a pipe")).lines();
        let (sender, log) = mpsc::unbounded_channel();
        // It ends with the process; nobody may listen any more by then.
        std::thread::spawn(move || lines.map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Watched { process, log }
    }

    /// Waits until it has said something.
    pub async fn says(&mut self, text: &str) -> String {
        let found = async {
            loop {
                let line = self.log.recv().await.expect("it has not ended");
                if line.contains(text) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("it never said `{text}`"))
    }
}

async fn post(address: SocketAddr, path: &str, body: Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("http://{address}{path}")).json(&body);
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

async fn increment(address: SocketAddr) -> (u16, Value) {
    let body = json!({"path": "counter:increment", "args": {"name": "of HTTP", "by": 1.0}, "format": "json"});
    post(address, "/api/mutation", body).await
}

/// What is stored, as a query sees it.
async fn accounts(address: SocketAddr) -> Value {
    let query = json!({"path": "bank:accounts", "args": {}, "format": "json"});
    let (status, mut answer) = post(address, "/api/query", query).await;
    assert_eq!((status, &answer["status"]), (200, &json!("success")), "{answer}");
    answer["value"].take()
}

/// Everything that is asked of the server while something is wrong with its disk, and behind that.
///
/// `says` is what its log has to tell of it.
async fn survives<T>(
    server: &mut Watched,
    says: &str,
    begin: impl FnOnce(&Process) -> T,
    end: impl FnOnce(&Process, T),
) -> Crowd {
    let address = server.process.address();
    bank::open(address).await;
    let mut crowd = Crowd::new(CLIENTS, 0xfa017);
    crowd.work(address);
    crowd.more_answers(ANSWERS).await;

    let fault = begin(&server.process);
    let line = server.says("commits could not be appended").await;
    assert!(line.contains("syncline.sqlite-log"), "the log says which file it is about: {line}");
    assert!(line.contains(says), "the log says what is wrong and what to do: {line}");
    // What still fits is stored; what does not is refused.
    let mut counted = 0.0;
    let refused = loop {
        match increment(address).await {
            (200, answer) => {
                counted += 1.0;
                assert_eq!(answer["value"], json!(counted));
            }
            (503, refused) => break refused,
            other => panic!("{other:?}"),
        }
    };
    assert!(["CommitUndone", "StoreUnavailable"].iter().any(|code| refused["code"] == *code), "{refused}");
    bank::check_total(&accounts(address).await);
    crowd.more_told_to_come_back(TOLD).await;
    bank::check_total(&accounts(address).await);

    end(&server.process, fault);
    crowd.more_answers(ANSWERS).await;
    let after = loop {
        // Clients that come back may find it before the next attempt to store something.
        let (status, answer) = increment(address).await;
        if status == 200 {
            break answer["value"].clone();
        }
    };
    assert_eq!(after, json!(counted + 1.0), "what was answered with 503 has not happened");
    assert!(!server.process.has_ended(), "it is the same process");
    crowd.finish().await;
    crowd.check_accounts(address).await;
    crowd.check_effects(address).await;
    let (done, refused, _) = crowd.figures();
    let told = crowd.seen().told_to_come_back;
    note(&format!("{done} transfers acknowledged, {refused} refused, {told} sockets told to come back"));
    crowd
}

/// Kills the server and looks at what the next one finds.
async fn survives_a_kill_too(crowd: &Crowd, mut server: Watched, again: Command) {
    server.process.kill();
    let server = Watched::spawn(again);
    crowd.check_accounts(server.process.address()).await;
    crowd.check_effects(server.process.address()).await;
}

/// spec: S74, S75, S76, S85
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_and_has_space_again() {
    let Some(volume) = Volume::mount(64) else { return };
    let command = || volume.inside(&Process::command(volume.path(), 0));
    let mut server = Watched::spawn(command());
    let says = "No space left on device (os error 28); make room there";
    let crowd = survives(&mut server, says, |_| volume.fill(), |_, ()| volume.empty()).await;
    survives_a_kill_too(&crowd, server, command()).await;
}

/// A part of a batch is written, and not the whole of a page.
///
/// spec: S74, S75, S76, S85
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_in_the_middle_of_a_batch_and_works_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = || told_of_limits(&Process::command(folder.path(), 0));
    let mut server = Watched::spawn(command());
    let begin = |process: &Process| {
        let len = |name| fs::metadata(folder.path().join(name)).expect("it is there").len();
        let longest = ["syncline.sqlite-log0", "syncline.sqlite-log1"].map(len).into_iter().max();
        limit_files(process.child.id(), longest.map(|len| len + 2_000));
    };
    let end = |process: &Process, ()| limit_files(process.child.id(), None);
    let says = "File too large (os error 27); the system's log may say why";
    let crowd = survives(&mut server, says, begin, end).await;
    survives_a_kill_too(&crowd, server, command()).await;
}

fn shell_that_writes(folder: &Path) -> Connection {
    let shell = Connection::open(folder.join("syncline.sqlite")).expect("the shell opens the file");
    shell.execute_batch("BEGIN EXCLUSIVE").expect("the server does not hold the file for long");
    shell
}

/// Commits do not need the file: they go to the log, and to the file once that is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_program_locks_delays_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = || Process::command(folder.path(), 0);
    let mut server = Watched::spawn(command());
    let address = server.process.address();
    bank::open(address).await;
    let mut crowd = Crowd::new(CLIENTS, 0xfa017);
    crowd.work(address);
    crowd.more_answers(ANSWERS).await;
    let shell = shell_that_writes(folder.path());
    crowd.more_answers(ANSWERS).await;
    crowd.finish().await;
    crowd.check_accounts(address).await;
    server.process.kill();
    drop(shell);
    let server = Watched::spawn(command());
    crowd.check_accounts(server.process.address()).await;
    crowd.check_effects(server.process.address()).await;
}

/// All of a batch is written, and only making it durable fails. What was told to be undone then must not come back out of
/// the log when the next process takes that in.
///
/// spec: S76
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_leaves_nothing_that_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Watched::spawn(Process::command(folder.path(), 0));
    let address = server.process.address();
    assert_eq!(increment(address).await.0, 200);
    let Some(failing) = FailingSync::attach(server.process.child.id()) else { return };
    let (status, undone) = increment(address).await;
    assert_eq!((status, &undone["code"]), (503, &json!("CommitUndone")));
    server.says("Input/output error (os error 5)").await;
    server.process.kill();
    drop(failing);
    let server = Watched::spawn(Process::command(folder.path(), 0));
    let (status, answer) = increment(server.process.address()).await;
    assert_eq!((status, &answer["value"]), (200, &json!(2.0)), "the one that was undone has not come back");
}
