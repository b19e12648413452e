//! A server that cannot start says what it found, what it expected and what to do, touches nothing, and starts when the
//! cause is gone.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;
use syncline_tests::{RawClient, TestServer};

use crate::place::Volume;
use crate::process::Process;

/// Runs a server that does not start, and gives what it says.
fn refused(mut command: Command) -> String {
    let output = command.stdout(Stdio::null()).output().expect("the test application starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it ends with a failure: {said}");
    said
}

async fn counted(process: &Process) -> serde_json::Value {
    let mut client = RawClient::connect(process.address()).await;
    client.mutation("counter:increment", json!({"name": "starts", "by": 1.0})).await["result"].take()
}

fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "it does not say `{part}`: {said}");
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Process::start(folder.path());
    assert_eq!(counted(&first).await, json!(1.0));
    says(&refused(Process::command(folder.path(), 0)), &["syncline.sqlite is in use by another server; stop that one"]);
    assert_eq!(counted(&first).await, json!(2.0));
    first.kill();
    assert_eq!(counted(&Process::start(folder.path())).await, json!(3.0));
}

#[tokio::test]
async fn a_folder_that_is_read_only_until_it_is_not() {
    let Some(volume) = Volume::mount(16) else { return };
    let command = || volume.inside(&Process::command(volume.path(), 0));
    let mut first = Process::spawn(&mut command());
    assert_eq!(counted(&first).await, json!(1.0));
    first.kill();
    volume.remount("ro");
    says(&refused(command()), &["the store cannot be written", "Read-only file system", "let the server's user write"]);
    volume.remount("rw");
    assert_eq!(counted(&Process::spawn(&mut command())).await, json!(2.0));
}

#[tokio::test]
async fn a_disk_that_is_full_until_it_is_not() {
    let Some(volume) = Volume::mount(16) else { return };
    let command = || volume.inside(&Process::command(volume.path(), 0));
    let mut first = Process::spawn(&mut command());
    assert_eq!(counted(&first).await, json!(1.0));
    first.kill();
    // The index beside SQLite's log is made anew at each start.
    fs::remove_file(volume.file("syncline.sqlite-shm")).expect("it is left behind");
    volume.fill();
    says(&refused(command()), &["no space is left for the store", "syncline.sqlite", "make room there"]);
    volume.empty();
    assert_eq!(counted(&Process::spawn(&mut command())).await, json!(2.0));
}

#[tokio::test]
async fn a_file_that_is_damaged_until_a_copy_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("syncline.sqlite");
    let storage = syncline::Sqlite::open(&file).expect("a new file");
    let server = TestServer::start_with(|server| server.storage(storage)).await;
    server.mutation("counter:increment", json!({"name": "starts", "by": 1.0})).await;
    server.stop().await;
    let copy = fs::read(&file).expect("the file");

    let mut damaged = copy.clone();
    // All pages but the first: the head of the file stays readable.
    damaged[4096..].fill(0xa5);
    fs::write(&file, &damaged).expect("it can be written");
    let said = refused(Process::command(folder.path(), 0));
    says(&said, &["the store is damaged", "syncline.sqlite: ", "restore a copy of the data folder"]);

    fs::write(&file, "no database at all ".repeat(500)).expect("it can be written");
    says(&refused(Process::command(folder.path(), 0)), &["syncline.sqlite: file is not a database", "restore a copy"]);

    fs::write(&file, &copy).expect("it can be written");
    assert_eq!(counted(&Process::start(folder.path())).await, json!(2.0));
}
