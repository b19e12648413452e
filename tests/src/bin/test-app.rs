//! Serves the test application as a process, for tests that kill it.
//!
//! With `TEST_APP_ISSUER_VARIABLE` set, it takes the tokens of the issuer that this variable of the deployment names,
//! instead of those of the development issuer.

use std::process::ExitCode;

use syncline::auth::Clerk;
use syncline_tests::app;

#[tokio::main]
async fn main() -> ExitCode {
    let server = app::server();
    let server = match std::env::var("TEST_APP_ISSUER_VARIABLE") {
        Ok(name) => server.auth(Clerk::from_env(name)),
        Err(_) => server,
    };
    syncline::cli::run(server).await
}
