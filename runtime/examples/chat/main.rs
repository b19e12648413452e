//! A chat: users who sign in, and messages that every open page sees at once.

mod messages;
mod people;

use std::process::ExitCode;

use syncline::prelude::*;
use syncline::users;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let schema = schema![users::User, messages::Message];
    let functions = functions![
        users::store,
        users::current,
        users::list,
        users::me,
        users::set_roles,
        messages::list,
        messages::send,
        messages::remove,
    ];
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/chat/web/dist");
    syncline::cli::run(Server::new(schema, functions).pages(page)).await
}
