//! Serves the test application as a process, for tests that kill it.
//!
//! With `TEST_APP_ISSUER_VARIABLE` set, it takes the tokens of the issuer that this variable of the deployment names,
//! instead of those of the development issuer. With `TEST_APP_SMALL`, it moves its log to the base all the time, in small
//! steps, and keeps next to nothing of the base in memory.

use std::process::ExitCode;

use syncline::auth::Clerk;
use syncline_tests::app;

#[tokio::main]
async fn main() -> ExitCode {
    let mut server = app::server();
    if let Ok(name) = std::env::var("TEST_APP_ISSUER_VARIABLE") {
        server = server.auth(Clerk::from_env(name));
    }
    if std::env::var_os("TEST_APP_SMALL").is_some() {
        server = server.change_config(|config| {
            config.engine.checkpoint_log_bytes = 16 << 10;
            config.engine.checkpoint_rows_max = 8;
            config.engine.memory_budget_bytes = 64 << 10;
        });
    }
    syncline::cli::run(server).await
}
