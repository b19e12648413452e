//! `ctx.env`: the variables of the deployment.

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
    pub async fn get(&self, name: &str) -> Result<Option<String>> {
        let value = match (self.run.transaction(), self.run.caller()) {
            (Some(tx), _) => tx.environment_variable(name).await?,
            (None, Some(caller)) => caller.environment_variable(name).await.map_err(Error::called)?,
            (None, None) => return Err(Error::new("this run has no access to environment variables")),
        };
        Ok(value.map(|value| value.as_ref().to_owned()))
    }
}
