//! The WebSocket under a session: frames in, messages out, one flush for all that is ready.
//!
//! Writing never blocks reading: what the peer does not take waits in a bounded backlog while its frames, pings and
//! closes are still answered.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, frame::Frame};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::config::Config;

/// Something happened on the socket.
pub(super) enum SocketEvent {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary,
    /// A message over the limits: nothing behind it can be read.
    TooLarge,
    /// A ping or pong.
    Heard,
    /// Everything handed over has been written.
    Flushed,
    /// The socket has ended.
    Ended,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) struct BacklogFull {
    /// Bytes that wait already.
    pub(super) waiting: usize,
}

/// Whether a stream has something to read; wakes the task when it has.
pub(super) type PollReadable<S> = fn(&S, &mut Context<'_>) -> Poll<()>;

/// See the module.
pub(super) struct Transport<S> {
    socket: WebSocketStream<Metered<S>>,
    poll_readable: PollReadable<S>,
    backlog: VecDeque<Message>,
    /// Bytes handed over since the last complete flush.
    unflushed: usize,
    frame_bytes_max: usize,
    backlog_bytes_max: usize,
    /// There was nothing more to read when that was tried last: the task is woken when there is.
    is_drained: bool,
    /// The library holds no whole message.
    is_empty: bool,
    /// What comes in is thrown away.
    is_deaf: bool,
    /// The Close frame has been taken: nothing follows it.
    has_closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Takes over a connection that has been upgraded; `read` is what was received behind the upgrade request.
    pub(super) async fn new(stream: S, poll_readable: PollReadable<S>, read: Bytes, config: &Config) -> Self {
        let settings = WebSocketConfig::default()
            .read_buffer_size(config.socket_read_buffer_bytes)
            .max_frame_size(Some(config.frame_bytes_max))
            .max_message_size(Some(config.message_bytes_max));
        let stream = Metered { stream, written: 0 };
        let socket = WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(settings)).await;
        Transport {
            socket,
            poll_readable,
            backlog: VecDeque::new(),
            unflushed: 0,
            frame_bytes_max: config.sent_frame_bytes_max,
            backlog_bytes_max: config.socket_backlog_bytes_max,
            is_drained: false,
            is_empty: false,
            is_deaf: false,
            has_closed: false,
        }
    }

    /// Takes a text message to be written; [`Transport::event`] writes it.
    pub(super) fn send_text(&mut self, text: String) -> Result<(), BacklogFull> {
        if self.unflushed > self.backlog_bytes_max {
            return Err(BacklogFull { waiting: self.unflushed });
        }
        self.unflushed += text.len();
        if text.len() <= self.frame_bytes_max {
            self.backlog.push_back(Message::Text(text.into()));
        } else {
            self.send_fragments(text.into());
        }
        Ok(())
    }

    /// A long message goes out in several frames: some clients refuse frames over 16 MiB. Where it is cut does not
    /// matter: a text is checked as a whole.
    fn send_fragments(&mut self, text: Bytes) {
        let n_frames = text.len().div_ceil(self.frame_bytes_max);
        for n in 0..n_frames {
            let from = n * self.frame_bytes_max;
            let part = text.slice(from..text.len().min(from + self.frame_bytes_max));
            let opcode = OpCode::Data(if n == 0 { Data::Text } else { Data::Continue });
            self.backlog.push_back(Message::Frame(Frame::message(part, opcode, n + 1 == n_frames)));
        }
    }

    /// Takes a WebSocket ping.
    pub(super) fn send_ping(&mut self) {
        self.backlog.push_back(Message::Ping(Bytes::new()));
        self.unflushed += 2;
    }

    /// Takes the Close frame: nothing may follow.
    pub(super) fn send_close(&mut self, code: Option<u16>, reason: &'static str) {
        let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) });
        self.backlog.push_back(Message::Close(frame));
        self.has_closed = true;
        self.unflushed += 2;
    }

    /// Whether something waits to be written.
    pub(super) fn is_writing(&self) -> bool {
        self.unflushed > 0
    }

    /// Bytes that the peer's side of the connection has taken so far.
    pub(super) fn written(&self) -> u64 {
        self.socket.get_ref().written
    }

    /// The next thing that happens; writes what waits meanwhile. May be dropped and called again at any time.
    pub(super) async fn event(&mut self) -> SocketEvent {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Makes [`Transport::ready_event`] look, when what the task was woken for came before the socket was asked.
    pub(super) fn look_again(&mut self) {
        self.is_drained = false;
    }

    /// The next frame, if one has been received already. To be asked behind [`Transport::event`], which has found
    /// nothing or has been answered.
    pub(super) fn ready_event(&mut self, cx: &mut Context<'_>) -> Option<SocketEvent> {
        if self.is_drained {
            return None;
        }
        match self.poll_read(cx) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        }
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        self.is_drained = false;
        if self.is_writing() {
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(SocketEvent::Flushed),
                Poll::Ready(Err(())) => return Poll::Ready(SocketEvent::Ended),
                Poll::Pending => {}
            }
        }
        self.poll_read(cx)
    }

    /// Writes what waits, as far as the peer takes it at once; whether that was all. [`Transport::event`] goes on with the
    /// rest, and tells when the socket has ended.
    pub(super) async fn write_at_once(&mut self) -> bool {
        self.is_writing() && poll_fn(|cx| Poll::Ready(self.poll_write(cx) == Poll::Ready(Ok(())))).await
    }

    /// Writes all that waits. An error means that the socket has ended; a Close that was just written is one too.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        while !self.backlog.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(drop)?;
            if let Some(message) = self.backlog.pop_front() {
                Pin::new(&mut self.socket).start_send(message).map_err(drop)?;
            }
        }
        ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(drop)?;
        self.unflushed = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        if self.is_deaf {
            return self.poll_discard(cx);
        }
        // To try to read clears the whole buffer, for each of many sockets that are only written to.
        if self.is_empty && (self.poll_readable)(&self.socket.get_ref().stream, cx).is_pending() {
            self.is_drained = true;
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.socket).poll_next(cx);
        self.is_empty = polled.is_pending();
        self.is_drained = self.is_empty;
        let message = match ready!(polled) {
            Some(Ok(message)) => message,
            Some(Err(Error::Capacity(error))) => {
                tracing::info!(%error, "a socket is closed: its client sent too much at once");
                self.is_deaf = true;
                return Poll::Ready(SocketEvent::TooLarge);
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a socket ended");
                return Poll::Ready(SocketEvent::Ended);
            }
            None => return Poll::Ready(SocketEvent::Ended),
        };
        Poll::Ready(match message {
            Message::Text(text) => SocketEvent::Text(text),
            Message::Binary(_) => SocketEvent::Binary,
            // The library has queued its answer to a ping or a close, and the next poll writes it.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => SocketEvent::Heard,
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Throws away what comes until the peer ends the connection. Were it left unread instead, the connection would be
    /// reset when it is dropped, and the peer might never read the Close frame.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let is_written = self.has_closed && !self.is_writing();
        let stream = &mut self.socket.get_mut().stream;
        if is_written && Pin::new(&mut *stream).poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        let mut scratch = [0; DISCARDED_AT_ONCE];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(SocketEvent::Ended);
            }
        }
    }
}

/// Bytes thrown away with one read. Source: ours; a page of memory.
const DISCARDED_AT_ONCE: usize = 4 << 10;

/// Counts what is written, so that a peer that takes nothing is told from one that is slow.
struct Metered<S> {
    stream: S,
    written: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
