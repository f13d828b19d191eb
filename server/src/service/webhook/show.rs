//! Webhooks for display: their list, one webhook with its state, and its form.

use super::secret::plain_secrets;
use crate::service::Services;
use crate::store::{destination, figures, webhook};
use app::error::AppError;
use app::view::webhook::{WebhookDetail, WebhookForm, WebhookRow};
use model::id::WebhookId;
use model::webhook::WebhookDraft;

impl Services {
    pub(super) async fn list_webhooks(&self) -> Result<Vec<WebhookRow>, AppError> {
        let rows = webhook::list(self.store.pages()).await?;
        let tasks = destination::count_tasks(self.store.pages()).await?;
        let held = figures::held_by_destination(self.store.pages()).await?;
        let row = |row: webhook::Row| WebhookRow {
            is_paused: row.hold.paused_at.is_some(),
            is_failing: row.hold.breaker.open.is_some(),
            held: held.get(&row.id.into()).copied().unwrap_or_default(),
            tasks: tasks.get(&row.id.into()).copied().unwrap_or_default(),
            id: row.id,
            settings: self.shown_settings(row.settings),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    pub(super) async fn webhook_detail(&self, id: WebhookId) -> Result<WebhookDetail, AppError> {
        let row = self.find_webhook(id).await?;
        Ok(WebhookDetail {
            id,
            revision: row.revision,
            state: self.shown_state(id.into(), &row.hold).await?,
            tasks: self.tasks_of(id.into()).await?,
            deliveries: self.newest_of(id.into()).await?,
            is_signing: row.secrets.signing.is_some(),
            in_clear: plain_secrets(&row.settings.headers).map(str::to_owned).collect(),
            settings: self.shown_settings(row.settings),
        })
    }

    pub(super) async fn webhook_form(&self, id: WebhookId) -> Result<WebhookForm, AppError> {
        let row = self.find_webhook(id).await?;
        let stored = row.stored();
        // Headers that look secret are masked elsewhere. A person who edits them sees them.
        let settings = if self.is_discreet { row.settings.discreet() } else { row.settings };
        Ok(WebhookForm {
            draft: WebhookDraft::of(&settings, stored.is_signing, row.revision),
            origin: stored.origin,
            secret_headers: stored.secret_headers,
        })
    }
}
