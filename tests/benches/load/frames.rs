//! WebSocket frames as bytes: what a client needs to write and read them without a copy or an allocation.

use std::ops::Range;

use super::failure::Failure;

// First bytes of frames: the kind, and the bit that says that nothing follows. RFC 6455, 5.2.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
/// The bit of the second byte that says that a mask follows the length.
const MASKED: u8 = 0x80;

/// A frame that has arrived whole.
pub enum Frame {
    /// Where its payload lies.
    Text(Range<usize>),
    /// Where its payload lies; to be sent back.
    Ping(Range<usize>),
    /// Nothing to do.
    Pong,
}

/// Appends a text frame.
pub fn push_text(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, TEXT, payload);
}

/// Appends the answer to a ping.
pub fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, PONG, payload);
}

/// Every frame of a client carries a mask. Of all zeros it changes nothing here and costs the server as much as any:
/// what it protects from (caches between the two) is not there on loopback.
fn push(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    match u16::try_from(payload.len()) {
        Ok(len @ 0..=125) => out.push(MASKED | len as u8),
        Ok(len) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// The frame that starts at `bytes[0]` and its length with the header, or `None` while it is not there whole.
pub fn read(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Failure> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let (header, length) = match (second, rest) {
        (126, &[a, b, ..]) => (4, u64::from(u16::from_be_bytes([a, b]))),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        (126 | 127, _) => return Ok(None),
        (length @ ..126, _) => (2, u64::from(length)),
        _ => return Err(Failure::new("the server sent a masked frame")),
    };
    let end = usize::try_from(length).map_err(|_| Failure::new("the server sent a frame without end"))? + header;
    if bytes.len() < end {
        return Ok(None);
    }
    let payload = header..end;
    let frame = match first {
        TEXT => Frame::Text(payload),
        PING => Frame::Ping(payload),
        PONG => Frame::Pong,
        CLOSE => return Err(closed(&bytes[payload])),
        _ => return Err(Failure::new(format!("the server sent a frame of a kind not expected here: {first:#x}"))),
    };
    Ok(Some((frame, end)))
}

fn closed(payload: &[u8]) -> Failure {
    match payload {
        [a, b, reason @ ..] => Failure::new(format!(
            "the server closed the socket: {} {}",
            u16::from_be_bytes([*a, *b]),
            String::from_utf8_lossy(reason)
        )),
        _ => Failure::new("the server closed the socket without a code"),
    }
}
