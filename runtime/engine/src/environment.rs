//! The environment variables of the deployment: few, so all of them are in memory, with versions like documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_schema::Timestamp;

/// Values by name.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<Arc<str>, Versions>,
}

/// What a variable was from when on, newest last; `None` where it was removed.
type Versions = Vec<(Timestamp, Option<Arc<str>>)>;

impl Environment {
    /// A variable as a snapshot sees it.
    pub fn get(&self, name: &str, snapshot: Timestamp) -> Option<Arc<str>> {
        let versions = self.variables.get(name)?;
        versions.iter().rev().find(|(ts, _)| *ts <= snapshot)?.1.clone()
    }

    /// All variables as a snapshot sees them, by name.
    pub fn all(&self, snapshot: Timestamp) -> Vec<(Arc<str>, Arc<str>)> {
        let seen = |name: &Arc<str>| self.get(name, snapshot).map(|value| (name.clone(), value));
        self.variables.keys().filter_map(seen).collect()
    }

    /// Sets a variable, or removes it. Versions that no snapshot at or above `horizon` sees go.
    pub fn set(&mut self, name: &str, value: Option<Arc<str>>, ts: Timestamp, horizon: Timestamp) {
        let versions = self.variables.entry(name.into()).or_default();
        let n_visible = versions.partition_point(|(ts, _)| *ts <= horizon);
        versions.drain(..n_visible.saturating_sub(1));
        versions.push((ts, value));
    }

    /// Takes back what was set above a timestamp.
    pub fn undo(&mut self, above: Timestamp) {
        self.variables.retain(|_, versions| {
            versions.retain(|(ts, _)| *ts <= above);
            !versions.is_empty()
        });
    }

    /// The variables that changed in (base, to], as they are at `to`.
    pub fn changed(&self, base: Timestamp, to: Timestamp) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let newest = |versions: &[(Timestamp, Option<Arc<str>>)]| {
            versions.iter().rev().find(|(ts, _)| *ts <= to).filter(|(ts, _)| *ts > base).map(|(_, value)| value.clone())
        };
        self.variables.iter().filter_map(|(name, versions)| Some((name.clone(), newest(versions)?))).collect()
    }
}

/// Puts the names of variables apart from others in the storage.
pub(crate) const META_PREFIX: &str = "environment/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_sees_its_own_values() {
        let mut environment = Environment::default();
        environment.set("A", Some("1".into()), Timestamp(10), Timestamp(5));
        environment.set("A", None, Timestamp(20), Timestamp(5));
        environment.set("A", Some("3".into()), Timestamp(30), Timestamp(15));
        let seen = |environment: &Environment, ts| environment.get("A", Timestamp(ts)).map(|value| value.to_string());
        assert_eq!(seen(&environment, 9), None);
        assert_eq!(seen(&environment, 19).as_deref(), Some("1"));
        assert_eq!(seen(&environment, 20), None);
        assert_eq!(seen(&environment, 30).as_deref(), Some("3"));
        assert_eq!(environment.changed(Timestamp(10), Timestamp(25)), [("A".into(), None)]);
        assert_eq!(environment.changed(Timestamp(20), Timestamp(25)), []);
        environment.undo(Timestamp(20));
        assert_eq!(seen(&environment, 30), None);
        environment.undo(Timestamp(5));
        assert_eq!(environment.all(Timestamp(30)), []);
    }
}
