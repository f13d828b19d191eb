//! Events.

use super::entity::event;
use super::revision::{self, Kind};
use super::{Error, Result};
use model::event::{Event, EventFilters, EventScope};
use model::id::{EventId, ObjectId, TagId, TaskId};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

/// An event as stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// The id.
    pub id: EventId,
    /// The saved event.
    pub event: Event,
    /// Counts the changes.
    pub revision: i64,
}

impl TryFrom<event::Model> for Row {
    type Error = Error;

    fn try_from(row: event::Model) -> Result<Self> {
        let scope = match (row.scope.as_str(), row.object_id, row.tag_id) {
            ("any", None, None) => EventScope::Any,
            ("object", Some(id), None) => EventScope::Object(ObjectId(id)),
            ("tag", None, Some(id)) => EventScope::Tag(TagId(id)),
            // An unknown scope must never be read as a wider one.
            _ => return Err(Error::Other(DbErr::Custom(format!("event {}: its scope cannot be read", row.id)))),
        };
        Ok(Self {
            id: EventId(row.id),
            event: Event {
                type_id: row.type_id,
                event_id: row.event_id,
                scope,
                filters: EventFilters { level: row.level, source: row.source },
                task_id: TaskId(row.task_id),
                is_enabled: row.is_enabled,
            },
            revision: row.revision,
        })
    }
}

/// Returns the columns that a save writes: all but the id and the time at which the row was made.
fn columns(event: &Event, revision: i64, now: Timestamp) -> event::ActiveModel {
    let (scope, object_id, tag_id) = match event.scope {
        EventScope::Any => ("any", None, None),
        EventScope::Object(id) => ("object", Some(id.0), None),
        EventScope::Tag(id) => ("tag", None, Some(id.0)),
    };
    event::ActiveModel {
        id: NotSet,
        type_id: Set(event.type_id.clone()),
        event_id: Set(event.event_id.clone()),
        scope: Set(scope.to_owned()),
        object_id: Set(object_id),
        tag_id: Set(tag_id),
        level: Set(event.filters.level.clone()),
        source: Set(event.filters.source.clone()),
        task_id: Set(event.task_id.0),
        is_enabled: Set(event.is_enabled),
        revision: Set(revision),
        created_at: NotSet,
        updated_at: Set(now.0),
    }
}

/// Makes an event.
pub async fn insert(db: &impl ConnectionTrait, event: &Event, now: Timestamp) -> Result<EventId> {
    let mut row = columns(event, 1, now);
    row.created_at = Set(now.0);
    let id = event::Entity::insert(row).exec(db).await?.last_insert_id;
    revision::note(db, Kind::Event, id, 1, Some(event), now).await?;
    Ok(EventId(id))
}

/// Changes an event that still has this revision; returns false if it has another.
pub async fn update(
    db: &impl ConnectionTrait,
    id: EventId,
    revision: i64,
    event: &Event,
    now: Timestamp,
) -> Result<bool> {
    let done = event::Entity::update_many()
        .set(columns(event, revision + 1, now))
        .filter(event::Column::Id.eq(id.0))
        .filter(event::Column::Revision.eq(revision))
        .exec(db)
        .await?;
    if done.rows_affected == 1 {
        revision::note(db, Kind::Event, id.0, revision + 1, Some(event), now).await?;
    }
    Ok(done.rows_affected == 1)
}

/// Returns the event with this id.
pub async fn find(db: &impl ConnectionTrait, id: EventId) -> Result<Option<Row>> {
    event::Entity::find_by_id(id.0).one(db).await?.map(Row::try_from).transpose()
}

/// Returns the events that can be read. An event that cannot be read, since a newer version or a person has written it,
/// must not keep the others from firing.
async fn readable(db: &impl ConnectionTrait, query: Select<event::Entity>) -> Result<Vec<Row>> {
    let read = |row| match Row::try_from(row) {
        Ok(row) => Some(row),
        Err(error) => {
            tracing::error!(
                error = format!("{:#}", anyhow::Error::new(error)),
                "an event cannot be read and never fires"
            );
            None
        }
    };
    Ok(super::readable(db, query).await?.into_iter().filter_map(read).collect())
}

/// Returns all events, by type and event.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    let query = event::Entity::find()
        .order_by_asc(event::Column::TypeId)
        .order_by_asc(event::Column::EventId)
        .order_by_asc(event::Column::Id);
    readable(db, query).await
}

/// Returns the events about any of these types and events, also disabled ones, since the reasons why events do not fire
/// are counted.
pub async fn list_about(db: &impl ConnectionTrait, type_ids: Vec<String>, event_ids: Vec<String>) -> Result<Vec<Row>> {
    let query = event::Entity::find()
        .filter(event::Column::TypeId.is_in(type_ids))
        .filter(event::Column::EventId.is_in(event_ids))
        .order_by_asc(event::Column::Id);
    readable(db, query).await
}

/// Returns the events with these ids.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<Vec<Row>> {
    let query = event::Entity::find().filter(event::Column::Id.is_in(ids)).order_by_asc(event::Column::Id);
    readable(db, query).await
}

/// Returns the events that start this task.
pub async fn list_starting(db: &impl ConnectionTrait, id: TaskId) -> Result<Vec<Row>> {
    let query = event::Entity::find().filter(event::Column::TaskId.eq(id.0)).order_by_asc(event::Column::Id);
    readable(db, query).await
}

/// Returns the ids of the events that name this object.
pub async fn naming_object(db: &impl ConnectionTrait, id: ObjectId) -> Result<Vec<i64>> {
    Ok(ids().filter(event::Column::ObjectId.eq(id.0)).into_tuple().all(db).await?)
}

/// Returns the ids of the events that name any of these tags.
pub async fn naming_tags(db: &impl ConnectionTrait, tags: &[TagId]) -> Result<Vec<i64>> {
    Ok(ids().filter(event::Column::TagId.is_in(tags.iter().map(|id| id.0))).into_tuple().all(db).await?)
}

fn ids() -> Select<event::Entity> {
    event::Entity::find().select_only().column(event::Column::Id).order_by_asc(event::Column::Id)
}

/// Enables or disables an event; returns false if there is no such event.
pub async fn set_enabled(db: &impl ConnectionTrait, id: EventId, is_enabled: bool, now: Timestamp) -> Result<bool> {
    let Some(mut row) = find(db, id).await? else { return Ok(false) };
    row.event.is_enabled = is_enabled;
    update(db, id, row.revision, &row.event, now).await
}

/// Removes an event; returns false if there is none.
pub async fn delete(db: &impl ConnectionTrait, id: EventId, now: Timestamp) -> Result<bool> {
    let is_done = event::Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1;
    if is_done {
        revision::note(db, Kind::Event, id.0, 0, None::<&Event>, now).await?;
    }
    Ok(is_done)
}
