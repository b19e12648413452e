//! `codegen`: the types of the application for clients in TypeScript.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::{Server, ServerError};

#[derive(Args)]
#[group(id = "codegen")]
pub(super) struct Arguments {
    /// The file to write, for example `web/src/api.ts`; left alone when it is up to date.
    file: PathBuf,
    /// Writes nothing; ends with 1 when the file is out of date. For continuous integration.
    #[arg(long)]
    check: bool,
}

/// Answers whether the file is up to date.
#[expect(clippy::print_stderr, reason = "what to do about it is for a person")]
pub(super) fn run(server: &Server, arguments: &Arguments) -> Result<bool, ServerError> {
    let file = &arguments.file;
    let expected = server.typescript();
    let found = match std::fs::read_to_string(file) {
        // Some check files out with other ends of lines.
        Ok(found) => Some(found.replace("\r\n", "\n")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(of_file(file, &error)),
    };
    if found.as_deref() == Some(expected.as_str()) {
        return Ok(true);
    }
    if arguments.check {
        let problem = found.map_or_else(|| "it does not exist".to_owned(), |found| difference(&found, &expected));
        let file = file.display();
        eprintln!("error: {file} is out of date: {problem}\nWrite it anew with `codegen {file}`, and check it in.");
        return Ok(false);
    }
    std::fs::write(file, expected).map_err(|error| of_file(file, &error))?;
    Ok(true)
}

/// The first line that differs.
fn difference(found: &str, expected: &str) -> String {
    let (mut found, mut expected) = (found.lines(), expected.lines());
    let mut number = 1;
    loop {
        match (found.next(), expected.next()) {
            (Some(found), Some(expected)) if found == expected => number += 1,
            (found, expected) => {
                let shown = |line: Option<&str>| line.map_or("nothing".to_owned(), |line| format!("`{}`", line.trim()));
                return format!("line {number} should be {}, and is {}", shown(expected), shown(found));
            }
        }
    }
}

/// The error, with the file that it is about.
fn of_file(file: &Path, error: &io::Error) -> ServerError {
    io::Error::new(error.kind(), format!("{}: {error}", file.display())).into()
}
