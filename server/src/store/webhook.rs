//! Webhooks. A write stores the webhook's revision from the settings that it was given.

mod row;

use super::Result;
use super::entity::{task, webhook};
use super::revision::{self, Kind};
use model::header::{HeaderList, MASK};
use model::id::WebhookId;
use model::number::to_u32;
use model::time::Timestamp;
use model::webhook::Settings;
use row::columns;
pub(super) use row::hold_state;
pub use row::{
    Row, SealedSecrets, UNREADABLE, headers_associated_data, secret_associated_data, signing_associated_data,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Makes a webhook. `Conflict` if the name is taken.
pub async fn insert(
    db: &impl ConnectionTrait,
    settings: &Settings,
    uuid: Uuid,
    secrets: SealedSecrets,
    now: Timestamp,
) -> Result<WebhookId> {
    let mut row = columns(settings, secrets, 1, now)?;
    row.uuid = Set(uuid);
    row.created_at = Set(now.0);
    let id = webhook::Entity::insert(row).exec(db).await?.last_insert_id;
    revision::note(db, Kind::Webhook, id, 1, Some(settings), now).await?;
    Ok(WebhookId(id))
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

/// Changes a webhook that still has the revision of `stored`; returns false if it has another. Where the target changes, the
/// breaker is closed, since it knows nothing of the new target.
pub async fn update(
    db: &impl ConnectionTrait,
    stored: &Row,
    settings: &Settings,
    secrets: SealedSecrets,
    now: Timestamp,
) -> Result<bool> {
    let revision = stored.revision + 1;
    let mut row = columns(settings, secrets, revision, now)?;
    if stored.is_moved_by(settings) {
        row.target_revision = Set(revision);
        row = with_breaker_at_rest(row);
    }
    let done = webhook::Entity::update_many()
        .set(row)
        .filter(webhook::Column::Id.eq(stored.id.0))
        .filter(webhook::Column::Revision.eq(stored.revision))
        .filter(webhook::Column::DeletedAt.is_null())
        .exec(db)
        .await?;
    if done.rows_affected == 1 {
        revision::note(db, Kind::Webhook, stored.id.0, revision, Some(settings), now).await?;
    }
    Ok(done.rows_affected == 1)
}

/// Masks headers with these names in every revision of a webhook: their values have become secrets.
pub async fn mask_revisions(db: &impl ConnectionTrait, id: WebhookId, names: &[String]) -> Result<()> {
    revision::rewrite(db, Kind::Webhook, id.0, |document| {
        // Only the headers are read, so that the rest stays as it was written.
        let Ok(mut headers) = HeaderList::deserialize(&document["headers"]) else { return };
        for row in &mut headers.0 {
            if names.iter().any(|name| name.eq_ignore_ascii_case(&row.name)) {
                MASK.clone_into(&mut row.value);
            }
        }
        document["headers"] = json!(headers);
    })
    .await
}

/// Marks a webhook as deleted, and removes its secrets and its state; returns false if there is none. The caller discards
/// the waiting deliveries.
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
        revision::note(db, Kind::Webhook, id.0, 0, None::<&Settings>, now).await?;
    }
    Ok(done.rows_affected == 1)
}

/// Returns the webhook with this id, unless it was deleted.
pub async fn find(db: &impl ConnectionTrait, id: WebhookId) -> Result<Option<Row>> {
    let row = webhook::Entity::find_by_id(id.0).filter(webhook::Column::DeletedAt.is_null()).one(db).await?;
    Ok(row.map(Row::from))
}

/// Returns true if this webhook exists and was not deleted.
pub async fn is_there(db: &impl ConnectionTrait, id: WebhookId) -> Result<bool> {
    let query = webhook::Entity::find_by_id(id.0).filter(webhook::Column::DeletedAt.is_null());
    Ok(query.count(db).await? > 0)
}

/// Returns the webhooks with these ids, also deleted ones, since deliveries still refer to them.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<WebhookId, Row>> {
    let rows = super::readable(db, webhook::Entity::find().filter(webhook::Column::Id.is_in(ids))).await?;
    Ok(rows.into_iter().map(|row| (WebhookId(row.id), Row::from(row))).collect())
}

/// Returns all webhooks, by name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    let query =
        webhook::Entity::find().filter(webhook::Column::DeletedAt.is_null()).order_by_asc(webhook::Column::Name);
    let rows = super::readable(db, query).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Returns the webhooks whose last attempt timed out.
pub async fn list_hanging(db: &impl ConnectionTrait) -> Result<HashSet<WebhookId>> {
    let ids: Vec<i64> = webhook::Entity::find()
        .select_only()
        .column(webhook::Column::Id)
        // The condition of the index.
        .filter(Expr::cust("is_hanging"))
        .filter(webhook::Column::DeletedAt.is_null())
        .into_tuple()
        .all(db)
        .await?;
    Ok(ids.into_iter().map(WebhookId).collect())
}

/// Returns the number of tasks that use each webhook.
pub async fn count_tasks(db: &impl ConnectionTrait) -> Result<HashMap<WebhookId, u32>> {
    let rows: Vec<(i64, i64)> = task::Entity::find()
        .select_only()
        .column(task::Column::WebhookId)
        .column_as(task::Column::Id.count(), "tasks")
        .group_by(task::Column::WebhookId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, tasks)| (WebhookId(id), to_u32(tasks))).collect())
}
