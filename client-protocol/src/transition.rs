//! Transitions: when one is due, to which state it leads, and how a long one is cut into parts.
//!
//! A Transition is chosen a target, evaluated there, and sent; one at a time, while at most
//! [`UNWRITTEN_MAX`] wait to be written. What happens meanwhile is folded into the next: a slow reader gets fewer and
//! larger steps, never a gap.

use std::sync::Arc;

use crate::error::ProtocolError;
use crate::message::{
    IdentityVersion, QuerySetVersion, ServerMessage, StateModification, StateVersion, Timestamp, Transition,
    TransitionChunk,
};
use crate::wire::floor_char_boundary;

/// Transitions handed over and not yet written: the one being written and one in flight behind it.
///
/// Source: `DESIGN.md` section 4. With one, the socket idles while the next is computed; more would only grow stale in
/// the queue.
const UNWRITTEN_MAX: usize = 2;

/// Where a client is and where it is going.
#[derive(Debug)]
pub(crate) struct Transitions {
    /// The end of the last Transition sent.
    sent: StateVersion,
    stage: Stage,
    unwritten: usize,
    /// The client waits for a Transition that reaches this timestamp: a mutation was answered.
    owed: Option<Timestamp>,
    /// What the client saw on earlier sockets: it must not be moved to before this.
    observed: Timestamp,
    /// The last target.
    reached: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Idle,
    /// The runtime was asked for a target.
    Choosing,
    /// Queries run; then the client is moved to this state.
    Evaluating(StateVersion),
}

impl Transitions {
    pub(crate) fn new() -> Transitions {
        Transitions {
            sent: StateVersion::default(),
            stage: Stage::Idle,
            unwritten: 0,
            owed: None,
            observed: Timestamp::ZERO,
            reached: Timestamp::ZERO,
        }
    }

    /// Where the client is, or will be when it has read everything.
    pub(crate) fn sent(&self) -> StateVersion {
        self.sent
    }

    /// The client has seen this on an earlier socket.
    pub(crate) fn observe(&mut self, ts: Timestamp) {
        self.observed = self.observed.max(ts);
    }

    /// A mutation was answered. Only a Transition that follows settles it, one to `ts` or later.
    pub(crate) fn owe(&mut self, ts: Timestamp) {
        self.owed = self.owed.max(Some(ts));
    }

    /// Whether the client has to be moved, whatever its queries say: to a version it asked for, or past a commit it
    /// was told of. Also whether it can be: what it saw before must exist.
    pub(crate) fn is_owed(&self, query_set: QuerySetVersion, identity: IdentityVersion) -> bool {
        query_set > self.sent.query_set
            || identity > self.sent.identity
            || self.owed.is_some()
            || self.observed > self.reached
    }

    /// Whether a new target may be asked for.
    pub(crate) fn may_begin(&self) -> bool {
        match self.stage {
            Stage::Idle => self.unwritten < UNWRITTEN_MAX,
            Stage::Choosing | Stage::Evaluating(_) => false,
        }
    }

    /// Asks for a target. Returns the least that it may be.
    pub(crate) fn begin(&mut self) -> Timestamp {
        self.stage = Stage::Choosing;
        self.least_target()
    }

    fn least_target(&self) -> Timestamp {
        self.sent.ts.max(self.observed).max(self.owed.unwrap_or_default())
    }

    /// The target is chosen, and with it what the Transition will contain.
    pub(crate) fn evaluate(
        &mut self,
        ts: Timestamp,
        query_set: QuerySetVersion,
        identity: IdentityVersion,
    ) -> Result<(), ProtocolError> {
        match self.stage {
            Stage::Choosing => {}
            Stage::Idle | Stage::Evaluating(_) => return Err(ProtocolError::Unasked("a target")),
        }
        // What is owed may have grown since the target was asked for; another Transition will settle that.
        if ts < self.sent.ts {
            return Err(ProtocolError::Unasked("a target in the client's past"));
        }
        if ts < self.observed {
            return Err(ProtocolError::ObservedAhead { at_least: self.observed, newest: ts });
        }
        self.reached = ts;
        self.stage = Stage::Evaluating(StateVersion { query_set, identity, ts });
        Ok(())
    }

    /// What the client has seen cannot be reached.
    pub(crate) fn unreachable(&self, newest: Timestamp) -> ProtocolError {
        match self.stage {
            Stage::Choosing => ProtocolError::ObservedAhead { at_least: self.least_target(), newest },
            Stage::Idle | Stage::Evaluating(_) => ProtocolError::Unasked("a target"),
        }
    }

    /// Gives an evaluation up; another target will be chosen.
    pub(crate) fn give_up(&mut self) {
        match self.stage {
            Stage::Evaluating(_) => self.stage = Stage::Idle,
            // What comes of a target that is only being chosen is decided when it is.
            Stage::Idle | Stage::Choosing => {}
        }
    }

    /// The state to which the evaluation under way leads.
    pub(crate) fn evaluating(&self) -> Option<StateVersion> {
        match self.stage {
            Stage::Evaluating(end) => Some(end),
            Stage::Idle | Stage::Choosing => None,
        }
    }

    /// Whether a Transition to `end` tells the client something even if no query has changed.
    pub(crate) fn settles(&self, end: StateVersion) -> bool {
        end.query_set > self.sent.query_set
            || end.identity > self.sent.identity
            || self.owed.is_some_and(|owed| owed <= end.ts)
    }

    /// The evaluation has changed nothing that the client waits for: it stays where it is.
    pub(crate) fn skip(&mut self) {
        self.stage = Stage::Idle;
    }

    /// The Transition to `end` leaves. Returns where it starts.
    pub(crate) fn send(&mut self, end: StateVersion) -> StateVersion {
        let start = self.sent;
        assert!(
            start.query_set <= end.query_set && start.identity <= end.identity && start.ts <= end.ts,
            "a client cannot go back from {start:?} to {end:?}"
        );
        self.owed = self.owed.filter(|owed| *owed > end.ts);
        self.sent = end;
        self.stage = Stage::Idle;
        self.unwritten += 1;
        start
    }

    /// The transport has written one.
    pub(crate) fn written(&mut self) -> Result<(), ProtocolError> {
        self.unwritten = self.unwritten.checked_sub(1).ok_or(ProtocolError::Unasked("a written Transition"))?;
        Ok(())
    }
}

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
