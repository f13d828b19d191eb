//! Server functions about webhooks.

use crate::error::AppError;
use crate::server_fn::protocol::Json;
use crate::view::webhook::SavedWebhook;
use leptos::prelude::*;
use model::id::WebhookId;
use model::webhook::WebhookDraft;

/// Creates (`None`) or changes a webhook.
#[server(prefix = "/api", endpoint = "webhooks/save", protocol = Json)]
pub async fn save_webhook(id: Option<WebhookId>, draft: WebhookDraft) -> Result<SavedWebhook, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.webhooks.save(id, draft).await }.await)
}

/// Sends a test with the unsaved values. Returns the result as HTML. Only administrators may, since it calls any URL
/// that is typed.
#[server(prefix = "/api", endpoint = "webhooks/test", protocol = Json)]
pub async fn send_test(id: Option<WebhookId>, draft: WebhookDraft, message: String) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::Administer)?;
        let request = crate::view::webhook::TestRequest { draft, message };
        let tested = backend.webhooks.send_test(id, request).await?;
        Ok(crate::part::fragment::tested(crate::view::destination::Tested::Webhook(tested)))
    };
    with_status(work.await)
}
