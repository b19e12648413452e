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
    let rows = checks.iter().map(|check| row(*check, &passed, outcome.as_ref().err())).collect();
    let payload = Token::decode(token, &mut NoTrail).ok().map(|decoded| decoded.payload().to_owned());
    Explanation { rows, provider, outcome, payload }
}

fn row(check: Check, passed: &Passed, rejection: Option<&Rejection>) -> Row {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match rejection.filter(|rejection| rejection.reason().check() == check) {
        Some(rejection) => {
            let (expected, found) = (text(rejection.expected()), text(rejection.found()));
            Row { check, outcome: Outcome::Failed, expected, found }
        }
        None => match passed.0.iter().rev().find(|(passed, ..)| *passed == check) {
            Some((_, expected, found)) => {
                Row { check, outcome: Outcome::Passed, expected: expected.clone(), found: found.clone() }
            }
            None => Row { check, outcome: Outcome::NotReached, expected: String::new(), found: String::new() },
        },
    }
}

/// The checks that were passed, with what was expected and found.
#[derive(Default)]
struct Passed(Vec<(Check, String, String)>);

impl Trail for Passed {
    fn passed(&mut self, check: Check, facts: impl FnOnce() -> (String, String)) {
        let (expected, found) = facts();
        self.0.push((check, expected, found));
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
