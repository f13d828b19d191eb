//! Use cases of webhooks.

mod show;

use super::run::end_runs;
use super::{Services, revision, stale};
use crate::clock::new_uuid;
use crate::outbound::request;
use crate::store::hold;
use crate::store::object::{self, NewObject, Wanted};
use crate::store::steps::Steps;
use crate::store::webhook::{self, SecretWrite, Secrets, Write};
use crate::store::{self, arrange, event, figures, task};
use app::backend::Webhooks;
use app::error::{AppError, Code};
use app::view::webhook::{
    Held, ReleaseChoice, SavedWebhook, TestAnswer, TestRequest, WebhookDetail, WebhookForm, WebhookRow,
};
use async_trait::async_trait;
use model::catalog::WEBHOOKS;
use model::delivery::HoldReason;
use model::field_error::FieldErrors;
use model::header::{HeaderList, MASK, MissingSecret, looks_secret};
use model::id::WebhookId;
use model::time::Timestamp;
use model::webhook::{Authorization, SecretChange, Webhook, WebhookDraft};
use sea_orm::DatabaseTransaction;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a command waits for a large backlog to follow.
const ARRANGED_AT_ONCE: Duration = Duration::from_secs(1);

impl Services {
    fn seal(&self, secret: &SecretChange, place: &str) -> Result<SecretWrite, AppError> {
        match secret {
            SecretChange::Keep => Ok(SecretWrite::Keep),
            SecretChange::Clear => Ok(SecretWrite::Replace(None)),
            SecretChange::Set(secret) => {
                let sealed = self.vault.seal(secret, place).map_err(|error| {
                    tracing::error!(%error, "cannot seal a secret");
                    AppError::new(Code::Internal, "The secret could not be sealed. Nothing was saved.")
                })?;
                Ok(SecretWrite::Replace(Some(sealed)))
            }
        }
    }

    /// The values of the secret headers, sealed; `stored` has those that may stay.
    fn seal_typed_headers(
        &self,
        checked: &Webhook,
        stored: Option<&webhook::Row>,
        place: &str,
    ) -> Result<Option<Vec<u8>>, AppError> {
        if checked.secret_values.is_empty() {
            return Ok(None);
        }
        let (_, secrets) = self.as_typed(checked, stored)?;
        self.seal_opened(secrets.headers, place)
    }

    fn seal_opened(&self, headers: Option<SecretString>, place: &str) -> Result<Option<Vec<u8>>, AppError> {
        let change = headers.map_or(SecretChange::Clear, SecretChange::Set);
        match self.seal(&change, place)? {
            SecretWrite::Replace(sealed) => Ok(sealed),
            SecretWrite::Keep => Ok(None),
        }
    }

    /// Seals the headers that are stored in clear and look like secrets.
    async fn seal_plain_headers(&self, id: WebhookId, opened_on: i64) -> Result<(), AppError> {
        let row = self.find_webhook(id).await?;
        let names: Vec<String> = plain_secrets(&row.headers).map(str::to_owned).collect();
        if row.revision != opened_on || names.is_empty() {
            let words = "This webhook has changed since you looked at it. Look at its headers again.";
            return Err(AppError::new(Code::Conflict, words));
        }
        let secrets = self.open_for_test(&row)?;
        let filled = row.headers.with_secrets(&secrets.headers()).map_err(|missing| missing_header(&missing))?;
        let mut masked = row.headers.clone();
        for row in masked.0.iter_mut().filter(|row| looks_secret(&row.name)) {
            MASK.clone_into(&mut row.value);
        }
        let values = filled.0.into_iter().zip(&masked.0).filter(|(_, row)| row.is_secret()).map(|(row, _)| row);
        let values = serde_json::to_string(&HeaderList(values.collect())).map(SecretString::from);
        let sealed = self.seal_opened(values.ok(), &webhook::headers_place(row.uuid))?;
        let now = self.clock.now();
        let txn = self.store.begin_change().await?;
        if !webhook::set_headers(&txn, id, opened_on, &masked, sealed, now).await? {
            return Err(AppError::new(Code::Conflict, "This webhook has just changed. Try again."));
        }
        webhook::mask_revisions(&txn, id, &names).await?;
        self.commit(txn).await
    }

    async fn create(&self, draft: &WebhookDraft) -> Result<SavedWebhook, AppError> {
        let checked = draft.parse(None)?;
        let is_unresolved = !self.check_target(&checked, None).await?;
        let now = self.clock.now();
        let uuid = new_uuid(now);
        let sealed = |write: SecretWrite| match write {
            SecretWrite::Replace(secret) => secret,
            SecretWrite::Keep => None,
        };
        let secrets = Secrets {
            authorization: sealed(self.seal(&checked.secret, &webhook::secret_place(uuid))?),
            signing: sealed(self.seal(&checked.signing, &webhook::signing_place(uuid))?),
            headers: self.seal_typed_headers(&checked, None, &webhook::headers_place(uuid))?,
        };
        let txn = self.store.begin_change().await?;
        let id = webhook::insert(&txn, &checked, uuid, secrets, now).await.map_err(name_taken)?;
        name_object(&txn, id, &checked.name, now).await?;
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
        let has_moved =
            stored.stored().target_change(&checked.url, &checked.authorization, checked.allows_insecure_tls).is_some();
        let write = Write {
            secret: self.seal(&checked.secret, &webhook::secret_place(stored.uuid))?,
            signing: self.seal(&checked.signing, &webhook::signing_place(stored.uuid))?,
            headers: self.seal_typed_headers(&checked, Some(&stored), &webhook::headers_place(stored.uuid))?,
            has_moved,
        };
        // Values that were stored in clear, and are secrets from now on.
        let is_plain =
            |name: &&str| stored.headers.0.iter().any(|row| !row.is_secret() && row.name.eq_ignore_ascii_case(name));
        let newly_secret: Vec<String> =
            checked.headers.secret_names().into_iter().filter(is_plain).map(str::to_owned).collect();
        let now = self.clock.now();
        let txn = self.store.begin_change().await?;
        if !webhook::update(&txn, id, opened_on, &checked, write, now).await.map_err(name_taken)? {
            drop(txn);
            return Err(stale("webhook", draft, &draft_of(&self.find_webhook(id).await?)));
        }
        if !newly_secret.is_empty() {
            webhook::mask_revisions(&txn, id, &newly_secret).await?;
        }
        if has_moved {
            arrange::begin(&txn, id, true, now).await?;
        }
        name_object(&txn, id, &checked.name, now).await?;
        self.commit(txn).await?;
        if has_moved {
            self.arrange(id).await?;
        }
        Ok(SavedWebhook { id, is_unresolved })
    }

    /// Arranges a webhook's waiting deliveries for a moment, so that what was changed is seen at once; the sweep arranges
    /// the rest of a large backlog.
    async fn arrange(&self, id: WebhookId) -> Result<(), AppError> {
        arrange::finish(&self.store, id, self.clock.now(), ARRANGED_AT_ONCE).await.map_err(AppError::from)
    }

    /// Gives up what is not to go on of what is held for a reason, in steps, before the reason ends. A failure in between
    /// leaves the rest held: whoever submits again gives up that, too.
    async fn give_up(&self, id: WebhookId, held: (HoldReason, i64), which: Held) -> Result<(), AppError> {
        let mut superseded = match which {
            Held::All => return Ok(()),
            Held::Newest => hold::superseded(self.store.pages(), id, held).await?,
            Held::None => Vec::new(),
        };
        let (now, mut steps) = (self.clock.now(), Steps::new());
        while let Some(size) = steps.next().await {
            let txn = self.store.begin_change().await?;
            steps.begin();
            let (given_up, counted) = if which == Held::None {
                let runs = hold::discard_some_held(&txn, id, held, size, now).await?;
                let counted = runs.len();
                (runs, counted)
            } else {
                let rest = superseded.len().saturating_sub(usize::try_from(size).unwrap_or_default());
                let part = superseded.split_off(rest);
                let counted = part.len();
                (hold::discard_held(&txn, part, held.0, now).await?, counted)
            };
            end_runs(&txn, given_up, now).await?;
            steps.end(counted as u64);
            self.commit(txn).await?;
        }
        Ok(())
    }

    /// Refuses at save, with the same words, what would be refused at every attempt. Answers whether the host's name
    /// resolves.
    pub(super) async fn check_target(
        &self,
        checked: &Webhook,
        stored: Option<&webhook::Row>,
    ) -> Result<bool, AppError> {
        let (row, secrets) = self.as_typed(checked, stored)?;
        request::check(&row, &secrets, self.clock.now())?;
        self.guard
            .check_at_save(&checked.url, checked.is_direct)
            .await
            .map_err(|reason| FieldErrors::one("url", reason).into())
    }

    pub(super) async fn find_webhook(&self, id: WebhookId) -> Result<webhook::Row, AppError> {
        webhook::find(self.store.pages(), id).await?.ok_or_else(|| AppError::not_found("webhook"))
    }
}

fn name_taken(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => {
            FieldErrors::one("name", "There is already a webhook with this name. Choose another.").into()
        }
        other => other.into(),
    }
}

/// A secret header whose value should stay, and is not stored.
pub(super) fn missing_header(missing: &MissingSecret) -> AppError {
    FieldErrors::one("secret_headers", format!("Enter the value of {}: none is stored for it.", missing.0)).into()
}

/// The names of headers that are stored in clear and look like secrets.
pub(super) fn plain_secrets(headers: &HeaderList) -> impl Iterator<Item = &str> {
    headers.0.iter().filter(|row| !row.is_secret() && looks_secret(&row.name)).map(|row| row.name.as_str())
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
        direct: if row.is_direct { "true".to_owned() } else { String::new() },
        timeout: row.timeout.as_secs().to_string(),
        retries: row.retries.to_string(),
        method: row.method.as_str().to_owned(),
        sign: if row.signing_secret.is_some() { "true".to_owned() } else { String::new() },
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

/// A webhook is also an object, so that events can be about it.
async fn name_object(txn: &DatabaseTransaction, id: WebhookId, name: &str, now: Timestamp) -> Result<(), AppError> {
    match find_object(txn, id).await? {
        Some(row) if row.name == name => Ok(()),
        Some(row) => {
            let renamed = object::Row { name: name.to_owned(), ..row.clone() };
            object::update(txn, &row, &renamed, now).await.map_err(|error| match error {
                store::Error::InUse => AppError::new(Code::Conflict, "This webhook has just changed. Submit again."),
                other => other.into(),
            })
        }
        None => {
            let new =
                NewObject { type_id: WEBHOOKS.to_owned(), external_id: Some(id.to_string()), name: name.to_owned() };
            object::insert_many(txn, vec![new], now).await?;
            Ok(())
        }
    }
}

async fn find_object(txn: &DatabaseTransaction, id: WebhookId) -> Result<Option<object::Row>, AppError> {
    let wanted = Wanted { external_ids: [id.to_string()].into(), ..Wanted::default() };
    let found = object::find_wanted(txn, WEBHOOKS, wanted).await?;
    Ok(found.into_values().next().map(|(row, _)| row))
}

/// Deletes one, unless something uses it; what waits for it is given up.
async fn delete_one(txn: &DatabaseTransaction, id: WebhookId, now: Timestamp) -> Result<(), AppError> {
    let row = webhook::find(txn, id).await?.ok_or_else(|| AppError::not_found("webhook"))?;
    let tasks = task::list_using(txn, id).await?;
    let mut links: Vec<_> = tasks.into_iter().map(|row| super::task::link(&row)).collect();
    if let Some(object) = find_object(txn, id).await? {
        links.extend(super::event::links(txn, event::naming_object(txn, object.id).await?).await?);
        if links.is_empty() {
            object::delete(txn, object.id).await?;
        }
    }
    if !links.is_empty() {
        return Err(AppError::in_use(&format!("The webhook {}", row.name), links));
    }
    webhook::delete(txn, id, now).await?;
    arrange::begin(txn, id, false, now).await.map_err(AppError::from)
}

#[async_trait]
impl Webhooks for Services {
    async fn list(&self) -> Result<Vec<WebhookRow>, AppError> {
        let rows = webhook::list(self.store.pages()).await?;
        let tasks = webhook::count_tasks(self.store.pages()).await?;
        let held = figures::held_by_webhook(self.store.pages()).await?;
        let row = |row: webhook::Row| WebhookRow {
            is_paused: row.hold.paused_at.is_some(),
            is_failing: row.hold.breaker.open.is_some(),
            held: held.get(&row.id).copied().unwrap_or_default(),
            tasks: tasks.get(&row.id).copied().unwrap_or_default(),
            id: row.id,
            method: row.method.as_str().to_owned(),
            url: self.shown_url(row.url.as_str()),
            authorization: label(&row.authorization).to_owned(),
            name: row.name,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn load_form(&self, id: WebhookId) -> Result<WebhookForm, AppError> {
        let row = self.find_webhook(id).await?;
        let stored = row.stored();
        let mut draft = draft_of(&row);
        if self.is_discreet {
            draft.url = self.shown_url(&draft.url);
            draft.headers = row.headers.clone().discreet().to_text();
        }
        Ok(WebhookForm {
            draft,
            name: row.name,
            origin: stored.origin,
            allows_insecure_tls: stored.allows_insecure_tls,
            is_signing: stored.is_signing,
            secret_headers: stored.secret_headers,
        })
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

    async fn send_test(&self, id: Option<WebhookId>, request: TestRequest) -> Result<TestAnswer, AppError> {
        self.test_as_typed(id, request).await
    }

    async fn send_saved_test(&self, id: WebhookId, message: String) -> Result<TestAnswer, AppError> {
        self.test_as_saved(id, &message).await
    }

    async fn delete(&self, ids: Vec<WebhookId>) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        // In the order in which the dispatcher locks them.
        let ids = BTreeSet::from_iter(ids);
        for id in &ids {
            delete_one(&txn, *id, now).await?;
        }
        self.commit(txn).await?;
        for id in ids {
            self.arrange(id).await?;
        }
        Ok(())
    }

    async fn pause(&self, id: WebhookId) -> Result<(), AppError> {
        self.find_webhook(id).await?;
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        if !hold::pause(&txn, id, now).await? {
            return Err(AppError::new(Code::Conflict, "This webhook is paused already."));
        }
        arrange::begin(&txn, id, false, now).await?;
        self.commit(txn).await?;
        self.arrange(id).await
    }

    async fn resume(&self, id: WebhookId, choice: ReleaseChoice) -> Result<(), AppError> {
        let row = self.find_webhook(id).await?;
        let not_paused = || AppError::new(Code::Conflict, "This webhook is not paused.");
        if row.hold.paused_at.is_none() {
            return Err(not_paused());
        }
        let newest = hold::newest_held(self.store.pages(), id, HoldReason::Paused).await?;
        if let Some(newest) = newest {
            self.give_up(id, (HoldReason::Paused, newest), choice.held).await?;
        }
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        if !hold::resume(&txn, id, rate(&choice), now).await? {
            return Err(not_paused());
        }
        arrange::begin(&txn, id, false, now).await?;
        self.commit_due(txn).await?;
        self.arrange(id).await?;
        self.bell.notify_one();
        Ok(())
    }

    async fn confirm_target(&self, id: WebhookId, revision: i64, choice: ReleaseChoice) -> Result<(), AppError> {
        let is_still_meant = |row: Option<webhook::Row>| {
            let row = row.ok_or_else(|| AppError::not_found("webhook"))?;
            let words = "Somebody has changed this webhook since you looked at it. The deliveries that were not confirmed \
                         before wait on. Look at where it goes now, and confirm again.";
            if row.revision == revision { Ok(()) } else { Err(AppError::new(Code::Conflict, words)) }
        };
        is_still_meant(webhook::find(self.store.pages(), id).await?)?;
        let newest = hold::newest_held(self.store.pages(), id, HoldReason::Target).await?;
        let Some(newest) = newest else { return Ok(()) };
        self.give_up(id, (HoldReason::Target, newest), choice.held).await?;
        let mut steps = Steps::new();
        while let Some(size) = steps.next().await {
            let txn = self.store.begin_change().await?;
            steps.begin();
            is_still_meant(webhook::find(&txn, id).await?)?;
            let reason = hold::set_rate(&txn, id, rate(&choice), self.clock.now()).await?;
            let confirmed = hold::confirm(&txn, id, (revision, newest), reason, size).await?;
            steps.end(confirmed);
            self.commit_due(txn).await?;
        }
        // An open breaker knows nothing of an earlier target.
        self.arrange(id).await
    }
}

/// How many a second are let go, if not all at once.
fn rate(choice: &ReleaseChoice) -> Option<u32> {
    choice.per_second.map(|rate| rate.clamp(1, 10_000))
}
