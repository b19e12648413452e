//! Reads the JSON of tokens strictly: bounded in depth, and member by member, so that each value keeps
//! the spelling it came with.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep objects and arrays may be nested in a token.
///
/// Source: `spec/auth.md` R2 and A26; the reference's JSON library has the same limit.
pub(super) const DEPTH_MAX: usize = 128;

/// Why a text is not an object that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ObjectError {
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// Not JSON, or no object; why not.
    Malformed(String),
    /// A member that may stand once stands twice.
    Repeated(String),
}

/// The members of an object, each with the text of its value.
pub(super) struct Members<'a>(BTreeMap<Cow<'a, str>, &'a str>);

impl<'a> Members<'a> {
    /// Reads an object. Of members that stand twice the last one counts, but for those in `unique`.
    ///
    /// # Errors
    /// The text is nested too deep, is no well-formed object, or repeats a member of `unique`.
    pub(super) fn parse(text: &'a str, unique: &[&str]) -> Result<Self, ObjectError> {
        if depth(text) > DEPTH_MAX {
            return Err(ObjectError::TooDeep);
        }
        let malformed = |error: serde_json::Error| ObjectError::Malformed(error.to_string());
        let pairs: Pairs<'a> = serde_json::from_str(text).map_err(malformed)?;
        let mut members = BTreeMap::new();
        for (name, value) in pairs.0 {
            // What was skipped over is checked here: escapes that are no characters, numbers beyond any range.
            serde_json::from_str::<WellFormed>(value).map_err(malformed)?;
            if let Some(repeated) = unique.iter().find(|unique| **unique == name)
                && members.contains_key(&name)
            {
                return Err(ObjectError::Repeated((*repeated).to_owned()));
            }
            members.insert(name, value);
        }
        Ok(Self(members))
    }

    /// The JSON text of a member; a null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied().filter(|value| *value != "null")
    }

    /// All members, nulls too, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// A member that is a text.
    ///
    /// # Errors
    /// The kind of value that stands there instead.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, &'static str> {
        self.get(name).map(|value| serde_json::from_str(value).map_err(|_| kind_of(value))).transpose()
    }

    /// A member that is a boolean.
    ///
    /// # Errors
    /// The kind of value that stands there instead.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, &'static str> {
        self.get(name).map(|value| serde_json::from_str(value).map_err(|_| kind_of(value))).transpose()
    }

    /// A member that is a number.
    ///
    /// # Errors
    /// The kind of value that stands there instead.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, &'static str> {
        self.get(name).map(|value| serde_json::from_str(value).map_err(|_| kind_of(value))).transpose()
    }

    /// A member that is a text or an array of texts.
    ///
    /// # Errors
    /// The kind of value that stands there instead.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, &'static str> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match kind_of(value) {
            "string" => serde_json::from_str(value).map(|text| Some(vec![text])).map_err(|_| "string"),
            "array" => serde_json::from_str(value).map(Some).map_err(|_| "array with other values than strings"),
            other => Err(other),
        }
    }
}

/// What kind of value a JSON text is, by its first character.
pub(super) fn kind_of(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

/// How deep a text is nested. Counts brackets outside of strings, so it is right for every JSON text and
/// bounded for any other.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Names and texts of an object's members, in the order of the text.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    pairs.push((name, map.next_value::<&'de RawValue>()?.get()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A member's name, borrowed from the text when it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Any value, read completely and thrown away.
struct WellFormed;

impl<'de> Deserialize<'de> for WellFormed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Discard)
    }
}

struct Discard;

impl<'de> Visitor<'de> for Discard {
    type Value = WellFormed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<WellFormed, E> {
        Ok(WellFormed)
    }

    fn visit_bool<E>(self, _: bool) -> Result<WellFormed, E> {
        Ok(WellFormed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<WellFormed, E> {
        Ok(WellFormed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<WellFormed, E> {
        Ok(WellFormed)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<WellFormed, E> {
        if number.is_finite() { Ok(WellFormed) } else { Err(E::custom("number out of range")) }
    }

    fn visit_str<E>(self, _: &str) -> Result<WellFormed, E> {
        Ok(WellFormed)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<WellFormed, A::Error> {
        while seq.next_element::<WellFormed>()?.is_some() {}
        Ok(WellFormed)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WellFormed, A::Error> {
        while let Some(Name(_)) = map.next_key()? {
            map.next_value::<WellFormed>()?;
        }
        Ok(WellFormed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
    }

    /// spec: A26
    #[test]
    fn nesting_is_bounded() {
        assert!(Members::parse(&nested(DEPTH_MAX), &[]).is_ok());
        for levels in [DEPTH_MAX + 1, 200, 10_000] {
            assert_eq!(Members::parse(&nested(levels), &[]).err(), Some(ObjectError::TooDeep), "{levels}");
        }
        assert!(Members::parse(&format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(500)), &[]).is_ok(), "in a string");
    }

    #[test]
    fn values_keep_their_spelling() {
        let members =
            Members::parse(r#"{"n": 1.50e1, "big": 12345678901234567890123, "o": {"b": 1, "a":2}}"#, &[]).ok();
        let members = members.unwrap();
        assert_eq!(members.get("n"), Some("1.50e1"));
        assert_eq!(members.get("big"), Some("12345678901234567890123"));
        assert_eq!(members.get("o"), Some(r#"{"b": 1, "a":2}"#));
    }

    #[test]
    fn what_is_not_a_well_formed_object_is_refused() {
        for text in [
            "",
            "[]",
            "5",
            "null",
            "{",
            "{}x",
            r#"{"a":}"#,
            r#"{"a":01}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e400}"#,
            "{1:2}",
        ] {
            assert!(matches!(Members::parse(text, &[]), Err(ObjectError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn members_that_must_be_unique_are_even_when_escaped() {
        let repeated =
            |text| matches!(Members::parse(text, &["iss"]), Err(ObjectError::Repeated(name)) if name == "iss");
        assert!(repeated(r#"{"iss":"a","iss":"b"}"#));
        assert!(repeated(r#"{"iss":"a","\u0069ss":"b"}"#));
        let twice = r#"{"x":1,"x":2}"#;
        assert_eq!(Members::parse(twice, &["iss"]).ok().and_then(|members| members.get("x")), Some("2"));
    }

    #[test]
    fn ten_thousand_members_are_read() {
        let body: Vec<String> = (0..10_000).map(|n| format!("\"{n}\":{n}")).collect();
        let text = format!("{{{}}}", body.join(","));
        assert_eq!(Members::parse(&text, &["1"]).ok().map(|members| members.iter().count()), Some(10_000));
    }
}
