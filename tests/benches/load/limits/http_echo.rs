//! The limit for calls over HTTP: axum, one handler, an answer of a given length once the body has been read.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use super::Failure;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, reply_bytes: usize) -> Result<(), Failure> {
    let reply = Bytes::from("x".repeat(reply_bytes));
    let answer = async move |body: Bytes| {
        std::hint::black_box(body);
        ([(CONTENT_TYPE, "application/json")], reply.clone())
    };
    let listener = listener.tap_io(|stream| {
        // Without it an answer is as correct, and later.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().fallback(answer)).await?;
    Ok(())
}
