//! The real fetch, against a server of this process that misbehaves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::auth::{AddressRefusal, Fetch as _, FetchError, FetchLimits, HttpFetch, Reach, Response};

/// Ten thousand times the letter a, compressed.
const GZIP: [u8; 46] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x01, 0x0d, 0x00, 0x00, 0x00, 0xc2, 0xa0,
    0xac, 0xef, 0x5f, 0xc2, 0x1c, 0x6e, 0x40, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc0, 0xbf, 0x01,
    0x97, 0xd4, 0x7e, 0x46, 0x10, 0x27, 0x00, 0x00,
];

/// A server on a loopback port, and the heads of the requests it got.
struct TestServer {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, seen.clone()));
            }
        });
        Self { address, heads }
    }

    async fn get(&self, path: &str, limits: FetchLimits) -> Result<Response, FetchError> {
        let url = Url::parse(&format!("http://{}{path}", self.address)).unwrap();
        HttpFetch::new(limits).get(url, Reach::Loopback).await
    }

    fn paths(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

/// Answers one request by its path.
async fn answer(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(head);
    let reply = |head: &str, body: &[u8]| {
        [format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body]
            .concat()
    };
    let text = match path.split_at(2) {
        ("/r", "0") => reply("200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=60", b"{}"),
        // A chain of redirects that counts down.
        ("/r", n) => {
            let next = n.parse::<u32>().unwrap() - 1;
            reply(&format!("302 Found\r\nSet-Cookie: a=b\r\nLocation: /r{next}"), b"")
        }
        ("/t", target) => reply(&format!("307 Temporary Redirect\r\nLocation: {}", &target[1..]), b""),
        ("/b", "ig") => reply("200 OK", &[b'x'; 5_000]),
        ("/c", "hunked") => {
            let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1_000));
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(5)).into_bytes()
        }
        ("/z", "ip") => reply("200 OK\r\nContent-Encoding: gzip", &GZIP),
        ("/n", "ever") => {
            // Half an answer, and then nothing for ever.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{").await;
            return std::future::pending().await;
        }
        _ => reply("404 Not Found", b"no such page"),
    };
    let _ = stream.write_all(&text).await;
}

fn small() -> FetchLimits {
    FetchLimits { body_bytes_max: 4_000, ..FetchLimits::default() }
}

/// spec: A34
#[tokio::test]
async fn size_is_bounded_after_decompression_too() {
    let server = TestServer::start().await;
    for path in ["/big", "/chunked", "/zip"] {
        assert_eq!(server.get(path, small()).await, Err(FetchError::TooLarge(4_000)), "{path}");
        let body = server.get(path, FetchLimits::default()).await.unwrap().body;
        assert_eq!(body.len(), if path == "/zip" { 10_000 } else { 5_000 });
    }
}

/// spec: A34
#[tokio::test]
async fn three_redirects_are_followed_and_no_more() {
    let server = TestServer::start().await;
    let answer = server.get("/r3", small()).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
    assert_eq!(answer.content_type.as_deref(), Some("application/json"));
    assert_eq!(answer.cache_control.as_deref(), Some("max-age=60"));
    assert_eq!(server.paths(), ["/r3", "/r2", "/r1", "/r0"]);
    assert_eq!(server.get("/r4", small()).await, Err(FetchError::TooManyRedirects(3)));
    assert_eq!(server.get("/nowhere", small()).await.map(|answer| answer.status), Ok(404));
}

/// spec: A34
#[tokio::test]
async fn time_is_bounded() {
    let server = TestServer::start().await;
    let limits = FetchLimits { total: Duration::from_millis(50), ..FetchLimits::default() };
    assert_eq!(server.get("/never", limits).await, Err(FetchError::TimedOut));
}

/// spec: A35
#[tokio::test]
async fn each_redirect_is_checked() {
    let server = TestServer::start().await;
    for (target, scheme) in [
        ("http://10.0.0.1/keys", true),
        ("https://10.0.0.1/keys", false),
        ("https://169.254.169.254/latest/meta-data", false),
        ("https://[::ffff:10.0.0.1]/", false),
        ("https://0x0a000001/", false),
        ("http://id.acme.dev/keys", true),
        ("file:///etc/passwd", true),
    ] {
        let found = server.get(&format!("/t/{target}"), small()).await;
        match found {
            Err(FetchError::Refused { why: AddressRefusal::Scheme(_), .. }) => assert!(scheme, "{target}"),
            Err(FetchError::Refused { why: AddressRefusal::NotPublic(_), .. }) => assert!(!scheme, "{target}"),
            other => panic!("{target}: {other:?}"),
        }
    }
}

/// spec: A35
#[tokio::test]
async fn names_are_checked_by_what_they_resolve_to() {
    let server = TestServer::start().await;
    let port = server.address.port();
    let fetch = HttpFetch::default();
    let https = Url::parse(&format!("https://localhost:{port}/r0")).unwrap();
    let found = fetch.get(https, Reach::Public).await;
    assert!(matches!(found, Err(FetchError::Resolved(AddressRefusal::NotPublic(_)))), "{found:?}");
    let http = Url::parse(&format!("http://127.0.0.1:{port}/r0")).unwrap();
    let found = fetch.get(http, Reach::Public).await;
    assert!(matches!(found, Err(FetchError::Refused { .. })), "{found:?}");
    assert_eq!(server.paths(), [""; 0], "nothing was sent");
    let http = Url::parse(&format!("http://localhost:{port}/r0")).unwrap();
    assert_eq!(fetch.get(http, Reach::Loopback).await.unwrap().status, 200);
}

#[tokio::test]
async fn requests_carry_neither_cookies_nor_credentials() {
    let server = TestServer::start().await;
    server.get("/r2", small()).await.unwrap();
    for head in server.heads.lock().unwrap().iter() {
        let head = head.to_lowercase();
        assert!(head.contains("accept: application/json"), "{head}");
        for secret in ["cookie", "authorization", "referer"] {
            assert!(!head.contains(secret), "{head}");
        }
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_of_transport() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    let found = HttpFetch::default().get(url, Reach::Loopback).await;
    assert!(matches!(&found, Err(FetchError::Transport(what)) if what.contains("refused")), "{found:?}");
}
