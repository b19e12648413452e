//! The limit for fan-out: each message that comes in is followed by one message to every other socket, each written by
//! the task that owns the socket.

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{Failure, accept, text};

/// Serves until the process ends. The rounds are counted: a socket that did not get round 1 yet when round 2 begins
/// gets one message for both, as the sockets of a live query do.
pub async fn serve(listener: TcpListener, reply_bytes: usize) -> Result<(), Failure> {
    let reply = text(reply_bytes);
    let (rounds, round) = watch::channel(0_u64);
    let config = WebSocketConfig::default().read_buffer_size(super::idle::READ_BUFFER);
    accept(listener, config, move |socket| {
        let (rounds, round, reply) = (rounds.clone(), round.clone(), reply.clone());
        async move { drop(converse(socket, rounds, round, reply).await) }
    })
    .await
}

async fn converse(
    mut socket: WebSocketStream<TcpStream>,
    rounds: watch::Sender<u64>,
    mut round: watch::Receiver<u64>,
    reply: Utf8Bytes,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(message) => {
                    if message?.is_text() {
                        rounds.send_modify(|round| *round += 1);
                        round.mark_unchanged();
                    }
                }
                None => return Ok(()),
            },
            _ = round.changed() => socket.send(Message::Text(reply.clone())).await?,
        }
    }
}
