//! The limit for calls: one message back for each message, flushed once per batch of messages that are there.

use futures::{FutureExt, SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{Failure, accept, text};

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, reply_bytes: usize) -> Result<(), Failure> {
    let reply = text(reply_bytes);
    accept(listener, WebSocketConfig::default(), move |socket| {
        let reply = reply.clone();
        // A client that leaves ends its socket's task.
        async move { drop(converse(socket, reply).await) }
    })
    .await
}

async fn converse(mut socket: WebSocketStream<TcpStream>, reply: Utf8Bytes) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let mut next = Some(message?);
        while let Some(message) = next {
            if message.is_text() {
                socket.feed(Message::Text(reply.clone())).await?;
            }
            next = socket.next().now_or_never().flatten().transpose()?;
        }
        socket.flush().await?;
    }
    Ok(())
}
