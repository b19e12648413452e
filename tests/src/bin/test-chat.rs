//! The chat example behind a Clerk instance that the variable `CLERK_JWT_ISSUER_DOMAIN` of the deployment names, for
//! tests of its page: its functions and its page are those of the example.

#[path = "../../../runtime/examples/chat/app.rs"]
mod app;
#[path = "../../../runtime/examples/chat/messages.rs"]
mod messages;
#[path = "../../../runtime/examples/chat/people.rs"]
mod people;

use std::process::ExitCode;

use syncline::auth::Clerk;
use syncline_tests::issuers;

#[tokio::main]
async fn main() -> ExitCode {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/examples/chat/web/dist");
    let server = app::server().pages(page).auth(Clerk::from_env("CLERK_JWT_ISSUER_DOMAIN"));
    syncline::cli::run(issuers::from_test(server)).await
}
