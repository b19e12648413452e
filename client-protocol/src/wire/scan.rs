//! Finds the members of a message in one pass over its text, where that is written as programs write JSON: no
//! whitespace but a space behind a colon or a comma (as Python does), and names without escapes.
//!
//! It gives up on whatever else it meets, and on all that is wrong, without a word: the caller reads the text again with
//! `serde_json`, which takes it or says what is wrong with it. What both take, both read alike.

/// Levels of arrays and objects that are followed. Source: a value has 64 at most, `limits` of `data-and-functions`.
const DEPTH_MAX: usize = 80;

/// Members that an object may have. Source: ours; messages have nine at most, and each look-up compares all.
const MEMBERS_MAX: usize = 16;

/// The members of an object: their names without the quotes, their values as they stand. Of a name given twice, the last
/// counts.
pub(super) type Members<'a> = Vec<(&'a str, &'a str)>;

/// The members of the object that a text is.
pub(super) fn object(text: &str) -> Option<Members<'_>> {
    whole(text, Scanner::members)
}

/// The members of each object in the array that a text is.
pub(super) fn array_of_objects(text: &str) -> Option<Vec<Members<'_>>> {
    whole(text, |scanner| {
        let mut objects = Vec::new();
        scanner.byte(b'[')?;
        if scanner.skip_if(b']') {
            return Some(objects);
        }
        loop {
            objects.push(scanner.members()?);
            if scanner.ends(b']')? {
                return Some(objects);
            }
        }
    })
}

fn whole<'a, T>(text: &'a str, scan: impl FnOnce(&mut Scanner<'a>) -> Option<T>) -> Option<T> {
    let mut scanner = Scanner { text, at: 0 };
    let found = scan(&mut scanner)?;
    (scanner.at == text.len()).then_some(found)
}

/// Steps over valid JSON; `None` as soon as it is not sure that this is what it sees.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn members(&mut self) -> Option<Members<'a>> {
        let mut members = Vec::with_capacity(MEMBERS_MAX / 2);
        self.byte(b'{')?;
        loop {
            let name = self.plain_string()?;
            self.colon()?;
            let start = self.at;
            self.value(DEPTH_MAX)?;
            if members.len() == MEMBERS_MAX {
                return None;
            }
            members.push((name, &self.text[start..self.at]));
            if self.ends(b'}')? {
                return Some(members);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn skip_if(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    fn colon(&mut self) -> Option<()> {
        self.byte(b':')?;
        self.skip_if(b' ');
        Some(())
    }

    /// Behind an element or a member: whether the list ends here, or goes on behind a comma.
    fn ends(&mut self, end: u8) -> Option<bool> {
        let found = self.next()?;
        if found == b',' {
            self.skip_if(b' ');
            return Some(false);
        }
        (found == end).then_some(true)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.byte(b'{')?;
        if self.skip_if(b'}') {
            return Some(());
        }
        loop {
            self.string()?;
            self.colon()?;
            self.value(depth)?;
            if self.ends(b'}')? {
                return Some(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.byte(b'[')?;
        if self.skip_if(b']') {
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.ends(b']')? {
                return Some(());
            }
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_here = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_here.then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.skip_if(b'-');
        // A zero in front stands alone.
        if !self.skip_if(b'0') {
            self.digits()?;
        }
        if self.skip_if(b'.') {
            self.digits()?;
        }
        if self.skip_if(b'e') || self.skip_if(b'E') {
            let _has_sign = self.skip_if(b'-') || self.skip_if(b'+');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let n_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += n_digits;
        (n_digits > 0).then_some(())
    }

    fn string(&mut self) -> Option<()> {
        self.byte(b'"')?;
        loop {
            self.skip_plain();
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _control => return None,
            }
        }
    }

    /// A string without escapes.
    fn plain_string(&mut self) -> Option<&'a str> {
        self.byte(b'"')?;
        let start = self.at;
        self.skip_plain();
        let plain = &self.text[start..self.at];
        self.byte(b'"')?;
        Some(plain)
    }

    /// Steps over what stands for itself in a string: eight bytes at once, as most strings are longer than a name.
    fn skip_plain(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(word) = bytes[self.at..].first_chunk() {
            match first_special(u64::from_le_bytes(*word)) {
                Some(at) => {
                    self.at += at;
                    return;
                }
                None => self.at += size_of_val(word),
            }
        }
        let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
        self.at += bytes[self.at..].iter().take_while(is_plain).count();
    }

    /// Steps over what follows a backslash.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits: &[u8; 4] = self.text.as_bytes()[self.at..].first_chunk()?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += digits.len();
            }
            _ => return None,
        }
        Some(())
    }
}

/// Which of eight bytes, the lowest first, is the first quote, backslash or control character.
fn first_special(word: u64) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    // The high bit of each byte that is below `limit`, and sometimes of bytes above one that is: the first is right.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let special = (below(word, 0x20) | is(b'"') | is(b'\\')) & (EACH << 7);
    (special != 0).then(|| special.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_are_found_as_they_stand() {
        let found = object(r#"{"type":"Event", "a": [1, {"b":"c\"}"},-0.5e+3],"é":null,"a":true}"#).expect("compact");
        let expected = [("type", "\"Event\""), ("a", r#"[1, {"b":"c\"}"},-0.5e+3]"#), ("é", "null"), ("a", "true")];
        assert_eq!(found, expected);
    }

    #[test]
    fn objects_in_an_array_are_found_as_they_stand() {
        let found = array_of_objects(r#"[{"a":1},{"b":[]}]"#).expect("compact");
        assert_eq!(found, [[("a", "1")], [("b", "[]")]]);
        assert_eq!(array_of_objects("[]").expect("compact").len(), 0);
        for text in ["", "[", "[1]", "{}", r#"[{"a":1},]"#, r#"[{"a":1}]]"#] {
            assert_eq!(array_of_objects(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_written_by_programs_is_left_to_the_parser() {
        let many = format!("{{{}\"last\":1}}", "\"a\":1,".repeat(MEMBERS_MAX));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        for text in ["", "{}", "[]", r#"{"a":  1}"#, r#"{ "a":1}"#, r#"{"a":1} "#, r#"{"\u0061":1}"#, &many, &deep] {
            assert_eq!(object(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(bytes in prop::array::uniform8(prop_oneof![any::<u8>(), 0x1f..0x24_u8, 0x5a..0x5e_u8])) {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            prop_assert_eq!(first_special(u64::from_le_bytes(bytes)), bytes.iter().position(special));
        }

        /// Texts of pieces of JSON are mostly wrong, and often only a little.
        #[test]
        fn whatever_is_found_is_json(pieces in prop::collection::vec(piece(), 0..12)) {
            let text = format!("{{\"a\":{}}}", pieces.concat());
            if let Some(found) = object(&text) {
                let parsed: serde_json::Result<std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>> =
                    serde_json::from_str(&text);
                let parsed = parsed.expect("valid JSON");
                for (name, value) in &parsed {
                    let last = found.iter().rev().find(|(found, _)| found == name);
                    prop_assert_eq!(last.map(|(_, value)| *value), Some(value.get()));
                }
            }
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        const BITS: &[&str] = &[
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\u00e9",
            "\\n",
            "\\x",
            "0",
            "-",
            "01",
            "12.5",
            ".",
            "1e5",
            "e",
            "+",
            "true",
            "null",
            "nul",
            "\"b\":",
            "\"b\"",
            "\"long enough for a word\"",
            "é",
            "\u{1}",
            " ",
        ];
        prop_oneof![prop::sample::select(BITS).prop_map(str::to_owned), "\"[a-z\\\\\"]{0,12}\""]
    }
}
