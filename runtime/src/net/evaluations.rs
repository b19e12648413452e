//! How many evaluations one session waits for at once: a client with ten thousand slow queries gets its turns beside
//! the others, not before them.

use std::collections::BTreeMap;

use syncline_client_protocol::QueryId;

use crate::live::Request;

/// The evaluations of a session: those under way, and those that wait for one of them to end.
pub(super) struct Evaluations {
    at_once_max: usize,
    under_way: usize,
    /// In the order in which clients number their queries.
    waiting: BTreeMap<QueryId, Request>,
}

impl Evaluations {
    pub(super) fn new(at_once_max: usize) -> Self {
        Evaluations { at_once_max: at_once_max.max(1), under_way: 0, waiting: BTreeMap::new() }
    }

    /// Gives the request back if it may be made now; else keeps it.
    pub(super) fn begin(&mut self, request: Request) -> Option<Request> {
        if self.under_way < self.at_once_max {
            self.under_way += 1;
            return Some(request);
        }
        self.waiting.insert(request.query, request);
        None
    }

    /// One that was begun has been answered, wanted or not. Gives the one to be made in its place.
    pub(super) fn end(&mut self) -> Option<Request> {
        let next = self.waiting.pop_first().map(|(_, request)| request);
        if next.is_none() {
            self.under_way -= 1;
        }
        next
    }

    /// A query is not wanted any more. If it is under way, its answer comes all the same.
    pub(super) fn give_up(&mut self, query: QueryId) {
        self.waiting.remove(&query);
    }
}
