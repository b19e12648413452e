//! One suite, run on every `Storage`; then what only a file can get wrong.

mod ahead;
mod sqlite;
mod suite;

use std::future::Future;

use suite::Place;

/// Runs a test of the suite on every storage.
fn on_every_storage<F: Future<Output = ()>>(test: impl Fn(Place) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(test(Place::memory()));
    runtime.block_on(test(Place::sqlite()));
}

#[test]
fn a_new_storage_is_empty() {
    on_every_storage(suite::a_new_storage_is_empty);
}

#[test]
fn batches_are_appended_behind_the_head_only() {
    on_every_storage(suite::batches_are_appended_behind_the_head_only);
}

#[test]
fn the_log_is_read_in_pieces() {
    on_every_storage(suite::the_log_is_read_in_pieces);
}

#[test]
fn a_checkpoint_shortens_the_log_and_stays() {
    on_every_storage(suite::a_checkpoint_shortens_the_log_and_stays);
}

#[test]
fn documents_are_read_by_id_and_in_ranges() {
    on_every_storage(suite::documents_are_read_by_id_and_in_ranges);
}

#[test]
fn entries_are_read_in_ranges_with_their_documents() {
    on_every_storage(suite::entries_are_read_in_ranges_with_their_documents);
}

#[test]
fn an_entry_leads_to_its_own_document_or_none() {
    on_every_storage(suite::an_entry_leads_to_its_own_document_or_none);
}

#[test]
fn batches_are_the_range() {
    on_every_storage(ahead::batches_are_the_range);
}

#[test]
fn ranges_that_are_read_by_turns_are_what_they_are() {
    on_every_storage(ahead::ranges_that_are_read_by_turns_are_what_they_are);
}

#[test]
fn batches_are_of_one_state_while_the_base_changes() {
    on_every_storage(ahead::batches_are_of_one_state_while_the_base_changes);
}

#[test]
fn an_index_is_dropped_in_pieces() {
    on_every_storage(suite::an_index_is_dropped_in_pieces);
}

#[test]
fn outcomes_are_found_and_pruned_oldest_first() {
    on_every_storage(suite::outcomes_are_found_and_pruned_oldest_first);
}

#[test]
fn a_closed_storage_answers_nothing() {
    on_every_storage(suite::a_closed_storage_answers_nothing);
}
