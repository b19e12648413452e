//! How long the key of a value is: where in the key of a document the keys of its fields end.

use super::{END, ESCAPED, tag};

/// The length of the key of a value that `bytes` begin with; `None` when they end before it does, or begin with none.
///
/// A loop, not a recursion: the bytes may be anybody's, and be nested as deeply as they are long.
#[must_use]
pub fn value_key_len(bytes: &[u8]) -> Option<usize> {
    // The arrays and objects that have not ended.
    let mut open = Vec::new();
    let mut at = 0;
    loop {
        let tag = *bytes.get(at)?;
        at += 1;
        match tag {
            tag::UNDEFINED | tag::NULL | tag::TRUE | tag::FALSE | tag::INT64_ZERO => {}
            tag::INT64_POSITIVE_1 | tag::INT64_NEGATIVE_1 => at += 1,
            tag::INT64_POSITIVE_2 | tag::INT64_NEGATIVE_2 => at += 2,
            tag::INT64_POSITIVE_4 | tag::INT64_NEGATIVE_4 => at += 4,
            tag::INT64_POSITIVE_8 | tag::INT64_NEGATIVE_8 | tag::FLOAT64 => at += 8,
            tag::STRING | tag::BYTES => at += escaped_len(bytes.get(at..)?)?,
            tag::ARRAY | tag::OBJECT => open.push(tag),
            _ => return None,
        }
        // What encloses the next value, if one follows; what ends here has ended then.
        loop {
            match (open.last(), bytes.get(at)) {
                (None, _) => return (at <= bytes.len()).then_some(at),
                (Some(_), None) => return None,
                (Some(&tag::OBJECT), Some(&END)) if bytes.get(at + 1) == Some(&ESCAPED) => {
                    // The empty name.
                    at += 2;
                    break;
                }
                (Some(_), Some(&END)) => {
                    at += 1;
                    open.pop();
                }
                (Some(&tag::OBJECT), Some(_)) => {
                    at += escaped_len(&bytes[at..])?;
                    break;
                }
                (Some(_), Some(_)) => break,
            }
        }
    }
}

/// The length of what `write_escaped` wrote, its end included.
fn escaped_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == END)? + 1;
        if bytes.get(at) != Some(&ESCAPED) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::write_key;
    use crate::value::{Object, Value};

    fn check(value: Option<Value>) {
        let mut key = Vec::new();
        write_key(value.as_ref(), &mut key);
        assert_eq!(value_key_len(&key), Some(key.len()), "{value:?}");
        for len in 0..key.len() {
            // Cut within an escape, it reads as what ends there.
            let reads = value_key_len(&key[..len]).is_none_or(|found| found == len && key[len] == ESCAPED);
            assert!(reads, "the first {len} bytes of {value:?}");
        }
        let len = key.len();
        for next in [Value::Null, Value::String("\0".into())] {
            write_key(Some(&next), &mut key);
            assert_eq!(value_key_len(&key), Some(len), "{value:?} and {next:?}");
            key.truncate(len);
        }
    }

    #[test]
    fn a_key_is_as_long_as_it_was_written() {
        let texts = ["", "a", "\0", "a\0\0b", "\0\u{ff}"].map(|text| Value::String(text.into()));
        let numbers = [0, 1, -1, 300, -300, 70_000, -70_000, i64::MAX, i64::MIN].map(Value::Int64);
        let mut values = vec![Value::Null, Value::Boolean(true), Value::Boolean(false), Value::Float64(-1.5)];
        values.push(Value::Bytes(vec![0, 0xff, 0]));
        values.extend(texts.into_iter().chain(numbers));
        let object = |names: &[&str]| {
            let fields = names.iter().zip(&values).map(|(name, value)| ((*name).to_owned(), value.clone()));
            Value::Object(fields.collect::<Object>())
        };
        let objects = [object(&[]), object(&[""]), object(&["", "a", "b"])];
        let array = Value::Array(values.iter().cloned().chain(objects.clone()).collect());
        let nested = Value::Array(vec![Value::Array(vec![]), array.clone(), object(&["a"])]);
        check(None);
        values.into_iter().chain(objects).chain([array, nested]).for_each(|value| check(Some(value)));
    }

    #[test]
    fn bytes_that_are_no_key_have_no_length() {
        assert_eq!(value_key_len(&[]), None);
        assert_eq!(value_key_len(&[0xff]), None);
        assert_eq!(value_key_len(&[tag::STRING, b'a', END, ESCAPED]), None, "it goes on");
        assert_eq!(value_key_len(&vec![tag::ARRAY; 1_000_000]), None);
    }
}
