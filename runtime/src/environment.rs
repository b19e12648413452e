//! The environment variables of the deployment: what a change may be, and that the auth configuration follows it.
//!
//! A change is checked together with the configuration that it leads to, committed as one, and in effect for the next
//! token when it is answered. One that the configuration cannot do with changes nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use syncline_engine::{CommitError, Engine};
use tokio::sync::Mutex;

use crate::auth::{AuthConfig, AuthSettings, ConfigError, Verifier};
use crate::executor::SystemError;
use crate::system::{CLOUD_URL, SITE_URL};

/// Longest name, bytes. Source: http-and-cli 5.1.
const NAME_BYTES_MAX: usize = 256;
/// Longest value, bytes. Source: http-and-cli 5.1.
const VALUE_BYTES_MAX: usize = 8 << 10;
/// Variables at once, a number. Source: http-and-cli 5.1.
const VARIABLES_MAX: usize = 512;
/// All names and values together, bytes. Source: http-and-cli 5.1.
const TOTAL_BYTES_MAX: usize = 512 << 10;
/// Names that the server itself gives a meaning. Source: http-and-cli 5.1.
const BUILT_IN: [&str; 2] = [CLOUD_URL, SITE_URL];

/// Values by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// New values by name; `None` removes a variable, whether it is set or not.
pub(crate) type Changes = BTreeMap<String, Option<String>>;

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// It breaks a rule.
    Refused {
        /// The code that tools know.
        code: &'static str,
        /// What was expected and what was found.
        message: String,
    },
    /// The store did not take it, or could not keep it.
    System(SystemError),
}

impl ChangeError {
    fn refused(code: &'static str, message: impl Into<String>) -> Self {
        ChangeError::Refused { code, message: message.into() }
    }
}

/// See the module.
pub(crate) struct Environment {
    engine: Engine,
    auth: AuthSettings,
    verifier: Arc<Verifier>,
    /// One change at a time: each is checked against what the one before has left, and the configurations take effect
    /// in the order of the commits.
    ///
    /// TODO(correctness): holds on one node. With a second one, the check has to be part of the append, and its
    /// changes have to be followed here.
    changing: Mutex<()>,
}

impl Environment {
    /// The variables in `engine`; `verifier` gets what `auth` comes to with them, now and after every change.
    ///
    /// # Errors
    /// The auth configuration cannot be used.
    pub(crate) fn open(engine: Engine, auth: AuthSettings, verifier: Arc<Verifier>) -> Result<Self, ConfigError> {
        let environment = Environment { engine, auth, verifier, changing: Mutex::default() };
        let variables = environment.variables();
        let config = environment.auth.resolve_in(&variables)?;
        for name in environment.auth.variables() {
            if let (Some(ours), Ok(process)) = (variables.get(name), std::env::var(name))
                && *ours != process
            {
                tracing::warn!(
                    name,
                    "the auth config takes the deployment's value of this variable, not the process's other one; \
                     `npx convex env remove {name}` makes it follow the process"
                );
            }
        }
        environment.put_into_effect(config);
        Ok(environment)
    }

    /// The variables that are set.
    pub(crate) fn variables(&self) -> Variables {
        let variables = self.engine.environment_variables();
        variables.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// Makes a change, all of it or nothing. When this returns, the change is durable and the next token is verified
    /// by the configuration that it leads to; identities that were accepted before stay until they run out.
    ///
    /// Must run to its end: dropped half-way, the configuration would not follow what was committed.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub(crate) async fn change(&self, changes: Changes) -> Result<(), ChangeError> {
        let _turn = self.changing.lock().await;
        let changed: Vec<&str> = changes.keys().map(String::as_str).collect();
        let names = changed.join(", ");
        let after = apply(self.variables(), &changes)?;
        let config =
            self.auth.resolve_in(&after).map_err(|error| ChangeError::refused(error.code, error.at_change_of(&names)));
        let config = config.inspect_err(|_| tracing::warn!(names, "variables stay as they are: auth needs them so"))?;
        let generation = self.engine.watch_durable().borrow().generation;
        let committed = self.engine.set_environment_variables(changes).await.map_err(|error| match error {
            CommitError::Overloaded => ChangeError::System(SystemError::Overloaded),
            CommitError::Storage(cause) => ChangeError::System(SystemError::Halted(cause)),
            CommitError::Conflict(_)
            | CommitError::OutOfRetention
            | CommitError::Undone
            | CommitError::TurnTaken
            | CommitError::TurnTooLong => ChangeError::System(SystemError::Undone),
        })?;
        if !self.engine.wait_durable(committed.ts, generation).await {
            return Err(ChangeError::System(SystemError::Undone));
        }
        tracing::info!(names, "environment variables changed");
        self.put_into_effect(config);
        Ok(())
    }

    fn put_into_effect(&self, config: AuthConfig) {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        self.verifier.set_config(config);
    }
}

/// The changes of a request as one; a name stands in it once.
pub(crate) fn changes(of: impl IntoIterator<Item = (String, Option<String>)>) -> Result<Changes, ChangeError> {
    let mut changes = Changes::new();
    for (name, value) in of {
        match changes.entry(name) {
            Entry::Vacant(vacant) => drop(vacant.insert(value)),
            Entry::Occupied(twice) => {
                let message = format!("{:?} is changed twice in one request; name it once.", twice.key());
                return Err(ChangeError::refused("EnvVarNameNotUnique", message));
            }
        }
    }
    Ok(changes)
}

/// What `changes` make of `variables`, when they keep the rules.
fn apply(mut variables: Variables, changes: &Changes) -> Result<Variables, ChangeError> {
    for (name, value) in changes {
        check_name(name)?;
        match value {
            Some(value) => {
                check_value(name, value)?;
                variables.insert(name.clone(), value.clone());
            }
            None => drop(variables.remove(name)),
        }
    }
    if variables.len() > VARIABLES_MAX {
        let message = format!("there would be {} variables; at most {VARIABLES_MAX} can be set.", variables.len());
        return Err(ChangeError::refused("EnvVarLimitMet", message));
    }
    let total: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > TOTAL_BYTES_MAX {
        let message = format!("all variables together would have {total} bytes; at most {TOTAL_BYTES_MAX} fit.");
        return Err(ChangeError::refused("EnvVarTotalSizeLimitMet", message));
    }
    Ok(variables)
}

fn check_name(name: &str) -> Result<(), ChangeError> {
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    if name.len() > NAME_BYTES_MAX {
        let message = format!("the name {shown:?}... has {} bytes; at most {NAME_BYTES_MAX} are taken.", name.len());
        return Err(ChangeError::refused("EnvironmentVariableNameTooLong", message));
    }
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit());
    if !is_name {
        let message = format!(
            "{shown:?} cannot be the name of a variable; it has to begin with a letter or an underscore and hold only \
             letters, digits and underscores."
        );
        return Err(ChangeError::refused("EnvironmentVariableNameInvalid", message));
    }
    if BUILT_IN.contains(&name) {
        let message = format!("{name} is set by the server itself and cannot be changed.");
        return Err(ChangeError::refused("EnvVarNameForbidden", message));
    }
    Ok(())
}

fn check_value(name: &str, value: &str) -> Result<(), ChangeError> {
    if value.len() > VALUE_BYTES_MAX {
        let message = format!("the value of {name} has {} bytes; at most {VALUE_BYTES_MAX} are taken.", value.len());
        return Err(ChangeError::refused("EnvironmentVariableValueTooLarge", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(error: ChangeError) -> &'static str {
        match error {
            ChangeError::Refused { code, .. } => code,
            ChangeError::System(error) => panic!("{error:?}"),
        }
    }

    /// spec: H17
    #[test]
    fn a_change_that_breaks_a_rule_is_refused_by_its_code() {
        let one = |name: &str, value: &str| Changes::from([(name.to_owned(), Some(value.to_owned()))]);
        let long = |bytes: usize| "x".repeat(bytes);
        for (changes, expected) in [
            (one("", "v"), "EnvironmentVariableNameInvalid"),
            (one("1A", "v"), "EnvironmentVariableNameInvalid"),
            (one("A-B", "v"), "EnvironmentVariableNameInvalid"),
            (one("Ä", "v"), "EnvironmentVariableNameInvalid"),
            (one(&long(257), "v"), "EnvironmentVariableNameTooLong"),
            (one("A", &long(8193)), "EnvironmentVariableValueTooLarge"),
            (one("CONVEX_SITE_URL", "v"), "EnvVarNameForbidden"),
            (Changes::from([("CONVEX_CLOUD_URL".to_owned(), None)]), "EnvVarNameForbidden"),
            ((0..513).map(|n| (format!("A{n}"), Some(String::new()))).collect(), "EnvVarLimitMet"),
            ((0..65).map(|n| (format!("A{n}"), Some(long(8192)))).collect(), "EnvVarTotalSizeLimitMet"),
        ] {
            assert_eq!(code(apply(Variables::new(), &changes).unwrap_err()), expected, "{:?}", changes.keys().next());
        }
        let twice = [("A".to_owned(), None), ("A".to_owned(), Some("1".to_owned()))];
        assert_eq!(code(changes(twice).unwrap_err()), "EnvVarNameNotUnique");
    }

    #[test]
    fn a_change_within_the_rules_is_applied_as_one() {
        let before = Variables::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())]);
        let all = [("A", None), ("_b9", Some("x\n'\"")), ("GONE", None), (&"N".repeat(256), Some(&*"v".repeat(8192)))];
        let all = all.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        let after = apply(before, &changes(all).unwrap()).unwrap();
        let names: Vec<&str> = after.keys().map(String::as_str).collect();
        assert_eq!(names, ["B", &"N".repeat(256), "_b9"]);
    }
}
