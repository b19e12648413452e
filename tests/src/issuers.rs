//! Issuers by their real names on a machine without a network: whatever is asked of them is asked of a server of the
//! test.

use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::Url;
use syncline::Server;
use syncline::auth::{Fetch, FetchError, HttpFetch, Reach, Response};

/// The variable that names the server of the test.
const VARIABLE: &str = "TEST_APP_ISSUERS_AT";

/// Asks `http://127.0.0.1:PORT/HOST/PATH` for what is at `https://HOST/PATH`.
struct IssuersAt {
    base: String,
    http: HttpFetch,
}

impl Fetch for IssuersAt {
    fn get(&self, url: Url, _reach: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        let address = format!("{}/{}{}", self.base, url.host_str().unwrap_or_default(), url.path());
        match Url::parse(&address) {
            Ok(there) => self.http.get(there, Reach::Loopback),
            Err(error) => Box::pin(async move { Err(FetchError::Transport(format!("{address}: {error}"))) }),
        }
    }
}

/// The same server; with `TEST_APP_ISSUERS_AT` set, it asks that address for the documents of issuers.
pub fn from_test(server: Server) -> Server {
    match std::env::var(VARIABLE) {
        Ok(base) => server.fetch(Arc::new(IssuersAt { base, http: HttpFetch::default() })),
        Err(_) => server,
    }
}
