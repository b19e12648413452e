//! The members of one object in a handshake: each is taken once, and what is left over is a mistake of the writer.

use serde_json::{Map, Value};

/// See the module. `what` names the object in messages.
pub(super) struct Members {
    what: &'static str,
    known: Vec<&'static str>,
    members: Map<String, Value>,
}

impl Members {
    /// # Errors
    /// The value is no object.
    pub(super) fn new(what: &'static str, value: Value) -> Result<Self, String> {
        match value {
            Value::Object(members) => Ok(Members { what, known: Vec::new(), members }),
            other => Err(format!("{what}: expected an object, found {}", shown(&other))),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.members.remove(name)
    }

    /// The member, or why it is not what it has to be; absent is `None`.
    fn typed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let what = self.what;
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(format!("{what}: \"{name}\": expected {expected}, found {}", shown(&value))),
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, String> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, String> {
        self.typed(name, "a whole number from 0 on", Value::as_u64)
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, String> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Map<String, Value>>, String> {
        self.typed(name, "an object", |value| value.as_object().cloned())
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, String> {
        self.typed(name, "an array of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// What a member that has to be there was found to be.
    pub(super) fn required<T>(&self, name: &str, found: Option<T>) -> Result<T, String> {
        found.ok_or_else(|| format!("{}: \"{name}\" is missing", self.what))
    }

    /// # Errors
    /// A member that nobody asked for: misspelt, or in the wrong place.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(unknown) => {
                let known = self.known.join(", ");
                Err(format!("{}: \"{unknown}\" is not known here; known: {known}", self.what))
            }
        }
    }
}

/// A value, short enough for a message.
pub(super) fn shown(value: &Value) -> String {
    const CHARS_MAX: usize = 400;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
