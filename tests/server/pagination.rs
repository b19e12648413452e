//! Pages over the wire: journals, gapless reading, refused cursors.

use serde_json::{Value, json};
use syncline_tests::{RawClient, TestServer};

fn page_args(list: &str, n: f64, cursor: Value) -> Value {
    json!({"list": list, "paginationOpts": {"numItems": n, "cursor": cursor, "id": 1.0}})
}

async fn fill(server: &TestServer, list: &str, n: usize) {
    for rank in 0..n {
        server.mutation("items:add", json!({"list": list, "rank": rank as f64, "text": ""})).await;
    }
}

fn ranks(page: &Value) -> Vec<f64> {
    page["page"].as_array().expect("rows").iter().map(|row| row["rank"].as_f64().expect("a number")).collect()
}

/// spec: S100, S101, S102, D73
#[tokio::test]
async fn a_page_keeps_its_end_while_rows_come_and_go() {
    let server = TestServer::start().await;
    fill(&server, "p", 6).await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "items:page", page_args("p", 3.0, Value::Null)).await;
    let transition = client.transition().await;
    let first = transition.of(0).expect("a page");
    assert!(first["journal"].is_string());
    assert_eq!(ranks(&first["value"]), [0.0, 1.0, 2.0]);
    let cursor = first["value"]["continueCursor"].clone();
    client.subscribe(1, "items:page", page_args("p", 3.0, cursor)).await;
    client.until(1, |page| page["page"].as_array().is_some_and(|rows| rows.len() == 3)).await;

    server.mutation("items:add", json!({"list": "p", "rank": 1.5, "text": "inside"})).await;
    client.until(0, |page| page["page"].as_array().is_some_and(|rows| rows.len() == 4)).await;
    assert_eq!(ranks(&client.results[&0]), [0.0, 1.0, 1.5, 2.0]);
    assert_eq!(ranks(&client.results[&1]), [3.0, 4.0, 5.0]);
    server.mutation("items:remove", json!({"list": "p", "rank": 2.0})).await;
    client.until(0, |page| page["page"].as_array().is_some_and(|rows| rows.len() == 3)).await;
    assert_eq!(ranks(&client.results[&0]), [0.0, 1.0, 1.5]);
}

/// spec: S103
#[tokio::test]
async fn a_journal_is_honoured_after_a_reconnect() {
    let server = TestServer::start().await;
    fill(&server, "j", 5).await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "items:page", page_args("j", 2.0, Value::Null)).await;
    let journal = client.transition().await.of(0).expect("a page")["journal"].clone();
    server.mutation("items:add", json!({"list": "j", "rank": 0.5, "text": ""})).await;
    let mut again = RawClient::connect(server.address()).await;
    let add = json!({"type": "Add", "queryId": 0, "udfPath": "items:page", "args": [page_args("j", 2.0, Value::Null)], "journal": journal});
    again.modify(vec![add]).await;
    let transition = again.transition().await;
    assert_eq!(ranks(&transition.of(0).expect("a page")["value"]), [0.0, 0.5, 1.0]);
}

/// spec: S106, D79
#[tokio::test]
async fn a_cursor_of_another_query_is_refused_so_that_clients_recover() {
    let server = TestServer::start().await;
    fill(&server, "c", 4).await;
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "items:page", page_args("c", 2.0, Value::Null)).await;
    let cursor = client.transition().await.of(0).expect("a page")["value"]["continueCursor"].clone();
    for (query, cursor) in [(1, cursor), (2, json!("not a cursor"))] {
        client.subscribe(query, "items:page", page_args("other", 2.0, cursor)).await;
        let transition = client.transition().await;
        let failure = transition.of(query).expect("an answer");
        assert_eq!(failure["type"], "QueryFailed");
        assert!(failure["errorMessage"].as_str().expect("a text").contains("InvalidCursor"), "{failure}");
        assert_eq!(failure["errorData"], json!({"isConvexSystemError": true, "paginationError": "InvalidCursor"}));
    }
}

/// spec: S108, S109, D75, D76
#[tokio::test]
async fn a_page_that_reads_too_much_is_cut_and_can_be_split() {
    let server = TestServer::start().await;
    fill(&server, "s", 8).await;
    let mut args = page_args("s", 8.0, Value::Null);
    args["paginationOpts"]["maximumRowsRead"] = json!(6.0);
    let mut client = RawClient::connect(server.address()).await;
    client.subscribe(0, "items:page", args).await;
    let page = client.until(0, Value::is_object).await;
    assert_eq!((&page["pageStatus"], &page["isDone"]), (&json!("SplitRequired"), &json!(false)), "{page}");
    let (start, split, end) = (Value::Null, &page["splitCursor"], &page["continueCursor"]);
    let mut both = Vec::new();
    for (query, (from, to)) in [(start, split), (split.clone(), end)].into_iter().enumerate() {
        let mut args = page_args("s", 8.0, from);
        args["paginationOpts"]["endCursor"] = to.clone();
        let query = query as u64 + 1;
        client.subscribe(query, "items:page", args).await;
        both.extend(ranks(&client.until(query, Value::is_object).await));
    }
    assert_eq!(both, ranks(&page));
}
