//! Keys of indexes as text, for people: what [`super::write_key`] wrote, as far as it can be read.

use std::fmt::Write as _;

use super::{END, ESCAPED, tag};

/// The values in a key, divided by commas: `"general", 1763787000123.0`. A bound need not be a whole key: what follows
/// the last value that can be read is shown as `…`.
#[must_use]
pub fn describe_key(mut key: &[u8]) -> String {
    let mut text = String::new();
    while !key.is_empty() {
        if !text.is_empty() {
            text.push_str(", ");
        }
        match value(key, &mut text) {
            Some(rest) => key = rest,
            None => {
                text.push('…');
                break;
            }
        }
    }
    text
}

/// Writes the value at the beginning of a key; answers what follows it.
fn value<'a>(key: &'a [u8], out: &mut String) -> Option<&'a [u8]> {
    let (first, rest) = key.split_first()?;
    match *first {
        tag::UNDEFINED => out.push_str("undefined"),
        tag::NULL => out.push_str("null"),
        tag::TRUE => out.push_str("true"),
        tag::FALSE => out.push_str("false"),
        tag::INT64_ZERO => out.push_str("0n"),
        tag::INT64_POSITIVE_1 | tag::INT64_NEGATIVE_1 => return int64(rest, 1, out),
        tag::INT64_POSITIVE_2 | tag::INT64_NEGATIVE_2 => return int64(rest, 2, out),
        tag::INT64_POSITIVE_4 | tag::INT64_NEGATIVE_4 => return int64(rest, 4, out),
        tag::INT64_POSITIVE_8 | tag::INT64_NEGATIVE_8 => return int64(rest, 8, out),
        tag::FLOAT64 => return float64(rest, out),
        tag::STRING => {
            let (bytes, rest) = escaped(rest)?;
            let _ = write!(out, "{:?}", String::from_utf8_lossy(&bytes));
            return Some(rest);
        }
        tag::BYTES => {
            let (bytes, rest) = escaped(rest)?;
            let _ = write!(out, "bytes({})", bytes.len());
            return Some(rest);
        }
        _ => return None,
    }
    Some(rest)
}

fn int64<'a>(bytes: &'a [u8], n_bytes: usize, out: &mut String) -> Option<&'a [u8]> {
    let (digits, rest) = bytes.split_at_checked(n_bytes)?;
    let is_negative = digits[0] & 0x80 != 0;
    let mut whole = [if is_negative { 0xff } else { 0 }; 8];
    whole[8 - n_bytes..].copy_from_slice(digits);
    let _ = write!(out, "{}n", i64::from_be_bytes(whole));
    Some(rest)
}

fn float64<'a>(bytes: &'a [u8], out: &mut String) -> Option<&'a [u8]> {
    let (bits, rest) = bytes.split_first_chunk::<8>()?;
    let bits = u64::from_be_bytes(*bits);
    let sign = 1 << 63;
    let _ = write!(out, "{:?}", f64::from_bits(if bits & sign == 0 { !bits } else { bits ^ sign }));
    Some(rest)
}

/// The bytes up to the end mark, with what follows it.
fn escaped(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        match (byte, bytes.get(at + 1)) {
            (END, Some(&ESCAPED)) => {
                content.push(END);
                at += 2;
            }
            (END, _) => return Some((content, &bytes[at + 1..])),
            _ => {
                content.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::write_key;
    use crate::value::Value;

    #[test]
    fn a_key_reads_as_the_values_it_was_made_of() {
        let mut key = Vec::new();
        for value in [
            Some(Value::String("a\0b".into())),
            None,
            Some(Value::Null),
            Some(Value::Int64(0)),
            Some(Value::Int64(-2)),
            Some(Value::Int64(70_000)),
            Some(Value::Float64(-1.5)),
            Some(Value::Float64(3.0)),
            Some(Value::Boolean(true)),
        ] {
            write_key(value.as_ref(), &mut key);
        }
        let expected = r#""a\0b", undefined, null, 0n, -2n, 70000n, -1.5, 3.0, true"#;
        assert_eq!(describe_key(&key), expected);
        key.push(0xff);
        assert_eq!(describe_key(&key), format!("{expected}, …"));
        assert_eq!(describe_key(&[]), "");
    }
}
