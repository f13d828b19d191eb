//! Server functions about tasks.

use crate::error::AppError;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use model::id::TaskId;
use model::task::TaskDraft;

/// Creates (`None`) or changes a task.
#[server(prefix = "/api", endpoint = "tasks/save", input = Json)]
pub async fn save_task(id: Option<TaskId>, draft: TaskDraft) -> Result<TaskId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.tasks.save(id, draft).await }.await)
}

/// What a message would look like, byte for byte, as HTML.
#[server(prefix = "/api", endpoint = "tasks/preview", input = Json)]
pub async fn preview_message(
    task: String,
    webhook: String,
    message: String,
    occurrence: String,
) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::View)?;
        let request = crate::view::task::PreviewRequest { task, webhook, message, occurrence };
        let has_webhook = !request.webhook.is_empty();
        let preview = backend.tasks.preview(request).await?;
        Ok(crate::part::fragment::previewed(preview, has_webhook))
    };
    with_status(work.await)
}
