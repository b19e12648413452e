//! `replay run` as people and programs see it: lines, the summary, the exit status.

use std::path::{Path, PathBuf};
use std::process::Command;

use syncline_tests::TestServer;

/// Runs `replay run`: whether it succeeded, its standard output, its standard error.
fn run(arguments: &[&str]) -> (bool, String, String) {
    let program = env!("CARGO_BIN_EXE_test-app");
    let output = Command::new(program).args(["replay", "run"]).args(arguments).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn handshakes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("handshakes")
}

/// A copy of a handshake with one text replaced.
fn changed(name: &str, from: &str, to: &str) -> (tempfile::TempDir, String) {
    let text = std::fs::read_to_string(handshakes().join(name)).expect("a handshake");
    assert!(text.contains(from), "{name} has no {from}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    std::fs::write(&file, text.replace(from, to)).expect("it is written");
    (folder, file.display().to_string())
}

fn summary(output: &str) -> &str {
    output.lines().last().unwrap_or_default()
}

/// spec: A80
#[test]
fn a_folder_is_played_and_summed_up_in_the_last_line() {
    let (passed, output, error) = run(&[&handshakes().display().to_string()]);
    assert!(passed, "{output}{error}");
    let n_files = output.lines().filter(|line| line.starts_with("pass  ")).count();
    assert_eq!(summary(&output), format!("replay: {n_files} passed, 0 failed, 0 skipped ({n_files} files)"));
}

/// spec: A80
#[test]
fn a_difference_is_shown_with_its_line_and_fails_the_run() {
    let (_folder, file) = changed("HS3-subscribe-then-login.jsonl", "\"subject\":\"user_1\"", "\"subject\":\"user_2\"");
    for place in [&[][..], &["--socket"]] {
        let (passed, output, _) = run(&[&[file.as_str()], place].concat());
        assert!(!passed, "{output}");
        let expected = [
            format!("FAIL  {file}:7: socket a: the Transition differs"),
            "at        modifications[0].value.subject".to_owned(),
            "expected  \"user_2\"".to_owned(),
            "found     \"user_1\"".to_owned(),
        ];
        for part in &expected {
            assert!(output.contains(part), "no {part} in\n{output}");
        }
        assert_eq!(summary(&output), "replay: 0 passed, 1 failed, 0 skipped (1 files)");
    }
}

#[test]
fn what_is_no_handshake_is_named_with_its_line() {
    for (from, to, message) in [
        (
            "\"baseVersion\":0,\"tokenType\"",
            "\"baseVersion\" 0,\"tokenType\"",
            ":6: this is no handshake: expected one JSON",
        ),
        ("{\"token\":\"u1\"}", "{\"tokn\":\"u1\"}", ":2: this is no handshake: a line has to have one of"),
        ("$token:u1", "$token:u2", ":6: this is no handshake: there is no token \"u2\""),
        ("\"endVersion\"", "\"endVersoin\"", "\"endVersoin\" is not known here; known: type, endVersion"),
    ] {
        let (_folder, file) = changed("HS3-subscribe-then-login.jsonl", from, to);
        let (passed, output, _) = run(&[&file]);
        assert!(!passed && output.contains(message), "{message}\n{output}");
    }
    let (passed, _, error) = run(&["there/is/none.jsonl"]);
    assert!(!passed && error.contains("there/is/none.jsonl"), "{error}");
}

/// What a running server can do is played for real; what it cannot is skipped and says why, never passed.
///
/// spec: A80
#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_asked_for_what_it_can_do() {
    let server = TestServer::start().await;
    let url = server.url("/");
    let file = |name: &str| handshakes().join(name).display().to_string();
    let able = [file("HS2-login-then-subscribe.jsonl"), file("HS8-logout.jsonl"), file("HS17-wrong-aud.jsonl")];
    let unable = [
        (file("HS6-refresh-at-50-s.jsonl"), "clock cannot be moved"),
        (file("HS20-bad-signature.jsonl"), "a token that no issuer signs"),
        (file("HS33-admin.jsonl"), "needs an admin key"),
    ];
    let files = able.iter().chain(unable.iter().map(|(file, _)| file));
    let arguments: Vec<String> = files.cloned().chain(["--url".to_owned(), url]).collect();
    let run = move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let (passed, output, error) = tokio::task::spawn_blocking(run).await.expect("it runs");
    assert!(passed, "{output}{error}");
    for (file, why) in &unable {
        let line = output.lines().find(|line| line.starts_with(&format!("skip  {file}: ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{file}: {why}\n{output}");
    }
    assert_eq!(summary(&output), "replay: 3 passed, 0 failed, 3 skipped (6 files)");
}
