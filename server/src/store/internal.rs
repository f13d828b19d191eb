//! Internal events: occurrences of the console itself that wait for the intake. An event is written by the transaction
//! of the change that it is about, and deleted by the transaction that stores its occurrence. So a kill in between
//! neither loses nor repeats it.

use super::entity::internal_event;
use super::{Error, Result, listen};
use model::id::DestinationId;
use model::occurrence::Occurrence;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An internal event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InternalEvent {
    /// The occurrence that it becomes.
    pub occurrence: Occurrence,
    /// The destination that it is about.
    pub about_destination: Option<DestinationId>,
    /// The number of deliveries that led to it.
    pub depth: u32,
}

/// Stores an internal event, and wakes the nodes when it is committed.
pub async fn insert(db: &impl ConnectionTrait, event: &InternalEvent, now: Timestamp) -> Result<()> {
    let document = serde_json::to_string(event).map_err(|error| Error::Other(DbErr::Json(error.to_string())))?;
    let row = internal_event::ActiveModel { id: NotSet, document: Set(document), created_at: Set(now.0) };
    internal_event::Entity::insert(row).exec_without_returning(db).await?;
    listen::notify(db).await
}

/// Returns the oldest internal events with their ids, except for those in `unreadable`. An event that cannot be read,
/// since a newer version or a person has written it, is added to `unreadable`. It stays in the table for a version that
/// can read it.
pub async fn list_waiting(
    db: &impl ConnectionTrait,
    limit: u64,
    unreadable: &mut BTreeSet<i64>,
) -> Result<Vec<(i64, InternalEvent)>> {
    let rows = internal_event::Entity::find()
        .filter(internal_event::Column::Id.is_not_in(unreadable.iter().copied()))
        .order_by_asc(internal_event::Column::Id)
        .limit(limit)
        .all(db)
        .await?;
    let read = |row: internal_event::Model| match serde_json::from_str(&row.document) {
        Ok(event) => Some((row.id, event)),
        Err(_) => {
            tracing::error!(internal_event = row.id, "an internal event cannot be read and is set aside");
            unreadable.insert(row.id);
            None
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Deletes an internal event. Returns true when it was still there.
///
/// Takes lock 2 of 9.
pub async fn take(db: &impl ConnectionTrait, id: i64) -> Result<bool> {
    Ok(internal_event::Entity::delete_by_id(id).exec(db).await?.rows_affected == 1)
}
