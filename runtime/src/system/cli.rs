//! What the command line of the official tools asks: `npx convex env`, `data`, `function-spec`, `run`, `network-test`.
//! Source: http-and-cli 5 and 6.

use serde_json::json;
use syncline_functions::db::{Order, PaginationOptions, PaginationResult};
use syncline_functions::registry::Registry;
use syncline_functions::{Nullable, Object, QueryCtx, Result, Value, query};

use super::documents::{self, PAGE_BYTES_MAX, PAGE_DOCUMENTS_MAX};
use super::{add, facts, kind_name, validator, value, visibility};

pub(super) fn add_to(registry: &mut Registry) {
    add::<variables>(registry, "_system/cli/queryEnvironmentVariables");
    add::<variable>(registry, "_system/cli/queryEnvironmentVariables");
    add::<api_spec>(registry, "_system/cli/modules");
    add::<cloud_url>(registry, "_system/cli/convexUrl");
    add::<tables>(registry, "_system/cli/tables");
    add::<table_data>(registry, "_system/cli/tableData");
    add::<table_size>(registry, "_system/cli/tableSize");
}

/// All variables that are set, by name, as rows. They are kept by name, so that is what names a row; when one was set is
/// not kept.
#[query(internal, name = "default")]
pub(super) async fn variables(ctx: &QueryCtx) -> Result<Value> {
    let all = ctx.env.all().await?;
    let row = |(name, value)| json!({"_id": name, "_creationTime": 0, "name": name, "value": value});
    value(&all.into_iter().map(row).collect())
}

/// A variable.
#[derive(Object)]
pub(crate) struct Variable {
    name: String,
    value: String,
}

/// One variable, those of the server included; null when it is not set.
#[query(internal, name = "get")]
pub(super) async fn variable(ctx: &QueryCtx, name: String) -> Result<Option<Variable>> {
    Ok(ctx.env.get(&name).await?.map(|value| Variable { name, value }))
}

/// Every function of the application with its validators.
#[query(internal, name = "apiSpec")]
pub(super) async fn api_spec(ctx: &QueryCtx) -> Result<Value> {
    let facts = facts(ctx)?;
    let mut all = Vec::new();
    for function in facts.functions.iter() {
        all.push(json!({
            "identifier": function.path.canonical(),
            "functionType": kind_name(function.kind),
            "visibility": visibility(function.visibility),
            "args": validator(&function.args)?,
            "returns": validator(&function.returns)?,
        }));
    }
    value(&all.into())
}

/// Where clients find the API.
#[query(internal, name = "cloudUrl")]
pub(super) async fn cloud_url(ctx: &QueryCtx) -> Result<String> {
    Ok(facts(ctx)?.cloud_origin.clone())
}

/// The name of a table.
#[derive(Object)]
pub(crate) struct Named {
    name: String,
}

/// The tables of the application, by name; always one page.
#[query(internal, name = "default")]
pub(super) async fn tables(ctx: &QueryCtx, pagination_opts: PaginationOptions) -> Result<PaginationResult<Named>> {
    drop(pagination_opts);
    let mut names: Vec<String> = ctx.db.tables().await?.into_iter().map(|(_, name)| name.to_string()).collect();
    names.sort_unstable();
    Ok(PaginationResult {
        page: names.into_iter().map(|name| Named { name }).collect(),
        is_done: true,
        continue_cursor: String::new(),
        split_cursor: Nullable::Null,
        page_status: Nullable::Null,
    })
}

/// A direction of creation times.
#[derive(Clone, Copy, Object)]
pub(crate) enum Direction {
    Asc,
    Desc,
}

impl From<Direction> for Order {
    fn from(direction: Direction) -> Order {
        match direction {
            Direction::Asc => Order::Asc,
            Direction::Desc => Order::Desc,
        }
    }
}

/// The documents of a table in the order of their creation; one that does not exist is empty.
#[query(internal, name = "default")]
pub(super) async fn table_data(
    ctx: &QueryCtx,
    table: String,
    order: Option<Direction>,
    pagination_opts: PaginationOptions,
) -> Result<PaginationResult<Value>> {
    let options = PaginationOptions {
        num_items: pagination_opts.num_items.min(PAGE_DOCUMENTS_MAX),
        maximum_bytes_read: Some(PAGE_BYTES_MAX),
        ..pagination_opts
    };
    let order = order.unwrap_or(Direction::Desc).into();
    let page = ctx.db.table(&table).query().order(order).paginate(options).await?;
    Ok(page.map(Value::Object))
}

/// How many documents a table has.
#[query(internal, name = "default")]
pub(super) async fn table_size(ctx: &QueryCtx, table_name: String) -> Result<f64> {
    documents::size(ctx, &table_name).await
}
