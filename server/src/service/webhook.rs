//! Use cases of webhooks.

mod secret;
mod show;

use super::destination::{find_object, name_object};
use super::{Services, revision, stale};
use crate::clock::new_uuid;
use crate::outbound::request;
use crate::store::{self, arrange, event, object, task, webhook};
use app::backend::Webhooks;
use app::error::AppError;
use app::view::destination::ReleaseChoice;
use app::view::webhook::{SavedWebhook, TestRequest, TestResult, WebhookDetail, WebhookForm, WebhookRow};
use async_trait::async_trait;
use model::destination::Kind;
use model::field_error::FieldErrors;
use model::id::WebhookId;
use model::time::Timestamp;
use model::webhook::{Webhook, WebhookDraft};
use sea_orm::DatabaseTransaction;
pub(super) use secret::missing_header;
use std::collections::BTreeSet;

impl Services {
    async fn create(&self, draft: &WebhookDraft) -> Result<SavedWebhook, AppError> {
        let checked = draft.parse(None)?;
        let is_unresolved = !self.check_target(&checked, None).await?;
        let now = self.clock.now();
        let uuid = new_uuid(now);
        let secrets = self.seal_secrets(&checked, None, uuid)?;
        let txn = self.store.begin_change().await?;
        let id = webhook::insert(&txn, &checked.settings, uuid, secrets, now).await.map_err(name_taken)?;
        name_object(&txn, Kind::Webhook, id.into(), &checked.settings.name, now).await?;
        self.commit(txn).await?;
        Ok(SavedWebhook { id, is_unresolved })
    }

    async fn change(&self, id: WebhookId, draft: &WebhookDraft) -> Result<SavedWebhook, AppError> {
        let opened_on = revision(&draft.revision)?;
        let stored = self.find_webhook(id).await?;
        if stored.revision != opened_on {
            return Err(stale("webhook", draft, &draft_of(&stored)));
        }
        let checked = draft.parse(Some(&stored.stored()))?;
        let is_unresolved = !self.check_target(&checked, Some(&stored)).await?;
        let secrets = self.seal_secrets(&checked, Some(&stored), stored.uuid)?;
        let has_moved = stored.is_moved_by(&checked.settings);
        // The values of these headers were stored in clear text, and become secrets now.
        let is_plain = |name: &&str| {
            let headers = &stored.settings.headers.0;
            headers.iter().any(|row| !row.is_secret() && row.name.eq_ignore_ascii_case(name))
        };
        let newly_secret: Vec<String> =
            checked.settings.headers.secret_names().into_iter().filter(is_plain).map(str::to_owned).collect();
        let now = self.clock.now();
        let txn = self.store.begin_change().await?;
        if !webhook::update(&txn, &stored, &checked.settings, secrets, now).await.map_err(name_taken)? {
            drop(txn);
            return Err(stale("webhook", draft, &draft_of(&self.find_webhook(id).await?)));
        }
        if !newly_secret.is_empty() {
            webhook::mask_revisions(&txn, id, &newly_secret).await?;
        }
        if has_moved {
            arrange::begin(&txn, id.into(), true, now).await?;
        }
        name_object(&txn, Kind::Webhook, id.into(), &checked.settings.name, now).await?;
        self.commit(txn).await?;
        if has_moved {
            self.arrange(id.into()).await;
        }
        Ok(SavedWebhook { id, is_unresolved })
    }

    /// Refuses settings at save that every attempt would refuse, with the same messages. Returns false if the host's
    /// name does not resolve.
    pub(super) async fn check_target(
        &self,
        checked: &Webhook,
        stored: Option<&webhook::Row>,
    ) -> Result<bool, AppError> {
        let (row, secrets) = self.as_typed(checked, stored)?;
        request::check(&row, &secrets, self.clock.now())?;
        self.guard
            .check_at_save(&checked.settings.url, checked.settings.is_direct)
            .await
            .map_err(|reason| FieldErrors::one("url", reason).into())
    }

    pub(super) async fn find_webhook(&self, id: WebhookId) -> Result<webhook::Row, AppError> {
        webhook::find(self.store.pages(), id).await?.ok_or_else(|| AppError::not_found("webhook"))
    }
}

fn draft_of(row: &webhook::Row) -> WebhookDraft {
    WebhookDraft::of(&row.settings, row.secrets.signing.is_some(), row.revision)
}

fn name_taken(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => {
            FieldErrors::one("name", "There is already a webhook with this name. Choose another.").into()
        }
        other => other.into(),
    }
}

/// Deletes a webhook, unless a task or an event uses it. The arranging that begins discards its waiting deliveries.
async fn delete_one(txn: &DatabaseTransaction, id: WebhookId, now: Timestamp) -> Result<(), AppError> {
    let row = webhook::find(txn, id).await?.ok_or_else(|| AppError::not_found("webhook"))?;
    let tasks = task::list_using(txn, id.into()).await?;
    let mut links: Vec<_> = tasks.into_iter().map(|row| super::task::link(&row)).collect();
    if let Some(object) = find_object(txn, Kind::Webhook, id.into()).await? {
        links.extend(super::event::links(txn, event::naming_object(txn, object.id).await?).await?);
        if links.is_empty() {
            object::delete(txn, object.id).await?;
        }
    }
    if !links.is_empty() {
        return Err(AppError::in_use(&format!("The webhook {}", row.settings.name), links));
    }
    webhook::delete(txn, id, now).await?;
    arrange::begin(txn, id.into(), false, now).await.map_err(AppError::from)
}

#[async_trait]
impl Webhooks for Services {
    async fn list(&self) -> Result<Vec<WebhookRow>, AppError> {
        self.list_webhooks().await
    }

    async fn load_form(&self, id: WebhookId) -> Result<WebhookForm, AppError> {
        self.webhook_form(id).await
    }

    async fn seal_headers(&self, id: WebhookId, revision: i64) -> Result<(), AppError> {
        self.seal_plain_headers(id, revision).await
    }

    async fn save(&self, id: Option<WebhookId>, draft: WebhookDraft) -> Result<SavedWebhook, AppError> {
        match id {
            None => self.create(&draft).await,
            Some(id) => self.change(id, &draft).await,
        }
    }

    async fn detail(&self, id: WebhookId) -> Result<WebhookDetail, AppError> {
        self.webhook_detail(id).await
    }

    async fn send_test(&self, id: Option<WebhookId>, request: TestRequest) -> Result<TestResult, AppError> {
        self.test_as_typed(id, request).await
    }

    async fn send_saved_test(&self, id: WebhookId, message: String) -> Result<TestResult, AppError> {
        self.test_as_saved(id, &message).await
    }

    async fn delete(&self, ids: Vec<WebhookId>) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        // Webhooks are locked in the order of their ids, as in the dispatcher.
        let ids = BTreeSet::from_iter(ids);
        for id in &ids {
            delete_one(&txn, *id, now).await?;
        }
        self.commit(txn).await?;
        for id in ids {
            self.arrange(id.into()).await;
        }
        Ok(())
    }

    async fn pause(&self, id: WebhookId) -> Result<(), AppError> {
        self.pause_destination(id.into()).await
    }

    async fn resume(&self, id: WebhookId, choice: ReleaseChoice) -> Result<(), AppError> {
        self.resume_destination(id.into(), choice).await
    }

    async fn confirm_target(&self, id: WebhookId, revision: i64, choice: ReleaseChoice) -> Result<(), AppError> {
        self.confirm_target_of(id.into(), revision, choice).await
    }
}
