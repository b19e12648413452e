//! What a dashboard reads of tables. Source: http-and-cli 12.3.

use serde_json::json;
use syncline_functions::db::{Order, PaginationOptions, PaginationResult};
use syncline_functions::registry::Registry;
use syncline_functions::{Nullable, Object, QueryCtx, Result, Value, query};
use syncline_schema::DocumentId;

use super::filter::Filters;
use super::frontend::Component;
use super::{add, facts, value};

/// Most documents of one page, a number: a result is a list of at most 8,192. Source: data-and-functions 1.7; within the
/// 10,000 of http-and-cli 5.3.
pub(super) const PAGE_DOCUMENTS_MAX: f64 = 8_000.0;
/// Most bytes of documents read for one page. Source: http-and-cli 5.3.
pub(super) const PAGE_BYTES_MAX: f64 = 5e6;
/// As far as documents are counted, a number. Source: ours; nothing keeps count of documents as they come and go, so
/// that counting reads them, and a live query counts again after every change.
const COUNTED_MAX: usize = 20_000;

pub(super) fn add_to(registry: &mut Registry) {
    add::<page>(registry, "_system/frontend/paginatedTableDocuments");
    add::<table_size>(registry, "_system/frontend/tableSize");
    add::<counted>(registry, "_system/syncline/tableSize");
    add::<list_by_id>(registry, "_system/frontend/listById");
}

/// Documents of a table, by an index and with filters: base64 of the JSON that [`Filters`] reads.
///
/// Filters that cannot be used are told in place of documents, as the dashboard expects.
#[query(internal, name = "default")]
pub(super) async fn page(
    ctx: &QueryCtx,
    table: String,
    filters: Option<Nullable<String>>,
    pagination_opts: PaginationOptions,
    component_id: Component,
) -> Result<PaginationResult<Value>> {
    drop(component_id);
    let facts = facts(ctx)?;
    let filters: Option<String> = filters.and_then(Into::into);
    let filters = match Filters::parse(filters.as_deref(), facts.schema.tables.get(&table)) {
        Ok(filters) => filters,
        Err(faults) => return bad_filters(faults),
    };
    let options = PaginationOptions {
        num_items: pagination_opts.num_items.clamp(1.0, PAGE_DOCUMENTS_MAX),
        maximum_bytes_read: Some(PAGE_BYTES_MAX),
        ..pagination_opts
    };
    let Filters { index, range, order, clauses } = filters;
    let order = if order == Some(Order::Asc) { Order::Asc } else { Order::Desc };
    let query = ctx.db.table(&table).index(&index, range).order(order);
    let page = match clauses.is_empty() {
        true => query.paginate(options).await?,
        false => query.filter(move |row| clauses.iter().all(|clause| clause.keeps(row))).paginate(options).await?,
    };
    Ok(page.map(Value::Object))
}

fn bad_filters(faults: Vec<(usize, String)>) -> Result<PaginationResult<Value>> {
    let entry = |(filter, error): (usize, String)| value(&json!({"filter": filter, "error": error}));
    Ok(PaginationResult {
        page: faults.into_iter().map(entry).collect::<Result<_>>()?,
        is_done: true,
        continue_cursor: String::new(),
        split_cursor: Nullable::Null,
        page_status: Nullable::Null,
    })
}

/// How many documents a table has, as far as they are counted: [`counted`] tells whether these are all.
#[query(internal, name = "default")]
pub(super) async fn table_size(ctx: &QueryCtx, table_name: String, component_id: Component) -> Result<f64> {
    drop(component_id);
    size(ctx, &table_name).await
}

/// See [`table_size`].
pub(super) async fn size(ctx: &QueryCtx, table: &str) -> Result<f64> {
    Ok(count(ctx, table).await?.documents)
}

/// The documents of a table, counted.
#[derive(Object)]
pub(crate) struct Counted {
    documents: f64,
    /// Whether there are no more.
    is_all: bool,
}

/// How many documents a table has at least, and whether these are all.
#[query(internal, name = "default")]
pub(super) async fn counted(ctx: &QueryCtx, table_name: String) -> Result<Counted> {
    count(ctx, &table_name).await
}

/// Counts up to [`COUNTED_MAX`], or to what a query may read, which large documents reach earlier.
async fn count(ctx: &QueryCtx, table: &str) -> Result<Counted> {
    let counted = ctx.db.table(table).query().paginate(PaginationOptions::first(COUNTED_MAX)).await?;
    Ok(Counted { documents: counted.page.len() as f64, is_all: counted.is_done })
}

/// A document of a table.
#[derive(Object)]
pub(crate) struct Reference {
    pub(super) id: String,
    pub(super) table_name: String,
}

/// The documents of some ids; null where there is none.
#[query(internal, name = "default")]
pub(super) async fn list_by_id(
    ctx: &QueryCtx,
    ids: Vec<Reference>,
    component_id: Component,
) -> Result<Vec<Option<Value>>> {
    drop(component_id);
    let mut documents = Vec::with_capacity(ids.len());
    for Reference { id, table_name } in ids {
        let table = ctx.db.table(&table_name);
        // A text that is no id of that table names no document of it.
        let is_id = DocumentId::parse(&id).is_ok() && table.normalize_id(&id).is_some();
        let found = if is_id { table.get(&id).await? } else { None };
        documents.push(found.map(Value::Object));
    }
    Ok(documents)
}
