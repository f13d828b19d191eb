//! Webhooks. A write also stores a revision, from the same settings.

mod row;

use super::destination::{self, Saved};
use super::entity::{self, webhook};
use super::{Result, revision};
use model::destination::Kind;
use model::header::{HeaderList, MASK};
use model::id::WebhookId;
use model::time::Timestamp;
use model::webhook::Settings;
use row::columns;
pub use row::{Row, SealedSecrets, headers_associated_data, secret_associated_data, signing_associated_data};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    SelectTwo,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// Makes a webhook. `Conflict` if the name is taken.
pub async fn insert(
    db: &impl ConnectionTrait,
    settings: &Settings,
    uuid: Uuid,
    secrets: SealedSecrets,
    now: Timestamp,
) -> Result<WebhookId> {
    let id = destination::insert(db, Kind::Webhook, saved(settings), uuid, now).await?;
    let row = webhook::ActiveModel { id: Set(id.0), ..columns(settings, secrets)? };
    webhook::Entity::insert(row).exec_without_returning(db).await?;
    revision::note(db, revision::Kind::Webhook, id.0, 1, Some(settings), now).await?;
    Ok(id.into())
}

fn saved(settings: &Settings) -> Saved<'_> {
    Saved { name: &settings.name, timeout: settings.timeout, retries: settings.retries }
}

/// Changes a webhook that still has the revision of `stored`; returns false if it has another.
///
/// Takes lock 4 of 9.
pub async fn update(
    db: &impl ConnectionTrait,
    stored: &Row,
    settings: &Settings,
    secrets: SealedSecrets,
    now: Timestamp,
) -> Result<bool> {
    let (id, is_moved) = (stored.id, stored.is_moved_by(settings));
    if !destination::update(db, (id.into(), stored.revision), saved(settings), is_moved, now).await? {
        return Ok(false);
    }
    let of = webhook::Column::Id.eq(id.0);
    webhook::Entity::update_many().set(columns(settings, secrets)?).filter(of).exec(db).await?;
    revision::note(db, revision::Kind::Webhook, id.0, stored.revision + 1, Some(settings), now).await?;
    Ok(true)
}

/// Masks headers with these names in every revision of a webhook: their values have become secrets.
pub async fn mask_revisions(db: &impl ConnectionTrait, id: WebhookId, names: &[String]) -> Result<()> {
    revision::rewrite(db, revision::Kind::Webhook, id.0, |document| {
        // Only the headers are parsed, so that the rest of the document stays unchanged.
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

/// Marks a webhook as deleted, and removes its secrets and its state; returns false if there is none. The caller
/// discards the waiting deliveries.
///
/// Takes lock 4 of 9.
pub async fn delete(db: &impl ConnectionTrait, id: WebhookId, now: Timestamp) -> Result<bool> {
    if !destination::delete(db, id.into(), now).await? {
        return Ok(false);
    }
    let row = webhook::ActiveModel {
        secret: Set(None),
        signing_secret: Set(None),
        secret_headers: Set(None),
        ..Default::default()
    };
    webhook::Entity::update_many().set(row).filter(webhook::Column::Id.eq(id.0)).exec(db).await?;
    revision::note(db, revision::Kind::Webhook, id.0, 0, None::<&Settings>, now).await?;
    Ok(true)
}

/// Returns the query for webhooks with their destinations.
fn select() -> SelectTwo<entity::destination::Entity, webhook::Entity> {
    let same_id = entity::destination::Entity::belongs_to(webhook::Entity)
        .from(entity::destination::Column::Id)
        .to(webhook::Column::Id);
    entity::destination::Entity::find().join(JoinType::InnerJoin, same_id.into()).select_also(webhook::Entity)
}

async fn read(
    db: &impl ConnectionTrait,
    query: SelectTwo<entity::destination::Entity, webhook::Entity>,
) -> Result<Vec<Row>> {
    let rows = super::readable_pairs(db, query).await?;
    Ok(rows.into_iter().map(|(destination, webhook)| Row::of(destination, webhook)).collect())
}

/// Returns the webhook with this id, unless it was deleted.
pub async fn find(db: &impl ConnectionTrait, id: WebhookId) -> Result<Option<Row>> {
    let is_it = entity::destination::Column::Id.eq(id.0);
    let query = select().filter(is_it).filter(entity::destination::Column::DeletedAt.is_null());
    Ok(read(db, query).await?.pop())
}

/// Returns the webhooks with these ids, also deleted ones, since deliveries still refer to them.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<WebhookId, Row>> {
    let rows = read(db, select().filter(entity::destination::Column::Id.is_in(ids))).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns all webhooks, by name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    let query = select().filter(entity::destination::Column::DeletedAt.is_null());
    read(db, query.order_by_asc(entity::destination::Column::Name)).await
}
