//! A server that a handshake has for itself: its clock is moved by hand, its issuers and its admin key are fixtures.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::fixtures::{self, AUDIENCE, ISSUER, START_S};
use super::format::Setup;
use super::issuers::FixtureIssuers;
use crate::Server;
use crate::admin::AdminKeys;
use crate::auth::AuthSettings;
use crate::clock::ManualClock;
use crate::config::Mode;
use crate::server::{InProcess, Running};

/// The name of the deployment.
const INSTANCE_NAME: &str = "replayed";

/// The secret of the deployment: it lives as long as the handshake.
const SECRET: [u8; 32] = [7; 32];

/// See the module.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) issuers: Arc<FixtureIssuers>,
    pub(super) admin_key: String,
    pub(super) server: Started,
}

pub(super) enum Started {
    InProcess(InProcess),
    Loopback(Running),
}

impl World {
    /// Starts the application as a handshake needs it.
    pub(super) async fn start(application: &Server, setup: &Setup, on_loopback: bool) -> Result<Self, String> {
        let clock = Arc::new(ManualClock::at_seconds(START_S));
        let issuers = Arc::new(FixtureIssuers::new());
        let keys = AdminKeys::new(INSTANCE_NAME, &SECRET);
        let admin_key = keys.issue(START_S);
        let mode = if setup.production { Mode::Production } else { Mode::Development };
        let server = application
            .same_application()
            .change_config(|config| config.mode = mode)
            .clock(clock.clone())
            .instance_name(INSTANCE_NAME)
            .fetch(issuers.clone())
            .admin_keys(keys)
            .variables(variables(setup)?)
            .auth(auth_settings(setup)?);
        let failed = |error| format!("the server does not start: {error}");
        let server = if on_loopback {
            Started::Loopback(server.start("127.0.0.1:0").await.map_err(failed)?)
        } else {
            Started::InProcess(server.start_in_process().await.map_err(failed)?)
        };
        Ok(World { clock, issuers, admin_key, server })
    }

    pub(super) async fn stop(self) {
        match self.server {
            Started::InProcess(server) => server.stop().await,
            Started::Loopback(running) => running.stop().await,
        }
    }
}

fn auth_settings(setup: &Setup) -> Result<AuthSettings, String> {
    let providers = match &setup.providers[..] {
        [] => vec![json!({"domain": ISSUER, "applicationID": AUDIENCE})],
        providers => providers.iter().map(fixtures::provider).collect::<Result<_, _>>()?,
    };
    AuthSettings::from_json(&json!({"providers": providers}).to_string()).map_err(|error| error.to_string())
}

fn variables(setup: &Setup) -> Result<BTreeMap<String, Option<String>>, String> {
    let text = |(name, value): (&String, &Value)| match value.as_str() {
        Some(value) => Ok((name.clone(), Some(value.to_owned()))),
        None => Err(format!("the variable {name} has to be a string, found {value}")),
    };
    setup.variables.iter().map(text).collect()
}
