//! Server functions about webhooks.

use crate::error::AppError;
use crate::view::{WebhookForm, WebhookRow};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use model::id::WebhookId;
use model::webhook::WebhookDraft;

/// The webhook list.
#[server(prefix = "/api", endpoint = "webhooks/list", input = Json)]
pub async fn list_webhooks() -> Result<Vec<WebhookRow>, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.webhooks.list().await }.await)
}

/// The form of one webhook.
#[server(prefix = "/api", endpoint = "webhooks/form", input = Json)]
pub async fn load_webhook_form(id: WebhookId) -> Result<WebhookForm, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.webhooks.load_form(id).await }.await)
}

/// Creates (`None`) or changes a webhook.
#[server(prefix = "/api", endpoint = "webhooks/save", input = Json)]
pub async fn save_webhook(id: Option<WebhookId>, draft: WebhookDraft) -> Result<WebhookId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.webhooks.save(id, draft).await }.await)
}
