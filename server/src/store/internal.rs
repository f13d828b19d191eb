//! What happened inside and waits to be taken in as an occurrence: written with the change that it is about, taken in
//! with the occurrence it becomes, so that a kill in between neither loses nor repeats it.

use super::entity::internal_event;
use super::{Error, Result};
use model::id::WebhookId;
use model::occurrence::Occurrence;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DbErr, EntityTrait, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InternalEvent {
    /// As an occurrence.
    pub occurrence: Occurrence,
    /// The webhook it is about.
    pub about_webhook: Option<WebhookId>,
    /// How many deliveries led to it.
    pub depth: u32,
}

/// Stores it.
pub async fn insert(db: &impl ConnectionTrait, event: &InternalEvent, now: Timestamp) -> Result<()> {
    let document = serde_json::to_string(event).map_err(|error| Error::Other(DbErr::Json(error.to_string())))?;
    let row = internal_event::ActiveModel { id: NotSet, document: Set(document), created_at: Set(now.0) };
    internal_event::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// The oldest that wait.
pub async fn list_waiting(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<(i64, InternalEvent)>> {
    let rows = internal_event::Entity::find().order_by_asc(internal_event::Column::Id).limit(limit).all(db).await?;
    let read = |row: internal_event::Model| {
        let event = serde_json::from_str(&row.document);
        event.map(|event| (row.id, event)).map_err(|error| Error::Other(DbErr::Json(error.to_string())))
    };
    rows.into_iter().map(read).collect()
}

/// Takes one out; answers whether it was still there.
pub async fn take(db: &impl ConnectionTrait, id: i64) -> Result<bool> {
    Ok(internal_event::Entity::delete_by_id(id).exec(db).await?.rows_affected == 1)
}
