//! Server functions about tasks.

use crate::error::AppError;
use crate::server_fn::protocol::Json;
use leptos::prelude::*;
#[cfg(feature = "ssr")]
use model::field_error::FieldErrors;
use model::id::TaskId;
use model::task::TaskDraft;

/// Creates (`None`) or changes a task.
#[server(prefix = "/api", endpoint = "tasks/save", protocol = Json)]
pub async fn save_task(id: Option<TaskId>, draft: TaskDraft) -> Result<TaskId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.tasks.save(id, draft).await }.await)
}

/// Sends an unsaved message through a stored webhook. Returns the result as HTML.
#[server(prefix = "/api", endpoint = "tasks/test", protocol = Json)]
pub async fn test_message(webhook: String, message: String) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::Edit)?;
        let id = webhook.parse().map_err(|_| AppError::from(FieldErrors::one("webhook", "Choose a webhook.")))?;
        backend.webhooks.send_saved_test(id, message).await.map(crate::part::fragment::tested)
    };
    with_status(work.await)
}

/// Returns an unsaved message as it would be sent, byte for byte, as HTML.
#[server(prefix = "/api", endpoint = "tasks/preview", protocol = Json)]
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
        let variables = backend.tasks.variables(request.occurrence.clone()).await?;
        let preview = backend.tasks.preview(request).await?;
        Ok(crate::part::fragment::previewed(preview, has_webhook, variables))
    };
    with_status(work.await)
}
