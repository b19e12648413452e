//! Many sessions that renew their tokens: what that costs is counted, not timed.

use std::sync::Arc;

use serde_json::{Value, json};
use syncline::auth::Clerk;
use syncline::clock::ManualClock;
use syncline_tests::app::runs;
use syncline_tests::{RawClient, TestServer};

use crate::issuer::Issuer;

const T: u64 = 1_755_800_000;

/// A server, the issuer that it has to ask, the clock of both, and sockets on it.
struct Storm {
    server: TestServer,
    issuer: Issuer,
    clock: Arc<ManualClock>,
    sessions: Vec<RawClient>,
}

impl Storm {
    async fn of(n_sessions: usize) -> Self {
        raise_descriptor_limit(2 * n_sessions as u64 + 200);
        let clock = Arc::new(ManualClock::at_seconds(T));
        let issuer = Issuer::start_at(clock.clone()).await;
        let clerk = Clerk::at(issuer.address());
        let server = TestServer::start_with(|server| server.auth(clerk).clock(clock.clone())).await;
        let mut sessions = Vec::with_capacity(n_sessions);
        for _ in 0..n_sessions {
            sessions.push(RawClient::connect(server.address()).await);
        }
        Storm { server, issuer, clock, sessions }
    }

    /// Each session shows a new token of its user, all before the first is answered.
    async fn authenticate(&mut self, n_users: usize) {
        let tokens: Vec<String> =
            (0..n_users).map(|user| self.issuer.token(json!({"subject": format!("user_{user}")}))).collect();
        for (session, token) in self.sessions.iter_mut().zip(tokens.iter().cycle()) {
            session.authenticate(Some(token)).await;
        }
    }
}

/// One descriptor for each end of a socket.
fn raise_descriptor_limit(wanted: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "the limit has no safe interface; both calls only touch `limit`")]
    // SAFETY: `limit` is a valid rlimit that lives through both calls.
    let is_enough = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_cur.max(wanted);
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
    };
    assert!(is_enough, "this test needs {wanted} open files; raise the limit with ulimit -n");
}

/// spec: A29, A30, A79
#[tokio::test]
async fn a_thousand_sockets_with_tokens_of_a_minute_ask_the_issuer_for_refreshes_only() {
    let mut storm = Storm::of(1_000).await;
    assert_eq!(storm.issuer.n_asked(), 0);
    for round in 0..16u64 {
        storm.authenticate(100).await;
        for session in &mut storm.sessions {
            assert_eq!(session.transition().await.0["endVersion"]["identity"], round + 1);
        }
        let n_refreshes = 1 + round * 50 / 600;
        assert_eq!(storm.issuer.n_asked() as u64, 2 * n_refreshes, "after {} s: keys are good for 600", round * 50);
        storm.clock.advance_ms(50_000);
    }
    drop(storm.server);
}

/// spec: A63, HS6
#[tokio::test]
async fn two_thousand_sessions_that_renew_their_tokens_run_no_query_again() {
    const NAME: &str = "a storm";
    let mut storm = Storm::of(2_000).await;
    storm.authenticate(50).await;
    for (n, session) in storm.sessions.iter_mut().enumerate() {
        session.subscribe(0, "runs:email", json!({"name": NAME})).await;
        let email = session.until(0, Value::is_string).await;
        assert_eq!(email, format!("user_{}@example.test", n % 50));
    }
    assert_eq!(runs::count(NAME), 50, "one for each user, not for each session");
    for round in 2..4 {
        storm.clock.advance_ms(50_000);
        storm.authenticate(50).await;
        for session in &mut storm.sessions {
            let transition = session.transition().await;
            assert_eq!((&transition.0["endVersion"]["identity"], transition.n_modifications()), (&json!(round), 0));
        }
        assert_eq!(runs::count(NAME), 50);
    }
    assert_eq!(storm.server.running().live_counts().1, 2_000, "and all of them still watch");
}
