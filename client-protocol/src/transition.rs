//! Transitions: how long one gets, and how a long one is cut into parts.

use std::sync::Arc;

use crate::message::{ServerMessage, StateModification, Transition, TransitionChunk};
use crate::wire::floor_char_boundary;

/// Bytes of a Transition and of each of its modifications around the values themselves, generously.
const FRAME_BYTES: usize = 300;
const MODIFICATION_BYTES: usize = 120;

impl Transition {
    /// About how long the JSON text will be, in bytes; exact enough to reserve a buffer.
    pub fn len_hint(&self) -> usize {
        FRAME_BYTES + self.modifications.iter().map(StateModification::len_hint).sum::<usize>()
    }

    /// The messages in which this Transition leaves: itself, or its parts if it is longer than `chunk_bytes_max`.
    ///
    /// Only for clients that put parts together. The parts follow each other with nothing between them but `Ping`.
    pub(crate) fn split(self, chunk_bytes_max: usize) -> Vec<ServerMessage> {
        if self.len_hint() <= chunk_bytes_max {
            return vec![ServerMessage::Transition(self)];
        }
        let transition = ServerMessage::Transition(self);
        let mut whole = String::new();
        transition.write(&mut whole);
        if whole.len() <= chunk_bytes_max {
            return vec![transition];
        }
        chunks(whole.into(), chunk_bytes_max)
    }
}

impl StateModification {
    fn len_hint(&self) -> usize {
        let StateModification::Answered { result, .. } = self else {
            return MODIFICATION_BYTES;
        };
        let outcome = match &result.outcome {
            Ok(value) => value.len(),
            Err(failure) => failure.message.len() + failure.data.as_ref().map_or(0, |data| data.len()),
        };
        let journal = result.journal.as_ref().map_or(0, |journal| journal.len());
        MODIFICATION_BYTES + outcome + journal + result.log_lines.as_json().len()
    }
}

/// Cuts a text between scalars into parts of at most `chunk_bytes_max` bytes, which must have room for one scalar.
fn chunks(whole: Arc<str>, chunk_bytes_max: usize) -> Vec<ServerMessage> {
    assert!(chunk_bytes_max >= 4, "a part of {chunk_bytes_max} bytes may be too small for a scalar");
    let mut ends = Vec::new();
    let mut start = 0;
    while start < whole.len() {
        start += floor_char_boundary(&whole[start..], chunk_bytes_max);
        ends.push(start);
    }
    let total_parts = ends.len() as u32;
    let starts = std::iter::once(0).chain(ends.clone());
    let parts = starts.zip(ends).zip(0..);
    parts
        .map(|((start, end), part_number)| {
            let whole = Arc::clone(&whole);
            ServerMessage::TransitionChunk(TransitionChunk { whole, part: start..end, part_number, total_parts })
        })
        .collect()
}
