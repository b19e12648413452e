//! A chat: users who sign in, and messages that every open page sees at once.

mod app;
mod messages;
mod people;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/chat/web/dist");
    syncline::cli::run(app::server().pages(page)).await
}
