//! Ranges that are read batch after batch, which a storage may read ahead: they are what one read of the whole gives.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::executor::block_on;
use rusqlite::Connection;
use syncline_engine::{
    BaseAnswer, BaseKey, BaseRange, BaseRead, BaseRow, BaseText, BaseWrites, IndexId, SqliteOptions, SqliteStorage,
    Storage, StorageError,
};
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, StoredText, TableNumber};

use super::suite::Place;

const TABLE: TableNumber = TableNumber(10_001);
const INDEX: IndexId = IndexId { table: TABLE, index: 2 };
const N: u32 = 3_000;

/// Documents lie in another order than the entries that lead to them.
fn id(n: u32) -> DocumentId {
    DocumentId { table: TABLE, internal: InternalId((u128::from(n * 7_919 % N) << 64).to_be_bytes()) }
}

fn entry(n: u32) -> (IndexId, BaseKey) {
    (INDEX, BaseKey::new(&n.to_be_bytes(), id(n).internal))
}

fn text(n: u32, version: u64) -> BaseText {
    // Some are so large that not many are read ahead.
    let len = if n % 500 == 77 { 200_000 } else { n * 37 % 1_900 };
    StoredText::from(format!(r#"{{"version":{version},"n":{n},"body":"{}"}}"#, "x".repeat(len as usize))).into()
}

/// Of every fiftieth there is an entry only.
fn is_there(n: u32) -> bool {
    !n.is_multiple_of(50)
}

fn all(version: u64) -> BaseWrites {
    let documents = (0..N).filter(|n| is_there(*n)).map(|n| (id(n), text(n, version))).collect();
    BaseWrites { documents, entries: (0..N).map(entry).collect(), ..BaseWrites::default() }
}

async fn read(storage: &dyn Storage, range: BaseRange, ahead: usize) -> Result<Vec<BaseRow>, StorageError> {
    match storage.read(vec![BaseRead::IndexRange { index: INDEX, range, ahead }]).await?.pop() {
        Some(BaseAnswer::Rows(rows)) => Ok(rows),
        other => panic!("{other:?}"),
    }
}

/// A range that is read batch after batch.
struct Batches {
    left: BaseRange,
    ahead: usize,
    is_done: bool,
}

impl Batches {
    fn of(numbers: std::ops::Range<u32>, order: Order, limit: usize, ahead: usize) -> Self {
        let (start, end) = (numbers.start.to_be_bytes().into(), Some(numbers.end.to_be_bytes().into()));
        Batches { left: BaseRange { start, end, order, limit }, ahead, is_done: false }
    }

    async fn next(&mut self, storage: &dyn Storage) -> Result<Vec<BaseRow>, StorageError> {
        let rows = read(storage, self.left.clone(), self.ahead).await?;
        self.is_done = rows.len() < self.left.limit;
        if let Some(last) = rows.last() {
            match self.left.order {
                Order::Asc => self.left.start = [&last.key[..], &[0]].concat(),
                Order::Desc => self.left.end = Some(last.key.to_vec()),
            }
        }
        Ok(rows)
    }
}

fn expected(numbers: std::ops::Range<u32>, order: Order) -> Vec<BaseRow> {
    let row = |n| BaseRow { key: entry(n).1, json: is_there(n).then(|| text(n, 1)) };
    match order {
        Order::Asc => numbers.map(row).collect(),
        Order::Desc => numbers.rev().map(row).collect(),
    }
}

pub async fn batches_are_the_range(place: Place) {
    let storage = place.open();
    storage.write_base(all(1)).await.unwrap();
    for order in [Order::Asc, Order::Desc] {
        for (limit, ahead) in [(100, 900), (64, 64), (7, 200), (700, 9_000), (100, 0), (N as usize, 1)] {
            let (mut batches, mut found) = (Batches::of(10..N - 5, order, limit, ahead), Vec::new());
            while !batches.is_done {
                found.extend(batches.next(&*storage).await.unwrap());
            }
            assert!(found == expected(10..N - 5, order), "{order:?}, {limit} at once and {ahead} ahead");
        }
    }
}

/// Several go on by turns; some stop early, and are forgotten or gone on with later.
pub async fn ranges_that_are_read_by_turns_are_what_they_are(place: Place) {
    let storage = place.open();
    storage.write_base(all(1)).await.unwrap();
    let ranges: Vec<_> = (0..9).map(|n| (n * 100)..(n * 100 + 1_700)).collect();
    let batches = ranges.iter().map(|range| (Batches::of(range.clone(), Order::Asc, 80, 800), Vec::new()));
    let mut batches: Vec<_> = batches.collect();
    for turn in 0_usize.. {
        let left = batches.iter_mut().enumerate().filter(|(_, (batches, _))| !batches.is_done);
        let mut n_left = 0;
        for (n, (batches, found)) in left {
            n_left += 1;
            for _ in 0..(turn + n) % 3 * 2 {
                if !batches.is_done {
                    found.extend(batches.next(&*storage).await.unwrap());
                }
            }
        }
        if n_left == 0 {
            break;
        }
    }
    for (range, (_, found)) in ranges.into_iter().zip(batches) {
        assert!(found == expected(range.clone(), Order::Asc), "{range:?}");
    }
}

/// Each batch is of one state, and not of one that was written over before it was asked for.
pub async fn batches_are_of_one_state_while_the_base_changes(place: Place) {
    const VERSIONS: u64 = 12;
    let storage = place.open();
    storage.write_base(all(1)).await.unwrap();
    let written = AtomicU64::new(1);
    let version = |row: &BaseRow| {
        let json = row.json.as_deref()?;
        let (version, _) = json.strip_prefix(r#"{"version":"#).unwrap().split_once(',').unwrap();
        Some(version.parse::<u64>().unwrap())
    };
    let read_all = || {
        while written.load(Ordering::SeqCst) < VERSIONS {
            let mut batches = Batches::of(0..N, Order::Asc, 128, 900);
            while !batches.is_done {
                let oldest = written.load(Ordering::SeqCst);
                let rows = block_on(batches.next(&*storage)).unwrap();
                let found: Vec<_> = rows.iter().filter_map(version).collect();
                assert!(found.iter().all(|version| *version == found[0] && *version >= oldest), "{oldest}: {found:?}");
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(read_all);
        scope.spawn(read_all);
        for version in 2..=VERSIONS {
            block_on(storage.write_base(all(version))).unwrap();
            written.store(version, Ordering::SeqCst);
        }
    });
}

#[tokio::test]
async fn a_damaged_document_fails_the_batch_that_it_is_in() {
    const DAMAGED: u32 = 1_234;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let open = || SqliteStorage::open(&path, &SqliteOptions::default()).unwrap();
    let storage = open();
    storage.write_base(all(1)).await.unwrap();
    storage.close().await.unwrap();
    let shell = Connection::open(&path).unwrap();
    let good = format!(r#"{{"version":1,"n":{DAMAGED},"#);
    let bad = good.replace("version", "Version");
    shell.execute("UPDATE document_blocks SET json = replace(json, ?1, ?2)", [&good, &bad]).unwrap();
    let storage = open();
    for _ in 0..3 {
        let mut batches = Batches::of(0..N, Order::Asc, 100, 900);
        for n in 0..DAMAGED / 100 {
            assert_eq!(batches.next(&storage).await.unwrap(), expected(n * 100..(n + 1) * 100, Order::Asc));
        }
        for _ in 0..2 {
            let error = batches.next(&storage).await.unwrap_err();
            let names_it = error.to_string().contains(&id(DAMAGED).to_string());
            assert!(matches!(&error, StorageError::Corrupt { .. }) && names_it, "{error}");
        }
        let mut behind = Batches::of(DAMAGED + 1..N, Order::Asc, 100, 900);
        assert_eq!(behind.next(&storage).await.unwrap().len(), 100);
    }
}
