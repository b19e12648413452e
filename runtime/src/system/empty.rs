//! What a dashboard asks of parts that this server does not have: the answers that say "nothing there", because an
//! error would take a whole page with it. Source: http-and-cli 12.2 and 12.3.

use serde_json::json;
use syncline_functions::db::PaginationOptions;
use syncline_functions::registry::Registry;
use syncline_functions::{AppError, MutationCtx, Nullable, QueryCtx, Result, Value, mutation, query};

use super::frontend::Component;
use super::{add, value};

pub(super) fn add_to(registry: &mut Registry) {
    add::<components>(registry, "_system/frontend/components");
    add::<backend_state>(registry, "_system/frontend/backendState");
    add::<deployment_state>(registry, "_system/frontend/deploymentState");
    add::<validation_progress>(registry, "_system/frontend/getSchemas");
    add::<num_files>(registry, "_system/frontend/fileStorageV2");
    add::<file_metadata>(registry, "_system/frontend/fileStorageV2");
    add::<get_file>(registry, "_system/frontend/fileStorageV2");
    add::<generate_upload_url>(registry, "_system/frontend/fileStorageV2");
    add::<delete_files>(registry, "_system/frontend/fileStorageV2");
    add::<scheduled_jobs>(registry, "_system/frontend/paginatedScheduledJobs");
    add::<job_args>(registry, "_system/frontend/scheduler");
    add::<cron_jobs>(registry, "_system/frontend/listCronJobs");
    add::<cron_job_runs>(registry, "_system/frontend/listCronJobRuns");
    add::<sinks>(registry, "_system/frontend/listConfiguredSinks");
    add::<events>(registry, "_system/frontend/paginatedDeploymentEvents");
    add::<last_push>(registry, "_system/frontend/deploymentEvents");
}

fn nothing() -> Result<Value> {
    value(&json!([]))
}

fn empty_page() -> Result<Value> {
    value(&json!({"page": [], "isDone": true, "continueCursor": ""}))
}

/// Components: none.
#[query(internal, name = "list")]
pub(super) async fn components(_ctx: &QueryCtx) -> Result<Value> {
    nothing()
}

/// Whether the deployment is paused: never.
#[query(internal, name = "backendState")]
pub(super) async fn backend_state(_ctx: &QueryCtx) -> Result<Value> {
    value(&json!({"system": "none", "usage_limit": "none", "user": "none"}))
}

/// The same, as another page asks it.
#[query(internal, name = "deploymentState")]
pub(super) async fn deployment_state(_ctx: &QueryCtx) -> Result<Value> {
    value(&json!({"state": "running"}))
}

/// How far a new schema has been checked: documents are checked before the server answers anybody.
#[query(internal, name = "schemaValidationProgress")]
pub(super) async fn validation_progress(_ctx: &QueryCtx, component_id: Component) -> Result<()> {
    drop(component_id);
    Ok(())
}

/// Stored files: none.
#[query(internal, name = "numFiles")]
pub(super) async fn num_files(_ctx: &QueryCtx, component_id: Component) -> Result<f64> {
    drop(component_id);
    Ok(0.0)
}

/// Stored files: none.
#[query(internal, name = "fileMetadata")]
pub(super) async fn file_metadata(
    _ctx: &QueryCtx,
    pagination_opts: PaginationOptions,
    filters: Option<Value>,
    component_id: Component,
) -> Result<Value> {
    drop((pagination_opts, filters, component_id));
    empty_page()
}

/// Stored files: none.
#[query(internal, name = "getFile")]
pub(super) async fn get_file(_ctx: &QueryCtx, storage_id: String, component_id: Component) -> Result<()> {
    drop((storage_id, component_id));
    Ok(())
}

/// Files cannot be stored.
#[mutation(internal, name = "generateUploadUrl")]
pub(super) async fn generate_upload_url(_ctx: &MutationCtx, component_id: Component) -> Result<String> {
    drop(component_id);
    Err(AppError::new("this server stores no files").into())
}

/// Stored files: none, so that all of those named are gone.
#[mutation(internal, name = "deleteFiles")]
pub(super) async fn delete_files(_ctx: &MutationCtx, storage_ids: Vec<String>, component_id: Component) -> Result<()> {
    drop((storage_ids, component_id));
    Ok(())
}

/// Scheduled calls: none.
#[query(internal, name = "default")]
pub(super) async fn scheduled_jobs(
    _ctx: &QueryCtx,
    pagination_opts: PaginationOptions,
    udf_path: Option<Nullable<String>>,
    component_id: Component,
) -> Result<Value> {
    drop((pagination_opts, udf_path, component_id));
    empty_page()
}

/// The arguments of a scheduled call: there are none.
#[query(internal, name = "getArgs")]
pub(super) async fn job_args(_ctx: &QueryCtx, args_id: String, component_id: Component) -> Result<()> {
    drop((args_id, component_id));
    Ok(())
}

/// Cron jobs: none.
#[query(internal, name = "default")]
pub(super) async fn cron_jobs(_ctx: &QueryCtx, component_id: Component) -> Result<Value> {
    drop(component_id);
    nothing()
}

/// Runs of cron jobs: none.
#[query(internal, name = "default")]
pub(super) async fn cron_job_runs(_ctx: &QueryCtx, component_id: Component) -> Result<Value> {
    drop(component_id);
    nothing()
}

/// Places that logs are sent to: none.
#[query(internal, name = "default")]
pub(super) async fn sinks(_ctx: &QueryCtx) -> Result<Value> {
    nothing()
}

/// The history of the deployment: not kept.
#[query(internal, name = "default")]
pub(super) async fn events(
    _ctx: &QueryCtx,
    pagination_opts: PaginationOptions,
    filters: Option<Value>,
) -> Result<Value> {
    drop((pagination_opts, filters));
    empty_page()
}

/// The newest push of code: functions are part of the server, nothing pushes them.
#[query(internal, name = "lastPushEvent")]
pub(super) async fn last_push(_ctx: &QueryCtx) -> Result<()> {
    Ok(())
}
