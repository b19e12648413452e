//! `ctx.env`: the variables of the deployment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::run::Run;

/// Reads the variables of the deployment. A query that read one runs again when it changes.
#[derive(Clone)]
pub struct Env {
    run: Arc<Run>,
}

impl Env {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        Env { run }
    }

    /// The value of a variable; `None` when it is not set.
    ///
    /// `CONVEX_CLOUD_URL` and `CONVEX_SITE_URL` are the addresses of the deployment itself; [`Env::all`] leaves them out.
    pub async fn get(&self, name: &str) -> Result<Option<String>> {
        if let Some(value) = self.run.built_in(name) {
            return Ok(Some(value.clone()));
        }
        let value = match (self.run.transaction(), self.run.caller()) {
            (Some(tx), _) => tx.environment_variable(name).await?,
            (None, Some(caller)) => caller.environment_variable(name).await.map_err(Error::called)?,
            (None, None) => return Err(no_access()),
        };
        Ok(value.map(|value| value.as_ref().to_owned()))
    }

    /// All variables that are set, by name. A query that read them runs again when any variable changes.
    pub async fn all(&self) -> Result<BTreeMap<String, String>> {
        let variables = match (self.run.transaction(), self.run.caller()) {
            (Some(tx), _) => tx.environment_variables().await?,
            (None, Some(caller)) => caller.environment_variables().await.map_err(Error::called)?,
            (None, None) => return Err(no_access()),
        };
        Ok(variables.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned())).collect())
    }
}

fn no_access() -> Error {
    Error::new("this run has no access to environment variables")
}
