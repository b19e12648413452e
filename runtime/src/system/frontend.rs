//! What every page of a dashboard asks: functions, tables, schema, variables, providers. Source: http-and-cli 12.3.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use syncline_functions::registry::Registry;
use syncline_functions::{Error, Nullable, QueryCtx, Result, Value, query};
use syncline_schema::{FunctionPath, IndexDefinition, TableNumber};

use super::{TOOLS_VERSION, add, cli, facts, kind_name, validator, value, visibility};
use crate::auth::{JwksSource, Provider};

/// The argument that names a component; there are none here, so that it may be anything.
pub(super) type Component = Option<Nullable<String>>;

pub(super) fn add_to(registry: &mut Registry) {
    add::<list_functions>(registry, "_system/frontend/modules");
    add::<args_validator>(registry, "_system/frontend/modules");
    add::<version>(registry, "_system/frontend/getVersion");
    add::<table_mapping>(registry, "_system/frontend/getTableMapping");
    add::<schemas>(registry, "_system/frontend/getSchemas");
    add::<indexes>(registry, "_system/frontend/indexes");
    add::<cli::variables>(registry, "_system/frontend/listEnvironmentVariables");
    add::<providers>(registry, "_system/frontend/listAuthProviders");
    add::<cloud_url>(registry, "_system/frontend/convexCloudUrl");
    add::<site_url>(registry, "_system/frontend/convexSiteUrl");
}

/// All functions by module: `[[component, [[module, {functions}]]]]`.
#[query(internal, name = "listForAllComponents")]
pub(super) async fn list_functions(ctx: &QueryCtx) -> Result<Value> {
    let facts = facts(ctx)?;
    let mut modules: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    for function in facts.functions.iter() {
        modules.entry(function.path.module()).or_default().push(json!({
            "name": function.path.function(),
            "udfType": kind_name(function.kind),
            "visibility": visibility(function.visibility),
        }));
    }
    let module = |(name, functions)| json!([name, {"functions": functions, "sourcePackageId": "native"}]);
    let modules: Vec<Json> = modules.into_iter().map(module).collect();
    value(&json!([[null, modules]]))
}

/// What the arguments of a function must be, as JSON text; null when there is no such function.
#[query(internal, name = "argsValidator")]
pub(super) async fn args_validator(
    ctx: &QueryCtx,
    function: String,
    component_id: Component,
) -> Result<Option<String>> {
    drop(component_id);
    let Ok(path) = FunctionPath::parse(&function) else { return Ok(None) };
    let facts = facts(ctx)?;
    facts.functions.find(&path).map(|function| Ok(validator(&function.args)?.to_string())).transpose()
}

/// The version of the official tools that the server answers as.
#[query(internal, name = "default")]
pub(super) async fn version(_ctx: &QueryCtx) -> Result<String> {
    Ok(TOOLS_VERSION.to_owned())
}

/// The names of tables by number.
#[query(internal, name = "default")]
pub(super) async fn table_mapping(ctx: &QueryCtx, component_id: Component) -> Result<BTreeMap<String, String>> {
    drop(component_id);
    let system = [(TableNumber::STORAGE, "_file_storage"), (TableNumber::SCHEDULED_FUNCTIONS, "_scheduled_jobs")];
    let mut names: BTreeMap<String, String> =
        system.into_iter().map(|(number, name)| (number.to_string(), name.to_owned())).collect();
    names.extend(ctx.db.tables().await?.into_iter().map(|(number, name)| (number.to_string(), name.to_string())));
    Ok(names)
}

/// The schema as JSON text.
#[query(internal, name = "default")]
pub(super) async fn schemas(ctx: &QueryCtx, component_id: Component) -> Result<BTreeMap<String, String>> {
    drop(component_id);
    let active = facts(ctx)?.schema.to_json().map_err(|error| Error::new(error.to_string()))?;
    Ok(BTreeMap::from([("active".to_owned(), active)]))
}

/// The declared indexes of a table. All of them are built before the server answers anybody.
#[query(internal, name = "default")]
pub(super) async fn indexes(
    ctx: &QueryCtx,
    table_name: Option<Nullable<String>>,
    table_namespace: Component,
) -> Result<Value> {
    drop(table_namespace);
    let facts = facts(ctx)?;
    let name: Option<String> = table_name.and_then(Into::into);
    let Some(table) = name.and_then(|name| facts.schema.tables.get(&name)) else { return value(&json!([])) };
    let described = |index: &IndexDefinition, staged: bool| {
        let fields: Vec<String> = index.fields.iter().map(ToString::to_string).collect();
        json!({"name": index.name, "staged": staged, "fields": fields, "backfill": {"state": "done"}})
    };
    let ready = table.indexes.iter().map(|index| described(index, false));
    let staged = table.staged_indexes.iter().map(|index| described(index, true));
    value(&ready.chain(staged).collect())
}

/// The providers whose tokens are accepted, with the variables filled in as they are now.
#[query(internal, name = "default")]
pub(super) async fn providers(ctx: &QueryCtx) -> Result<Value> {
    let variables = ctx.env.all().await?;
    let config = facts(ctx)?.auth.resolve_in(&variables).map_err(|error| Error::new(error.to_string()))?;
    value(&config.providers.iter().map(provider).collect())
}

fn provider(provider: &Provider) -> Json {
    match provider {
        Provider::Oidc { domain, application_id } => {
            json!({"domain": domain.to_string(), "applicationID": application_id})
        }
        Provider::CustomJwt { issuer, jwks, algorithm, application_id } => {
            let (JwksSource::Url(jwks) | JwksSource::Data(jwks)) = jwks;
            json!({
                "type": "customJwt",
                "issuer": issuer.to_string(),
                "jwks": jwks,
                "algorithm": Json::from(algorithm.as_str()).to_string(),
                "applicationID": application_id,
            })
        }
    }
}

/// Where clients find the API.
#[query(internal, name = "default")]
pub(super) async fn cloud_url(ctx: &QueryCtx) -> Result<String> {
    Ok(facts(ctx)?.cloud_origin.clone())
}

/// Where HTTP actions are found.
#[query(internal, name = "default")]
pub(super) async fn site_url(ctx: &QueryCtx) -> Result<String> {
    Ok(facts(ctx)?.site_origin.clone())
}
