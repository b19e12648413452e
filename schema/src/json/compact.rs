//! A quick reader for JSON as programs write it: no whitespace, few escapes, few exponents.
//!
//! It gives up on whatever else it meets, and on all that is wrong, without a word: the caller reads the text again with
//! `serde_json`, which takes it or says what is wrong with it. What both take, both read alike.

use std::fmt;

use memchr::memchr2;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::field::{Key, Keys};
use crate::field_type::FieldType;

/// Levels of arrays and objects that are followed. Deeper texts are left to `serde_json`, which has the same limit.
const DEPTH_MAX: usize = 128;

/// Bytes of a string that are looked at here: most strings are names and end before.
const SHORT_MAX: usize = 16;

/// Bytes that are looked at together.
const WORD: usize = 8;

/// One in each of them.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Doubles hold all whole numbers of so many digits.
const EXACT_DIGITS_MAX: usize = 15;

/// The reader gave up.
#[derive(Debug)]
pub struct GivenUp;

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the quick reader gave up")
    }
}

impl std::error::Error for GivenUp {}

impl de::Error for GivenUp {
    fn custom<T: fmt::Display>(_: T) -> Self {
        GivenUp
    }
}

type Result<T> = std::result::Result<T, GivenUp>;

/// Reads a value of a Rust type.
pub(crate) fn read<T: FieldType>(text: &str) -> Result<T> {
    let mut reader = Reader::new(text, 0);
    let value = T::read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Shows a visitor the object of a text, from the comma before a field or its closing brace on, unless `at` is 0. It may
/// have been shown a part when the reader gives up.
pub(crate) fn visit_fields<'de, V: Visitor<'de>>(text: &'de str, at: usize, visitor: V) -> Result<V::Value> {
    let mut reader = Reader { opened: at > 0, ..Reader::new(text, at) };
    let value = reader.deserialize_any(visitor)?;
    reader.end()?;
    Ok(value)
}

/// Reads the rest of an object from the comma before a field on, or from its closing brace.
pub(crate) fn read_fields<T: FieldType>(text: &str, at: usize) -> Result<T> {
    let mut reader = Reader { opened: true, ..Reader::new(text, at) };
    let value = T::read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// How many of the bytes come before the first quote, escape or control character.
fn n_plain(word: [u8; WORD]) -> usize {
    let word = u64::from_le_bytes(word);
    // The high bit of each byte below a limit, which is at most 0x80. Above the first such byte others may be marked too.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word & (EACH << 7);
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let found = is(b'"') | is(b'\\') | below(word, 0x20);
    found.trailing_zeros() as usize / 8
}

/// The digits that the bytes begin with: their number, and the value of them all, behind those `before`, when there are
/// few.
#[inline]
fn digits(bytes: &[u8], before: u64) -> (usize, u64) {
    const TENS: [u64; WORD] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    if let Some(word) = bytes.first_chunk() {
        // What is a digit is its value now, and all else is more than nine: that sets the high bit.
        let values = u64::from_le_bytes(*word) ^ (EACH * u64::from(b'0'));
        let others = (values.wrapping_add(EACH * (0x80 - 10)) | values) & (EACH << 7);
        let n = others.trailing_zeros() as usize / 8;
        match n {
            0 => return (0, before),
            1..WORD => return (n, before.wrapping_mul(TENS[n]).wrapping_add(eight_digits(values << (64 - 8 * n)))),
            _ => {}
        }
    }
    let (mut n, mut value) = (0, before);
    while let Some(digit @ b'0'..=b'9') = bytes.get(n) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        n += 1;
    }
    (n, value)
}

/// The value of eight digits, of which the lowest byte is the first.
fn eight_digits(values: u64) -> u64 {
    const PAIRS: u64 = 0x00ff_0000_00ff;
    let twos = (values * 10).wrapping_add(values >> 8) & 0x00ff_00ff_00ff_00ff;
    let first_and_third = (twos & PAIRS).wrapping_mul(100 + (1_000_000 << 32));
    let second_and_fourth = (twos >> 16 & PAIRS).wrapping_mul(1 + (10_000 << 32));
    first_and_third.wrapping_add(second_and_fourth) >> 32
}

/// Where the text is read. As a `serde` deserializer it reads what comes next; what derives ask it is quicker.
pub struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: usize,
    /// An object comes next, of which the opening brace and perhaps some fields have been read.
    opened: bool,
}

/// Where in an object a reader is.
pub struct InObject {
    /// No field has been read.
    is_first: bool,
    /// The place of the name that is looked for first: they mostly come in their order.
    expected: usize,
}

impl<'de> Reader<'de> {
    fn new(text: &'de str, at: usize) -> Self {
        Reader { text, at, depth: 0, opened: false }
    }

    /// Begins to read an object.
    #[inline]
    pub fn open_object(&mut self) -> Result<InObject> {
        let is_first = !std::mem::take(&mut self.opened);
        if is_first {
            self.expect(b'{')?;
        }
        self.deeper()?;
        Ok(InObject { is_first, expected: 0 })
    }

    /// Goes to the value of the object's next field and gives its place among the keys; `None` behind the object.
    #[inline]
    pub fn next_key(&mut self, keys: &Keys, object: &mut InObject) -> Result<Option<Key>> {
        if self.peek()? == b'}' {
            self.at += 1;
            self.depth -= 1;
            return Ok(None);
        }
        if !std::mem::replace(&mut object.is_first, false) {
            self.expect(b',')?;
        }
        let place = match keys.names().get(object.expected) {
            Some(name) if self.skip_key(name) => object.expected,
            _ => keys.visit_str::<GivenUp>(self.key()?)?.0,
        };
        object.expected = place + 1;
        Ok(Some(Key(place)))
    }

    /// Steps over a key, if it is this one.
    #[inline]
    fn skip_key(&mut self, name: &str) -> bool {
        let rest =
            self.text.as_bytes()[self.at..].strip_prefix(b"\"").and_then(|rest| rest.strip_prefix(name.as_bytes()));
        let is_it = rest.is_some_and(|rest| rest.starts_with(b"\":"));
        if is_it {
            self.at += name.len() + 3;
        }
        is_it
    }

    /// Reads a key and the colon behind it.
    fn key(&mut self) -> Result<&'de str> {
        // A key with escapes is rare, and its place in the text is where it has to be read from.
        let Text::Borrowed(key) = self.string()? else { return Err(GivenUp) };
        self.expect(b':')?;
        Ok(key)
    }

    /// Steps over a value.
    pub fn skip(&mut self) -> Result<()> {
        self.deserialize_ignored_any(IgnoredAny).map(drop)
    }

    /// Whether a number comes next.
    #[inline]
    pub(crate) fn is_at_number(&self) -> bool {
        matches!(self.text.as_bytes().get(self.at), Some(b'-' | b'0'..=b'9'))
    }

    fn deeper(&mut self) -> Result<()> {
        if self.depth == DEPTH_MAX {
            return Err(GivenUp);
        }
        self.depth += 1;
        Ok(())
    }

    fn end(&self) -> Result<()> {
        if self.at == self.text.len() { Ok(()) } else { Err(GivenUp) }
    }

    fn peek(&self) -> Result<u8> {
        self.text.as_bytes().get(self.at).copied().ok_or(GivenUp)
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek()? != byte {
            return Err(GivenUp);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(GivenUp);
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a string; borrowed unless it has escapes.
    fn string(&mut self) -> Result<Text<'de>> {
        self.expect(b'"')?;
        let (start, bytes) = (self.at, self.text.as_bytes());
        for _ in 0..SHORT_MAX / WORD {
            let Some(word) = bytes[self.at..].first_chunk() else { break };
            let n_plain = n_plain(*word);
            self.at += n_plain;
            if n_plain < WORD {
                break;
            }
        }
        loop {
            match *bytes.get(self.at).ok_or(GivenUp)? {
                b'"' => break,
                b'\\' => return self.escaped_string(start - 1),
                0..0x20 => return Err(GivenUp),
                _ => self.at += 1,
            }
            if self.at - start >= SHORT_MAX {
                self.end_of_long_string()?;
            }
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Ok(Text::Borrowed(text))
    }

    /// Goes to the quote or escape that comes next.
    fn end_of_long_string(&mut self) -> Result<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let len = memchr2(b'"', b'\\', rest).ok_or(GivenUp)?;
        // All of it, without stopping at the first: so many bytes are looked at in one step.
        if rest[..len].iter().fold(false, |found, byte| found | (*byte < 0x20)) {
            return Err(GivenUp);
        }
        self.at += len;
        Ok(())
    }

    fn escaped_string(&mut self, start: usize) -> Result<Text<'de>> {
        let bytes = self.text.as_bytes();
        loop {
            self.at += memchr2(b'"', b'\\', bytes.get(self.at..).ok_or(GivenUp)?).ok_or(GivenUp)?;
            if bytes[self.at] == b'"' {
                break;
            }
            self.at += 2;
        }
        self.at += 1;
        serde_json::from_str(&self.text[start..self.at]).map(Text::Owned).map_err(|_| GivenUp)
    }

    /// Steps over digits; their number, and the value of them all, behind those `before`, when there are few.
    #[inline]
    fn digits(&mut self, before: u64) -> (usize, u64) {
        let (n, value) = digits(&self.text.as_bytes()[self.at..], before);
        self.at += n;
        (n, value)
    }

    /// Reads a number.
    pub(crate) fn number(&mut self) -> Result<f64> {
        const TENS: [f64; EXACT_DIGITS_MAX + 1] =
            [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
        let (start, negative) = (self.at, self.peek()? == b'-');
        let value = match self.step_over_number(negative)? {
            // Most numbers are whole, and a division takes longer than all the rest.
            Digits::Few { digits, n_fraction: 0 } => digits as f64,
            // Both are exact, so their quotient is the double next to what is written.
            Digits::Few { digits, n_fraction } => digits as f64 / TENS[n_fraction],
            Digits::Other => self.text[start..self.at].parse::<f64>().map_err(|_| GivenUp)?.abs(),
        };
        let value = if negative { -value } else { value };
        if value.is_finite() { Ok(value) } else { Err(GivenUp) }
    }

    #[inline]
    fn step_over_number(&mut self, negative: bool) -> Result<Digits> {
        let bytes = self.text.as_bytes();
        self.at += usize::from(negative);
        let first = self.peek()?;
        let (n_whole, whole) = self.digits(0);
        if n_whole == 0 || (first == b'0' && n_whole > 1) {
            return Err(GivenUp);
        }
        let (mut n_fraction, mut digits) = (0, whole);
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            (n_fraction, digits) = self.digits(whole);
            if n_fraction == 0 {
                return Err(GivenUp);
            }
            if n_fraction == 1 && digits == whole.wrapping_mul(10) {
                (n_fraction, digits) = (0, whole);
            }
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.exponent()?;
            return Ok(Digits::Other);
        }
        let few = n_whole + n_fraction <= EXACT_DIGITS_MAX;
        Ok(if few { Digits::Few { digits: digits.cast_signed(), n_fraction } } else { Digits::Other })
    }

    fn exponent(&mut self) -> Result<()> {
        self.at += 1;
        if matches!(self.peek()?, b'+' | b'-') {
            self.at += 1;
        }
        if self.digits(0).0 == 0 { Err(GivenUp) } else { Ok(()) }
    }

    /// Reads an object's rest up to its closing brace, which is stepped over.
    fn object<V: Visitor<'de>>(&mut self, visitor: V, is_first: bool) -> Result<V::Value> {
        self.nested(b'}', is_first, |inside| visitor.visit_map(inside))
    }

    fn nested<R>(
        &mut self,
        end: u8,
        is_first: bool,
        visit: impl FnOnce(&mut Inside<'_, 'de>) -> Result<R>,
    ) -> Result<R> {
        self.deeper()?;
        let value = visit(&mut Inside { reader: self, end, is_first })?;
        self.depth -= 1;
        self.expect(end)?;
        Ok(value)
    }
}

/// What a number is written with.
enum Digits {
    /// All of them, without the point, and how many stand behind it. Signed: a processor has one step from that to a
    /// double.
    Few { digits: i64, n_fraction: usize },
    /// More than a double has room for, or an exponent.
    Other,
}

/// A string of the text.
enum Text<'de> {
    Borrowed(&'de str),
    Owned(String),
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = GivenUp;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if std::mem::take(&mut self.opened) {
            return self.object(visitor, false);
        }
        match self.peek()? {
            b'"' => match self.string()? {
                Text::Borrowed(text) => visitor.visit_borrowed_str(text),
                Text::Owned(text) => visitor.visit_string(text),
            },
            b'{' => {
                self.at += 1;
                self.object(visitor, true)
            }
            b'[' => {
                self.at += 1;
                self.nested(b']', true, |inside| visitor.visit_seq(inside))
            }
            b't' => {
                self.word("true")?;
                visitor.visit_bool(true)
            }
            b'f' => {
                self.word("false")?;
                visitor.visit_bool(false)
            }
            b'n' => {
                self.word("null")?;
                visitor.visit_unit()
            }
            _ => visitor.visit_f64(self.number()?),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            sign @ (b'-' | b'0'..=b'9') => {
                self.step_over_number(sign == b'-')?;
                visitor.visit_unit()
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The inside of an array or object.
struct Inside<'a, 'de> {
    reader: &'a mut Reader<'de>,
    end: u8,
    is_first: bool,
}

impl Inside<'_, '_> {
    /// Steps to the next element or field, if there is one.
    fn go_on(&mut self) -> Result<bool> {
        if self.reader.peek()? == self.end {
            return Ok(false);
        }
        if !std::mem::replace(&mut self.is_first, false) {
            self.reader.expect(b',')?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for &mut Inside<'_, 'de> {
    type Error = GivenUp;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.go_on()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for &mut Inside<'_, 'de> {
    type Error = GivenUp;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.go_on()? {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new(self.reader.key()?)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        seed.deserialize(&mut *self.reader)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Value;

    fn of_serde(text: &str) -> Option<Value> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Value::decode(&mut deserializer).ok()?;
        deserializer.end().ok().map(|()| value)
    }

    /// Whatever is taken is read as `serde_json` reads it; what that refuses is not taken.
    fn agrees(text: &str) -> bool {
        match read::<Value>(text) {
            // Equal for NaN too.
            Ok(value) => of_serde(text).is_some_and(|expected| value.to_json() == expected.to_json()),
            Err(GivenUp) => false,
        }
    }

    #[test]
    fn what_programs_write_is_taken() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "-0.0",
            "12.5",
            "1e3",
            "1E+3",
            "2.5e-7",
            "123456789012345678",
            "\"\"",
            "\"a b\"",
            "\"\\n\\u00e4\\\\\"",
            "[]",
            "{}",
            "[1,[2],{\"a\":[null]}]",
            "{\"$integer\":\"AQAAAAAAAAA=\"}",
            "{\"a\":1.0,\"b\":\"c\",\"d\":{}}",
            "1700000000000.1234",
            "9007199254740993",
            "0.1",
            "0.000001",
        ] {
            assert!(agrees(text), "{text}");
        }
    }

    #[test]
    fn digits_are_counted_and_read_wherever_they_end() {
        for end in ["", "/", ":", ".5", "e", "\u{80}", "ä!", "/:/:/:/:/:", "\u{ff}0123456789"] {
            for len in 0..=EXACT_DIGITS_MAX {
                let number = &"907351428063971"[..len];
                let expected = (len, number.parse().unwrap_or(0));
                assert_eq!(digits(format!("{number}{end}").as_bytes(), 0), expected, "{number}{end}");
                if len < 13 {
                    let behind = (len, format!("42{number}").parse().unwrap());
                    assert_eq!(digits(format!("{number}{end}").as_bytes(), 42), behind, "{number}{end}");
                }
            }
        }
    }

    #[test]
    fn strings_of_every_length_end_where_they_end() {
        for end in ["\"", "\\n\"", "\u{1}\"", "\u{7f}\"", "\u{80}\"", "ä!\""] {
            for len in 0..40 {
                for text in [format!("\"{}{end}", "x".repeat(len)), format!("[\"{}{end},1]", "x".repeat(len))] {
                    assert_eq!(read::<Value>(&text).is_ok(), !end.contains('\u{1}'), "{text:?}");
                    assert_eq!(agrees(&text), !end.contains('\u{1}'), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_or_rare_is_given_up() {
        for text in [
            "",
            "nul",
            "truee",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "1e999",
            "inf",
            "NaN",
            "\"",
            "\"\\\"",
            "\"\n\"",
            "\"\\x\"",
            "[",
            "[1,]",
            "[,1]",
            "[1 ]",
            " 1",
            "1 ",
            "{\"a\"}",
            "{\"a\":}",
            "{,}",
            "{\"a\":1,}",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "{\"\\n\":1}",
        ] {
            assert!(read::<Value>(text).is_err(), "{text}");
        }
        assert!(read::<Value>(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn the_rest_of_an_object_is_read() {
        let read = |text| read_fields::<Value>(text, 6).map(|value| value.to_json()).ok();
        assert_eq!(read(r#"{"a":1,"b":2.0}"#).as_deref(), Some(r#"{"b":2.0}"#));
        assert_eq!(read(r#"{"a":1}"#).as_deref(), Some("{}"));
        assert_eq!(read(r#"{"a":1,"b":2.0}}"#), None);
        assert_eq!(read(r#"{"a":1,"b":2.0"#), None);
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_are_written(number in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            prop_assert_eq!(read::<f64>(&Value::Float64(number).to_json()).unwrap().to_bits(), number.to_bits());
        }

        #[test]
        fn short_decimals_are_read_alike(text in "-?(0|[1-9][0-9]{0,16})(\\.[0-9]{1,17})?") {
            prop_assert!(agrees(&text), "{}", text);
        }

        #[test]
        fn anything_is_read_alike_or_given_up(text in "[\\[\\]{}\",:0-9eE.+\\-tfnul\\\\ a]{0,24}") {
            if read::<Value>(&text).is_ok() {
                prop_assert!(agrees(&text), "{}", text);
            }
        }
    }
}
