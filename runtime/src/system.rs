//! The functions under `_system/`, which official tools and the dashboard call: ordinary queries and mutations of the
//! server itself, run as an application's are, and so as reactive as those. Only administrators find them.
//!
//! What they know beside the store is in [`Facts`].

mod cli;
mod documents;
mod edits;
mod empty;
mod filter;
mod frontend;

use std::sync::Arc;

use serde_json::Value as Json;
use syncline_functions::__macro::register;
use syncline_functions::registry::{Definition, FunctionKind, Registry, Visibility};
use syncline_functions::run::BuiltIns;
use syncline_functions::{Error, QueryCtx, Result, Value};
use syncline_schema::{Schema, Validator};

use crate::auth::AuthSettings;

/// What the paths of all of them begin with. An application has no functions there.
pub(crate) const PREFIX: &str = "_system/";

/// The version of the official tools whose calls are answered here. Source: http-and-cli, "Versions observed".
pub(crate) const TOOLS_VERSION: &str = "1.48.0";

/// The variables that the server itself gives a value. Source: http-and-cli 5.1.
pub(crate) const CLOUD_URL: &str = "CONVEX_CLOUD_URL";
/// See [`CLOUD_URL`].
pub(crate) const SITE_URL: &str = "CONVEX_SITE_URL";

/// What is fixed while the server runs.
pub(crate) struct Facts {
    /// The tables as declared.
    pub(crate) schema: Schema,
    /// The application's functions.
    pub(crate) functions: Arc<Registry>,
    /// The providers as configured; variables of the deployment fill them in.
    pub(crate) auth: AuthSettings,
    /// Where clients find the API, without a slash at the end.
    pub(crate) cloud_origin: String,
    /// Where HTTP actions are found, without a slash at the end.
    pub(crate) site_origin: String,
    /// The same two as variables.
    pub(crate) built_ins: Arc<BuiltIns>,
}

/// The variables that the server itself sets.
pub(crate) fn built_ins(cloud_origin: &str, site_origin: &str) -> Arc<BuiltIns> {
    let pairs = [(CLOUD_URL, cloud_origin), (SITE_URL, site_origin)];
    Arc::new(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The facts of the server that runs a function.
fn facts(ctx: &QueryCtx) -> Result<Arc<Facts>> {
    ctx.host().ok_or_else(|| Error::new("a function of the server was run by somebody else"))
}

/// A JSON tree as a value. Numbers become floats, as tools read them.
fn value(json: &Json) -> Result<Value> {
    Ok(Value::from_json(&json.to_string())?)
}

/// A validator as tools read it.
fn validator(validator: &Validator) -> Result<Json> {
    let json = validator.to_json().map_err(|error| Error::new(error.to_string()))?;
    serde_json::from_str(&json).map_err(|error| Error::new(error.to_string()))
}

/// How tools spell a kind.
fn kind_name(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Query => "Query",
        FunctionKind::Mutation => "Mutation",
        FunctionKind::Action => "Action",
    }
}

/// How tools spell a visibility.
fn visibility(visibility: Visibility) -> Json {
    let kind = match visibility {
        Visibility::Public => "public",
        Visibility::Internal => "internal",
    };
    serde_json::json!({ "kind": kind })
}

/// All of them.
pub(crate) fn registry() -> Registry {
    let mut all = Registry::default();
    cli::add_to(&mut all);
    frontend::add_to(&mut all);
    documents::add_to(&mut all);
    edits::add_to(&mut all);
    empty::add_to(&mut all);
    all
}

/// Adds a function to a module; it stands there under the name that its attribute says.
fn add<D: Definition>(registry: &mut Registry, module: &str) {
    // The last segment stands for the Rust function, whose name counts for nothing.
    let segments: Vec<&str> = module.split('/').chain([""]).collect();
    register::<D>(registry, &segments);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// spec: H7
    #[test]
    fn all_of_them_are_internal_and_stand_under_the_prefix() {
        let all = registry();
        assert!(all.iter().count() > 40);
        for function in all.iter() {
            assert_eq!(function.visibility, Visibility::Internal, "{}", function.path.short());
            assert!(function.path.module().starts_with(PREFIX), "{}", function.path.short());
        }
    }
}
