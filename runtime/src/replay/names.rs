//! Texts in a handshake that stand for something else: matchers in expectations, fixtures in what the client says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::difference::Difference;
use super::expectation::Expected;
use super::format::{Event, Handshake};
use super::members::shown;

/// Stands for the issuer of the tokens, anywhere in a text.
const ISSUER: &str = "${issuer}";

/// A text that stands for something.
#[derive(Debug, PartialEq)]
enum Name<'a> {
    /// `$any`: any value.
    Any,
    /// `$like:…`: a text, in which `*` stands for any text.
    Like(&'a str),
    /// `$same:NAME`: the same value wherever the name stands.
    Same(&'a str),
    /// `$text:…`: this very text, which may begin with a dollar sign.
    Text(&'a str),
    /// `$token:NAME`
    Token(&'a str),
    /// `$admin`: an admin key of the server.
    Admin,
    /// `$session` or `$session:NAME`: a session id, another one at each run.
    Session(&'a str),
    /// `$observed`: the latest timestamp that was sent to the client; the member is left out before there is one.
    Observed,
}

impl<'a> Name<'a> {
    /// `None` for a text that means itself.
    fn parse(text: &'a str) -> Result<Option<Self>, String> {
        let Some(name) = text.strip_prefix('$').filter(|rest| !rest.starts_with('{')) else { return Ok(None) };
        let (kind, rest) = name.split_once(':').map_or((name, None), |(kind, rest)| (kind, Some(rest)));
        Ok(Some(match (kind, rest) {
            ("any", None) => Name::Any,
            ("like", Some(pattern)) => Name::Like(pattern),
            ("same", Some(name)) => Name::Same(name),
            ("text", Some(text)) => Name::Text(text),
            ("token", Some(name)) => Name::Token(name),
            ("admin", None) => Name::Admin,
            ("session", name) => Name::Session(name.unwrap_or_default()),
            ("observed", None) => Name::Observed,
            _ => {
                return Err(format!(
                    "{text:?} begins with a dollar sign, but is none of $any, $like:…, $same:NAME and $text:…, nor, in \
                     what the client says, $token:NAME, $admin, $session and $observed"
                ));
            }
        }))
    }

    fn is_for_clients_only(&self) -> bool {
        matches!(self, Name::Token(_) | Name::Admin | Name::Session(_) | Name::Observed)
    }
}

/// What the names stand for in one run.
#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) issuer: String,
    pub(super) tokens: BTreeMap<String, String>,
    pub(super) admin_key: Option<String>,
    /// What `$observed` is; 0 before there is one.
    pub(super) observed_ts: u64,
    sessions: BTreeMap<String, String>,
    same: BTreeMap<String, Value>,
}

impl Names {
    /// What the client says, with everything put in.
    pub(super) fn fill(&mut self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.fill_text(text)?,
            Value::Array(items) => Value::Array(items.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?),
            Value::Object(members) => {
                let mut filled = Map::new();
                for (name, value) in members {
                    let is_absent = value == "$observed" && self.observed_ts == 0;
                    if !is_absent {
                        filled.insert(name.clone(), self.fill(value)?);
                    }
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }

    fn fill_text(&mut self, text: &str) -> Result<Value, String> {
        let Some(name) = Name::parse(text)? else { return Ok(text.replace(ISSUER, &self.issuer).into()) };
        let filled: Option<Value> = match name {
            Name::Text(text) => Some(text.into()),
            Name::Token(name) => self.tokens.get(name).map(|token| token.as_str().into()),
            Name::Admin => self.admin_key.as_deref().map(Into::into),
            Name::Observed => Some(STANDARD.encode(self.observed_ts.to_le_bytes()).into()),
            Name::Same(name) => self.same.get(name).cloned(),
            Name::Session(name) => {
                let fresh = || uuid::Uuid::new_v4().to_string();
                Some(self.sessions.entry(name.to_owned()).or_insert_with(fresh).as_str().into())
            }
            Name::Any | Name::Like(_) => None,
        };
        filled.ok_or_else(|| format!("{text} stands for nothing yet"))
    }

    /// The header `Authorization`: the credential is its last word.
    pub(super) fn fill_authorization(&mut self, text: &str) -> Result<String, String> {
        let (scheme, credential) = text.rsplit_once(' ').unwrap_or(("", text));
        let filled = self.fill_text(credential)?;
        Ok(format!("{scheme} {}", filled.as_str().unwrap_or_default()).trim_start().to_owned())
    }

    /// Compares; members of `incidental` at the top that the file does not write are not looked at. What `$same` stands
    /// for is kept only when nothing differs.
    pub(super) fn compare(&mut self, expected: &Value, found: &Value, incidental: &[&str]) -> Vec<Difference> {
        let mut found = found.clone();
        if let (Value::Object(expected), Value::Object(found)) = (expected, &mut found) {
            found.retain(|name, _| expected.contains_key(name) || !incidental.contains(&name.as_str()));
        }
        let mut tried = self.clone();
        let mut differences = Vec::new();
        tried.walk("", expected, &found, &mut differences);
        if differences.is_empty() {
            *self = tried;
        }
        differences
    }

    fn walk(&mut self, path: &str, expected: &Value, found: &Value, differences: &mut Vec<Difference>) {
        match (expected, found) {
            (Value::Object(expected), Value::Object(found)) => {
                for (name, value) in expected {
                    let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    match found.get(name) {
                        Some(found) => self.walk(&at, value, found, differences),
                        None => differences.push(difference(&at, shown(value), "nothing".to_owned())),
                    }
                }
                for (name, value) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
                    let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    differences.push(difference(&at, "nothing".to_owned(), shown(value)));
                }
            }
            (Value::Array(expected), Value::Array(found)) => {
                for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
                    self.walk(&format!("{path}[{n}]"), expected, found, differences);
                }
                if expected.len() != found.len() {
                    let items = |items: &[Value]| format!("{} items", items.len());
                    differences.push(difference(path, items(expected), items(found)));
                }
            }
            (Value::String(text), found) => {
                if !self.text_fits(text, found) {
                    let expected = Value::from(text.replace(ISSUER, &self.issuer));
                    differences.push(difference(path, shown(&expected), shown(found)));
                }
            }
            (expected, found) => {
                // A file may write 1 where the server writes 1.0.
                let is_equal = match (expected.as_f64(), found.as_f64()) {
                    (Some(expected), Some(found)) => expected == found,
                    _ => expected == found,
                };
                if !is_equal {
                    differences.push(difference(path, shown(expected), shown(found)));
                }
            }
        }
    }

    fn text_fits(&mut self, text: &str, found: &Value) -> bool {
        match Name::parse(text) {
            Ok(Some(Name::Any)) => true,
            Ok(Some(Name::Like(pattern))) => {
                found.as_str().is_some_and(|found| is_like(&pattern.replace(ISSUER, &self.issuer), found))
            }
            Ok(Some(Name::Same(name))) => self.same.entry(name.to_owned()).or_insert_with(|| found.clone()) == found,
            Ok(Some(Name::Text(text))) => found == text,
            Ok(None) => *found == text.replace(ISSUER, &self.issuer),
            // Refused when the file was read.
            Ok(Some(_)) | Err(_) => false,
        }
    }
}

fn difference(path: &str, expected: String, found: String) -> Difference {
    let path = if path.is_empty() { "the whole" } else { path };
    Difference { path: path.to_owned(), expected, found }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| is_like(tail, &rest[at..]))
}

/// Whether every name in a file can be understood; else the line, and what is wrong.
pub(super) fn check(handshake: &Handshake) -> Result<(), (usize, String)> {
    let mut same: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in &handshake.lines {
        let mut check = |value: &Value, is_client: bool| {
            each_text(value, &mut |text| {
                let Some(name) = Name::parse(text)? else { return Ok(()) };
                match &name {
                    Name::Same(name) => same.entry((*name).to_owned()).or_insert((line.number, 0)).1 += 1,
                    Name::Token(name) if !handshake.setup.tokens.contains_key(*name) => {
                        return Err(format!("there is no token {name:?}; define it with {{\"token\":{name:?},…}}"));
                    }
                    Name::Any | Name::Like(_) if is_client => {
                        return Err(format!("{text:?} is for comparing: the client cannot say it"));
                    }
                    name if name.is_for_clients_only() && !is_client => {
                        return Err(format!("{text:?} is for what the client says: nothing can be compared with it"));
                    }
                    _ => {}
                }
                Ok(())
            })
            .map_err(|message| (line.number, message))
        };
        match &line.event {
            Event::Client { frame, .. } => check(frame, true)?,
            Event::Server { expected, .. } => {
                expected.values().into_iter().try_for_each(|value| check(value, false))?;
            }
            Event::Request { request, response } => {
                let credential = request.authorization.as_deref().and_then(|text| text.rsplit(' ').next());
                check(&credential.map_or(Value::Null, Into::into), true)?;
                check(request.body.as_ref().unwrap_or(&Value::Null), true)?;
                check(&response.body, false)?;
            }
            Event::Open { .. } | Event::Close { .. } | Event::Issuer(_) | Event::Fetched { .. } | Event::Time => {}
        }
    }
    match same.into_iter().find(|(_, (_, uses))| *uses == 1) {
        None => Ok(()),
        Some((name, (line, _))) => Err((
            line,
            format!(
                "$same:{name} stands here only: it compares nothing. Write the name where the value comes again, or $any"
            ),
        )),
    }
}

fn each_text(value: &Value, visit: &mut impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().try_for_each(|item| each_text(item, visit)),
        Value::Object(members) => members.values().try_for_each(|value| each_text(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

impl Expected {
    /// Everything in it that may hold names.
    fn values(&self) -> Vec<&Value> {
        match self {
            Expected::Transition(moved) => moved.modifications.values().collect(),
            Expected::Response(value) | Expected::LastWords(value) => vec![value],
            Expected::Closed { reason, .. } => vec![reason],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("Unauthenticated: *", "Unauthenticated: no", true),
            ("Unauthenticated: *", "Unauthenticated", false),
            ("*a*b", "xaab", true),
            ("*a*b", "xba", false),
            ("exact", "exact", true),
            ("ü*", "üü", true),
        ] {
            assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_difference_says_where() {
        let mut names = Names { issuer: "https://i".to_owned(), ..Names::default() };
        let expected = json!({"a": [{"b": 1}, "$any"], "c": "${issuer}|u", "d": "$same:x", "e": "$same:x"});
        let found = json!({"a": [{"b": 1.0}, 7], "c": "https://i|u", "d": "k", "e": "k", "ts": 1});
        assert_eq!(names.compare(&expected, &found, &["ts"]), []);
        let found = json!({"a": [{"b": 2}, 7], "c": "https://i|v", "d": "k", "e": "l", "f": null});
        let paths: Vec<String> =
            names.compare(&expected, &found, &["ts"]).into_iter().map(|difference| difference.path).collect();
        assert_eq!(paths, ["a[0].b", "c", "e", "f"]);
    }
}
