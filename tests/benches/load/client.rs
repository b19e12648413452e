//! A WebSocket client that costs next to nothing: frames are written into and read from two buffers that live as long
//! as the socket, and what a server says is looked at byte by byte, never parsed.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::failure::Failure;
use super::frames::{self, Frame};

/// Where a JavaScript client of this version connects.
const SYNC_PATH: &str = "/api/1.48.0/sync";

/// Key and accepted key of RFC 6455, 1.3: a client that opens sockets to measure them needs no others.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Largest head of an answer to an upgrade, bytes.
const HEAD_MAX: usize = 8 << 10;

/// Where a Transition brings a result.
pub const QUERY_UPDATED: &[u8] = br#""type":"QueryUpdated""#;

/// Behind it stands what an account holds.
pub const BALANCE: &[u8] = br#""balance":"#;

/// Bytes read at once where answers to many calls arrive together.
pub const CALL_BUFFER: usize = 64 << 10;

/// Bytes read at once where one message arrives now and then.
pub const WATCH_BUFFER: usize = 1 << 10;

/// What a message of a server is, as far as a load program needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The answer to a mutation.
    Answer { request: u64, success: bool },
    /// New results, or none.
    Transition,
    /// A sign of life.
    Ping,
}

/// One socket.
pub struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    start: usize,
    end: usize,
    outbox: Vec<u8>,
}

impl Client {
    /// Opens a WebSocket at a path, reading `buffer` bytes at once.
    pub async fn open(address: SocketAddr, path: &str, buffer: usize) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Thousands of sockets are opened and closed in one run: without this, their ports stay taken for a minute.
        stream.set_zero_linger()?;
        let mut client = Client { stream, inbox: vec![0; buffer], start: 0, end: 0, outbox: Vec::new() };
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        client.outbox.extend_from_slice(head.as_bytes());
        client.flush().await?;
        client.read_upgrade().await?;
        Ok(client)
    }

    /// Opens a socket and says what an official client says first: a new session and its queries, each a path and its
    /// arguments, numbered from 0.
    pub async fn open_session(address: SocketAddr, queries: &[(&str, String)], buffer: usize) -> Result<Self, Failure> {
        Client::open_session_as(address, None, queries, buffer).await
    }

    /// The same, which says who it is before it says its queries.
    pub async fn open_session_as(
        address: SocketAddr,
        authenticate: Option<&str>,
        queries: &[(&str, String)],
        buffer: usize,
    ) -> Result<Self, Failure> {
        let mut client = Client::open(address, SYNC_PATH, buffer).await?;
        let session = uuid::Uuid::new_v4();
        client.push_text(
            format!(
                r#"{{"connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":0,"type":"Connect","sessionId":"{session}"}}"#
            )
            .as_bytes(),
        );
        if let Some(message) = authenticate {
            client.push_text(message.as_bytes());
        }
        let adds: Vec<String> = queries
            .iter()
            .enumerate()
            .map(|(id, (path, args))| {
                format!(r#"{{"type":"Add","queryId":{id},"udfPath":"{path}","args":[{args}],"journal":null}}"#)
            })
            .collect();
        client.push_text(
            format!(
                r#"{{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{}]}}"#,
                adds.join(",")
            )
            .as_bytes(),
        );
        client.flush().await?;
        Ok(client)
    }

    /// Bytes that arrived behind the head of the answer are the first frames.
    async fn read_upgrade(&mut self) -> Result<(), Failure> {
        loop {
            self.receive().await?;
            let bytes = &self.inbox[self.start..self.end];
            if let Some(at) = find(bytes, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..at]);
                if !head.starts_with("HTTP/1.1 101") || !head.contains(ACCEPTED) {
                    return Err(Failure::new(format!("the server did not upgrade the socket: {head}")));
                }
                self.start += at + 4;
                return Ok(());
            }
            if bytes.len() > HEAD_MAX {
                return Err(Failure::new("the server's answer to the upgrade has no end"));
            }
        }
    }

    /// Writes a message; it leaves with [`Client::flush`].
    pub fn push_text(&mut self, payload: &[u8]) {
        frames::push_text(&mut self.outbox, payload);
    }

    /// Sends what was written.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        if !self.outbox.is_empty() {
            self.stream.write_all(&self.outbox).await?;
            self.outbox.clear();
        }
        Ok(())
    }

    /// Waits for bytes. They are taken with [`Client::next_text`] until that answers `None`.
    pub async fn receive(&mut self) -> Result<(), Failure> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.inbox.len() {
            self.inbox.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.inbox.len() {
                self.inbox.resize(self.end * 2, 0);
            }
        }
        match self.stream.read(&mut self.inbox[self.end..]).await? {
            0 => Err(Failure::new("the server ended the connection")),
            n => {
                self.end += n;
                Ok(())
            }
        }
    }

    /// The next message that has arrived whole. Pings are answered on the way, with the next flush.
    pub fn next_text(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            let bytes = &self.inbox[self.start..self.end];
            let Some((frame, length)) = frames::read(bytes)? else { return Ok(None) };
            let from = self.start;
            self.start += length;
            match frame {
                Frame::Text(payload) => return Ok(Some(&self.inbox[from + payload.start..from + payload.end])),
                Frame::Ping(payload) => frames::push_pong(&mut self.outbox, &bytes[payload]),
                Frame::Pong => {}
            }
        }
    }

    /// Waits until a message fits; what comes before it is dropped.
    pub async fn until(&mut self, mut fits: impl FnMut(&[u8]) -> Result<bool, Failure>) -> Result<(), Failure> {
        loop {
            while let Some(payload) = self.next_text()? {
                if fits(payload)? {
                    return self.flush().await;
                }
            }
            self.flush().await?;
            self.receive().await?;
        }
    }
}

/// What a message is. `Err` for one that ends the session, or that nobody should send.
pub fn hear(payload: &[u8]) -> Result<Heard, Failure> {
    let kind = after(payload, br#""type":""#).unwrap_or_default();
    if let Some(rest) = kind.strip_prefix(br#"MutationResponse""#) {
        let Some(request) = after(rest, br#""requestId":"#) else { return Err(unexpected(payload)) };
        let (request, rest) = number(request);
        let success = after(rest, br#""success":"#).is_some_and(|value| value.starts_with(b"true"));
        Ok(Heard::Answer { request, success })
    } else if kind.starts_with(br#"Transition""#) {
        Ok(Heard::Transition)
    } else if kind.starts_with(br#"Ping""#) {
        Ok(Heard::Ping)
    } else {
        Err(unexpected(payload))
    }
}

fn unexpected(payload: &[u8]) -> Failure {
    let shown = &payload[..payload.len().min(500)];
    Failure::new(format!("the server sent what is not expected here: {}", String::from_utf8_lossy(shown)))
}

/// The whole number behind a member's name; digits after a point are left out.
pub fn number_after(payload: &[u8], name: &[u8]) -> Option<i64> {
    let value = after(payload, name)?;
    value.first()?.is_ascii_digit().then(|| number(value).0 as i64)
}

/// How many whole numbers stand behind a member's name, and their sum.
pub fn sum_after(payload: &[u8], name: &[u8]) -> (usize, i64) {
    let (mut n, mut sum, mut rest) = (0, 0, payload);
    while let Some(at) = find(rest, name) {
        rest = &rest[at + name.len()..];
        if rest.first().is_some_and(u8::is_ascii_digit) {
            n += 1;
            sum += number(rest).0 as i64;
        }
    }
    (n, sum)
}

/// How many results a message brings; a query that failed ends the measure.
pub fn results(payload: &[u8]) -> Result<usize, Failure> {
    if find(payload, br#""type":"QueryFailed""#).is_some() {
        return Err(unexpected(payload));
    }
    let (mut n, mut rest) = (0, payload);
    while let Some(at) = find(rest, QUERY_UPDATED) {
        (n, rest) = (n + 1, &rest[at + QUERY_UPDATED.len()..]);
    }
    Ok(n)
}

/// The number that `bytes` begin with, and what follows it.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let n_digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = bytes[..n_digits]
        .iter()
        .fold(0, |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    (number, &bytes[n_digits..])
}

/// What follows a member's name, which is usually the very next thing after a brace or a comma.
fn after<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let next = bytes.get(1..).and_then(|bytes| bytes.strip_prefix(name));
    next.or_else(|| find(bytes, name).map(|at| &bytes[at + name.len()..]))
}

/// Where `needle`, which is not empty, first stands.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + haystack[from..].iter().position(|byte| *byte == needle[0])?;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
