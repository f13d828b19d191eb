//! Server functions about tasks.

use crate::error::AppError;
use crate::view::{TaskForm, TaskRow};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use model::id::TaskId;
use model::task::TaskDraft;

/// The task list.
#[server(prefix = "/api", endpoint = "tasks/list", input = Json)]
pub async fn list_tasks() -> Result<Vec<TaskRow>, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.tasks.list().await }.await)
}

/// The form of one task, or of a new one.
#[server(prefix = "/api", endpoint = "tasks/form", input = Json)]
pub async fn load_task_form(id: Option<TaskId>) -> Result<TaskForm, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.tasks.load_form(id).await }.await)
}

/// Creates (`None`) or changes a task.
#[server(prefix = "/api", endpoint = "tasks/save", input = Json)]
pub async fn save_task(id: Option<TaskId>, draft: TaskDraft) -> Result<TaskId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.tasks.save(id, draft).await }.await)
}
