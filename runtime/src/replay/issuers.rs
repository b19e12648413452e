//! Issuers that are no servers: they answer the verifier inside the process, as a handshake tells them to.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use super::fixtures::{Key, key_set};
use super::members::Members;
use crate::auth::{Fetch, FetchError, Reach, Response};

/// The end of a discovery document's address.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Every issuer there is; all of them have the same keys.
pub(super) struct FixtureIssuers {
    state: Mutex<State>,
    held: watch::Sender<bool>,
}

struct State {
    keys: Vec<Key>,
    status: u16,
    discovery: u64,
    key_sets: u64,
}

/// What a line changes.
#[derive(Clone, Debug, Default)]
pub(super) struct IssuerChange {
    keys: Option<Vec<Key>>,
    status: Option<u16>,
    held: Option<bool>,
}

impl IssuerChange {
    pub(super) fn parse(value: Value) -> Result<Self, String> {
        let mut members = Members::new("issuer", value)?;
        let keys = members.texts("keys")?;
        let status = members.number("status")?.map(|status| {
            u16::try_from(status).map_err(|_| format!("issuer: \"status\": expected an HTTP status, found {status}"))
        });
        let change = IssuerChange {
            keys: keys.map(|keys| keys.iter().map(|name| Key::parse(name)).collect()).transpose()?,
            status: status.transpose()?,
            held: members.flag("held")?,
        };
        members.finish()?;
        Ok(change)
    }
}

impl FixtureIssuers {
    /// They serve the key `K1`.
    pub(super) fn new() -> Self {
        let state = State { keys: vec![Key::K1], status: 200, discovery: 0, key_sets: 0 };
        FixtureIssuers { state: Mutex::new(state), held: watch::Sender::new(false) }
    }

    pub(super) fn change(&self, change: &IssuerChange) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = &change.keys {
            state.keys.clone_from(keys);
        }
        state.status = change.status.unwrap_or(state.status);
        drop(state);
        if let Some(held) = change.held {
            self.held.send_replace(held);
        }
    }

    /// How often discovery documents and key sets were asked for.
    pub(super) fn asked(&self) -> (u64, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.discovery, state.key_sets)
    }

    fn answer(&self, url: &Url) -> Response {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let body = match url.as_str().strip_suffix(DISCOVERY) {
            Some(issuer) => {
                state.discovery += 1;
                json!({"issuer": issuer, "jwks_uri": format!("{issuer}/.well-known/jwks.json")})
            }
            None => {
                state.key_sets += 1;
                key_set(&state.keys)
            }
        };
        Response {
            status: state.status,
            content_type: Some("application/json".to_owned()),
            body: body.to_string().into_bytes(),
            ..Response::default()
        }
    }
}

impl Fetch for FixtureIssuers {
    fn get(&self, url: Url, _: Reach) -> BoxFuture<'static, Result<Response, FetchError>> {
        let answer = self.answer(&url);
        let mut held = self.held.subscribe();
        async move {
            // An error means that the handshake is over.
            drop(held.wait_for(|held| !held).await);
            Ok(answer)
        }
        .boxed()
    }
}
