//! The server's own command line: what it takes, in which order settings count, and what it says of mistakes.

use std::path::Path;
use std::process::{Command, Output};

use syncline::admin::AdminKeys;

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Runs the program in a folder, with nothing in its environment but what is given.
fn run(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(super::SERVER);
    command.args(words).current_dir(folder).env_clear().envs(variables.iter().copied());
    command.output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// spec: H2, H4
#[test]
fn a_flag_counts_more_than_a_variable_and_that_more_than_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = |words: &[&str], variables: &[(&str, &str)]| {
        let printed = stdout(&run(folder.path(), &[&["keygen"], words].concat(), variables));
        assert_eq!(printed.lines().count(), 1, "the key stands alone: {printed}");
        printed.split('|').next().unwrap_or_default().to_owned()
    };
    assert_eq!(name(&[], &[]), "syncline");
    std::fs::write(folder.path().join("syncline.toml"), "instance-name = \"of-file\"\n").expect("it is written");
    assert_eq!(name(&[], &[]), "of-file");
    let variable = [("INSTANCE_NAME", "of-variable")];
    assert_eq!(name(&[], &variable), "of-variable");
    assert_eq!(name(&["--instance-name", "of-flag"], &variable), "of-flag");
    std::fs::remove_file(folder.path().join("syncline.toml")).expect("it is there");
    assert_eq!(name(&[], &[]), "of-flag", "the name is kept in the data folder");
}

/// spec: H2, H4
#[test]
fn keys_are_made_of_the_secret_that_is_given_and_of_the_one_that_was_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let given = [("INSTANCE_SECRET", SECRET), ("INSTANCE_NAME", "bold-hyena-681")];
    let key = stdout(&run(folder.path(), &["keygen"], &given));
    let keys = AdminKeys::from_hex("bold-hyena-681", SECRET).expect("a secret");
    assert_eq!(keys.check(key.trim()), Ok(()));

    let made = stdout(&run(folder.path(), &["keygen"], &[]));
    assert!(keys.check(made.trim()).is_err());
    let secret = std::fs::read_to_string(folder.path().join("data/credentials/instance_secret")).expect("it is kept");
    let keys = AdminKeys::from_hex("bold-hyena-681", &secret).expect("64 hex digits");
    assert_eq!(keys.check(made.trim()), Ok(()));
}

#[test]
fn mistakes_are_told_so_that_they_can_be_set_right() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mine.toml"), "port = 3210\nprot = 3211\n").expect("it is written");
    for (words, variables, parts) in [
        (&["serve", "--config", "mine.toml"][..], &[][..], &["mine.toml", "line 2", "prot", "port"][..]),
        (&["serve", "--config", "absent.toml"], &[], &["absent.toml", "No such file"]),
        (&["serve", "--port", "many"], &[], &["--port", "many"]),
        (&["keygen"], &[("INSTANCE_SECRET", "abc")], &["64 hex digits", "openssl rand -hex 32"]),
    ] {
        let output = run(folder.path(), words, variables);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{words:?}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn help_names_every_flag_with_its_variable_and_its_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = stdout(&run(folder.path(), &["serve", "--help"], &[("INSTANCE_SECRET", SECRET)]));
    for part in [
        "--port",
        "3210",
        "SYNCLINE_PORT",
        "--data",
        "--instance-name",
        "INSTANCE_NAME",
        "--instance-secret",
        "INSTANCE_SECRET",
        "--cloud-origin",
        "CONVEX_CLOUD_ORIGIN",
        "--site-origin",
        "CONVEX_SITE_ORIGIN",
        "--log",
        "--production",
        "--disable-metrics-endpoint",
        "DISABLE_METRICS_ENDPOINT",
        "--config",
        "syncline.toml",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    assert!(!help.contains(SECRET), "a secret is not shown");
}
