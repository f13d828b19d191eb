//! Events.

use super::entity::event;
use super::{Error, Result};
use model::event::{Event, EventScope};
use model::id::{EventId, ObjectId, TaskId};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
};

/// An event as stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: EventId,
    /// What was saved.
    pub event: Event,
    /// Counts its changes.
    pub revision: i64,
}

impl TryFrom<event::Model> for Row {
    type Error = Error;

    fn try_from(row: event::Model) -> Result<Self> {
        let scope = match (row.scope.as_str(), row.object_id) {
            ("any", None) => EventScope::Any,
            ("object", Some(id)) => EventScope::Object(ObjectId(id)),
            // Never read as something wider.
            _ => return Err(Error::Other(DbErr::Custom(format!("event {}: its scope cannot be read", row.id)))),
        };
        Ok(Self {
            id: EventId(row.id),
            event: Event {
                type_id: row.type_id,
                event_id: row.event_id,
                scope,
                task_id: TaskId(row.task_id),
                is_enabled: row.is_enabled,
            },
            revision: row.revision,
        })
    }
}

fn columns(event: &Event, now: Timestamp) -> event::ActiveModel {
    let (scope, object_id) = match event.scope {
        EventScope::Any => ("any", None),
        EventScope::Object(id) => ("object", Some(id.0)),
    };
    event::ActiveModel {
        type_id: Set(event.type_id.clone()),
        event_id: Set(event.event_id.clone()),
        scope: Set(scope.to_owned()),
        object_id: Set(object_id),
        task_id: Set(event.task_id.0),
        is_enabled: Set(event.is_enabled),
        updated_at: Set(now.0),
        ..Default::default()
    }
}

/// Makes an event.
pub async fn insert(db: &impl ConnectionTrait, event: &Event, now: Timestamp) -> Result<EventId> {
    let row = event::ActiveModel { id: NotSet, revision: Set(1), created_at: Set(now.0), ..columns(event, now) };
    Ok(EventId(event::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Changes an event that still has this revision; answers whether it had.
pub async fn update(
    db: &impl ConnectionTrait,
    id: EventId,
    revision: i64,
    event: &Event,
    now: Timestamp,
) -> Result<bool> {
    let row = event::ActiveModel { id: Unchanged(id.0), revision: Set(revision + 1), ..columns(event, now) };
    let done = event::Entity::update_many()
        .set(row)
        .filter(event::Column::Id.eq(id.0))
        .filter(event::Column::Revision.eq(revision))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// The event with this id.
pub async fn find(db: &impl ConnectionTrait, id: EventId) -> Result<Option<Row>> {
    event::Entity::find_by_id(id.0).one(db).await?.map(Row::try_from).transpose()
}

/// All events, by type and event.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    let rows = event::Entity::find()
        .order_by_asc(event::Column::TypeId)
        .order_by_asc(event::Column::EventId)
        .order_by_asc(event::Column::Id)
        .all(db)
        .await?;
    rows.into_iter().map(Row::try_from).collect()
}

/// The enabled events about any of these type and event ids.
pub async fn list_enabled(db: &impl ConnectionTrait, type_ids: Vec<String>) -> Result<Vec<Row>> {
    let rows = event::Entity::find()
        .filter(event::Column::TypeId.is_in(type_ids))
        .filter(event::Column::IsEnabled.eq(true))
        .order_by_asc(event::Column::Id)
        .all(db)
        .await?;
    rows.into_iter().map(Row::try_from).collect()
}
