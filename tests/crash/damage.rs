//! Single bytes of documents change on the disk. What the server then says is right, or it says that the store is
//! damaged; it never says what was not written.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use syncline_tests::TestServer;
use syncline_tests::random::Rng;

use crate::{note, setting};

const ROWS: u64 = 300;

async fn start(file: &Path) -> Result<TestServer, String> {
    let storage = syncline::Sqlite::open(file).map_err(|error| error.to_string())?;
    let server = syncline_tests::app::server().storage(storage);
    TestServer::of(server).await.map_err(|error| error.to_string())
}

async fn rows(server: &TestServer) -> Result<Value, String> {
    let body = json!({"path": "items:list", "args": {"list": "all"}, "format": "json"});
    let (status, mut answer) = server.post("/api/query", body).await;
    match status {
        200 if answer["status"] == "success" => Ok(answer["value"].take()),
        _ => Err(answer.to_string()),
    }
}

fn text(rank: u64) -> String {
    format!("row {rank} ").repeat(40)
}

/// Wherever the file has the text of a row. One of these is the row; others are what SQLite left in places that it does
/// not use any more.
fn places(file: &[u8], rank: u64) -> Vec<usize> {
    let text = text(rank);
    let windows = file.windows(text.len()).enumerate();
    windows.filter(|(_, window)| *window == text.as_bytes()).map(|(place, _)| place).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_of_a_document_that_changes_is_never_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store.sqlite");
    let server = start(&file).await.expect("a new store");
    for rank in 0..ROWS {
        server.mutation("items:add", json!({"list": "all", "rank": rank as f64, "text": text(rank)})).await;
    }
    let expected = rows(&server).await.expect("rows");
    server.stop().await;
    let good = fs::read(&file).expect("the file");
    let mut rng = Rng(setting("SYNCLINE_SEED", 0xda3a6e));
    let flips = setting("SYNCLINE_FLIPS", if std::env::var_os("SYNCLINE_LONG").is_some() { 1_000 } else { 12 });
    let (mut refused, mut failed, mut right) = (0, 0, 0);
    let mut wrong = Vec::new();
    for _ in 0..flips {
        let rank = rng.below(ROWS);
        let (byte, bit) = (rng.index(text(rank).len()), 1 << rng.below(8));
        let mut bytes = good.clone();
        let places = places(&good, rank);
        assert!(!places.is_empty(), "the base has row {rank} as it was written");
        places.iter().for_each(|place| bytes[place + byte] ^= bit);
        fs::write(&file, &bytes).expect("it can be written");
        match start(&file).await {
            Err(_) => refused += 1,
            Ok(server) => {
                match rows(&server).await {
                    Err(_) => failed += 1,
                    Ok(found) if found == expected => right += 1,
                    Ok(_) => wrong.push((rank, byte)),
                }
                server.stop().await;
            }
        }
    }
    note(&format!("{flips} bytes changed: {refused} starts refused, {failed} answers refused"));
    assert!(
        wrong.is_empty() && right == 0,
        "{right} changes not noticed, wrong answers after a change of row and byte {wrong:?}"
    );
}
