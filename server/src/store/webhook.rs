//! Webhooks.

use super::entity::{task, webhook};
use super::revision::{self, Kind};
use super::{Error, Result};
use model::breaker::{Breaker, Open};
use model::delivery::HoldReason;
use model::header::{HeaderList, MASK};
use model::id::WebhookId;
use model::time::Timestamp;
use model::url::TargetUrl;
use model::webhook::{Authorization, Method, StoredWebhook, Webhook};
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// A webhook as stored.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting or a state of its own")]
#[expect(missing_docs, reason = "the fields are those of `model::webhook::Webhook`")]
pub struct Row {
    pub id: WebhookId,
    pub uuid: Uuid,
    pub name: String,
    pub url: TargetUrl,
    pub method: Method,
    pub authorization: Authorization,
    /// Sealed by the vault for [`secret_place`].
    pub secret: Option<Vec<u8>>,
    /// Sealed by the vault for [`signing_place`].
    pub signing_secret: Option<Vec<u8>>,
    /// The secret ones masked.
    pub headers: HeaderList,
    /// The values of the secret headers: a `HeaderList` as JSON, sealed by the vault for [`headers_place`].
    pub secret_headers: Option<Vec<u8>>,
    pub allows_insecure_tls: bool,
    pub is_direct: bool,
    pub timeout: Duration,
    pub retries: u32,
    pub revision: i64,
    /// Its state besides what was configured.
    pub hold: HoldState,
    pub is_deleted: bool,
    /// Whether all of it could be read.
    pub is_readable: bool,
}

/// Why nothing is sent to a webhook that cannot be read.
pub const UNREADABLE: &str = "This webhook cannot be read: it was written by a newer version or by hand. Save it \
                              again, then replay.";

/// What holds a webhook's deliveries, and where its breaker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldState {
    /// When a person paused it.
    pub paused_at: Option<Timestamp>,
    /// How many resumed deliveries are let go each second, while some are.
    pub release_per_second: Option<u32>,
    /// The revision at which its target last changed; what was sent by an older one waits for a person's word.
    pub target_revision: i64,
    /// Its breaker.
    pub breaker: Breaker,
}

impl HoldState {
    /// Why new deliveries are held, if they are.
    pub fn reason(&self) -> Option<HoldReason> {
        if self.paused_at.is_some() { Some(HoldReason::Paused) } else { self.breaker.open.map(|_| HoldReason::Breaker) }
    }

    /// Why a delivery is held that goes to an earlier target: the breaker knows nothing of that one.
    pub fn reason_of_replay(&self) -> Option<HoldReason> {
        self.paused_at.map(|_| HoldReason::Paused)
    }

    /// Why a delivery is held whose attempt was made by `revision` of the webhook.
    pub fn reason_after(&self, revision: i64) -> Option<HoldReason> {
        if revision < self.target_revision { Some(HoldReason::Target) } else { self.reason() }
    }
}

/// A webhook as its revisions keep it: everything but the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `model::webhook::Webhook`")]
pub struct Target {
    pub name: String,
    pub url: String,
    pub method: Method,
    pub authorization: Authorization,
    pub headers: HeaderList,
    pub allows_insecure_tls: bool,
    #[serde(default)]
    pub is_direct: bool,
    pub timeout_ms: u64,
    pub retries: u32,
}

impl Row {
    /// What the parser must know when it is edited.
    pub fn stored(&self) -> StoredWebhook {
        StoredWebhook {
            origin: self.url.origin(),
            allows_insecure_tls: self.allows_insecure_tls,
            authorization: self.authorization.clone(),
            is_signing: self.signing_secret.is_some(),
            secret_headers: self.headers.secret_names().into_iter().map(str::to_owned).collect(),
        }
    }

    /// What its revision keeps.
    pub fn target(&self) -> Target {
        Target {
            name: self.name.clone(),
            url: self.url.as_str().to_owned(),
            method: self.method,
            authorization: self.authorization.clone(),
            headers: self.headers.clone(),
            allows_insecure_tls: self.allows_insecure_tls,
            is_direct: self.is_direct,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            retries: self.retries,
        }
    }

    /// The webhook as it was: method, URL, headers and authorization of then. Without its secrets where those belong to
    /// another target than they did then.
    pub fn as_it_was(&self, then: Target) -> Option<Self> {
        let url = TargetUrl::parse(&then.url).ok()?;
        let has_moved = self.stored().target_change(&url, &then.authorization, then.allows_insecure_tls).is_some();
        // The name of an API key's header is no part of the target that headers belong to.
        let keeps_headers = self.stored().origin_change(&url, then.allows_insecure_tls).is_none();
        let is_ours = !has_moved && self.authorization.id() == then.authorization.id();
        Some(Self {
            url,
            method: then.method,
            authorization: if is_ours { then.authorization } else { Authorization::None },
            secret: self.secret.clone().filter(|_| is_ours),
            signing_secret: self.signing_secret.clone().filter(|_| !has_moved),
            secret_headers: self.secret_headers.clone().filter(|_| keeps_headers),
            headers: then.headers,
            allows_insecure_tls: then.allows_insecure_tls,
            ..self.clone()
        })
    }

    /// The webhook as it was, to be shown and never sent: with a secret where there was one, though not that one.
    pub fn shown_as_it_was(&self, then: Target) -> Option<Self> {
        let url = TargetUrl::parse(&then.url).ok()?;
        let secret = (then.authorization != Authorization::None).then(Vec::new);
        let Target { method, authorization, headers, allows_insecure_tls, .. } = then;
        Some(Self { url, method, authorization, secret, headers, allows_insecure_tls, ..self.clone() })
    }
}

/// The associated data of a webhook's sealed signing secret.
pub fn signing_place(uuid: Uuid) -> String {
    format!("webhook|signing_secret|{uuid}")
}

/// The associated data of a webhook's sealed headers.
pub fn headers_place(uuid: Uuid) -> String {
    format!("webhook|secret_headers|{uuid}")
}

/// The associated data of a webhook's sealed secret.
pub fn secret_place(uuid: Uuid) -> String {
    format!("webhook|secret|{uuid}")
}

impl From<webhook::Model> for Row {
    /// What cannot be read, since a newer version or a hand has written it, is left out and said: the row is then shown
    /// and never sent, and no other waits for it.
    fn from(row: webhook::Model) -> Self {
        let url = TargetUrl::parse(&row.url).ok();
        let method = Method::find(&row.method);
        let authorization = serde_json::from_str(&row.authorization).ok();
        let headers = serde_json::from_str(&row.headers).ok();
        let is_readable = url.is_some() && method.is_some() && authorization.is_some() && headers.is_some();
        if !is_readable {
            tracing::error!(
                webhook = row.id,
                "a webhook cannot be read; nothing is sent to it until it is saved again"
            );
        }
        Self {
            id: WebhookId(row.id),
            uuid: row.uuid,
            url: url.unwrap_or_else(TargetUrl::unreadable),
            method: method.unwrap_or(Method::Post),
            authorization: authorization.unwrap_or(Authorization::None),
            headers: headers.unwrap_or_default(),
            is_readable,
            timeout: Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or_default()),
            retries: u32::try_from(row.retries).unwrap_or_default(),
            hold: hold_state(&row),
            name: row.name,
            secret: row.secret,
            signing_secret: row.signing_secret,
            secret_headers: row.secret_headers,
            allows_insecure_tls: row.allows_insecure_tls,
            is_direct: row.is_direct,
            revision: row.revision,
            is_deleted: row.deleted_at.is_some(),
        }
    }
}

pub(super) fn hold_state(row: &webhook::Model) -> HoldState {
    let open = row.breaker_opened_at.map(|since| Open {
        since: Timestamp(since),
        wait: Duration::from_millis(u64::try_from(row.breaker_wait_ms.unwrap_or_default()).unwrap_or_default()),
        probe_at: Timestamp(row.breaker_probe_at.unwrap_or(since)),
        is_probing: row.breaker_is_probing,
    });
    HoldState {
        paused_at: row.paused_at.map(Timestamp),
        release_per_second: row.release_per_second.and_then(|rate| u32::try_from(rate).ok()),
        target_revision: row.target_revision,
        breaker: Breaker {
            failures: u32::try_from(row.breaker_failures).unwrap_or(u32::MAX),
            open,
            is_hanging: row.is_hanging,
        },
    }
}

fn columns(webhook: &Webhook, now: Timestamp) -> Result<webhook::ActiveModel> {
    let json = |error: serde_json::Error| Error::Other(DbErr::Json(error.to_string()));
    Ok(webhook::ActiveModel {
        name: Set(webhook.name.clone()),
        url: Set(webhook.url.as_str().to_owned()),
        method: Set(webhook.method.as_str().to_owned()),
        authorization: Set(serde_json::to_string(&webhook.authorization).map_err(json)?),
        headers: Set(serde_json::to_string(&webhook.headers).map_err(json)?),
        allows_insecure_tls: Set(webhook.allows_insecure_tls),
        is_direct: Set(webhook.is_direct),
        timeout_ms: Set(i64::try_from(webhook.timeout.as_millis()).unwrap_or(i64::MAX)),
        retries: Set(webhook.retries.into()),
        updated_at: Set(now.0),
        ..Default::default()
    })
}

/// Makes a webhook. `Conflict` if the name is taken.
pub async fn insert(
    db: &impl ConnectionTrait,
    webhook: &Webhook,
    uuid: Uuid,
    secrets: Secrets,
    now: Timestamp,
) -> Result<WebhookId> {
    let row = webhook::ActiveModel {
        id: NotSet,
        uuid: Set(uuid),
        secret: Set(secrets.authorization),
        signing_secret: Set(secrets.signing),
        secret_headers: Set(secrets.headers),
        revision: Set(1),
        created_at: Set(now.0),
        deleted_at: Set(None),
        ..columns(webhook, now)?
    };
    let id = webhook::Entity::insert(row).exec(db).await?.last_insert_id;
    note(db, id, 1, now).await?;
    Ok(WebhookId(id))
}

/// The sealed secrets of a new webhook.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// What proves who is calling.
    pub authorization: Option<Vec<u8>>,
    /// What signs the messages.
    pub signing: Option<Vec<u8>>,
    /// The values of the secret headers.
    pub headers: Option<Vec<u8>>,
}

async fn note(db: &impl ConnectionTrait, id: i64, number: i64, now: Timestamp) -> Result<()> {
    let row = webhook::Entity::find_by_id(id).one(db).await?;
    let target = row.map(|row| Row::from(row).target());
    revision::note(db, Kind::Webhook, id, number, target.as_ref(), now).await
}

/// What an update does with the stored secret.
#[derive(Debug, Clone)]
pub enum SecretWrite {
    /// It stays.
    Keep,
    /// It is replaced by this sealed one, or by none.
    Replace(Option<Vec<u8>>),
}

/// What an update does besides the columns.
#[derive(Debug, Clone)]
pub struct Write {
    /// The secret that proves who is calling.
    pub secret: SecretWrite,
    /// The secret that signs.
    pub signing: SecretWrite,
    /// The values of the secret headers.
    pub headers: Option<Vec<u8>>,
    /// The target has changed: what waits is not meant for it.
    pub has_moved: bool,
}

fn with_breaker_at_rest(row: webhook::ActiveModel) -> webhook::ActiveModel {
    webhook::ActiveModel {
        breaker_failures: Set(0),
        breaker_opened_at: Set(None),
        breaker_wait_ms: Set(None),
        breaker_probe_at: Set(None),
        breaker_is_probing: Set(false),
        is_hanging: Set(false),
        ..row
    }
}

/// Changes a webhook that still has this revision; answers whether it had. Where its target has changed, its breaker knows
/// nothing of the new one and is closed.
pub async fn update(
    db: &impl ConnectionTrait,
    id: WebhookId,
    revision: i64,
    webhook: &Webhook,
    write: Write,
    now: Timestamp,
) -> Result<bool> {
    let mut row = webhook::ActiveModel {
        id: Unchanged(id.0),
        revision: Set(revision + 1),
        secret_headers: Set(write.headers),
        ..columns(webhook, now)?
    };
    if let SecretWrite::Replace(secret) = write.secret {
        row.secret = Set(secret);
    }
    if let SecretWrite::Replace(secret) = write.signing {
        row.signing_secret = Set(secret);
    }
    if write.has_moved {
        row.target_revision = Set(revision + 1);
        // What was learned of the receiver was about another one.
        row = with_breaker_at_rest(row);
    }
    write_row(db, id, revision, row, now).await
}

/// Writes a row that still has this revision, with its new revision; answers whether it had.
async fn write_row(
    db: &impl ConnectionTrait,
    id: WebhookId,
    revision: i64,
    row: webhook::ActiveModel,
    now: Timestamp,
) -> Result<bool> {
    let done = webhook::Entity::update_many()
        .set(row)
        .filter(webhook::Column::Id.eq(id.0))
        .filter(webhook::Column::Revision.eq(revision))
        .filter(webhook::Column::DeletedAt.is_null())
        .exec(db)
        .await?;
    if done.rows_affected == 1 {
        note(db, id.0, revision + 1, now).await?;
    }
    Ok(done.rows_affected == 1)
}

/// Changes nothing but the headers of a webhook that still has this revision; answers whether it had.
pub async fn set_headers(
    db: &impl ConnectionTrait,
    id: WebhookId,
    revision: i64,
    headers: &HeaderList,
    sealed: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<bool> {
    let json = |error: serde_json::Error| Error::Other(DbErr::Json(error.to_string()));
    let row = webhook::ActiveModel {
        headers: Set(serde_json::to_string(headers).map_err(json)?),
        secret_headers: Set(sealed),
        revision: Set(revision + 1),
        updated_at: Set(now.0),
        ..Default::default()
    };
    write_row(db, id, revision, row, now).await
}

/// Masks headers with these names in every revision of a webhook: their values have become secrets.
pub async fn mask_revisions(db: &impl ConnectionTrait, id: WebhookId, names: &[String]) -> Result<()> {
    revision::rewrite(db, Kind::Webhook, id.0, |mut target: Target| {
        for row in &mut target.headers.0 {
            if names.iter().any(|name| name.eq_ignore_ascii_case(&row.name)) {
                MASK.clone_into(&mut row.value);
            }
        }
        target
    })
    .await
}

/// Marks a webhook deleted, with neither secrets nor a state left; answers whether it was there. Its waiting deliveries
/// are the caller's to discard.
pub async fn delete(db: &impl ConnectionTrait, id: WebhookId, now: Timestamp) -> Result<bool> {
    let row = webhook::ActiveModel {
        deleted_at: Set(Some(now.0)),
        secret: Set(None),
        signing_secret: Set(None),
        secret_headers: Set(None),
        paused_at: Set(None),
        release_per_second: Set(None),
        released_at: Set(None),
        ..Default::default()
    };
    let done = webhook::Entity::update_many()
        .set(with_breaker_at_rest(row))
        .filter(webhook::Column::Id.eq(id.0))
        .filter(webhook::Column::DeletedAt.is_null())
        .exec(db)
        .await?;
    if done.rows_affected == 1 {
        revision::note(db, Kind::Webhook, id.0, 0, None::<&Target>, now).await?;
    }
    Ok(done.rows_affected == 1)
}

/// The webhook with this id, unless it was deleted.
pub async fn find(db: &impl ConnectionTrait, id: WebhookId) -> Result<Option<Row>> {
    let row = webhook::Entity::find_by_id(id.0).filter(webhook::Column::DeletedAt.is_null()).one(db).await?;
    Ok(row.map(Row::from))
}

/// Whether this webhook is there, and not deleted.
pub async fn is_there(db: &impl ConnectionTrait, id: WebhookId) -> Result<bool> {
    let query = webhook::Entity::find_by_id(id.0).filter(webhook::Column::DeletedAt.is_null());
    Ok(query.count(db).await? > 0)
}

/// The webhooks with these ids, also deleted ones: deliveries still refer to them.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<WebhookId, Row>> {
    let rows = super::readable(db, webhook::Entity::find().filter(webhook::Column::Id.is_in(ids))).await?;
    Ok(rows.into_iter().map(|row| (WebhookId(row.id), Row::from(row))).collect())
}

/// All webhooks, by name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    let query =
        webhook::Entity::find().filter(webhook::Column::DeletedAt.is_null()).order_by_asc(webhook::Column::Name);
    let rows = super::readable(db, query).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// The webhooks whose last attempt timed out.
pub async fn list_hanging(db: &impl ConnectionTrait) -> Result<HashSet<WebhookId>> {
    let ids: Vec<i64> = webhook::Entity::find()
        .select_only()
        .column(webhook::Column::Id)
        // As the index has it.
        .filter(Expr::cust("is_hanging"))
        .filter(webhook::Column::DeletedAt.is_null())
        .into_tuple()
        .all(db)
        .await?;
    Ok(ids.into_iter().map(WebhookId).collect())
}

/// How many tasks use each webhook.
pub async fn count_tasks(db: &impl ConnectionTrait) -> Result<HashMap<WebhookId, u32>> {
    let rows: Vec<(i64, i64)> = task::Entity::find()
        .select_only()
        .column(task::Column::WebhookId)
        .column_as(task::Column::Id.count(), "tasks")
        .group_by(task::Column::WebhookId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, tasks)| (WebhookId(id), u32::try_from(tasks).unwrap_or(u32::MAX))).collect())
}
