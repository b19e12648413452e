//! What a dashboard writes. An edit that breaks a rule leaves nothing behind and answers why. Source: http-and-cli 12.3.

use std::collections::BTreeMap;

use syncline_functions::db::{Order, PaginationOptions};
use syncline_functions::registry::Registry;
use syncline_functions::{AppError, Error, MutationCtx, Object, Result, Value, mutation};

use super::add;
use super::documents::Reference;
use super::frontend::Component;

/// Most documents that one edit names. Source: http-and-cli 12.3.
const DOCUMENTS_MAX: usize = 4_096;
/// Most documents that are cleared in one call, a number. Source: http-and-cli 12.3.
const CLEARED_MAX: usize = 4_000;

pub(super) fn add_to(registry: &mut Registry) {
    add::<add_document>(registry, "_system/frontend/addDocument");
    add::<insert_all>(registry, "_system/frontend/addDocument");
    add::<replace_document>(registry, "_system/frontend/replaceDocument");
    add::<replace_one>(registry, "_system/frontend/replaceDocument");
    add::<patch_documents>(registry, "_system/frontend/patchDocumentsFields");
    add::<patch_all>(registry, "_system/frontend/patchDocumentsFields");
    add::<delete_documents>(registry, "_system/frontend/deleteDocuments");
    add::<delete_all>(registry, "_system/frontend/deleteDocuments");
    add::<clear_page>(registry, "_system/frontend/clearTablePage");
    add::<create_table>(registry, "_system/frontend/createTable");
}

/// What became of an edit.
#[derive(Object)]
pub(crate) struct Edited {
    success: bool,
    error: Option<String>,
}

/// What an inner mutation came to: when it failed, nothing of it is left.
fn edited(done: Result<()>) -> Result<Edited> {
    Ok(match done {
        Ok(()) => Edited { success: true, error: None },
        Err(error) => Edited { success: false, error: Some(error.to_string()) },
    })
}

fn fields_of(document: Value) -> Result<syncline_schema::Object> {
    match document {
        Value::Object(fields) => Ok(fields),
        other => Err(Error::new(format!("a document is an object; found {other}"))),
    }
}

fn check_number(n: usize) -> Result<()> {
    if n > DOCUMENTS_MAX {
        let text = format!("one edit takes at most {DOCUMENTS_MAX} documents; found {n}. Make several of it.");
        return Err(AppError::new(text).into());
    }
    Ok(())
}

/// Adds documents, all or none.
#[mutation(internal, name = "default")]
pub(super) async fn add_document(
    ctx: &MutationCtx,
    table: String,
    documents: Vec<Value>,
    component_id: Component,
) -> Result<Edited> {
    drop(component_id);
    edited(ctx.run_mutation(insert_all, (table, documents)).await)
}

#[mutation(internal, name = "insertAll")]
pub(super) async fn insert_all(ctx: &MutationCtx, table: String, documents: Vec<Value>) -> Result<()> {
    check_number(documents.len())?;
    let table = ctx.db.table(&table);
    for document in documents {
        table.insert(&fields_of(document)?).await?;
    }
    Ok(())
}

/// Replaces all fields of a document.
#[mutation(internal, name = "default")]
pub(super) async fn replace_document(
    ctx: &MutationCtx,
    id: String,
    document: Value,
    component_id: Component,
) -> Result<Edited> {
    drop(component_id);
    edited(ctx.run_mutation(replace_one, (id, document)).await)
}

#[mutation(internal, name = "replaceOne")]
pub(super) async fn replace_one(ctx: &MutationCtx, id: String, document: Value) -> Result<()> {
    let table = table_of(ctx, &id).await?;
    ctx.db.table(&table).replace(&id, &fields_of(document)?).await
}

/// The table that an id is of.
async fn table_of(ctx: &MutationCtx, id: &str) -> Result<String> {
    let number = syncline_schema::DocumentId::parse(id)?.table;
    let tables = ctx.db.tables().await?;
    let found = tables.into_iter().find(|(known, _)| *known == number).map(|(_, name)| name.to_string());
    found.ok_or_else(|| AppError::new(format!("{id} is an id of no table of this deployment")).into())
}

/// Sets fields of the documents named, or of all documents of a table.
#[mutation(internal, name = "default")]
pub(super) async fn patch_documents(
    ctx: &MutationCtx,
    table: String,
    fields: BTreeMap<String, Value>,
    ids: Option<Vec<String>>,
    component_id: Component,
) -> Result<Edited> {
    drop(component_id);
    edited(ctx.run_mutation(patch_all, (table, fields, ids)).await)
}

#[mutation(internal, name = "patchAll")]
pub(super) async fn patch_all(
    ctx: &MutationCtx,
    table: String,
    fields: BTreeMap<String, Value>,
    ids: Option<Vec<String>>,
) -> Result<()> {
    let table = ctx.db.table(&table);
    let ids = match ids {
        Some(ids) => ids,
        None => {
            let rows = table.query().take(DOCUMENTS_MAX + 1).await?;
            let id = |row: syncline_schema::Object| match row.get("_id") {
                Some(Value::String(id)) => Some(id.clone()),
                _ => None,
            };
            rows.into_iter().filter_map(id).collect()
        }
    };
    check_number(ids.len())?;
    let fields: BTreeMap<String, Option<Value>> = fields.into_iter().map(|(name, value)| (name, Some(value))).collect();
    for id in ids {
        table.patch(&id, &fields).await?;
    }
    Ok(())
}

/// Deletes documents, all or none.
#[mutation(internal, name = "default")]
pub(super) async fn delete_documents(
    ctx: &MutationCtx,
    to_delete: Vec<Reference>,
    component_id: Component,
) -> Result<Edited> {
    drop(component_id);
    edited(ctx.run_mutation(delete_all, (to_delete,)).await)
}

#[mutation(internal, name = "deleteAll")]
pub(super) async fn delete_all(ctx: &MutationCtx, to_delete: Vec<Reference>) -> Result<()> {
    check_number(to_delete.len())?;
    for Reference { id, table_name } in to_delete {
        ctx.db.table(&table_name).delete(&id).await?;
    }
    Ok(())
}

/// How far a table has been cleared.
#[derive(Object)]
pub(crate) struct Cleared {
    deleted: f64,
    has_more: bool,
    continue_cursor: String,
}

/// Deletes the first documents of a table, oldest first; to be called until there are no more.
#[mutation(internal, name = "default")]
pub(super) async fn clear_page(
    ctx: &MutationCtx,
    table_name: String,
    cursor: Option<syncline_functions::Nullable<String>>,
    component_id: Component,
) -> Result<Cleared> {
    drop(component_id);
    let table = ctx.db.table(&table_name);
    let options = PaginationOptions {
        cursor: cursor.unwrap_or(syncline_functions::Nullable::Null),
        ..PaginationOptions::first(CLEARED_MAX)
    };
    let page = table.query().order(Order::Asc).paginate(options).await?;
    for row in &page.page {
        if let Some(Value::String(id)) = row.get("_id") {
            table.delete(id).await?;
        }
    }
    Ok(Cleared { deleted: page.page.len() as f64, has_more: !page.is_done, continue_cursor: page.continue_cursor })
}

/// Brings a table into being.
#[mutation(internal, name = "default")]
pub(super) async fn create_table(ctx: &MutationCtx, table: String, component_id: Component) -> Result<()> {
    drop(component_id);
    ctx.db.table(&table).create().await
}
