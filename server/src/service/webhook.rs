//! Use cases of webhooks.

use super::{Services, broken, revision, stale};
use crate::clock::new_uuid;
use crate::store;
use crate::store::webhook::{self, SecretWrite};
use app::backend::Webhooks;
use app::error::{AppError, Code};
use app::view::{WebhookForm, WebhookRow};
use async_trait::async_trait;
use model::field_error::FieldErrors;
use model::id::WebhookId;
use model::webhook::{Authorization, SecretChange, Webhook, WebhookDraft};
use uuid::Uuid;

impl Services {
    fn seal(&self, secret: &SecretChange, uuid: Uuid) -> Result<SecretWrite, AppError> {
        match secret {
            SecretChange::Keep => Ok(SecretWrite::Keep),
            SecretChange::Clear => Ok(SecretWrite::Replace(None)),
            SecretChange::Set(secret) => {
                let sealed = self.vault.seal(secret, &webhook::secret_place(uuid)).map_err(|error| {
                    tracing::error!(%error, "cannot seal a secret");
                    AppError::new(Code::Internal, "The secret could not be sealed. Nothing was saved.")
                })?;
                Ok(SecretWrite::Replace(Some(sealed)))
            }
        }
    }

    async fn create(&self, draft: &WebhookDraft) -> Result<WebhookId, AppError> {
        let checked = draft.parse(None)?;
        self.check_target(&checked).await?;
        let now = self.clock.now();
        let uuid = new_uuid(now);
        let secret = match self.seal(&checked.secret, uuid)? {
            SecretWrite::Replace(secret) => secret,
            SecretWrite::Keep => None,
        };
        webhook::insert(self.store.write(), &checked, uuid, secret, now).await.map_err(name_taken)
    }

    async fn change(&self, id: WebhookId, draft: &WebhookDraft) -> Result<WebhookId, AppError> {
        let opened_on = revision(&draft.revision)?;
        let stored = self.find_webhook(id).await?;
        if stored.revision != opened_on {
            return Err(stale("webhook"));
        }
        let checked = draft.parse(Some(&stored.stored()))?;
        self.check_target(&checked).await?;
        let secret = self.seal(&checked.secret, stored.uuid)?;
        let now = self.clock.now();
        let is_done =
            webhook::update(self.store.write(), id, opened_on, &checked, secret, now).await.map_err(name_taken)?;
        if is_done { Ok(id) } else { Err(stale("webhook")) }
    }

    /// Refuses at save, with the same words, what would be refused at every attempt.
    async fn check_target(&self, checked: &Webhook) -> Result<(), AppError> {
        self.guard.check_at_save(&checked.url).await.map_err(|reason| FieldErrors::one("url", reason).into())
    }

    async fn find_webhook(&self, id: WebhookId) -> Result<webhook::Row, AppError> {
        webhook::find(self.store.read(), id).await.map_err(broken)?.ok_or_else(|| AppError::not_found("webhook"))
    }
}

fn name_taken(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => {
            FieldErrors::one("name", "There is already a webhook with this name. Choose another.").into()
        }
        other => broken(other),
    }
}

fn label(authorization: &Authorization) -> &'static str {
    match authorization {
        Authorization::None => "None",
        Authorization::Basic { .. } => "Basic",
        Authorization::Bearer => "Bearer",
        Authorization::ApiKey { .. } => "API Key",
    }
}

fn draft_of(row: &webhook::Row) -> WebhookDraft {
    let mut draft = WebhookDraft {
        name: row.name.clone(),
        url: row.url.as_str().to_owned(),
        auth_type: row.authorization.id().to_owned(),
        headers: row.headers.to_text(),
        allow_insecure: if row.allows_insecure_tls { "true".to_owned() } else { String::new() },
        timeout: row.timeout.as_secs().to_string(),
        retries: row.retries.to_string(),
        method: row.method.as_str().to_owned(),
        revision: row.revision.to_string(),
        ..WebhookDraft::default()
    };
    match &row.authorization {
        Authorization::Basic { username } => draft.username.clone_from(username),
        Authorization::ApiKey { header, prefix } => {
            draft.api_key_header.clone_from(header);
            draft.api_key_prefix.clone_from(prefix);
        }
        Authorization::None | Authorization::Bearer => {}
    }
    draft
}

#[async_trait]
impl Webhooks for Services {
    async fn list(&self) -> Result<Vec<WebhookRow>, AppError> {
        let rows = webhook::list(self.store.read()).await.map_err(broken)?;
        let tasks = webhook::count_tasks(self.store.read()).await.map_err(broken)?;
        let row = |row: webhook::Row| WebhookRow {
            tasks: tasks.get(&row.id).copied().unwrap_or_default(),
            id: row.id.0,
            method: row.method.as_str().to_owned(),
            url: row.url.as_str().to_owned(),
            authorization: label(&row.authorization).to_owned(),
            name: row.name,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn load_form(&self, id: WebhookId) -> Result<WebhookForm, AppError> {
        let row = self.find_webhook(id).await?;
        let stored = row.stored();
        Ok(WebhookForm {
            draft: draft_of(&row),
            name: row.name,
            origin: stored.origin,
            allows_insecure_tls: stored.allows_insecure_tls,
            authorization: stored.authorization,
        })
    }

    async fn save(&self, id: Option<WebhookId>, draft: WebhookDraft) -> Result<WebhookId, AppError> {
        match id {
            None => self.create(&draft).await,
            Some(id) => self.change(id, &draft).await,
        }
    }
}
