//! Explains a token: every check that is made of it, which one fails, and what to do. For the command line and
//! for a page of the development server.

use std::fmt;

use super::config::Provider;
use super::jwt::Token;
use super::reason::{Check, NoTrail, Trail};
use super::rejection::Rejection;
use super::verifier::{Verified, Verifier};

/// What became of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The token keeps the rule.
    Passed,
    /// The token breaks the rule, or the rule cannot be checked.
    Failed,
    /// An earlier check failed.
    NotReached,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The check.
    pub check: Check,
    /// What became of it.
    pub outcome: Outcome,
    /// What the rule asks for.
    pub expected: String,
    /// What the token has.
    pub found: String,
}

/// A token, looked at from all sides.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Every check in order.
    pub rows: Vec<Row>,
    /// The provider that issuer and audience lead to, if they lead to one.
    pub provider: Option<Provider>,
    /// What the verifier says.
    pub outcome: Result<Verified, Rejection>,
    /// The decoded header, when the payload could be decoded, and it too.
    pub header: Option<String>,
    /// The decoded payload, when it could be decoded.
    pub payload: Option<String>,
}

impl Explanation {
    /// Whether the token would be accepted.
    pub fn is_accepted(&self) -> bool {
        self.outcome.is_ok()
    }

    /// What is the matter, in one sentence or two.
    pub fn summary(&self) -> String {
        match &self.outcome {
            Ok(verified) => format!("The token is accepted, as {}.", verified.identity.token_identifier),
            Err(rejection) => rejection.summary().to_owned(),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<&str> {
        self.outcome.as_ref().err().and_then(Rejection::remedy)
    }
}

/// Checks `token` as `verifier` would, keys included, and tells everything.
pub async fn explain(verifier: &Verifier, token: &str) -> Explanation {
    let mut passed = Passed::default();
    let (provider, outcome) = verifier.check_with(token, &mut passed).await;
    let checks = match &provider {
        Some(Provider::CustomJwt { .. }) => Check::CUSTOM_JWT,
        Some(Provider::Oidc { .. }) | None => Check::OIDC,
    };
    let rows = rows(checks, &passed, outcome.as_ref().err());
    let decoded = Token::decode(token, &mut NoTrail).ok();
    let header = decoded.as_ref().and_then(Token::header);
    let payload = decoded.map(|decoded| decoded.payload().to_owned());
    Explanation { rows, provider, outcome, header, payload }
}

/// Checks are made in the order of the table, so the first that was not passed is the one that failed.
fn rows(checks: &[Check], passed: &Passed, rejection: Option<&Rejection>) -> Vec<Row> {
    let mut failure = rejection;
    let row = |check: &Check| {
        let (outcome, expected, found) = match (passed.of(*check), failure.take_if(|_| passed.of(*check).is_none())) {
            (Some((expected, found)), _) => (Outcome::Passed, expected, found),
            (None, Some(rejection)) => {
                (Outcome::Failed, rejection.expected().unwrap_or_default(), rejection.found().unwrap_or_default())
            }
            (None, None) => (Outcome::NotReached, "", ""),
        };
        Row { check: *check, outcome, expected: expected.to_owned(), found: found.to_owned() }
    };
    checks.iter().map(row).collect()
}

/// The checks that were passed, with what was expected and found.
#[derive(Default)]
struct Passed(Vec<(Check, String, String)>);

impl Passed {
    /// What was expected and found, when a check was passed; of several times the last.
    fn of(&self, check: Check) -> Option<(&str, &str)> {
        let noted = self.0.iter().rev().find(|(passed, ..)| *passed == check);
        noted.map(|(_, expected, found)| (expected.as_str(), found.as_str()))
    }
}

impl Trail for Passed {
    fn passed(&mut self, check: Check, facts: impl FnOnce() -> (String, String)) {
        let (expected, found) = facts();
        self.0.push((check, expected, found));
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, decoded) in [("header", &self.header), ("claims", &self.payload)] {
            if let Some(text) = decoded {
                writeln!(f, "{name}  {}", printable(text))?;
            }
        }
        writeln!(f)?;
        let width = |column: fn(&Row) -> usize| self.rows.iter().map(column).max().unwrap_or(0);
        let title_width = width(|row| row.check.title().chars().count());
        let expected_width = width(|row| row.expected.chars().count()).min(60);
        for row in &self.rows {
            let mark = match row.outcome {
                Outcome::Passed => '✓',
                Outcome::Failed => '✗',
                Outcome::NotReached => '·',
            };
            let Row { expected, found, .. } = row;
            let line = format!("{mark} {:title_width$}  {expected:expected_width$}  {found}", row.check.title());
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        if let Err(rejection) = &self.outcome {
            write!(f, "{} ({}): ", rejection.code(), rejection.reason())?;
        }
        writeln!(f, "{}", self.summary())?;
        match self.remedy() {
            Some(remedy) => writeln!(f, "{remedy}"),
            None => Ok(()),
        }
    }
}

/// A text from outside, without what a terminal would take for a command.
fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}
