//! Finding the function that a call names.

use std::sync::Arc;

use syncline_functions::registry::{Function, FunctionError, Registry, Visibility};
use syncline_schema::{FunctionPath, PathError};

use super::errors;
use crate::system;

/// A function that was found: what to run.
pub(super) struct Found {
    pub(super) path: Arc<FunctionPath>,
    /// The path as people write it.
    pub(super) name: Arc<str>,
    pub(super) function: Function,
    pub(super) owner: Owner,
}

/// Whose function it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Application,
    /// The server's own: not in the log of functions, which it would fill with those who read it.
    Server,
}

impl Owner {
    fn of(path: &FunctionPath) -> Self {
        if path.module().starts_with(system::PREFIX) { Owner::Server } else { Owner::Application }
    }
}

/// All functions by every spelling that clients use, so that a call parses no path: `m:f`, `m.js:f`, and for a default
/// export `m` and `m.js`.
///
/// By their lengths, and those as long as each other in order: then hardly any has to be compared.
#[derive(Default)]
pub(super) struct Functions(Vec<Vec<(String, Arc<Found>)>>);

impl Functions {
    pub(super) fn new(application: &Registry, system: &Registry) -> Self {
        let mut functions = Functions::default();
        for (registry, whose) in [(application, Owner::Application), (system, Owner::Server)] {
            for function in registry.iter().filter(|function| Owner::of(&function.path) == whose) {
                let (path, name) = (Arc::new(function.path.clone()), function.path.short().into());
                let found = Arc::new(Found { path, name, function: function.clone(), owner: whose });
                for spelling in [function.path.short(), function.path.canonical()] {
                    functions.insert(spelling, found.clone());
                }
            }
        }
        functions
    }

    fn insert(&mut self, spelling: String, found: Arc<Found>) {
        if self.0.len() <= spelling.len() {
            self.0.resize_with(spelling.len() + 1, Vec::new);
        }
        let as_long = &mut self.0[spelling.len()];
        if let Err(place) = as_long.binary_search_by(|(known, _)| known.cmp(&spelling)) {
            as_long.insert(place, (spelling, found));
        }
    }

    fn get(&self, spelled: &str) -> Option<&Found> {
        let as_long = self.0.get(spelled.len())?;
        let place = as_long.binary_search_by(|(known, _)| known.as_str().cmp(spelled)).ok()?;
        Some(&as_long[place].1)
    }

    /// Whether a path could be that of a function; one that is need not be parsed.
    pub(super) fn check_path(&self, spelled: &str) -> Result<(), PathError> {
        if self.get(spelled).is_some() { Ok(()) } else { FunctionPath::parse(spelled).map(drop) }
    }

    /// The function at a path as a caller spelled it, if the caller may see it: internal ones only who may call those of
    /// their owner.
    pub(super) fn find(
        &self,
        spelled: &str,
        may_call_internal: impl Fn(Owner) -> bool,
    ) -> Result<&Found, FunctionError> {
        let seen = |owner| if may_call_internal(owner) { errors::Seen::All } else { errors::Seen::Public };
        let found = match self.get(spelled) {
            Some(found) => found,
            None => {
                let path = FunctionPath::parse(spelled).map_err(|cause| errors::bad_path(spelled, &cause))?;
                let found = self.get(&path.short());
                found.ok_or_else(|| errors::not_found(&path, seen(Owner::of(&path))))?
            }
        };
        if found.function.visibility == Visibility::Internal && seen(found.owner) == errors::Seen::Public {
            return Err(errors::not_found(&found.path, errors::Seen::Public));
        }
        Ok(found)
    }
}
