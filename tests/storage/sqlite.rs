//! What can be wrong with a file, and what it says then.

use std::cell::RefCell;
use std::path::Path;

use rusqlite::Connection;
use syncline_engine::{
    BaseAnswer, BaseKey, BaseRange, BaseRead, BaseText, BaseWrites, Checkpoint, IndexId, LogBatch, Progress,
    SqliteOptions, SqliteStorage, Storage, StorageError,
};
use syncline_functions::tx::Order;
use syncline_schema::{DocumentId, InternalId, StoredText, TableNumber, Timestamp};

fn open(path: &Path) -> Result<SqliteStorage, StorageError> {
    SqliteStorage::open(path, &SqliteOptions::default())
}

async fn closed(path: &Path) {
    open(path).unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused_until_the_first_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let first = open(&path).unwrap();
    match open(&path) {
        Err(StorageError::Locked { what }) => assert!(what.ends_with("store.db")),
        other => panic!("{:?}", other.err()),
    }
    first.close().await.unwrap();
    closed(&path).await;
}

#[tokio::test]
async fn the_shell_reads_beside_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let storage = open(&path).unwrap();
    let id = DocumentId { table: TableNumber(10_001), internal: InternalId([1; 16]) };
    let json = format!(r#"{{"_creationTime":1.0,"_id":"{id}","body":"hello"}}"#);
    let documents = vec![(id, StoredText::from(json).into())];
    storage.write_base(BaseWrites { documents, ..BaseWrites::default() }).await.unwrap();
    let meta = vec![("table/10001".to_owned(), r#"{"name":"messages"}"#.to_owned())];
    storage.finish_checkpoint(Checkpoint { base: Some(Timestamp(5)), meta, ..Checkpoint::default() }).await.unwrap();
    let shell = Connection::open(&path).unwrap();
    let sql = "SELECT table_name, id, json ->> 'body' FROM browse";
    let row: (String, String, String) =
        shell.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(row, ("messages".to_owned(), id.to_string(), "hello".to_owned()));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder.path().join("missing/store.db")).err().unwrap();
    assert!(error.to_string().contains("missing/store.db"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, "a letter to a friend, much longer than the head of a file ".repeat(20)).unwrap();
    assert!(matches!(open(&path).err(), Some(StorageError::Corrupt { .. })));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("a letter"), "it is left alone");
}

#[test]
fn a_database_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE friends (name TEXT)").unwrap();
    assert!(matches!(open(&path).err(), Some(StorageError::Corrupt { .. })));
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    closed(&path).await;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    assert_eq!(open(&path).err(), Some(StorageError::Version { found: 7, known: 6 }));
}

fn a_document(text: &str) -> (DocumentId, BaseWrites) {
    let id = DocumentId { table: TableNumber(10_001), internal: InternalId([1; 16]) };
    let json = StoredText::from(format!(r#"{{"_creationTime":1.0,"_id":"{id}","body":"{text}"}}"#));
    (id, BaseWrites { documents: vec![(id, json.into())], ..BaseWrites::default() })
}

async fn read(storage: &SqliteStorage, id: DocumentId) -> Result<Vec<BaseAnswer>, StorageError> {
    storage.read(vec![BaseRead::Documents { table: id.table, ids: vec![id.internal] }]).await
}

#[tokio::test]
async fn a_document_that_is_not_what_was_written_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let storage = open(&path).unwrap();
    let (id, writes) = a_document("hello");
    storage.write_base(writes).await.unwrap();
    read(&storage, id).await.unwrap();
    storage.close().await.unwrap();
    let shell = Connection::open(&path).unwrap();
    shell.execute("UPDATE document_blocks SET json = replace(json, 'hello', 'hallo')", []).unwrap();
    let storage = open(&path).unwrap();
    let error = read(&storage, id).await.unwrap_err();
    assert!(matches!(&error, StorageError::Corrupt { .. }) && error.to_string().contains(&id.to_string()), "{error}");
}

#[tokio::test]
async fn entries_that_are_not_what_was_written_are_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let storage = open(&path).unwrap();
    let index = IndexId { table: TableNumber(10_001), index: 2 };
    let entries = (0..9).map(|n| (index, BaseKey::new(&[n], InternalId([n; 16])))).collect();
    storage.write_base(BaseWrites { entries, ..BaseWrites::default() }).await.unwrap();
    storage.close().await.unwrap();
    let shell = Connection::open(&path).unwrap();
    let good: Vec<u8> = shell.query_row("SELECT keys FROM entry_blocks", [], |row| row.get(0)).unwrap();
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        shell.execute("UPDATE entry_blocks SET keys = ?1", [&damaged]).unwrap();
        let storage = open(&path).unwrap();
        let range = BaseRange { start: vec![3], end: Some(vec![4]), order: Order::Asc, limit: 1 };
        let error = storage.read(vec![BaseRead::IndexRange { index, range, ahead: 0 }]).await.unwrap_err();
        assert!(matches!(&error, StorageError::Corrupt { .. }), "byte {at}: {error}");
        assert!(error.to_string().contains("index 2 of table 10001 is not what was written"), "{error}");
        storage.close().await.unwrap();
    }
}

/// Readers keep blocks of entries, until the file changes.
#[tokio::test]
async fn entries_are_those_of_the_newest_write_however_often_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder.path().join("store.db")).unwrap();
    let index = IndexId { table: TableNumber(10_001), index: 2 };
    let entry = |n: u8| (index, BaseKey::new(&[n], InternalId([n; 16])));
    let found = async || {
        let range = BaseRange { start: vec![10], end: Some(vec![20]), order: Order::Asc, limit: 9 };
        let answers = storage.read(vec![BaseRead::IndexRange { index, range, ahead: 0 }]).await.unwrap();
        let [BaseAnswer::Rows(rows)] = &answers[..] else { panic!("{answers:?}") };
        rows.iter().map(|row| row.key.id().0[0]).collect::<Vec<_>>()
    };
    let entries = [5, 12, 14, 25].map(entry).into();
    storage.write_base(BaseWrites { entries, ..BaseWrites::default() }).await.unwrap();
    assert_eq!((found().await, found().await), (vec![12, 14], vec![12, 14]));
    let (entries, entries_removed) = (vec![entry(13)], vec![entry(14)]);
    storage.write_base(BaseWrites { entries, entries_removed, ..BaseWrites::default() }).await.unwrap();
    assert_eq!((found().await, found().await), (vec![12, 13], vec![12, 13]));
    storage.write_base(BaseWrites { index_dropped: Some((index, 99)), ..BaseWrites::default() }).await.unwrap();
    assert_eq!(found().await, Vec::<u8>::new());
}

/// Documents of many sizes, the largest far larger than a page.
#[tokio::test]
async fn blocks_are_pages_unless_a_document_is_larger_than_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let storage = open(&path).unwrap();
    let document = |n: u32, len: usize| {
        let internal = InternalId(u128::from(n).to_be_bytes());
        let id = DocumentId { table: TableNumber(10_001), internal };
        let json = format!(r#"{{"_creationTime":1.0,"_id":"{id}","body":"{}"}}"#, "x".repeat(len));
        (id, BaseText::from(StoredText::from(json)))
    };
    let mut documents: Vec<_> = (0..600).map(|n| document(n, (n * 37 % 1_900) as usize)).collect();
    let put = async |documents: &[(DocumentId, BaseText)]| {
        let entry = |(id, _): &(DocumentId, _)| {
            let index = IndexId { table: id.table, index: 2 };
            (index, BaseKey::new(&id.text().as_bytes()[..20], id.internal))
        };
        let entries = documents.iter().map(entry).collect();
        let writes = BaseWrites { documents: documents.to_vec(), entries, ..BaseWrites::default() };
        storage.write_base(writes).await.unwrap();
    };
    put(&documents).await;
    let shell = Connection::open(&path).unwrap();
    let n_pages = |kind: &str| {
        let sql = "SELECT count(*) FROM dbstat WHERE name LIKE '%_blocks' AND pagetype = ?1";
        shell.query_row(sql, [kind], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(n_pages("overflow"), 0);
    let filled = "SELECT 1.0 * sum(payload) / sum(pgsize) FROM dbstat WHERE name = 'document_blocks'";
    let filled: f64 = shell.query_row(filled, [], |row| row.get(0)).unwrap();
    assert!(filled > 0.8, "{filled}");
    documents.insert(300, document(1_000, 100_000));
    documents[20] = document(20, 50_000);
    put(&documents).await;
    assert!(n_pages("overflow") < 30, "two documents of 150 kB");
    for (id, json) in &documents {
        assert_eq!(read(&storage, *id).await.unwrap(), [BaseAnswer::Documents(vec![Some(json.clone())])]);
    }
}

/// Files of older formats, as the versions that wrote them left them.
const FORMAT_2: &str = include_str!("format_2.sql");
const FORMAT_4: &str = include_str!("format_4.sql");
const FORMAT_5: &str = include_str!("format_5.sql");

fn older_file(path: &Path, format: &str, change: &str) {
    let file = Connection::open(path).unwrap();
    file.execute_batch(format).unwrap();
    file.execute_batch(change).unwrap();
}

/// The documents of a table in the order of an index, each as the index leads to it.
async fn in_order(storage: &SqliteStorage, table: u32, index: u32) -> Vec<(InternalId, String)> {
    let index = IndexId { table: TableNumber(table), index };
    let range = BaseRange { start: vec![], end: None, order: Order::Asc, limit: 99 };
    let answers = storage.read(vec![BaseRead::IndexRange { index, range, ahead: 0 }]).await.unwrap();
    let [BaseAnswer::Rows(rows)] = &answers[..] else { panic!("{answers:?}") };
    rows.iter().map(|row| (row.key.id(), row.json.as_deref().unwrap().to_owned())).collect()
}

const N_OLD: usize = 5;

/// Batches of its log, of which the base has the first.
const OLD_LOG: &str = "INSERT INTO log SELECT base + n, batch FROM position, \
    (SELECT 0 AS n, x'0000' AS batch UNION VALUES (5, x'0505'), (9, x'0909'));";

/// Opens a file of an older format, whose log has some batches beyond the base.
async fn check_older(path: &Path, format: &str, change: &str, batches: &[u64]) {
    older_file(path, format, change);
    let told = RefCell::new(Vec::new());
    let sink = |progress: &Progress| told.borrow_mut().push((progress.work, progress.of.clone(), progress.done));
    let storage = SqliteStorage::open_and_tell(path, &SqliteOptions::default(), &sink).unwrap();
    let told = told.into_inner();
    assert!(told.contains(&("upgrade", "documents".to_owned(), N_OLD as u64)), "{told:?}");
    assert!(told.contains(&("upgrade", "index entries".to_owned(), 2 * N_OLD as u64)), "{told:?}");
    check_upgraded(path, storage, batches).await;
}

/// What came of such a file.
async fn check_upgraded(path: &Path, storage: SqliteStorage, batches: &[u64]) {
    let by_creation = in_order(&storage, 10_002, 1).await;
    assert_eq!(by_creation.len(), N_OLD);
    for (id, json) in &by_creation {
        let id = DocumentId { table: TableNumber(10_002), internal: *id };
        assert_eq!(
            read(&storage, id).await.unwrap(),
            [BaseAnswer::Documents(vec![Some(StoredText::from(json.as_str()).into())])]
        );
        assert!(json.contains(&format!(r#""_id":"{id}""#)), "{json}");
    }
    // The log is there from the base on.
    let base = storage.position().await.unwrap().base;
    let logged: Vec<_> = storage.log_after(base, usize::MAX).await.unwrap();
    let batch = |n: &u64| LogBatch { ts: Timestamp(base.0 + n), bytes: vec![*n as u8; 2] };
    let expected: Vec<_> = batches.iter().map(batch).collect();
    assert_eq!(logged, expected);
    assert_eq!(storage.position().await.unwrap().head.0, base.0 + batches.last().unwrap_or(&0));
    // The application's index is on a number that falls.
    let mut by_number = in_order(&storage, 10_002, 2).await;
    by_number.reverse();
    assert_eq!(by_number, by_creation);
    storage.close().await.unwrap();
    let shell = Connection::open(path).unwrap();
    let shown = "SELECT count(*), min(table_name), max(table_name) FROM browse WHERE id IS NOT NULL";
    let shown: (u32, String, String) =
        shell.query_row(shown, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(shown, (N_OLD as u32, "documents".to_owned(), "documents".to_owned()));
    shell.execute_batch("VACUUM").unwrap();
    let storage = open(path).unwrap();
    assert_eq!(in_order(&storage, 10_002, 1).await, by_creation);
    assert_eq!(storage.log_after(base, usize::MAX).await.unwrap(), expected);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_store_of_an_older_format_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let logged = [5, 9];
    check_older(&path("2.db"), FORMAT_2, OLD_LOG, &logged).await;
    let broken_off = "CREATE TABLE new_documents (x); CREATE TABLE new_entries (x); INSERT INTO new_entries VALUES (1)";
    check_older(&path("2b.db"), FORMAT_2, &format!("{OLD_LOG}{broken_off}"), &logged).await;
    let without_sums = "ALTER TABLE documents DROP COLUMN sum; PRAGMA user_version = 1";
    check_older(&path("1.db"), FORMAT_2, &format!("{OLD_LOG}{without_sums}"), &logged).await;
    let log_in_table = "ALTER TABLE position DROP COLUMN log; \
        CREATE TABLE log (ts INTEGER PRIMARY KEY, batch BLOB NOT NULL); PRAGMA user_version = 3;";
    check_older(&path("3.db"), FORMAT_4, &format!("{log_in_table}{OLD_LOG}"), &logged).await;
    check_older(&path("4.db"), FORMAT_4, "", &[]).await;
    let broken_off = "CREATE TABLE document_blocks (x); INSERT INTO document_blocks VALUES (1)";
    check_older(&path("4b.db"), FORMAT_4, broken_off, &[]).await;
}

#[tokio::test]
async fn blocks_of_format_5_are_read_as_they_are_until_they_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    older_file(&path, FORMAT_5, "");
    let blocks = |path: &Path| -> (u32, u32, Vec<u8>) {
        let sql = "SELECT (SELECT user_version FROM pragma_user_version), count(*), keys FROM document_blocks";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        Connection::open(path).unwrap().query_row(sql, [], row).unwrap()
    };
    let (5, 1, before) = blocks(&path) else { panic!("one block") };
    let storage = open(&path).unwrap();
    assert_eq!(blocks(&path), (6, 1, before.clone()));
    check_upgraded(&path, storage, &[]).await;
    // Writing one of them writes all of its block, with what is not looked for in the texts any more.
    let storage = open(&path).unwrap();
    let (id, json) = in_order(&storage, 10_002, 1).await.swap_remove(2);
    let id = DocumentId { table: TableNumber(10_002), internal: id };
    let documents = vec![(id, StoredText::from(json).into())];
    storage.write_base(BaseWrites { documents, ..BaseWrites::default() }).await.unwrap();
    let (6, 1, after) = blocks(&path) else { panic!("one block") };
    assert_eq!(after.len(), before.len() + 3 * N_OLD);
    check_upgraded(&path, storage, &[]).await;
}

#[tokio::test]
async fn a_damaged_document_of_an_older_store_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    for format in [FORMAT_2, FORMAT_4] {
        let path = folder.path().join(format!("{}.db", format.len()));
        older_file(&path, format, r#"UPDATE documents SET json = replace(json, '"number":4.0', '"number":5.0')"#);
        let storage = open(&path).unwrap();
        let range = |limit| BaseRange { start: vec![], end: None, order: Order::Desc, limit };
        let last = |limit| BaseRead::DocumentRange { table: TableNumber(10_002), range: range(limit) };
        let error = storage.read(vec![last(N_OLD)]).await.unwrap_err();
        assert!(matches!(&error, StorageError::Corrupt { .. }), "{error}");
        assert!(storage.read(vec![last(N_OLD - 1)]).await.is_ok(), "the others are well");
        storage.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_older_store_that_cannot_be_brought_up_to_date_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    older_file(&path, FORMAT_2, "INSERT INTO entries VALUES (10003, 1, x'0102', x'03')");
    let error = open(&path).err().unwrap();
    assert!(matches!(&error, StorageError::Corrupt { .. }) && error.to_string().contains("10003"), "{error}");
    let file = Connection::open(&path).unwrap();
    let count = |sql: &str| file.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    assert_eq!(count("PRAGMA user_version"), 2);
    assert_eq!(count("SELECT count(*) FROM documents WHERE length(sum) > 0"), N_OLD);
    assert_eq!(count("SELECT count(*) FROM entries WHERE length(id) = 16"), 2 * N_OLD);
    file.execute_batch("DELETE FROM entries WHERE table_number = 10003").unwrap();
    drop(file);
    closed(&path).await;
}

async fn filled(path: &Path) -> SqliteStorage {
    let storage = open(path).unwrap();
    for n in 1..200 {
        let batch = LogBatch { ts: Timestamp(n), bytes: vec![7; 2000] };
        storage.append(Timestamp(n - 1), batch).await.unwrap();
    }
    storage
}

#[tokio::test]
async fn a_damaged_file_is_noticed_where_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    filled(&path).await.close().await.unwrap();
    for name in ["store.db", "store.db-log0"] {
        let damaged = folder.path().join(name);
        let good = std::fs::read(&damaged).unwrap();
        let mut bytes = good.clone();
        // All but the beginning of it: its head stays readable.
        bytes[4096..50_000.min(good.len())].fill(0xa5);
        std::fs::write(&damaged, bytes).unwrap();
        let error = open(&path).err().unwrap();
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(&format!("{}: ", damaged.display())), "{error}");
        std::fs::write(&damaged, good).unwrap();
    }
    assert_eq!(open(&path).unwrap().position().await.unwrap().head, Timestamp(199));
}

#[tokio::test]
async fn a_store_that_stopped_is_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let storage = filled(&path).await;
    let end = Checkpoint { base: Some(Timestamp(199)), ..Checkpoint::default() };
    storage.finish_checkpoint(end).await.unwrap();
    storage.close().await.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["store.db", "store.db.lock"]);
    let copy = folder.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    let storage = open(&copy).unwrap();
    storage.append(Timestamp(199), LogBatch { ts: Timestamp(200), bytes: vec![1] }).await.unwrap();
    storage.close().await.unwrap();
    // Its log is not there: what was appended would be missing.
    std::fs::rename(&copy, folder.path().join("moved.db")).unwrap();
    let error = open(&folder.path().join("moved.db")).err().unwrap();
    assert!(error.to_string().contains("moved.db-log0: this part of its log is not there"), "{error}");
}

/// A reader that has read and waits keeps nothing of SQLite's log from being used anew.
#[tokio::test]
async fn the_log_of_sqlite_stays_short_while_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { wal_pages_max: 50, ..SqliteOptions::default() };
    let storage = SqliteStorage::open(&path, &options).unwrap();
    for n in 1..=300 {
        let (id, writes) = a_document(&n.to_string().repeat(8_000));
        storage.write_base(writes).await.unwrap();
        read(&storage, id).await.unwrap();
    }
    let log = std::fs::metadata(folder.path().join("store.db-wal")).unwrap().len();
    assert!(log < 1 << 20, "{log} bytes for 6 MB that were written");
}

#[tokio::test]
async fn a_full_store_says_so_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { file_bytes_max: Some(256 << 10), ..SqliteOptions::default() };
    let storage = SqliteStorage::open(&path, &options).unwrap();
    let mut head = Timestamp(0);
    let error = loop {
        let next = Timestamp(head.0 + 1);
        match storage.append(head, LogBatch { ts: next, bytes: vec![7; 20_000] }).await {
            Ok(()) => head = next,
            Err(error) => break error,
        }
        assert!(head.0 < 100);
    };
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert_eq!(storage.position().await.unwrap().head, head);
    assert_eq!(storage.log_after(Timestamp(0), usize::MAX).await.unwrap().len() as u64, head.0);
    // A checkpoint makes room.
    storage.finish_checkpoint(Checkpoint { base: Some(head), ..Checkpoint::default() }).await.unwrap();
    while storage.append(head, LogBatch { ts: Timestamp(head.0 + 1), bytes: vec![7; 20_000] }).await.is_err() {}
    assert_eq!(storage.position().await.unwrap().head, Timestamp(head.0 + 1));
}
