//! The only place of this program that asks for the time, and the bound of everything it waits for.

use std::future::Future;
use std::time::{Duration, Instant};

use super::failure::Failure;

/// Nothing takes longer on a machine that works: opening thousands of sessions is the longest.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time now.
#[expect(clippy::disallowed_methods, reason = "a load program measures durations of the real world")]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for `future`, but not for ever.
pub async fn bounded<T>(what: &str, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done.map_err(|failure| failure.during(what)),
        Err(_) => Err(Failure::new(format!("{what}: nothing happened for {} s", PATIENCE.as_secs()))),
    }
}
