//! The limit for memory: sockets that have had one message each way and wait.

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{Failure, accept, text};

/// Bytes of a read buffer. The library's default of 128 KiB would be nearly all of an idle socket.
pub const READ_BUFFER: usize = 4 << 10;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, reply_bytes: usize) -> Result<(), Failure> {
    let reply = text(reply_bytes);
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    accept(listener, config, move |socket| {
        let reply = reply.clone();
        async move { drop(converse(socket, reply).await) }
    })
    .await
}

async fn converse(mut socket: WebSocketStream<TcpStream>, reply: Utf8Bytes) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        if message?.is_text() {
            socket.send(Message::Text(reply.clone())).await?;
        }
    }
    Ok(())
}
