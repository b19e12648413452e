//! The one error of this program: a measurement that cannot be had or cannot be believed.

use std::fmt;

/// Why the program ends without success. There is nothing to decide upon it: the text is for the person at the screen.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// With a text that says what was expected and what was found.
    pub fn new(text: impl Into<String>) -> Self {
        Failure(text.into())
    }

    /// Says what was being done.
    pub fn during(self, what: impl fmt::Display) -> Self {
        Failure(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure(error.to_string())
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure(format!("SQLite: {error}"))
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Failure(format!("a task of the load program ended early: {error}"))
    }
}
