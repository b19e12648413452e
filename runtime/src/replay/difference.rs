//! What came of a handshake, in a form for people and in one for machines.

use std::fmt;

/// Two values that should be equal and are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where in the message, as in `modifications[0].value.name`.
    pub path: String,
    /// What the file says.
    pub expected: String,
    /// What the server said.
    pub found: String,
}

/// Where a handshake went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of the file, counted from 1.
    pub line: usize,
    /// What the line asks for, in a few words.
    pub what: String,
    /// What differs; empty when `what` says all.
    pub differences: Vec<Difference>,
    /// The whole of what was said instead.
    pub said: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        for Difference { path, expected, found } in &self.differences {
            write!(f, "\n      at        {path}\n      expected  {expected}\n      found     {found}")?;
        }
        match &self.said {
            Some(said) => write!(f, "\n      the server said  {said}"),
            None => Ok(()),
        }
    }
}

/// What came of one handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was said as it had to be, and nothing else.
    Passed,
    /// Something was not.
    Failed(Failure),
    /// It was not played, because this place cannot do what it needs.
    Skipped(String),
}

/// How many handshakes came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Played without a difference.
    pub passed: usize,
    /// Played with a difference, or not readable.
    pub failed: usize,
    /// Not played.
    pub skipped: usize,
}

impl Summary {
    /// Counts one more.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }
}

impl fmt::Display for Summary {
    /// The line that programs look for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { passed, failed, skipped } = self;
        let files = passed + failed + skipped;
        write!(f, "replay: {passed} passed, {failed} failed, {skipped} skipped ({files} files)")
    }
}
