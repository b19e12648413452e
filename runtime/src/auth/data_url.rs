//! Reads `data:` URIs, which may hold a provider's keys (`spec/auth.md` J1).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Standard base64; the padding may be missing, as it is in many hand-made URIs.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a `data:` URI, percent- or base64-encoded. The media type is ignored.
///
/// # Errors
/// Which part of the URI is malformed.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    let Some((head, body)) = text.split_once(',') else { return Err("the data URI has no comma before its content") };
    let bytes = percent_decode(body)?;
    let is_base64 = head.rsplit_once(';').is_some_and(|(_, last)| last.trim().eq_ignore_ascii_case("base64"));
    if is_base64 { BASE64.decode(bytes).map_err(|_| "the content of the data URI is not base64") } else { Ok(bytes) }
}

fn percent_decode(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err("the data URI has a % that two hexadecimal digits do not follow"),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::decode;

    /// spec: A8
    #[test]
    fn both_encodings_are_read_and_the_media_type_is_ignored() {
        let cases: [(&str, &[u8]); 7] = [
            ("data:application/json;base64,eyJrZXlzIjpbXX0=", br#"{"keys":[]}"#),
            ("data:text/plain;charset=utf-8;base64,eyJrZXlzIjpbXX0", br#"{"keys":[]}"#),
            ("DATA:;BASE64,eyJrZXlzIjpbXX0%3D", br#"{"keys":[]}"#),
            ("data:image/png,%7B%22keys%22%3A%5B%5D%7D", br#"{"keys":[]}"#),
            (r#"data:,{"keys":[]}"#, br#"{"keys":[]}"#),
            ("data:,a,b", b"a,b"),
            ("data:,", b""),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_parts_are_named() {
        for (text, expected) in [
            ("data:application/json", "comma"),
            ("data:;base64,@@", "not base64"),
            ("data:,%7", "two hexadecimal digits"),
            ("data:,%+1", "two hexadecimal digits"),
        ] {
            assert!(decode(text).unwrap_err().contains(expected), "{text}");
        }
    }
}
