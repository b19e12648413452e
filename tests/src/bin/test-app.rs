//! Serves the test application as a process, for tests that kill it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    syncline::cli::run(syncline_tests::app::server()).await
}
