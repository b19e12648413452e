//! What the machine can do at all with the same libraries: servers that do nothing but the part of the work nobody can
//! leave out. Each is this program again, as its own process with one thread; the other core is the client's.

pub mod bare_tables;
pub mod broadcast;
pub mod echo;
pub mod group_commit;
pub mod http_echo;
pub mod idle;

use std::future::Future;
use std::io::{Read, Write};
use std::process::Command;

use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::child::Child;
use super::failure::Failure;

/// The hidden first argument of such a process; its kind and a number of bytes follow.
pub const SUBCOMMAND: &str = "limit";

/// Connections that wait for being accepted.
const BACKLOG: u32 = 4096;

/// Which of them, and how long its messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it does.
    pub kind: Kind,
    /// Length of each of its messages, bytes.
    pub reply_bytes: usize,
}

/// What a limit server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers each WebSocket message with one message.
    Echo,
    /// Answers each HTTP request.
    HttpEcho,
    /// Sends one message to every socket for each message it gets.
    Broadcast,
    /// Answers each WebSocket message with one message, from the small read buffer that idle sockets should have.
    Idle,
}

impl Kind {
    const ALL: [(&'static str, Kind); 4] =
        [("echo", Kind::Echo), ("http-echo", Kind::HttpEcho), ("broadcast", Kind::Broadcast), ("idle", Kind::Idle)];
}

impl Limit {
    /// From the arguments after [`SUBCOMMAND`].
    pub fn parse(kind: &str, reply_bytes: &str) -> Option<Self> {
        let (_, kind) = Kind::ALL.into_iter().find(|(name, _)| *name == kind)?;
        Some(Limit { kind, reply_bytes: reply_bytes.parse().ok()? })
    }

    /// Starts a process of it.
    pub fn start(self) -> Result<Child, Failure> {
        let name = Kind::ALL.into_iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        let own = std::env::current_exe()?;
        Child::start(Command::new(own).args([SUBCOMMAND, name, &self.reply_bytes.to_string()]))
    }
}

/// Serves until standard input closes: with the process that started this one.
pub fn serve(limit: Limit) -> Result<(), Failure> {
    std::thread::spawn(|| {
        // An error means the same as the end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Limit { kind, reply_bytes } = limit;
    runtime.block_on(async {
        let listener = listen()?;
        match kind {
            Kind::Echo => echo::serve(listener, reply_bytes).await,
            Kind::HttpEcho => http_echo::serve(listener, reply_bytes).await,
            Kind::Broadcast => broadcast::serve(listener, reply_bytes).await,
            Kind::Idle => idle::serve(listener, reply_bytes).await,
        }
    })
}

fn listen() -> Result<TcpListener, Failure> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    Ok(listener)
}

/// Accepts for ever; each socket is upgraded and served by a task of its own.
async fn accept<F>(
    listener: TcpListener,
    config: WebSocketConfig,
    serve: impl Fn(WebSocketStream<TcpStream>) -> F + Clone + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let serve = serve.clone();
        tokio::spawn(async move {
            // A socket that fails to open is the client's to notice.
            if let Ok(socket) = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await {
                serve(socket).await;
            }
        });
    }
}

/// A text of so many bytes.
fn text(bytes: usize) -> tokio_tungstenite::tungstenite::Utf8Bytes {
    "x".repeat(bytes).into()
}
