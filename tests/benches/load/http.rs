//! An HTTP/1.1 client that keeps one connection alive and looks no further into an answer than it must.

use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::find;
use super::failure::Failure;

/// Largest answer, bytes: results of some hundred small queries.
const ANSWER_MAX: usize = 4 << 20;

/// One connection.
pub struct HttpClient {
    address: SocketAddr,
    stream: TcpStream,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    end: usize,
}

impl HttpClient {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.set_zero_linger()?;
        Ok(HttpClient { address, stream, outbox: Vec::new(), inbox: vec![0; 4 << 10], end: 0 })
    }

    /// Posts JSON and waits for the answer's body; an answer other than 200 is a failure.
    pub async fn post(&mut self, path: &str, body: &[u8]) -> Result<&[u8], Failure> {
        self.ask(b"POST ", path, body).await
    }

    /// Asks for an address and waits for the answer's body; an answer other than 200 is a failure.
    pub async fn get(&mut self, path: &str) -> Result<&[u8], Failure> {
        self.ask(b"GET ", path, &[]).await
    }

    async fn ask(&mut self, method: &[u8], path: &str, body: &[u8]) -> Result<&[u8], Failure> {
        self.outbox.clear();
        self.outbox.extend_from_slice(method);
        self.outbox.extend_from_slice(path.as_bytes());
        self.outbox.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        // Formatting into a vector cannot fail.
        let _ = std::io::Write::write_fmt(
            &mut self.outbox,
            format_args!(
                "{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                self.address,
                body.len()
            ),
        );
        self.outbox.extend_from_slice(body);
        self.stream.write_all(&self.outbox).await?;
        self.end = 0;
        loop {
            if self.end == self.inbox.len() {
                self.inbox.resize(self.end * 2, 0);
            }
            match self.stream.read(&mut self.inbox[self.end..]).await? {
                0 => return Err(Failure::new("the server ended the connection")),
                n => self.end += n,
            }
            if let Some(body) = body_of(&self.inbox[..self.end])? {
                return Ok(&self.inbox[body]);
            }
            if self.end > ANSWER_MAX {
                return Err(Failure::new("the answer has no end"));
            }
        }
    }
}

/// Where the body of an answer lies, or `None` while it is not there whole.
fn body_of(bytes: &[u8]) -> Result<Option<Range<usize>>, Failure> {
    let Some(head) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let start = head + 4;
    let length = content_length(&bytes[..head]).ok_or_else(|| refused(bytes))?;
    let end = start + length;
    if bytes.len() < end {
        return Ok(None);
    }
    if !bytes.starts_with(b"HTTP/1.1 200") {
        return Err(refused(bytes));
    }
    Ok(Some(start..end))
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))? + NAME.len();
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| Some(number.unwrap_or(0) * 10 + usize::from(digit - b'0')))
}

fn refused(bytes: &[u8]) -> Failure {
    let shown = &bytes[..bytes.len().min(500)];
    Failure::new(format!("not an answer of 200 with its length: {}", String::from_utf8_lossy(shown)))
}
