//! What every storage does.

use std::sync::Arc;

use syncline_engine::{
    BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, BaseText, BaseWrites, Checkpoint, IndexId, LogBatch,
    MemoryStorage, OutcomeGroup, Position, Pruned, RequestKey, SqliteOptions, SqliteStorage, Storage, StorageError,
};
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, StoredText, TableNumber, Timestamp};

const TABLE: TableNumber = TableNumber(10_001);
const INDEX: IndexId = IndexId { table: TABLE, index: 2 };

/// Where a storage is, so that it can be opened again.
pub enum Place {
    Memory(MemoryStorage),
    Sqlite(tempfile::TempDir),
}

impl Place {
    pub fn memory() -> Self {
        Place::Memory(MemoryStorage::new())
    }

    pub fn sqlite() -> Self {
        Place::Sqlite(tempfile::tempdir().unwrap())
    }

    pub fn open(&self) -> Arc<dyn Storage> {
        match self {
            Place::Memory(storage) => Arc::new(storage.reopen()),
            Place::Sqlite(folder) => {
                Arc::new(SqliteStorage::open(folder.path().join("store.db"), &SqliteOptions::default()).unwrap())
            }
        }
    }

    /// Opens it; for memory, what is done to it is kept for the next time.
    fn open_kept(&mut self) -> Arc<dyn Storage> {
        match self {
            Place::Memory(storage) => {
                *storage = storage.reopen();
                Arc::new(storage.clone())
            }
            Place::Sqlite(_) => self.open(),
        }
    }
}

fn ts(n: u64) -> Timestamp {
    Timestamp(n)
}

fn batch(n: u64, len: usize) -> LogBatch {
    LogBatch { ts: ts(n), bytes: vec![n as u8; len] }
}

fn document(n: u8) -> DocumentId {
    DocumentId { table: TABLE, internal: InternalId([n; 16]) }
}

fn text(n: u8) -> BaseText {
    StoredText::from(format!(r#"{{"n":{n}}}"#)).into()
}

pub async fn a_new_storage_is_empty(place: Place) {
    let storage = place.open();
    assert_eq!(storage.position().await, Ok(Position { head: ts(0), base: ts(0) }));
    assert_eq!(storage.meta().await, Ok(vec![]));
    assert_eq!(storage.log_after(ts(0), 1000).await, Ok(vec![]));
    let parts = vec![
        BaseRead::Documents { table: TABLE, ids: vec![InternalId([1; 16])] },
        BaseRead::GreatestRequest { session: [1; 16] },
    ];
    let nothing = vec![BaseAnswer::Documents(vec![None]), BaseAnswer::GreatestRequest(None)];
    assert_eq!(storage.read(parts).await, Ok(nothing));
}

pub async fn batches_are_appended_behind_the_head_only(mut place: Place) {
    let storage = place.open_kept();
    storage.append(ts(0), batch(5, 10)).await.unwrap();
    storage.append(ts(5), batch(7, 10)).await.unwrap();
    let moved = StorageError::HeadMoved { expected: ts(5), found: ts(7) };
    assert_eq!(storage.append(ts(5), batch(9, 10)).await, Err(moved));
    assert_eq!(storage.position().await, Ok(Position { head: ts(7), base: ts(0) }));
    storage.close().await.unwrap();
    let storage = place.open_kept();
    assert_eq!(storage.position().await, Ok(Position { head: ts(7), base: ts(0) }));
    assert_eq!(storage.log_after(ts(0), 1000).await, Ok(vec![batch(5, 10), batch(7, 10)]));
    storage.append(ts(7), batch(8, 10)).await.unwrap();
}

pub async fn the_log_is_read_in_pieces(place: Place) {
    let storage = place.open();
    for n in 1..=4 {
        storage.append(ts(n - 1), batch(n, 100)).await.unwrap();
    }
    assert_eq!(storage.log_after(ts(1), 200).await, Ok(vec![batch(2, 100), batch(3, 100)]));
    assert_eq!(storage.log_after(ts(3), 1).await, Ok(vec![batch(4, 100)]), "at least one");
    assert_eq!(storage.log_after(ts(4), 200).await, Ok(vec![]));
}

pub async fn a_checkpoint_shortens_the_log_and_stays(mut place: Place) {
    let storage = place.open_kept();
    for n in 1..=20 {
        storage.append(ts(n - 1), batch(n, 10)).await.unwrap();
    }
    let meta = vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
    let end = Checkpoint { base: Some(ts(18)), meta: meta.clone(), ..Checkpoint::default() };
    assert_eq!(storage.finish_checkpoint(end).await, Ok(Pruned::default()));
    assert_eq!(storage.position().await, Ok(Position { head: ts(20), base: ts(18) }));
    assert_eq!(storage.meta().await, Ok(meta));
    storage.close().await.unwrap();
    let storage = place.open_kept();
    assert_eq!(storage.log_after(ts(18), 1000).await, Ok(vec![batch(19, 10), batch(20, 10)]));
    let end = Checkpoint { base: Some(ts(20)), meta_removed: vec!["a".to_owned()], ..Checkpoint::default() };
    storage.finish_checkpoint(end).await.unwrap();
    assert_eq!(
        storage.position().await,
        Ok(Position { head: ts(20), base: ts(20) }),
        "the head stays when the log is empty"
    );
    assert_eq!(storage.meta().await, Ok(vec![("b".to_owned(), "2".to_owned())]));
    storage.append(ts(20), batch(21, 10)).await.unwrap();
    assert_eq!(storage.position().await, Ok(Position { head: ts(21), base: ts(20) }));
}

async fn rows(storage: &dyn Storage, part: impl Fn(BaseRange) -> BaseRead, range: BaseRange) -> Vec<BaseRow> {
    match storage.read(vec![part(range)]).await.unwrap().pop() {
        Some(BaseAnswer::Rows(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

fn range(start: &[u8], end: Option<&[u8]>, order: Order, limit: usize) -> BaseRange {
    BaseRange { start: start.to_vec(), end: end.map(<[u8]>::to_vec), order, limit }
}

/// First key, first key behind, limit, and the ids that are there.
type RangeCase<'a> = (&'a [u8], Option<&'a [u8]>, usize, &'a [u8]);

/// The documents in some ranges of keys that are `n` repeated 16 times, or begin with it.
async fn check_ranges(storage: &dyn Storage, part: impl Fn(BaseRange) -> BaseRead) {
    let cases: [RangeCase; 7] = [
        (&[], None, 9, &[1, 2, 3, 5]),
        (&[2], None, 9, &[2, 3, 5]),
        (&[2; 16], Some(&[5; 16]), 9, &[2, 3]),
        (&[&[2; 16][..], &[1]].concat(), Some(&[6]), 9, &[3, 5]),
        (&[1], Some(&[&[3; 16][..], &[1]].concat()), 9, &[1, 2, 3]),
        (&[4], Some(&[5]), 9, &[]),
        (&[9], Some(&[1]), 9, &[]),
    ];
    for (start, end, limit, expected) in cases {
        let found = rows(storage, &part, range(start, end, Order::Asc, limit)).await;
        let numbers: Vec<u8> = found.iter().map(|row| row.key.id().0[0]).collect();
        assert_eq!(numbers, expected, "{start:?} {end:?}");
        let fits = |row: &BaseRow| row.key.starts_with(&row.key.id().0) && row.json == Some(text(row.key.id().0[0]));
        assert!(found.iter().all(fits));
        let mut back = rows(storage, &part, range(start, end, Order::Desc, limit)).await;
        back.reverse();
        assert_eq!(back, found);
    }
    let first = |order| rows(storage, &part, range(&[], None, order, 2));
    let numbers = |rows: Vec<BaseRow>| rows.iter().map(|row| row.key.id().0[0]).collect::<Vec<u8>>();
    assert_eq!(numbers(first(Order::Asc).await), [1, 2]);
    assert_eq!(numbers(first(Order::Desc).await), [5, 3]);
}

pub async fn documents_are_read_by_id_and_in_ranges(place: Place) {
    let storage = place.open();
    let other = DocumentId { table: TableNumber(10_002), ..document(4) };
    let writes =
        BaseWrites { documents: [1, 2, 3, 4, 5].map(|n| (document(n), text(n))).into(), ..BaseWrites::default() };
    storage.write_base(writes).await.unwrap();
    let writes = BaseWrites {
        documents: vec![(document(3), text(33)), (other, text(4))],
        documents_removed: vec![document(4), document(9)],
        ..BaseWrites::default()
    };
    storage.write_base(writes).await.unwrap();
    let ids = [3, 4, 1].map(|n| InternalId([n; 16])).into();
    let answers = storage.read(vec![BaseRead::Documents { table: TABLE, ids }]).await;
    assert_eq!(answers, Ok(vec![BaseAnswer::Documents(vec![Some(text(33)), None, Some(text(1))])]));
    let writes = BaseWrites { documents: vec![(document(3), text(3))], ..BaseWrites::default() };
    storage.write_base(writes).await.unwrap();
    check_ranges(&*storage, |range| BaseRead::DocumentRange { table: TABLE, range }).await;
}

fn key(n: u8) -> BaseKey {
    BaseKey::new(&[&[n; 16][..], b"\0tail"].concat(), InternalId([n; 16]))
}

fn entry(index: IndexId, n: u8) -> (IndexId, BaseKey) {
    (index, key(n))
}

pub async fn entries_are_read_in_ranges_with_their_documents(place: Place) {
    let storage = place.open();
    let other = IndexId { index: 3, ..INDEX };
    let mut entries: Vec<_> = [1, 2, 3, 4, 5].map(|n| entry(INDEX, n)).into();
    entries.push(entry(other, 4));
    let writes =
        BaseWrites { documents: [1, 2, 3, 5].map(|n| (document(n), text(n))).into(), entries, ..BaseWrites::default() };
    storage.write_base(writes).await.unwrap();
    let index_range = |range| BaseRead::IndexRange { index: INDEX, range, ahead: 0 };
    let found = rows(&*storage, index_range, range(&[4], Some(&[5]), Order::Asc, 9)).await;
    assert_eq!(found, [BaseRow { key: key(4), json: None }], "its document is not there");
    let writes = BaseWrites { entries_removed: vec![(INDEX, key(4)), (INDEX, key(7))], ..BaseWrites::default() };
    storage.write_base(writes).await.unwrap();
    check_ranges(&*storage, index_range).await;
}

pub async fn an_entry_leads_to_its_own_document_or_none(place: Place) {
    let storage = place.open();
    let put = |documents: &[u8], entries: &[u8]| BaseWrites {
        documents: documents.iter().map(|n| (document(*n), text(*n))).collect(),
        entries: entries.iter().map(|n| entry(INDEX, *n)).collect(),
        ..BaseWrites::default()
    };
    storage.write_base(put(&[1, 2], &[1, 2])).await.unwrap();
    let remove = |n| BaseWrites { documents_removed: vec![document(n)], ..BaseWrites::default() };
    storage.write_base(remove(2)).await.unwrap();
    storage.write_base(put(&[3], &[])).await.unwrap();
    let found = async || {
        let index_range = |range| BaseRead::IndexRange { index: INDEX, range, ahead: 0 };
        let rows = rows(&*storage, index_range, range(&[], None, Order::Asc, 9)).await;
        rows.into_iter().map(|row| (row.key.id().0[0], row.json)).collect::<Vec<_>>()
    };
    assert_eq!(found().await, [(1, Some(text(1))), (2, None)]);
    storage.write_base(put(&[2], &[])).await.unwrap();
    assert_eq!(found().await, [(1, Some(text(1))), (2, Some(text(2)))], "it is there again, somewhere else");
    storage.write_base(put(&[], &[3, 4])).await.unwrap();
    storage.write_base(put(&[4], &[])).await.unwrap();
    assert_eq!(found().await[2..], [(3, Some(text(3))), (4, Some(text(4)))], "an entry may be there first");
}

/// Entries of an index that is dropped.
const N_DROPPED: u32 = 2_000;

pub async fn an_index_is_dropped_in_pieces(place: Place) {
    let storage = place.open();
    let others = [1, 3].map(|index| IndexId { index, ..INDEX });
    let id = |n: u32| InternalId(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
    let numbered = |n: u32| BaseKey::new(&n.to_be_bytes(), id(n));
    let indexes = [others[0], INDEX, others[1]];
    let entries = (0..N_DROPPED).flat_map(|n| indexes.map(|index| (index, numbered(n)))).collect();
    storage.write_base(BaseWrites { entries, ..BaseWrites::default() }).await.unwrap();
    let (mut n_dropped, mut n_pieces) = (0, 0);
    loop {
        let writes = BaseWrites { index_dropped: Some((INDEX, 100)), ..BaseWrites::default() };
        let n = storage.write_base(writes).await.unwrap();
        if n == 0 {
            break;
        }
        (n_dropped, n_pieces) = (n_dropped + n, n_pieces + 1);
    }
    assert_eq!(n_dropped, N_DROPPED as usize);
    assert!(n_pieces > 3, "{n_pieces}");
    let left = |index| {
        rows(
            &*storage,
            move |range| BaseRead::IndexRange { index, range, ahead: 0 },
            range(&[], None, Order::Asc, 9_999),
        )
    };
    assert_eq!(left(INDEX).await.len(), 0);
    for other in others {
        assert_eq!(left(other).await.len(), N_DROPPED as usize);
    }
}

pub async fn outcomes_are_found_and_pruned_oldest_first(mut place: Place) {
    let storage = place.open_kept();
    let group = |session: u8, first, last, at| OutcomeGroup {
        session: [session; 16],
        first,
        last,
        ts: ts(at),
        bytes: vec![session; 100],
    };
    let outcomes =
        vec![group(1, 0, 4, 10), group(1, 5, 5, 20), group(1, 3, 7, 30), group(2, u64::MAX >> 1, u64::MAX >> 1, 15)];
    storage.write_base(BaseWrites { outcomes, ..BaseWrites::default() }).await.unwrap();
    let end = |before, bytes_max| Checkpoint {
        outcomes_before: ts(before),
        outcome_bytes_max: Some(bytes_max),
        ..Checkpoint::default()
    };
    assert_eq!(storage.finish_checkpoint(end(0, 1000)).await, Ok(Pruned::default()));
    let find = |storage: Arc<dyn Storage>, session: u8, request| async move {
        let key = RequestKey { session: [session; 16], request };
        let parts = vec![BaseRead::Outcomes { key }, BaseRead::GreatestRequest { session: key.session }];
        match &storage.read(parts).await.unwrap()[..] {
            [BaseAnswer::Outcomes(groups), BaseAnswer::GreatestRequest(greatest)] => (groups.len(), *greatest),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(find(storage.clone(), 1, 2).await, (1, Some(7)));
    assert_eq!(find(storage.clone(), 1, 5).await, (2, Some(7)));
    assert_eq!(find(storage.clone(), 1, 8).await, (0, Some(7)));
    assert_eq!(find(storage.clone(), 2, u64::MAX >> 1).await, (1, Some(u64::MAX >> 1)));
    assert_eq!(find(storage.clone(), 3, 1).await, (0, None));
    assert_eq!(storage.finish_checkpoint(end(11, 1000)).await, Ok(Pruned { aged: 1, over_budget: 0 }));
    assert_eq!(find(storage.clone(), 1, 2).await, (0, Some(7)));
    storage.close().await.unwrap();
    let storage = place.open_kept();
    assert_eq!(
        storage.finish_checkpoint(end(0, 250)).await,
        Ok(Pruned { aged: 0, over_budget: 1 }),
        "300 bytes are left"
    );
    assert_eq!(find(storage.clone(), 2, u64::MAX >> 1).await, (0, None), "the oldest went");
    assert_eq!(find(storage.clone(), 1, 5).await, (2, Some(7)));
}

pub async fn a_closed_storage_answers_nothing(place: Place) {
    let storage = place.open();
    storage.close().await.unwrap();
    assert_eq!(storage.position().await, Err(StorageError::Closed));
    assert_eq!(storage.append(ts(0), batch(1, 1)).await, Err(StorageError::Closed));
    assert_eq!(storage.read(vec![]).await, Err(StorageError::Closed));
    assert_eq!(storage.close().await, Err(StorageError::Closed));
}
