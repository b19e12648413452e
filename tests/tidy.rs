//! The rules of layout and style that a machine can check. What each is for stands in `ARCHITECTURE.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 800;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies in the workspace").to_owned()
}

/// All Rust files of the workspace below `folder`, as paths from the root with their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "node_modules", "dist", "web"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source is text");
                let shown = path.strip_prefix(root()).expect("it lies below").display().to_string();
                found.push((shown, text));
            }
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<(String, String)> {
    ["schema", "client-protocol", "functions", "runtime", "tests"].iter().flat_map(|folder| sources(folder)).collect()
}

/// The part of a file before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn none(faults: Vec<String>, rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = all_sources().into_iter().filter(|(path, text)| {
        !text.starts_with("//!") && !path.starts_with("tests/macros/fail") && !path.starts_with("tests/macros/pass")
    });
    none(silent.map(|(path, _)| path).collect(), "a file begins with `//!`, what it is for");
}

#[test]
fn files_are_short() {
    let long = all_sources().into_iter().filter_map(|(path, text)| {
        let lines = without_tests(&text).lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines} lines"))
    });
    none(long.collect(), &format!("a file has at most {FILE_LINES_MAX} lines without its tests"));
}

#[test]
fn functions_fit_a_screen() {
    let mut long = Vec::new();
    for (path, text) in all_sources() {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if open.is_none() && is_function_head(line) {
                open = Some((number, indent, line.trim().to_owned()));
            }
            let Some((start, depth, head)) = &open else { continue };
            if indent == *depth
                && (line.trim() == "}" || line.trim_end().ends_with("{}") || line.trim_end().ends_with(';'))
            {
                let lines = number - start + 1;
                if lines > FUNCTION_LINES_MAX {
                    long.push(format!("{path}:{}: {lines} lines: {head}", start + 1));
                }
                open = None;
            }
        }
    }
    none(long, &format!("a function has at most {FUNCTION_LINES_MAX} lines"));
}

fn is_function_head(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || ["async", "const", "unsafe", "extern", "in"].contains(word) || word.ends_with(')')
    });
    words.next() == Some("fn")
}

#[test]
fn nothing_is_left_unfinished() {
    let marks =
        [["todo", "!("].concat(), ["unimplemented", "!("].concat(), ["dbg", "!("].concat(), ["#[", "ignore"].concat()];
    let mut found = Vec::new();
    for (path, text) in all_sources() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none(found, "nothing is left unfinished or switched off");
}

#[test]
fn only_the_command_line_prints() {
    let mut found = Vec::new();
    for (path, text) in all_sources() {
        // A build script talks to cargo.
        let talks = path.starts_with("runtime/src/cli")
            || path.starts_with("tests/")
            || path.contains("/examples/")
            || path.ends_with("/build.rs");
        if talks || path.contains("/tests/") {
            continue;
        }
        for (number, line) in without_tests(&text).lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && (line.contains("println!(") || line.contains("print!(")) {
                found.push(format!("{path}:{}", number + 1));
            }
        }
    }
    none(found, "only the command line prints; everything else logs");
}

/// What each crate may depend on; the table of the layout rules. Dependencies for tests are free.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("schema", vec!["base64", "itoa", "memchr", "serde", "serde_json", "sha2", "smallvec"]),
        ("client-protocol", vec!["base64", "itoa", "serde", "serde_json"]),
        (
            "functions",
            vec!["futures", "base64", "serde", "serde_json", "smallvec", "syncline-macros", "syncline-schema"],
        ),
        ("functions/macros", vec!["proc-macro2", "quote", "syn"]),
        (
            "runtime/engine",
            vec![
                "crc32fast",
                "futures",
                "memchr",
                "rusqlite",
                "serde_json",
                "smallvec",
                "syncline-functions",
                "syncline-schema",
                "tokio",
                "tracing",
            ],
        ),
    ])
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let mut faults = Vec::new();
    for (folder, allowed) in allowed() {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a crate has a manifest");
        let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or("");
        for line in section.lines().take_while(|line| !line.starts_with('[')) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            if !name.is_empty() && !name.starts_with('#') && !allowed.contains(&name) {
                faults.push(format!("{folder} depends on {name}"));
            }
        }
    }
    none(faults, "a crate depends only on what the layout rules allow");
}

/// Inside `runtime`, a module imports only from those to its right.
#[test]
fn modules_of_the_runtime_look_one_way() {
    let order = ["cli", "replay", "server", "net", "live", "executor", "system", "function_log", "request"];
    let mut faults = Vec::new();
    for (path, text) in sources("runtime/src") {
        let inside = path.trim_start_matches("runtime/src/");
        let module = inside.split(['/', '.']).next().unwrap_or("");
        let Some(place) = order.iter().position(|name| *name == module) else { continue };
        for to_the_left in &order[..place] {
            if text.contains(&format!("crate::{to_the_left}::")) {
                faults.push(format!("{path} imports from {to_the_left}"));
            }
        }
    }
    none(faults, "cli > replay > server > net > live > executor > system > function_log: imports go to the right only");
}

/// `tests/server/surface.rs` tries every route of the API without the key, taken from the table of `net/http.rs`. What
/// stands elsewhere is for everybody, or has a test of its own.
#[test]
fn routes_of_the_api_stand_in_its_table() {
    let elsewhere = [
        "runtime/src/auth/dev_issuer.rs",
        "runtime/src/auth/explain_page.rs",
        "runtime/src/net.rs",
        "runtime/src/net/dashboard.rs",
        "runtime/src/net/developer.rs",
        "runtime/src/net/http/route.rs",
        "runtime/src/server/metrics.rs",
    ];
    let mut faults = Vec::new();
    for (path, text) in sources("runtime/src") {
        let adds_route = without_tests(&text).contains(".route(\"") || text.contains(".route_service(");
        if adds_route && !elsewhere.contains(&path.as_str()) {
            faults.push(path);
        }
    }
    none(faults, "a route of the API stands in the table of `net/http.rs`, with who may use it");
}

#[test]
fn every_limit_has_a_unit_and_a_source() {
    let mut faults = Vec::new();
    for path in ["runtime/src/config.rs", "runtime/engine/src/config.rs", "client-protocol/src/config.rs"] {
        let text = fs::read_to_string(root().join(path)).expect("the limits of a crate");
        let mut docs = String::new();
        // A source that holds for all limits of a struct stands at its head.
        let mut of_struct = String::new();
        for line in text.lines() {
            let trimmed = line.trim();
            if let Some(doc) = trimmed.strip_prefix("///") {
                docs.push_str(doc);
            } else {
                if trimmed.starts_with("#[") {
                    continue;
                }
                if trimmed.starts_with("pub struct") {
                    of_struct = docs.clone();
                }
                let is_number = ["usize,", "u32,", "u64,", "Duration,"].iter().any(|kind| trimmed.ends_with(kind));
                let has_source = docs.contains("Source:") || of_struct.contains("Source");
                if trimmed.starts_with("pub ") && is_number && !has_source {
                    faults.push(format!("{path}: {trimmed}"));
                }
                docs.clear();
            }
        }
    }
    none(faults, "each limit says its unit, its default and its source");
}

#[test]
fn the_history_names_no_machine() {
    let marks = [
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
        ["crates.io", "-index"].concat(),
        ["registry.", "npmjs"].concat(),
        ["pypi", ".org"].concat(),
    ];
    let mut found = Vec::new();
    for (path, text) in all_sources() {
        if marks.iter().any(|mark| text.contains(mark.as_str())) {
            found.push(path);
        }
    }
    none(found, "no path of a machine, no registry host");
}
