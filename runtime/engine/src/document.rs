//! The stored text of documents: built, merged and measured without turning it into values.
//!
//! Everything here reads *canonical* text: what `schema` writes, without whitespace, keys in byte order of their
//! names. It was checked when it came in, so a malformed text is a bug or a damaged store.

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::{memchr, memchr2};
use smallvec::SmallVec;
use syncline_schema::{DocumentId, Value};

/// Stands for "remove this field" in a patch.
const UNDEFINED: &str = r#"{"$undefined":null}"#;

/// The name that each text begins with.
const CREATION_TIME: &str = r#"{"_creationTime":"#;
const ID: &str = r#","_id":""#;

/// The text of a document from the text of an object with its fields.
pub(crate) fn stored(creation_time: f64, id: &DocumentId, fields: &str) -> String {
    let mut text = head(creation_time, id, fields.len());
    if fields != "{}" {
        text.push(',');
        text.push_str(&fields[1..fields.len() - 1]);
    }
    text.push('}');
    text
}

fn head(creation_time: f64, id: &DocumentId, capacity: usize) -> String {
    let mut text = String::with_capacity(CREATION_TIME.len() + ID.len() + 64 + capacity);
    text.push_str(CREATION_TIME);
    Value::Float64(creation_time).write_json(&mut text);
    text.push_str(ID);
    text.push_str(&id.text());
    text.push('"');
    text
}

/// The parts of a stored text before its own fields.
struct Head<'a> {
    creation_time: &'a str,
    id: &'a str,
    /// Where its own fields begin: at the comma or brace behind the id.
    end: usize,
}

/// `None` when it is not a stored text.
fn head_of(text: &str) -> Option<Head<'_>> {
    let rest = text.strip_prefix(CREATION_TIME)?;
    let (creation_time, rest) = rest.split_at(memchr(b',', rest.as_bytes())?);
    let rest = rest.strip_prefix(ID)?;
    let id = &rest[..memchr(b'"', rest.as_bytes())?];
    let end = CREATION_TIME.len() + creation_time.len() + ID.len() + id.len() + 1;
    Some(Head { creation_time, id, end })
}

/// The length of a stored text before its own fields: up to the comma or brace behind the id.
pub(crate) fn head_len(text: &str) -> Option<usize> {
    Some(head_of(text)?.end)
}

/// The text of an object with a stored text's own fields.
pub(crate) fn own_fields(text: &str) -> Option<String> {
    let fields = &text[head_of(text)?.end..];
    let fields = fields.strip_prefix(',').unwrap_or(fields);
    Some(format!("{{{fields}"))
}

/// What a patch does to a stored text.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// How much larger the document is, by the rules of [`Measure`].
    pub growth: isize,
    /// The nesting of what the patch put in, the document itself counted. What was there is no deeper than allowed.
    pub depth: usize,
}

/// Puts the fields of a patch into a stored text, in their places: `at` is the length of its [head](head_len).
/// `patched` is told their names, as the text has them. `out` becomes the new text; equal to what it was when the patch
/// changes nothing.
///
/// `None` when either text is not canonical, as far as it had to be looked at.
pub(crate) fn merge(
    (text, at): (&str, usize),
    patch: &str,
    out: &mut String,
    mut patched: impl FnMut(&str),
) -> Option<Merged> {
    out.clear();
    out.reserve(text.len() + patch.len());
    let mut merged = Merged::default();
    // What stands before this is in the new text, or has gone.
    let mut copied = 0;
    let mut old = Fields::new(text, at)?;
    let mut new = Fields::new(patch, 0)?;
    // The old field that was looked at last and is not in the new text yet.
    let mut looked_at = None;
    while let Some(after) = new.next_field()? {
        patched(after.name);
        let mut next_old = if let Some(field) = looked_at.take() { field } else { old.next_field()? };
        while let Some(before) = &next_old
            && compare_names(before, &after).is_lt()
        {
            next_old = old.next_field()?;
        }
        let place = next_old.map_or(old.scan.at, |before| before.start);
        out.push_str(text.get(copied..place)?);
        copied = place;
        match next_old.filter(|before| compare_names(before, &after).is_eq()) {
            Some(before) => {
                merged.growth -= before.measure()?.size as isize;
                copied = before.end;
            }
            None => looked_at = Some(next_old),
        }
        if after.value != UNDEFINED {
            let Measure { size, depth } = after.measure()?;
            merged.growth += size as isize;
            merged.depth = merged.depth.max(1 + depth);
            out.push(',');
            out.push_str(after.whole);
        }
    }
    out.push_str(text.get(copied..)?);
    out.ends_with('}').then_some(merged)
}

/// In byte order of what the names stand for.
fn compare_names(a: &Field<'_>, b: &Field<'_>) -> Ordering {
    if a.escaped || b.escaped { unescaped(a.name).cmp(&unescaped(b.name)) } else { a.name.cmp(b.name) }
}

fn unescaped(name: &str) -> Cow<'_, str> {
    serde_json::from_str(&format!("\"{name}\"")).map_or(Cow::Borrowed(name), Cow::Owned)
}

/// One field of an object's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Its name without the quotes, escaped as it stands.
    pub name: &'a str,
    /// Whether the name has escapes.
    escaped: bool,
    /// The text of its value.
    pub value: &'a str,
    /// All of it: `"name":value`.
    whole: &'a str,
    /// Where it begins in the object's text, with the comma before it.
    start: usize,
    /// Where it ends.
    end: usize,
}

impl Field<'_> {
    /// What it adds to the size of its object, and the nesting of its value.
    fn measure(&self) -> Option<Measure> {
        let name_len = if self.escaped { unescaped(self.name).len() } else { self.name.len() };
        let value = Scan { text: self.value, at: 0 }.value()?;
        Some(Measure { size: name_len + 1 + value.size, ..value })
    }
}

/// Steps through the top-level fields of an object's text.
pub(crate) struct Fields<'a> {
    scan: Scan<'a>,
}

impl<'a> Fields<'a> {
    /// Of an object's text that begins at `at`, or goes on there with a comma or the closing brace.
    pub fn new(text: &'a str, at: usize) -> Option<Self> {
        let mut scan = Scan { text, at };
        if scan.peek()? == b'{' {
            scan.at += 1;
        }
        Some(Fields { scan })
    }

    /// The next field: `Some(None)` at the end, `None` when the text is not canonical.
    #[expect(clippy::option_option, reason = "the outer level is what `?` handles")]
    pub fn next_field(&mut self) -> Option<Option<Field<'a>>> {
        let scan = &mut self.scan;
        let start = scan.at;
        match scan.peek()? {
            b'}' => return Some(None),
            b',' => scan.at += 1,
            _ => {}
        }
        let name_start = scan.at;
        let name_len = scan.string()?;
        let name = &scan.text[name_start + 1..scan.at - 1];
        let escaped = name_len != name.len();
        scan.expect(b':')?;
        let value_start = scan.at;
        scan.skip_value()?;
        let (text, end) = (scan.text, scan.at);
        Some(Some(Field { name, escaped, value: &text[value_start..end], whole: &text[name_start..end], start, end }))
    }
}

/// How large a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Size by the rules of `tests/spec/data-and-functions.md` 1.7, bytes.
    pub size: usize,
    /// Nesting, the document itself counted, levels.
    pub depth: usize,
}

/// Measures a stored text. `None` when it is not one.
pub(crate) fn measure(text: &str) -> Option<Measure> {
    measure_behind(text, &head_of(text)?)
}

/// What is kept beside a stored text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outline {
    /// Milliseconds since the epoch.
    pub creation_time: f64,
    /// See [`head_len`].
    pub head_len: u32,
    /// By the rules of values, bytes.
    pub size: u32,
}

/// Reads a stored text once. `None` when it is not one.
pub(crate) fn outline(text: &str) -> Option<Outline> {
    let head = head_of(text)?;
    let Measure { size, .. } = measure_behind(text, &head)?;
    let (head_len, size) = (u32::try_from(head.end).ok()?, u32::try_from(size).unwrap_or(u32::MAX));
    Some(Outline { creation_time: head.creation_time.parse().ok()?, head_len, size })
}

fn measure_behind(text: &str, Head { id, end, .. }: &Head<'_>) -> Option<Measure> {
    // The braces, two names with their one byte each, a float, and a string with its two.
    let head = 2 + ("_creationTime".len() + 1 + 9) + ("_id".len() + 1 + 2 + id.len());
    let (mut scan, mut measure) = (Scan { text, at: *end }, Measure { size: head, depth: 1 });
    // Fields that hold no others, as most do: without an account of what is open.
    while scan.peek()? == b',' {
        let start = scan.at;
        scan.at += 1;
        let name = scan.name()?;
        let value = match scan.peek()? {
            b'"' => 2 + scan.string()?,
            b'{' | b'[' => {
                scan.at = start;
                break;
            }
            _ => scan.scalar()?,
        };
        measure.size += name + value;
    }
    scan.value_from(State { open: SmallVec::from_slice(b"}"), measure, ended: true })
}

/// Where in a value a scan is.
struct State {
    /// The ends of the containers that are open.
    open: SmallVec<[u8; 32]>,
    measure: Measure,
    /// Whether a value ends here; else one begins.
    ended: bool,
}

/// Where the first quote or backslash stands. Most strings are names and short texts, for which a call takes longer than
/// looking.
#[inline]
fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    const LOOKED_AT: usize = 16;
    let Some(first) = bytes.first_chunk::<LOOKED_AT>() else { return memchr2(b'"', b'\\', bytes) };
    let word = u128::from_le_bytes(*first);
    // The lowest bit that is set is that of the first such byte; borrowing may set others above it.
    let is_byte = |byte: u8| {
        let differs = word ^ (EACH_BYTE * u128::from(byte));
        differs.wrapping_sub(EACH_BYTE) & !differs & (EACH_BYTE << 7)
    };
    match is_byte(b'"') | is_byte(b'\\') {
        0 => memchr2(b'"', b'\\', &bytes[LOOKED_AT..]).map(|at| LOOKED_AT + at),
        found => Some(found.trailing_zeros() as usize / 8),
    }
}

/// One in each byte.
const EACH_BYTE: u128 = u128::MAX / 0xff;

/// A place in a text.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Steps over a string; returns the length of what it stands for, in bytes.
    fn string(&mut self) -> Option<usize> {
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut saved = 0;
        loop {
            self.at += quote_or_escape(bytes.get(self.at..)?)?;
            if bytes[self.at] == b'"' {
                break;
            }
            if *bytes.get(self.at + 1)? == b'u' {
                let code = self.text.get(self.at + 2..self.at + 6)?;
                // Halves of a pair stand for two bytes each.
                let stands_for = match u32::from_str_radix(code, 16).ok()? {
                    0..0x80 => 1,
                    0x80..0x800 | 0xd800..0xe000 => 2,
                    _ => 3,
                };
                saved += 6 - stands_for;
                self.at += 6;
            } else {
                saved += 1;
                self.at += 2;
            }
        }
        let len = self.at - start - saved;
        self.at += 1;
        Some(len)
    }

    /// Steps over a value that need not be measured.
    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.value().map(drop),
            _ => self.scalar().map(drop),
        }
    }

    /// Steps over a value.
    fn value(&mut self) -> Option<Measure> {
        if !matches!(self.peek()?, b'{' | b'[' | b'"') {
            return Some(Measure { size: self.scalar()?, depth: 0 });
        }
        self.value_from(State { open: SmallVec::new(), measure: Measure::default(), ended: false })
    }

    /// Steps over the rest of a value.
    ///
    /// A loop, not a recursion: a damaged text must not end the process.
    fn value_from(&mut self, state: State) -> Option<Measure> {
        let State { mut open, mut measure, mut ended } = state;
        loop {
            if !ended {
                match self.peek()? {
                    b'"' => measure.size += 2 + self.string()?,
                    b'{' => match self.tagged() {
                        Some(size) => measure.size += size,
                        None => {
                            self.open(b'}', &mut open, &mut measure);
                            if self.peek()? != b'}' {
                                measure.size += self.name()?;
                                continue;
                            }
                        }
                    },
                    b'[' => {
                        self.open(b']', &mut open, &mut measure);
                        if self.peek()? != b']' {
                            continue;
                        }
                    }
                    _ => measure.size += self.scalar()?,
                }
            }
            // A value has ended, or a container is empty and its end stands here.
            ended = false;
            loop {
                let Some(close) = open.last().copied() else { return Some(measure) };
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        if close == b'}' {
                            measure.size += self.name()?;
                        }
                        break;
                    }
                    byte if byte == close => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return None,
                }
            }
        }
    }

    fn open(&mut self, close: u8, open: &mut SmallVec<[u8; 32]>, measure: &mut Measure) {
        self.at += 1;
        open.push(close);
        measure.size += 2;
        measure.depth = measure.depth.max(open.len());
    }

    /// Steps over a field's name and colon; returns what they add to the size.
    fn name(&mut self) -> Option<usize> {
        let len = self.string()?;
        self.expect(b':')?;
        Some(len + 1)
    }

    /// Steps over an object with a tag, which stands for a scalar; returns its size. Moves nowhere when it is none.
    fn tagged(&mut self) -> Option<usize> {
        let start = self.at;
        let size = self.tagged_size();
        if size.is_none() {
            self.at = start;
        }
        size
    }

    fn tagged_size(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        if rest.starts_with(UNDEFINED) {
            self.at += UNDEFINED.len();
            return Some(0);
        }
        if !rest.starts_with(r#"{"$"#) {
            return None;
        }
        self.at += 1;
        let name_start = self.at + 1;
        self.string()?;
        let name = &self.text[name_start..self.at - 1];
        self.expect(b':')?;
        let payload_start = self.at + 1;
        let len = self.string()?;
        let payload = &self.text[payload_start..self.at - 1];
        self.expect(b'}')?;
        match name {
            "$integer" | "$float" => Some(9),
            "$bytes" => Some(2 + len / 4 * 3 - payload.bytes().rev().take_while(|byte| *byte == b'=').count()),
            _ => None,
        }
    }

    /// Steps over a number, a boolean or null; returns its size.
    fn scalar(&mut self) -> Option<usize> {
        let rest = &self.text.as_bytes()[self.at..];
        let (len, size) = match rest.first()? {
            b'n' => (4, 1),
            b't' => (4, 1),
            b'f' => (5, 1),
            b'-' | b'0'..=b'9' => {
                (rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']')).unwrap_or(rest.len()), 9)
            }
            _ => return None,
        };
        self.at += len;
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> DocumentId {
        DocumentId::parse("j577p7x0s4z5ah6jhe7pm462x57kmmrq").unwrap()
    }

    #[test]
    fn a_stored_text_has_its_system_fields_first_and_reads_back() {
        let empty = stored(1_699_931_054_642.111, &id(), "{}");
        assert_eq!(empty, r#"{"_creationTime":1699931054642.111,"_id":"j577p7x0s4z5ah6jhe7pm462x57kmmrq"}"#);
        let text = stored(2.0, &id(), r#"{"a":1.0}"#);
        assert_eq!(text, r#"{"_creationTime":2.0,"_id":"j577p7x0s4z5ah6jhe7pm462x57kmmrq","a":1.0}"#);
        assert_eq!(outline(&text).unwrap().creation_time, 2.0);
        assert_eq!(own_fields(&text).unwrap(), r#"{"a":1.0}"#);
        assert_eq!(own_fields(&empty).unwrap(), "{}");
        assert_eq!(outline(r#"{"a":1.0}"#), None);
    }

    fn check_merge(fields: &str, patch: &str, expected: &str) {
        let (before, mut names) = (stored(2.0, &id(), fields), Vec::new());
        let at = head_len(&before).unwrap();
        let mut text = String::new();
        let merged = merge((&before, at), patch, &mut text, |name| names.push(name.to_owned()));
        let merged = merged.unwrap_or_else(|| panic!("{fields} with {patch}"));
        assert_eq!(text, stored(2.0, &id(), expected), "{fields} with {patch}");
        let size = |text: &str| measure(text).unwrap().size as isize;
        assert_eq!(merged.growth, size(&text) - size(&before), "{fields} with {patch}");
        let expected: std::collections::BTreeMap<String, serde_json::Value> = serde_json::from_str(patch).unwrap();
        let names: Vec<_> = names.iter().map(|name| unescaped(name).into_owned()).collect();
        assert_eq!(names, Vec::from_iter(expected.into_keys()), "{patch}");
    }

    /// spec: D53
    #[test]
    fn a_patch_puts_fields_in_their_places() {
        check_merge(r#"{"a":1.0,"c":"x"}"#, r#"{"b":[1.0,{"z":null}]}"#, r#"{"a":1.0,"b":[1.0,{"z":null}],"c":"x"}"#);
        check_merge(r#"{"a":{"x":1.0,"y":2.0}}"#, r#"{"a":{"x":3.0}}"#, r#"{"a":{"x":3.0}}"#);
        check_merge(
            r#"{"a":1.0,"b":2.0,"c":3.0}"#,
            r#"{"a":{"$undefined":null},"c":{"$undefined":null}}"#,
            r#"{"b":2.0}"#,
        );
        check_merge(r#"{"a":1.0}"#, r#"{"a":{"$undefined":null},"b":{"$undefined":null}}"#, "{}");
        check_merge("{}", r#"{"Z":true,"a":false}"#, r#"{"Z":true,"a":false}"#);
        check_merge(r#"{"a":1.0}"#, "{}", r#"{"a":1.0}"#);
        check_merge(r#"{"a\"":1.0,"b":1.0}"#, r#"{"a!":2.0,"a\\":3.0}"#, r#"{"a!":2.0,"a\"":1.0,"a\\":3.0,"b":1.0}"#);
    }

    #[test]
    fn a_measure_is_that_of_the_value() {
        for field in [
            "null",
            "true",
            "false",
            "1.0",
            "-1e-7",
            r#""""#,
            r#""a\"\\\n\u0001ß€😀""#,
            "[]",
            "{}",
            "[[],[1.0,null]]",
            r#"{"$integer":"AQAAAAAAAAA="}"#,
            r#"{"$float":"AAAAAAAAAIA="}"#,
            r#"{"$bytes":"AQI="}"#,
            r#"{"$bytes":""}"#,
            r#"{"a":{"b":[{"c":"$bytes"}],"d":{}},"e":[],"f":{"$bytes":"AQID"}}"#,
        ] {
            let text = stored(2.0, &id(), &format!(r#"{{"f":{field},"g":{field}}}"#));
            let value = Value::from_json(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(measure(&text), Some(Measure { size: value.size(), depth: value.depth() }), "{text}");
        }
        let empty = stored(2.0, &id(), "{}");
        assert_eq!(measure(&empty).unwrap().size, Value::from_json(&empty).unwrap().size());
    }

    #[test]
    fn the_first_quote_or_escape_is_found() {
        for (len, at) in (0..40_usize).flat_map(|len| (0..=len).map(move |at| (len, at))) {
            for (byte, others) in [(b'"', b'!'), (b'"', b'#'), (b'\\', b']'), (b'\\', 0xff), (b'"', 0)] {
                let mut bytes = vec![others; len];
                bytes[at..].fill(byte);
                assert_eq!(quote_or_escape(&bytes), (at < len).then_some(at), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_text_that_is_cut_off_is_noticed() {
        let text = stored(2.0, &id(), r#"{"a":[1.0,{"b":"c\u0001"}],"d":{"$bytes":"AQI="},"e":null}"#);
        assert!(measure(&text).is_some());
        for len in 0..text.len() - 1 {
            // Scalars are not spelled out, so that a cut inside one may look complete; a container never does.
            assert!(measure(&text[..len]).is_none(), "{}", &text[..len]);
        }
        assert!(measure(&stored(2.0, &id(), &format!(r#"{{"a":{}}}"#, "[".repeat(1_000_000)))).is_none());
    }
}
