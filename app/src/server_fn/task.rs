//! Server functions about tasks.

use crate::error::AppError;
use crate::server_fn::protocol::Json;
use leptos::prelude::*;
use model::id::TaskId;
use model::task::TaskDraft;

/// Creates (`None`) or changes a task.
#[server(prefix = "/api", endpoint = "tasks/save", protocol = Json)]
pub async fn save_task(id: Option<TaskId>, draft: TaskDraft) -> Result<TaskId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.tasks.save(id, draft).await }.await)
}

/// Sends the message of an unsaved task through its object, an e-mail only to `recipient`. Returns the result as HTML.
#[server(prefix = "/api", endpoint = "tasks/test", protocol = Json)]
pub async fn test_message(draft: TaskDraft, recipient: String) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::Edit)?;
        backend.tasks.test(draft, recipient).await.map(crate::part::fragment::tested)
    };
    with_status(work.await)
}

/// Returns the message of an unsaved task as it would be sent, as HTML. `occurrence` is the public id of a past
/// occurrence, or empty for a sample.
#[server(prefix = "/api", endpoint = "tasks/preview", protocol = Json)]
pub async fn preview_message(draft: TaskDraft, occurrence: String) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::View)?;
        let has_object = !draft.object.is_empty();
        let variables = backend.tasks.variables(occurrence.clone()).await?;
        let preview = backend.tasks.preview(draft, occurrence).await?;
        Ok(crate::part::fragment::previewed(preview, has_object, variables))
    };
    with_status(work.await)
}
