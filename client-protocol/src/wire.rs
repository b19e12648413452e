//! Frames and messages: [`ClientMessage::decode`] and [`ServerMessage::write`], and what both share.
//!
//! Decoding looks at the members it knows, in any order, and keeps arguments as text. Encoding writes straight
//! into the caller's buffer: the text of a result is copied once, into the message it leaves in.

mod decode;
mod encode;
mod scan;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::message::{ClientMessage, ServerMessage, Timestamp};

/// Characters of a timestamp on the wire: base64 of eight bytes, with padding.
const TIMESTAMP_CHARS: usize = 12;

impl ClientMessage {
    /// Reads one text message of a client.
    ///
    /// Errors name the member at fault and what was expected there; they repeat no token and no argument.
    pub fn decode(text: &str) -> Result<ClientMessage, WireError> {
        decode::client_message(text)
    }
}

impl ServerMessage {
    /// Appends the JSON text of this message.
    pub fn write(&self, out: &mut String) {
        encode::server_message(self, out);
    }
}

/// Why a frame is not a message: what a client developer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The text is not JSON, or not an object.
    NotJson {
        /// What the parser met, and where.
        found: String,
    },
    /// The `type` is none of the six.
    UnknownType {
        /// What it is.
        found: String,
    },
    /// A member that has to be there is not.
    Missing {
        /// Where, as a path from the message.
        member: String,
        /// What has to be there.
        expected: &'static str,
    },
    /// A member is not what it has to be.
    Unexpected {
        /// Where, as a path from the message.
        member: String,
        /// What has to be there.
        expected: &'static str,
        /// What kind of value is there instead.
        found: String,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::NotJson { found } => write!(f, "not a JSON object: {found}"),
            WireError::UnknownType { found } => write!(
                f,
                "`type`: expected Connect, ModifyQuerySet, Mutation, Action, Authenticate or Event, found {found}"
            ),
            WireError::Missing { member, expected } => write!(f, "`{member}` is missing: expected {expected}"),
            WireError::Unexpected { member, expected, found } => {
                write!(f, "`{member}`: expected {expected}, found {found}")
            }
        }
    }
}

impl std::error::Error for WireError {}

/// A timestamp as the wire has it: base64 of the eight bytes, lowest first.
fn write_timestamp(out: &mut String, ts: Timestamp) {
    debug_assert!(ts <= Timestamp::MAX, "{ts:?} cannot be read by all clients");
    let mut text = [0; TIMESTAMP_CHARS];
    let n_chars = STANDARD.encode_slice(ts.0.to_le_bytes(), &mut text).expect("as many as eight bytes become");
    out.push_str(std::str::from_utf8(&text[..n_chars]).expect("base64 is ASCII"));
}

/// Reads what [`write_timestamp`] writes; `None` for other text and for what is beyond 2⁶³−1.
fn read_timestamp(text: &str) -> Option<Timestamp> {
    if text.len() != TIMESTAMP_CHARS {
        return None;
    }
    let mut bytes = [0; 9];
    let n_bytes = STANDARD.decode_slice(text, &mut bytes).ok()?;
    let ts = Timestamp(u64::from_le_bytes(bytes[..n_bytes].try_into().ok()?));
    (ts <= Timestamp::MAX).then_some(ts)
}

/// Appends a JSON string. Runs of plain text, which is nearly everything, are copied whole.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[copied..at]);
        match escape {
            "" => out.push_str(&format!("\\u{byte:04x}")),
            escape => out.push_str(escape),
        }
        copied = at + 1;
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

/// The last place at or before `at` where `text` can be cut.
pub(crate) fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(ts: Timestamp) -> String {
        let mut out = String::new();
        write_timestamp(&mut out, ts);
        out
    }

    /// spec: S28, S53
    #[test]
    fn timestamps_are_padded_base64_of_the_lowest_byte_first() {
        for (ts, text) in [
            (0, "AAAAAAAAAAA="),
            (1, "AQAAAAAAAAA="),
            (1000, "6AMAAAAAAAA="),
            (1_700_000_000_000_000_000, "AAAqNv6clxc="),
        ] {
            assert_eq!(written(Timestamp(ts)), text);
            assert_eq!(read_timestamp(text), Some(Timestamp(ts)));
        }
        for text in ["", "AAAAAAAAAAA", "AAAAAAAAAA==", "AAAAAAAAAAAA", "AAAAAAAAA-A=", "AAAAAAAAAIA=", "//////////8="]
        {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
        assert_eq!(read_timestamp("/////////38="), Some(Timestamp::MAX));
    }

    proptest! {
        /// spec: S28
        #[test]
        fn timestamps_survive_the_wire(ts in 0..=Timestamp::MAX.0) {
            prop_assert_eq!(read_timestamp(&written(Timestamp(ts))), Some(Timestamp(ts)));
        }

        #[test]
        fn strings_are_written_as_json(text in any::<String>()) {
            let mut out = String::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn all_control_characters_are_escaped() {
        let text: String = (0..0x30).map(|c: u8| char::from(c)).collect();
        let mut out = String::new();
        write_string(&mut out, &text);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }
}
