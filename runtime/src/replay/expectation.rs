//! What the server has to say, and whether it says it.
//!
//! A server is free to join Transitions or to split them, as long as they lead to the same states: so what a file
//! writes as several may come as one, and the other way round. A result must be one that the file has for the
//! identity it is sent under. Answers to requests may come before or after Transitions; an AuthError, a FatalError and
//! the close come last, in the order of the file.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::difference::{Difference, Failure};
use super::members::{Members, shown};
use super::names::Names;

/// Members that differ from run to run; compared only where a file writes them.
const INCIDENTAL: [&str; 3] = ["logLines", "journal", "ts"];

/// One thing that the server has to say.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Transition(Moved),
    /// A `MutationResponse` or an `ActionResponse`.
    Response(Value),
    /// An `AuthError` or a `FatalError`.
    LastWords(Value),
    /// A Close frame; 1005 is one without a code.
    Closed {
        code: u64,
        reason: Value,
    },
}

/// A Transition, without what differs from run to run. Where it starts is where the one before has ended.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    pub(super) query_set: u64,
    pub(super) identity: u64,
    /// By query.
    pub(super) modifications: BTreeMap<u64, Value>,
}

/// Something that the server has said.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Message(Value),
    Closed { code: u16, reason: String },
}

impl Expected {
    pub(super) fn parse(value: Value) -> Result<Self, String> {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "Transition" => Moved::parse(value).map(Expected::Transition),
            "MutationResponse" | "ActionResponse" => match value.get("requestId") {
                Some(Value::Number(_)) => Ok(Expected::Response(value)),
                _ => Err(format!("\"server\": a {kind} has a number \"requestId\"")),
            },
            "AuthError" | "FatalError" => Ok(Expected::LastWords(value)),
            _ => Err(format!(
                "\"server\": expected a message with the \"type\" Transition, MutationResponse, ActionResponse, \
                 AuthError or FatalError, found {}",
                shown(&value)
            )),
        }
    }

    pub(super) fn parse_closed(value: Value) -> Result<Self, String> {
        let mut members = Members::new("closed", value)?;
        let code = members.number("code")?;
        let reason = members.text("reason")?.unwrap_or_default().into();
        let closed = Expected::Closed { code: members.required("code", code)?, reason };
        members.finish()?;
        Ok(closed)
    }
}

impl Moved {
    fn parse(value: Value) -> Result<Self, String> {
        let mut members = Members::new("a Transition", value)?;
        let _ = members.text("type")?;
        let end = members.take("endVersion").unwrap_or_default();
        let modifications = match members.take("modifications") {
            Some(Value::Array(modifications)) => modifications,
            other => return Err(format!("a Transition: \"modifications\": expected an array, found {other:?}")),
        };
        members.finish()?;
        let mut end = Members::new("\"endVersion\"", end)?;
        let (query_set, identity) = (end.number("querySet")?, end.number("identity")?);
        let (query_set, identity) = (end.required("querySet", query_set)?, end.required("identity", identity)?);
        end.finish()?;
        let mut by_query = BTreeMap::new();
        for modification in modifications {
            let query = modification.get("queryId").and_then(Value::as_u64);
            let query = query.ok_or_else(|| format!("a modification has a number \"queryId\": {modification}"))?;
            let kind = modification.get("type").and_then(Value::as_str).unwrap_or_default();
            if !["QueryUpdated", "QueryFailed", "QueryRemoved"].contains(&kind) {
                return Err(format!(
                    "a modification has the \"type\" QueryUpdated, QueryFailed or QueryRemoved: {modification}"
                ));
            }
            if by_query.insert(query, modification).is_some() {
                return Err(format!("a Transition lists a query once: {query} is there twice"));
            }
        }
        Ok(Moved { query_set, identity, modifications: by_query })
    }
}

/// A result that some line wants for a query.
#[derive(Debug)]
struct Wanted {
    /// The place of its Transition.
    place: usize,
    modification: Value,
}

/// What has to be said on one socket before the client goes on.
#[derive(Debug)]
pub(super) struct Block {
    /// Line, query set and identity of each Transition.
    states: Vec<(usize, u64, u64)>,
    wanted: BTreeMap<u64, VecDeque<Wanted>>,
    /// Where the client is.
    at: (u64, u64),
    /// The results that it holds.
    held: BTreeMap<u64, Value>,
    responses: Vec<(usize, Value)>,
    last: VecDeque<(usize, Expected)>,
}

impl Block {
    /// `at` is the query set and the identity that the client has reached, `held` the results that it holds.
    pub(super) fn new(at: (u64, u64), held: BTreeMap<u64, Value>, lines: Vec<(usize, Expected)>) -> Self {
        let (states, wanted, responses, last) = (Vec::new(), BTreeMap::new(), Vec::new(), VecDeque::new());
        let mut block = Block { states, wanted, at, held, responses, last };
        for (line, expected) in lines {
            match expected {
                Expected::Transition(Moved { query_set, identity, modifications }) => {
                    let place = block.states.len();
                    block.states.push((line, query_set, identity));
                    for (query, modification) in modifications {
                        block.wanted.entry(query).or_default().push_back(Wanted { place, modification });
                    }
                }
                Expected::Response(response) => block.responses.push((line, response)),
                last @ (Expected::LastWords(_) | Expected::Closed { .. }) => block.last.push_back((line, last)),
            }
        }
        block
    }

    /// The first line that waits for something, and what for; `None` when all has been said.
    pub(super) fn missing(&self) -> Option<(usize, String)> {
        let last = || {
            let (line, expected) = self.last.front()?;
            Some((*line, describe(expected)))
        };
        self.next_step().or_else(last)
    }

    /// The same, of everything but the last words.
    fn next_step(&self) -> Option<(usize, String)> {
        let transition = self.states.iter().enumerate().find_map(|(place, (line, query_set, identity))| {
            let is_reached = self.at.0 >= *query_set && self.at.1 >= *identity;
            if !is_reached {
                let end = json!({"querySet": query_set, "identity": identity});
                return Some((*line, format!("a Transition to {end}")));
            }
            let unsaid = self.wanted.values().flatten().find(|wanted| wanted.place == place)?;
            Some((*line, format!("a Transition with {}", shown(&unsaid.modification))))
        });
        let response = self.responses.first().map(|(line, response)| (*line, format!("a {}", summary(response))));
        [transition, response].into_iter().flatten().min_by_key(|(line, _)| *line)
    }

    /// Takes what was said.
    ///
    /// # Errors
    /// It is not what had to be said.
    pub(super) fn take(&mut self, heard: &Heard, names: &mut Names) -> Result<(), Failure> {
        match heard {
            Heard::Message(message) => match message["type"].as_str() {
                Some("Transition") => self.transition(message, names),
                Some("MutationResponse" | "ActionResponse") => self.response(message, names),
                _ => self.last_words(heard, message, names),
            },
            Heard::Closed { code, reason } => {
                self.last_words(heard, &json!({"closed": {"code": code, "reason": reason}}), names)
            }
        }
    }

    fn transition(&mut self, message: &Value, names: &mut Names) -> Result<(), Failure> {
        let Some(&(last_line, query_set, identity)) = self.states.last() else {
            return Err(self.unexpected(message));
        };
        let end = &message["endVersion"];
        let reached = (end["querySet"].as_u64().unwrap_or(0), end["identity"].as_u64().unwrap_or(0));
        for (path, expected, found) in
            [("endVersion.querySet", query_set, reached.0), ("endVersion.identity", identity, reached.1)]
        {
            if found > expected {
                let difference =
                    Difference { path: path.to_owned(), expected: expected.to_string(), found: found.to_string() };
                return Err(self.differs(last_line, "the Transition leads too far", vec![difference], message));
            }
        }
        for (n, modification) in message["modifications"].as_array().into_iter().flatten().enumerate() {
            self.modification(n, modification, reached.1, message, names)?;
        }
        if reached != self.at && reached == (query_set, identity) {
            self.forget_unchanged(names);
        }
        self.at = reached;
        Ok(())
    }

    /// A result that changed and changed back, in Transitions that came as one, is not sent.
    fn forget_unchanged(&mut self, names: &mut Names) {
        for (query, wanted) in &mut self.wanted {
            let is_held = |last: &Wanted| {
                let held = self.held.get(query)?;
                Some(names.compare(&last.modification, held, &INCIDENTAL).is_empty())
            };
            if wanted.back().and_then(is_held) == Some(true) {
                wanted.clear();
            }
        }
    }

    fn modification(
        &mut self,
        n: usize,
        found: &Value,
        identity: u64,
        message: &Value,
        names: &mut Names,
    ) -> Result<(), Failure> {
        let query = found["queryId"].as_u64().unwrap_or(0);
        let places = self.places_under(identity);
        let line_of = |place: usize| self.states[place].0;
        let last_line = self.states.last().map_or(0, |(line, ..)| *line);
        let Some(wanted) = self.wanted.get_mut(&query).filter(|wanted| !wanted.is_empty()) else {
            let difference =
                Difference { path: format!("modifications[{n}]"), expected: "nothing".to_owned(), found: shown(found) };
            return Err(self.differs(last_line, "the Transition says too much", vec![difference], message));
        };
        // The result that the file has for this query in one of the states under this identity.
        let candidates: Vec<usize> =
            places.iter().filter_map(|place| wanted.iter().rposition(|wanted| wanted.place <= *place)).collect();
        let mut closest = (wanted.len() - 1, None);
        for index in candidates {
            let differences = names.compare(&wanted[index].modification, found, &INCIDENTAL);
            if differences.is_empty() {
                wanted.drain(..=index);
                self.held.insert(query, found.clone());
                return Ok(());
            }
            closest = (index, Some(differences));
        }
        let (index, differences) = closest;
        let line = line_of(wanted[index].place);
        let differences = differences.unwrap_or_else(|| {
            vec![Difference {
                path: "endVersion.identity".to_owned(),
                expected: format!("{} for this result", self.states[wanted[index].place].2),
                found: identity.to_string(),
            }]
        });
        let inside = |difference: Difference| Difference {
            path: format!("modifications[{n}].{}", difference.path),
            ..difference
        };
        let differences = differences.into_iter().map(inside).collect();
        Err(self.differs(line, "the Transition differs", differences, message))
    }

    /// The states that have an identity; all of them if none has it, because some were joined.
    fn places_under(&self, identity: u64) -> Vec<usize> {
        let under = |identity: Option<u64>| -> Vec<usize> {
            let places = self.states.iter().enumerate();
            places.filter(|(_, state)| identity.is_none_or(|id| state.2 == id)).map(|(place, _)| place).collect()
        };
        match under(Some(identity)) {
            places if places.is_empty() => under(None),
            places => places,
        }
    }

    fn response(&mut self, message: &Value, names: &mut Names) -> Result<(), Failure> {
        let same = |(_, expected): &(usize, Value)| expected["requestId"].as_u64() == message["requestId"].as_u64();
        let Some(place) = self.responses.iter().position(same) else { return Err(self.unexpected(message)) };
        let (line, expected) = &self.responses[place];
        let differences = names.compare(expected, message, &INCIDENTAL);
        if !differences.is_empty() {
            let what = format!("the {} differs", summary(expected));
            return Err(self.differs(*line, &what, differences, message));
        }
        self.responses.remove(place);
        Ok(())
    }

    fn last_words(&mut self, heard: &Heard, message: &Value, names: &mut Names) -> Result<(), Failure> {
        if self.next_step().is_some() {
            return Err(self.unexpected(message));
        }
        let Some((line, expected)) = self.last.front() else { return Err(self.unexpected(message)) };
        let differences = match (expected, heard) {
            (Expected::LastWords(expected), Heard::Message(found)) => names.compare(expected, found, &[]),
            (Expected::Closed { code, reason }, Heard::Closed { code: found, reason: found_reason }) => names.compare(
                &json!({"code": code, "reason": reason}),
                &json!({"code": found, "reason": found_reason}),
                &[],
            ),
            _ => return Err(self.unexpected(message)),
        };
        if !differences.is_empty() {
            return Err(self.differs(*line, &format!("{} differs", describe(expected)), differences, message));
        }
        self.last.pop_front();
        Ok(())
    }

    fn differs(&self, line: usize, what: &str, differences: Vec<Difference>, message: &Value) -> Failure {
        Failure { line, what: what.to_owned(), differences, said: Some(shown(message)) }
    }

    fn unexpected(&self, message: &Value) -> Failure {
        match self.missing() {
            Some((line, missing)) => Failure {
                line,
                what: format!("expected {missing}, found something else"),
                differences: Vec::new(),
                said: Some(shown(message)),
            },
            None => Failure {
                line: 0,
                what: "expected nothing more, found a message".to_owned(),
                differences: Vec::new(),
                said: Some(shown(message)),
            },
        }
    }
}

fn summary(message: &Value) -> String {
    let kind = message["type"].as_str().unwrap_or("message");
    match message.get("requestId") {
        Some(request) => format!("{kind} to request {request}"),
        None => kind.to_owned(),
    }
}

fn describe(expected: &Expected) -> String {
    match expected {
        Expected::Closed { code, reason } => format!("a close with code {code} and reason {reason}"),
        Expected::LastWords(message) | Expected::Response(message) => format!("the {}", summary(message)),
        Expected::Transition(_) => "a Transition".to_owned(),
    }
}
