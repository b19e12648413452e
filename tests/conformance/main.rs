//! The official clients for JavaScript, Python and Rust, unmodified, against servers that their tests start and kill.
//!
//! The tests themselves are written in those languages, in the folders beside this file and in `rust.rs`. What needs Node, Python or
//! Chromium is skipped by name where that is missing; `./test` installs them and sets `SYNCLINE_REQUIRE_ALL`, which
//! makes a failure of every skip.

mod command_line;
#[path = "../crash/process.rs"]
mod process;
mod rust;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The program that serves the test application.
const SERVER: &str = env!("CARGO_BIN_EXE_test-app");
/// The program that serves the chat example behind a Clerk instance.
const CHAT_BEHIND_CLERK: &str = env!("CARGO_BIN_EXE_test-chat");

#[test]
fn javascript_clients_of_three_versions() {
    node("clients.test.mjs");
}

#[test]
fn javascript_values() {
    node("values.test.mjs");
}

#[test]
fn javascript_errors() {
    node("errors.test.mjs");
}

#[test]
fn javascript_paging() {
    node("paging.test.mjs");
}

#[test]
fn javascript_timelines_of_a_sign_in() {
    node("timelines.test.mjs");
}

#[test]
fn javascript_auth() {
    node("auth.test.mjs");
}

#[test]
fn the_official_command_line_for_variables() {
    node("env.test.mjs");
}

#[test]
fn javascript_recorded_and_replayed() {
    node("replay.test.mjs");
}

#[test]
fn the_official_command_line_for_functions_and_data() {
    node("tools.test.mjs");
}

#[test]
fn the_official_command_line_for_logs() {
    node("logs.test.mjs");
}

#[test]
fn the_generators_of_convex_helpers() {
    node("generators.test.mjs");
}

#[test]
fn javascript_under_a_killed_server() {
    node("crash.test.mjs");
}

#[test]
fn react_in_chromium() {
    node("react.test.mjs");
}

#[test]
fn the_life_of_a_sign_in_in_chromium() {
    node("lifecycle.test.mjs");
}

#[test]
fn types_for_typescript() {
    node("types.test.mjs");
}

#[test]
fn the_chats_types_are_up_to_date() {
    let types = beside("../runtime/examples/chat/web/src/api.ts");
    let output = Command::new(chat_example()).args(["codegen", "--check"]).arg(types).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_chat_page_in_chromium() {
    in_the_browser("page.test.mjs", &[CHAT], chat_server);
}

#[test]
fn the_dashboard_in_chromium() {
    in_the_browser("dashboard.test.mjs", &["runtime/dashboard", CHAT], chat_server);
}

#[test]
fn the_chat_page_behind_clerk() {
    in_the_browser("stories.test.mjs", &[CHAT], || ("SYNCLINE_CLERK_CHAT", CHAT_BEHIND_CLERK.into()));
}

#[test]
fn javascript_for_minutes() {
    if env::var_os("SYNCLINE_LONG").is_none() {
        return note("it takes ten minutes: ./test --long");
    }
    node("long.test.mjs");
}

#[test]
fn python() {
    let python = env::var_os("SYNCLINE_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let imports = Command::new(&python).args(["-c", "import convex"]).output();
    if !imports.is_ok_and(|output| output.status.success()) {
        return skip(
            "no Python with the packages of tests/conformance/python/requirements.txt: SYNCLINE_PYTHON names it",
        );
    }
    let mut command = Command::new(python);
    command.arg("test_client.py").current_dir(beside("conformance/python"));
    run(with_env(command, "SYNCLINE_SERVER", Path::new(SERVER)));
}

/// Runs one file of the JavaScript tests.
fn node(file: &str) {
    if let Some(command) = node_command(file) {
        run(command);
    }
}

/// The page of the chat example.
const CHAT: &str = "runtime/examples/chat/web";

fn chat_server() -> (&'static str, PathBuf) {
    ("SYNCLINE_CHAT_SERVER", chat_example())
}

/// Runs one file of tests in a browser against a server, unless one of the pages it needs is not built.
fn in_the_browser(file: &str, pages: &[&str], server: fn() -> (&'static str, PathBuf)) {
    let root = beside("..");
    if let Some(page) = pages.iter().find(|page| !root.join(page).join("dist/index.html").is_file()) {
        return skip(&format!("a page is not built: run runtime/build-page.sh {page}"));
    }
    if let Some(command) = node_command(file) {
        let (name, program) = server();
        run(with_env(command, name, &program));
    }
}

/// The command for one file of the JavaScript tests, unless something it needs is missing.
fn node_command(file: &str) -> Option<Command> {
    let folder = beside("conformance/js");
    if !Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
        skip("no node");
        return None;
    }
    if !folder.join("node_modules").is_dir() {
        skip("no npm packages: run npm ci in tests/conformance/js");
        return None;
    }
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=spec", file]).current_dir(folder);
    Some(with_env(command, "SYNCLINE_SERVER", Path::new(SERVER)))
}

fn with_env(mut command: Command, name: &str, value: &Path) -> Command {
    command.env(name, value);
    command
}

/// Runs the command to its end; fails with all it said unless it succeeds, and passes on what it skipped.
fn run(mut command: Command) {
    let output = command.output().expect("the program starts");
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    for line in said.lines().filter(|line| line.contains(" # ") || line.contains("... skipped")) {
        note(line.trim());
    }
}

/// The chat example of this build: made now if a build of this package alone has left it out. Of the whole workspace,
/// because another choice of packages is another choice of features, and everything would be compiled again.
fn chat_example() -> PathBuf {
    let build = ["build", "--quiet", "--workspace", "--example", "chat", "--message-format=json"];
    let output = Command::new(env!("CARGO")).args(build).current_dir(beside("..")).output().expect("cargo starts");
    assert!(output.status.success(), "the chat example: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "chat")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable it built")
}

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Leaves a test out, unless everything was asked for.
fn skip(why: &str) {
    assert!(env::var_os("SYNCLINE_REQUIRE_ALL").is_none(), "SYNCLINE_REQUIRE_ALL is set, and {why}");
    note(why);
}

/// Says what is left out, past the test runner, which keeps to itself what a passing test prints.
fn note(what: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Nobody who listens is no reason to fail.
    let _ = writeln!(io::stderr(), "skipped: {name}: {what}");
}
