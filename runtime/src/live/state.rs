//! The bookkeeping of live queries: pure, no task, no clock. One lock holds all of it.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use syncline_engine::{Commit, Subscriptions};
use syncline_schema::Timestamp;

use super::describe::Seen;
use super::entry::{Ended, Entry, EntryId, Evaluated, Shared, Waiter, WatchHandle};
use super::{LiveEvent, QueryKey, Watcher};
use crate::config::Config;
use crate::executor::SystemError;
use crate::identity::Identity;
use crate::system;

/// What became of a request.
pub(super) enum Answer {
    /// The waiter's result.
    Known(LiveEvent),
    /// The waiter gets it from an evaluation that is under way.
    Joined,
    /// An evaluation is to be started.
    Start(Flight),
}

/// Which evaluation of a key: at which timestamp, under whose identity, and whether only for that identity (once the
/// function is known to look) or for everybody, until it turns out that the run looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) ts: Timestamp,
    pub(super) identity: Identity,
    only_for_them: bool,
}

impl Flight {
    fn place(&self) -> (Timestamp, Option<Identity>) {
        (self.ts, self.only_for_them.then(|| self.identity.clone()))
    }
}

/// Who waits for an evaluation.
#[derive(Default)]
struct Awaiting {
    /// Those who asked for it.
    waiters: Vec<Waiter>,
    /// Those who will, and have not been woken yet.
    asleep: Vec<Arc<dyn Watcher>>,
}

/// All results of one key.
#[derive(Default)]
struct Slot {
    /// A result per identity that it is valid for, and the one for everybody under `None`.
    entries: HashMap<Option<Identity>, EntryId>,
    /// Who waits for which evaluation under way.
    flights: HashMap<(Timestamp, Option<Identity>), Awaiting>,
    /// Whether the last run looked at the identity: then nobody waits for somebody else's.
    looks_at_identity: bool,
}

/// See the module.
pub(super) struct State {
    published: Timestamp,
    slots: HashMap<QueryKey, Slot>,
    entries: HashMap<EntryId, Entry>,
    subscriptions: Subscriptions<EntryId>,
    next_entry: u64,
    /// Results that lost their last watcher or their validity, oldest first; some may have found watchers again.
    idle: VecDeque<EntryId>,
    idle_max: usize,
}

impl State {
    pub(super) fn new(published: Timestamp, config: &Config) -> Self {
        State {
            published,
            slots: HashMap::new(),
            entries: HashMap::new(),
            subscriptions: Subscriptions::default(),
            next_entry: 0,
            idle: VecDeque::new(),
            idle_max: config.idle_results_max,
        }
    }

    pub(super) fn published(&self) -> Timestamp {
        self.published
    }

    /// Says that all commits up to `ts` have been applied.
    pub(super) fn advance(&mut self, ts: Timestamp) {
        debug_assert!(ts >= self.published, "published timestamps rise");
        self.published = ts;
    }

    /// Ends the results that a commit touches. Puts those that are to be had [again](State::again) into `ended`.
    pub(super) fn apply(&mut self, commit: &Commit, ended: &mut Vec<Shared>) {
        for id in self.subscriptions.affected(commit) {
            self.subscriptions.remove(&id);
            if let Some(entry) = self.entries.get_mut(&id) {
                ended.extend(entry.end(id, Ended { ts: commit.ts, by: entry.run.reads.first_touched(commit) }));
                self.make_idle(id);
            }
        }
    }

    /// Begins what several watched again, at the newest timestamp, before they are woken.
    pub(super) fn again(&mut self, Shared { key, identity, mut watchers }: Shared) -> Option<(QueryKey, Flight)> {
        let slot = self.slots.entry(key.clone()).or_default();
        let flight = Flight { ts: self.published, identity, only_for_them: slot.looks_at_identity };
        match slot.flights.entry(flight.place()) {
            Occupied(mut awaiting) => {
                awaiting.get_mut().asleep.append(&mut watchers);
                None
            }
            Vacant(place) => {
                place.insert(Awaiting { waiters: Vec::new(), asleep: watchers });
                Some((key, flight))
            }
        }
    }

    /// Ends all results: what ended them is not known.
    pub(super) fn end_all(&mut self) {
        for (id, entry) in &mut self.entries {
            self.subscriptions.remove(id);
            if let Some(shared) = entry.end(*id, Ended { ts: self.published, by: None }) {
                shared.watchers.iter().for_each(|watcher| watcher.wake());
            }
        }
    }

    pub(super) fn request(&mut self, key: &QueryKey, ts: Timestamp, waiter: Waiter, now_ns: u64) -> Answer {
        // Looked up once where it is known, which it is for all watchers but one.
        let slot = match self.slots.get_mut(key) {
            Some(slot) => slot,
            None => self.slots.entry(key.clone()).or_default(),
        };
        for whose in [None, Some(waiter.identity.clone())] {
            let Some(id) = slot.entries.get(&whose) else { continue };
            if let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.serves(ts, now_ns)) {
                return Answer::Known(entry.give(*id, &waiter));
            }
        }
        let flight = Flight { ts, identity: waiter.identity.clone(), only_for_them: slot.looks_at_identity };
        match slot.flights.entry(flight.place()) {
            Occupied(mut awaiting) => {
                awaiting.get_mut().waiters.push(waiter);
                Answer::Joined
            }
            Vacant(place) => {
                place.insert(Awaiting { waiters: vec![waiter], asleep: Vec::new() });
                Answer::Start(flight)
            }
        }
    }

    /// Takes the outcome of an evaluation; `touched` is the first published commit since then that ended it.
    ///
    /// Answers who is to be woken, and what has to run again: the run looked at the identity, and others had waited.
    pub(super) fn finish(
        &mut self,
        key: &QueryKey,
        flight: &Flight,
        evaluated: Evaluated,
        touched: Option<Ended>,
    ) -> (Vec<Arc<dyn Watcher>>, Vec<Flight>) {
        let Some(slot) = self.slots.get_mut(key) else { return (Vec::new(), Vec::new()) };
        let looked = evaluated.observed_identity;
        slot.looks_at_identity = looked;
        let Awaiting { waiters, asleep } = slot.flights.remove(&flight.place()).unwrap_or_default();
        let (theirs, others): (Vec<_>, Vec<_>) =
            waiters.into_iter().partition(|waiter| !looked || waiter.identity == flight.identity);
        let again = requeue(slot, flight.ts, others);

        let valid_for = looked.then(|| flight.identity.clone());
        let id = EntryId(self.next_entry);
        self.next_entry += 1;
        let replaced = slot.entries.insert(valid_for.clone(), id);
        if touched.is_none() {
            self.subscriptions.register(id, &evaluated.reads);
        }
        let before = replaced.and_then(|old| self.entries.get(&old));
        let mut entry = Entry::new(key.clone(), valid_for, flight.identity.clone(), evaluated, touched, before);
        if let Some(old) = replaced {
            self.supersede(old);
        }
        for waiter in &theirs {
            let event = entry.give(id, waiter);
            let watch = if let LiveEvent::Done { watch, .. } = &event { *watch } else { None };
            let is_there = waiter.watcher.tell(event);
            if let Some(watch) = watch.filter(|_| !is_there) {
                entry.remove_watcher(watch.watcher);
            }
        }
        let watched = entry.n_watchers() > 0;
        self.entries.insert(id, entry);
        if !watched {
            self.make_idle(id);
        }
        (asleep, again)
    }

    /// Tells the waiters of an evaluation that it could not be done. Answers who is to be woken.
    pub(super) fn fail(&mut self, key: &QueryKey, flight: &Flight, error: &SystemError) -> Vec<Arc<dyn Watcher>> {
        let Some(slot) = self.slots.get_mut(key) else { return Vec::new() };
        let Awaiting { waiters, asleep } = slot.flights.remove(&flight.place()).unwrap_or_default();
        for Waiter { watcher, query, run, .. } in waiters {
            watcher.tell(match error {
                SystemError::OutOfRetention => LiveEvent::TooOld { query, run },
                error => LiveEvent::Failed(error.clone()),
            });
        }
        self.forget_empty_slot(key);
        asleep
    }

    pub(super) fn unwatch(&mut self, watch: WatchHandle) {
        let Some(entry) = self.entries.get_mut(&watch.entry) else { return };
        entry.remove_watcher(watch.watcher);
        if entry.n_watchers() == 0 {
            self.make_idle(watch.entry);
        }
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.values().map(Entry::n_watchers).sum())
    }

    /// The watched results of the application's queries, the most watched first.
    pub(super) fn seen(&self, limit: usize) -> Vec<Seen> {
        let is_shown = |entry: &&Entry| entry.n_watchers() > 0 && !entry.key.path.starts_with(system::PREFIX);
        let mut shown: Vec<&Entry> = self.entries.values().filter(is_shown).collect();
        shown.sort_by_key(|entry| std::cmp::Reverse(entry.n_watchers()));
        shown.into_iter().take(limit).map(Seen::of).collect()
    }

    /// A later result of the same key and identity took this one's place: new requests do not find it any more. Those
    /// who watch it keep it until a commit ends it. Were they to ask again, two watchers of an error, each with an
    /// evaluation of their own, would make each other ask for ever.
    fn supersede(&mut self, old: EntryId) {
        if self.entries.get(&old).is_some_and(|entry| entry.n_watchers() == 0) {
            self.subscriptions.remove(&old);
            self.entries.remove(&old);
        }
    }

    fn make_idle(&mut self, id: EntryId) {
        self.idle.push_back(id);
        while self.idle.len() > self.idle_max {
            let Some(oldest) = self.idle.pop_front() else { return };
            self.drop_if_idle(oldest);
        }
    }

    fn drop_if_idle(&mut self, id: EntryId) {
        if self.entries.get(&id).is_none_or(|entry| entry.n_watchers() > 0) {
            return;
        }
        let Some(entry) = self.entries.remove(&id) else { return };
        self.subscriptions.remove(&id);
        if let Some(slot) = self.slots.get_mut(&entry.key)
            && slot.entries.get(&entry.identity) == Some(&id)
        {
            slot.entries.remove(&entry.identity);
        }
        self.forget_empty_slot(&entry.key);
    }

    fn forget_empty_slot(&mut self, key: &QueryKey) {
        if self.slots.get(key).is_some_and(|slot| slot.entries.is_empty() && slot.flights.is_empty()) {
            self.slots.remove(key);
        }
    }
}

/// Puts waiters into evaluations for their own identity only; answers those that are to be started.
fn requeue(slot: &mut Slot, ts: Timestamp, waiters: Vec<Waiter>) -> Vec<Flight> {
    let mut started = Vec::new();
    for waiter in waiters {
        let flight = Flight { ts, identity: waiter.identity.clone(), only_for_them: true };
        match slot.flights.entry(flight.place()) {
            Occupied(mut awaiting) => awaiting.get_mut().waiters.push(waiter),
            Vacant(place) => {
                place.insert(Awaiting { waiters: vec![waiter], asleep: Vec::new() });
                started.push(flight);
            }
        }
    }
    started
}
