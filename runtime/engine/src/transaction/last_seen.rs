//! Where memory had the documents that a transaction read last: those are the ones it is likely to write.

use smallvec::SmallVec;
use syncline_schema::InternalId;

use crate::memory::{Entry, Place};

/// The places of some documents.
#[derive(Debug, Default)]
pub(super) struct LastSeen {
    documents: SmallVec<[Entry; LastSeen::KEPT]>,
    n_replaced: usize,
}

impl LastSeen {
    /// A number of documents: looking through them takes less than one search by id.
    pub const KEPT: usize = 8;

    /// A document was read.
    pub fn note(&mut self, document: Entry) {
        if self.documents.len() < Self::KEPT {
            self.documents.push(document);
        } else {
            self.documents[self.n_replaced % Self::KEPT] = document;
            self.n_replaced += 1;
        }
    }

    /// Where a document was, if that is known.
    pub fn place(&self, id: InternalId) -> Place {
        self.documents.iter().find(|document| document.id == id).map_or(Place::UNKNOWN, |document| document.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> InternalId {
        InternalId((n as u128).to_be_bytes())
    }

    #[test]
    fn the_last_ones_are_kept() {
        let mut seen = LastSeen::default();
        assert_eq!(seen.place(id(0)), Place::UNKNOWN);
        for n in 0..LastSeen::KEPT + 3 {
            seen.note(Entry { id: id(n), place: Place::numbered(n as u32) });
        }
        for n in 0..LastSeen::KEPT + 3 {
            let place = if n < 3 { Place::UNKNOWN } else { Place::numbered(n as u32) };
            assert_eq!(seen.place(id(n)), place, "{n}");
        }
    }
}
