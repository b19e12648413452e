//! Opening, keeping and ending a socket.

use std::time::Duration;

use serde_json::json;
use syncline_tests::{RawClient, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::Message;

const SYNC: &str = "/api/1.48.0/sync";

/// Posts the head of an upgrade by hand and gives the head of the answer.
async fn upgrade_head(server: &TestServer, path: &str, headers: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.expect("a connection");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the request is written");
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("the answer has a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is text")
}

/// Every message of every test here goes through a client that takes nothing but text, one JSON object each.
///
/// spec: S1, S7, S36, S41, R9
#[tokio::test]
async fn both_paths_lead_to_the_same_protocol() {
    let server = TestServer::start().await;
    for path in ["/api/sync", SYNC, "//api/1.48.0/sync"] {
        let mut client = RawClient::open(server.address(), path, &[]).await;
        client.modify(vec![]).await;
        let transition = client.transition().await;
        assert_eq!(transition.0["startVersion"], json!({"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}));
        assert_eq!(transition.0["endVersion"]["querySet"], 1);
    }
}

/// spec: S2, S3, S4
#[tokio::test]
async fn clients_are_let_in_by_their_version() {
    let server = TestServer::start().await;
    let refused = |path: &'static str, header: &'static str| {
        let address = server.address();
        async move {
            let headers: &[(&str, &str)] = if header.is_empty() { &[] } else { &[("convex-client", header)] };
            match RawClient::try_open(address, path, headers).await {
                Err(Error::Http(response)) => {
                    let body = String::from_utf8(response.body().clone().unwrap_or_default()).expect("text");
                    (response.status().as_u16(), body, response.headers().clone())
                }
                Err(other) => panic!("{other}"),
                Ok(_) => (101, String::new(), Default::default()),
            }
        }
    };
    let (status, body, _) = refused("/api/abc/sync", "").await;
    assert_eq!(status, 400);
    assert!(body.contains("InvalidClientVersion") && body.contains("abc"), "{body}");
    let (status, body, headers) = refused(SYNC, "npm-0.18.0").await;
    assert_eq!(status, 400);
    assert!(body.contains("ClientVersionUnsupported") && body.contains("0.18.0"), "{body}");
    assert_eq!(headers["x-convex-deprecation-state"], "Unsupported");
    assert!(headers.contains_key("x-convex-deprecation-message"));
    assert_eq!(refused(SYNC, "foo").await.0, 400);
    assert_eq!(refused(SYNC, "zig-0.0.1").await.0, 101);
}

/// spec: S5, S6
#[tokio::test]
async fn no_subprotocol_and_no_extension_is_chosen() {
    let server = TestServer::start().await;
    for offer in ["", "Sec-WebSocket-Protocol: convex\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n"] {
        let head = upgrade_head(&server, SYNC, offer).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("sec-websocket-protocol") && !head.contains("sec-websocket-extensions"), "{head}");
    }
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_told_what_is_missing() {
    let server = TestServer::start().await;
    let response = server.http().get(server.url(SYNC)).send().await.expect("an answer");
    assert_eq!(response.status(), 400);
    assert!(response.text().await.expect("text").contains("InvalidConnectionHeader"));
}

/// spec: S12
#[tokio::test]
async fn a_close_is_answered_while_a_function_runs() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.start_action("actions:never", json!({})).await;
    client.send_message(Message::Close(None)).await;
    let ended = tokio::time::timeout(Duration::from_secs(2), client.until_closed()).await;
    assert!(ended.is_ok(), "the close is answered");
}

/// spec: S14
#[tokio::test]
async fn large_and_fragmented_messages_are_taken() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    let text = "x".repeat(12 << 20);
    let request = client.start_action("actions:echo", json!({"value": text})).await;
    let response = client.response(request).await;
    assert_eq!(response["result"].as_str().map(str::len), Some(12 << 20));

    let message = json!({"type": "Action", "requestId": 99, "udfPath": "actions:echo", "args": [{"value": text}]});
    let bytes = message.to_string().into_bytes();
    let third = bytes.len() / 3;
    for (n, part) in [&bytes[..third], &bytes[third..2 * third], &bytes[2 * third..]].into_iter().enumerate() {
        let data = if n == 0 { Data::Text } else { Data::Continue };
        client.send_message(Message::Frame(Frame::message(part.to_vec(), OpCode::Data(data), n == 2))).await;
    }
    assert_eq!(client.response(99).await["success"], true);
}

/// spec: S19
#[tokio::test]
async fn a_binary_message_ends_the_socket() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.send_message(Message::Binary(vec![1, 2, 3].into())).await;
    let (said, closed) = client.until_closed().await;
    assert_eq!((said.len(), closed.code), (0, 1011));
}

/// spec: S20, S23
#[tokio::test]
async fn a_frame_that_is_no_message_is_fatal() {
    let server = TestServer::start().await;
    for frame in ["{", r#"{"type":"Dance"}"#, r#"{"type":"Mutation","requestId":0,"args":[]}"#] {
        let mut client = RawClient::connect(server.address()).await;
        client.send_text(frame.to_owned()).await;
        let (said, closed) = client.until_closed().await;
        assert_eq!(said.last().expect("last words")["type"], "FatalError", "{frame}");
        assert!(said[0]["error"].as_str().expect("a text").starts_with("WSMessageInvalidJson:"), "{said:?}");
        assert_eq!(closed.code, 1005);
    }
}

/// spec: S24, S25, S26
#[tokio::test]
async fn query_set_versions_are_checked() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address()).await;
    client.send(json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 5, "modifications": []})).await;
    assert_eq!(client.transition().await.0["endVersion"]["querySet"], 5);

    let mut client = RawClient::connect(server.address()).await;
    client.send(json!({"type": "ModifyQuerySet", "baseVersion": 3, "newVersion": 4, "modifications": []})).await;
    let (said, closed) = client.until_closed().await;
    assert!(said[0]["error"].as_str().expect("a text").starts_with("BaseVersionMismatch:"), "{said:?}");
    assert_eq!(closed.code, 1005);

    let mut client = RawClient::connect(server.address()).await;
    client.modify(vec![json!({"type": "Remove", "queryId": 3})]).await;
    let (said, closed) = client.until_closed().await;
    assert_eq!((said.len(), closed.code), (0, 1011));
}

/// spec: S29
#[tokio::test]
async fn nobody_is_served_from_before_what_they_saw() {
    let server = TestServer::start().await;
    let mut client = RawClient::open(server.address(), SYNC, &[]).await;
    client
        .send(json!({"type": "Connect", "sessionId": uuid::Uuid::new_v4().to_string(), "connectionCount": 1,
            "lastCloseReason": null, "maxObservedTimestamp": "/////////38="}))
        .await;
    client.modify(vec![]).await;
    let (said, closed) = client.until_closed().await;
    assert_eq!((said.len(), closed.code), (0, 1011), "{said:?}");
}

/// spec: S13, S54
#[tokio::test]
async fn a_large_transition_arrives_in_frames_that_every_client_takes() {
    let server = TestServer::start().await;
    for n in 0..20 {
        let text = "y".repeat(1 << 19);
        server.mutation("items:add", json!({"list": "large", "rank": f64::from(n), "text": text})).await;
    }
    // A client without chunks, whose library refuses frames over 16 MiB as its own default.
    let mut client = RawClient::open(server.address(), "/api/sync", &[("convex-client", "rust-0.10.4")]).await;
    client.subscribe(0, "items:list", json!({"list": "large"})).await;
    client.subscribe(1, "items:list", json!({"list": "large"})).await;
    client.until(1, |rows| rows.as_array().is_some_and(|rows| rows.len() == 20)).await;
}

/// spec: S15, S16
#[tokio::test]
async fn chunks_go_to_clients_that_put_them_together() {
    let server = TestServer::start().await;
    for n in 0..14 {
        let text = "é🎉".repeat(1 << 16);
        server.mutation("items:add", json!({"list": "chunks", "rank": f64::from(n), "text": text})).await;
    }
    let add = json!([{"type": "Add", "queryId": 0, "udfPath": "items:list", "args": [{"list": "chunks"}]}]);
    for (version, chunked) in [("1.27.9", false), ("1.28.0-alpha.1", false), ("1.28.0", true)] {
        let mut client = RawClient::open(server.address(), &format!("/api/{version}/sync"), &[]).await;
        client.modify(add.as_array().expect("an array").clone()).await;
        let mut whole = String::new();
        loop {
            let message = client.message().await;
            if message["type"] != "TransitionChunk" {
                assert_eq!((message["type"].as_str(), chunked), (Some("Transition"), false), "{version}");
                break;
            }
            assert!(chunked, "{version} cannot read chunks");
            whole.push_str(message["chunk"].as_str().expect("a text"));
            if message["partNumber"].as_u64().map(|part| part + 1) == message["totalParts"].as_u64() {
                let transition: serde_json::Value = serde_json::from_str(&whole).expect("together it is JSON");
                assert_eq!(transition["modifications"][0]["value"].as_array().map(Vec::len), Some(14));
                break;
            }
        }
    }
}
