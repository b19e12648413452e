//! A connection whose bytes arrive when the seed says so, in pieces, or not at all.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The two directions of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    Server,
    Client,
}

/// Both ends and what is between them.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    to_server: Direction,
    to_client: Direction,
    /// How far the server had read, and the time of its clock then.
    reads: Vec<(u64, u64)>,
    n_read: u64,
    n_sent: u64,
    /// The server does not see the end for now.
    is_half_open: bool,
}

#[derive(Default)]
struct Direction {
    sent: VecDeque<u8>,
    arrived: VecDeque<u8>,
    capacity: usize,
    /// Nothing more will be sent.
    is_ended: bool,
    /// The reader can see that.
    end_arrived: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Direction {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn end(&mut self) {
        self.is_ended = true;
        self.wake_writer();
    }
}

impl Wire {
    /// A wire that takes so many bytes to the client before the client reads.
    pub fn new(capacity: usize) -> Self {
        let wire = Wire::default();
        wire.lock().to_client.capacity = capacity;
        wire.lock().to_server.capacity = usize::MAX;
        wire
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets at most `n_max` bytes arrive, and the end behind the last. How many did, and whether anything happened.
    pub fn deliver(&self, towards: Towards, n_max: usize) -> (usize, bool) {
        let mut state = self.lock();
        let is_held = state.is_half_open && towards == Towards::Server;
        let direction = state.direction(towards);
        let n = direction.sent.len().min(n_max);
        let arriving: Vec<u8> = direction.sent.drain(..n).collect();
        direction.arrived.extend(arriving);
        let ends = direction.sent.is_empty() && direction.is_ended && !direction.end_arrived && !is_held;
        direction.end_arrived |= ends;
        if n > 0 || ends {
            direction.wake_reader();
        }
        (n, n > 0 || ends)
    }

    /// The connection is lost: what is under way never arrives, and either side sees the end when it comes to it.
    pub fn cut(&self) {
        let mut state = self.lock();
        for towards in [Towards::Server, Towards::Client] {
            let direction = state.direction(towards);
            direction.sent.clear();
            direction.end();
        }
    }

    /// Whether the server, which is not told of the end, goes on as if the connection were there.
    pub fn set_half_open(&self, is_half_open: bool) {
        self.lock().is_half_open = is_half_open;
    }

    /// Whether this is the same wire.
    pub fn is(&self, other: &Wire) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether neither side will see anything more of it.
    pub fn is_over(&self) -> bool {
        let state = self.lock();
        [&state.to_server, &state.to_client].into_iter().all(|direction| direction.end_arrived)
    }

    /// How many bytes the client has sent.
    pub fn n_sent(&self) -> u64 {
        self.lock().n_sent
    }

    /// What the server's clock said when it had read so many bytes; `None` when it never had.
    pub fn read_at_ns(&self, n: u64) -> Option<u64> {
        let state = self.lock();
        let at = state.reads.partition_point(|(n_read, _)| *n_read < n);
        state.reads.get(at).map(|(_, at_ns)| *at_ns)
    }

    /// The server's end.
    pub fn server_end(&self, now_ns: impl Fn() -> u64 + Send + 'static) -> ServerEnd {
        ServerEnd { wire: self.clone(), now_ns: Box::new(now_ns) }
    }

    /// The client's end.
    pub fn client_end(&self) -> ClientEnd {
        ClientEnd { wire: self.clone() }
    }
}

impl State {
    fn direction(&mut self, towards: Towards) -> &mut Direction {
        match towards {
            Towards::Server => &mut self.to_server,
            Towards::Client => &mut self.to_client,
        }
    }
}

/// See [`Wire::server_end`].
pub struct ServerEnd {
    wire: Wire,
    now_ns: Box<dyn Fn() -> u64 + Send>,
}

impl AsyncRead for ServerEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.wire.lock();
        let n = state.to_server.arrived.len().min(buf.remaining());
        if n == 0 {
            if state.to_server.end_arrived {
                return Poll::Ready(Ok(()));
            }
            state.to_server.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes: Vec<u8> = state.to_server.arrived.drain(..n).collect();
        buf.put_slice(&bytes);
        state.n_read += n as u64;
        let read = (state.n_read, (self.now_ns)());
        state.reads.push(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.wire.lock();
        let direction = &mut state.to_client;
        if direction.is_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = direction.capacity.saturating_sub(direction.sent.len() + direction.arrived.len());
        if room == 0 {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = room.min(bytes.len());
        direction.sent.extend(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.lock().to_client.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        self.wire.lock().to_client.end();
    }
}

/// See [`Wire::client_end`].
pub struct ClientEnd {
    wire: Wire,
}

impl io::Read for ClientEnd {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.wire.lock();
        let n = state.to_client.arrived.len().min(buf.len());
        if n == 0 {
            return if state.to_client.end_arrived { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        for (place, byte) in buf.iter_mut().zip(state.to_client.arrived.drain(..n)) {
            *place = byte;
        }
        state.to_client.wake_writer();
        Ok(n)
    }
}

impl io::Write for ClientEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.wire.lock();
        if state.to_server.is_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.to_server.sent.extend(bytes);
        state.n_sent += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.wire.lock().to_server.end();
    }
}
