//! Webhooks.

use super::entity::{task, webhook};
use super::{Error, Result};
use model::header::HeaderList;
use model::id::WebhookId;
use model::time::Timestamp;
use model::url::TargetUrl;
use model::webhook::{Authorization, Method, StoredWebhook, Webhook};
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// A webhook as stored.
#[derive(Debug, Clone)]
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
    pub headers: HeaderList,
    pub allows_insecure_tls: bool,
    pub timeout: Duration,
    pub retries: u32,
    pub revision: i64,
}

impl Row {
    /// What the parser must know when it is edited.
    pub fn stored(&self) -> StoredWebhook {
        StoredWebhook {
            origin: self.url.origin(),
            allows_insecure_tls: self.allows_insecure_tls,
            authorization: self.authorization.clone(),
        }
    }
}

/// The associated data of a webhook's sealed secret.
pub fn secret_place(uuid: Uuid) -> String {
    format!("webhook|secret|{uuid}")
}

impl TryFrom<webhook::Model> for Row {
    type Error = Error;

    fn try_from(row: webhook::Model) -> Result<Self> {
        let damaged = |what: &str| Error::Other(DbErr::Custom(format!("webhook {}: {what} cannot be read", row.id)));
        Ok(Self {
            id: WebhookId(row.id),
            uuid: row.uuid,
            url: TargetUrl::parse(&row.url).map_err(|_| damaged("url"))?,
            method: Method::find(&row.method).ok_or_else(|| damaged("method"))?,
            authorization: serde_json::from_str(&row.authorization).map_err(|_| damaged("authorization"))?,
            headers: serde_json::from_str(&row.headers).map_err(|_| damaged("headers"))?,
            timeout: Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or_default()),
            retries: u32::try_from(row.retries).unwrap_or_default(),
            name: row.name,
            secret: row.secret,
            allows_insecure_tls: row.allows_insecure_tls,
            revision: row.revision,
        })
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
    secret: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<WebhookId> {
    let row = webhook::ActiveModel {
        id: NotSet,
        uuid: Set(uuid),
        secret: Set(secret),
        revision: Set(1),
        created_at: Set(now.0),
        deleted_at: Set(None),
        ..columns(webhook, now)?
    };
    Ok(WebhookId(webhook::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// What an update does with the stored secret.
#[derive(Debug, Clone)]
pub enum SecretWrite {
    /// It stays.
    Keep,
    /// It is replaced by this sealed one, or by none.
    Replace(Option<Vec<u8>>),
}

/// Changes a webhook that still has this revision; answers whether it had.
pub async fn update(
    db: &impl ConnectionTrait,
    id: WebhookId,
    revision: i64,
    webhook: &Webhook,
    secret: SecretWrite,
    now: Timestamp,
) -> Result<bool> {
    let mut row = webhook::ActiveModel { id: Unchanged(id.0), revision: Set(revision + 1), ..columns(webhook, now)? };
    if let SecretWrite::Replace(secret) = secret {
        row.secret = Set(secret);
    }
    let done = webhook::Entity::update_many()
        .set(row)
        .filter(webhook::Column::Id.eq(id.0))
        .filter(webhook::Column::Revision.eq(revision))
        .filter(webhook::Column::DeletedAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// The webhook with this id, unless it was deleted.
pub async fn find(db: &impl ConnectionTrait, id: WebhookId) -> Result<Option<Row>> {
    let row = webhook::Entity::find_by_id(id.0).filter(webhook::Column::DeletedAt.is_null()).one(db).await?;
    row.map(Row::try_from).transpose()
}

/// The webhooks with these ids, also deleted ones: deliveries still refer to them.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<WebhookId, Row>> {
    let rows = webhook::Entity::find().filter(webhook::Column::Id.is_in(ids)).all(db).await?;
    rows.into_iter().map(|row| Row::try_from(row).map(|row| (row.id, row))).collect()
}

/// All webhooks, by name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    let rows = webhook::Entity::find()
        .filter(webhook::Column::DeletedAt.is_null())
        .order_by_asc(webhook::Column::Name)
        .all(db)
        .await?;
    rows.into_iter().map(Row::try_from).collect()
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
