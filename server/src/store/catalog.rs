//! The catalogue with the types and events of the admins, and the kinds that were reported and are in no catalogue.
//! Each change of the catalogue writes a revision, by which the intake notices the change.

use super::Result;
use super::entity::{event, object_event, object_type, unknown_kind};
use super::revision;
use model::catalog::{Catalog, EventKind, TypeDefinition, is_built_in};
use model::number::to_u64;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
};

/// The most unknown kinds that are retained: a mistaken sender may invent any number, and must not fill the disk.
const UNKNOWN_MAX: i64 = 1000;

/// Returns the built-in types and those of the admins.
pub async fn load(db: &impl ConnectionTrait) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    for row in object_type::Entity::find().order_by_asc(object_type::Column::Plural).all(db).await? {
        catalog.add_type(&TypeDefinition {
            id: row.id,
            singular: row.singular,
            plural: row.plural,
            has_objects: row.has_objects,
            has_tags: row.has_tags,
        });
    }
    for row in object_event::Entity::find().order_by_asc(object_event::Column::CreatedAt).all(db).await? {
        catalog.add_event(&row.type_id, EventKind { id: row.event_id, label: row.label });
    }
    Ok(catalog)
}

/// Adds a type.
///
/// # Errors
/// [`Conflict`](super::Error::Conflict) when there is one with this id.
pub async fn insert_type(db: &impl ConnectionTrait, new: &TypeDefinition, now: Timestamp) -> Result<()> {
    let row = object_type::ActiveModel {
        id: Set(new.id.clone()),
        singular: Set(new.singular.clone()),
        plural: Set(new.plural.clone()),
        has_objects: Set(new.has_objects),
        has_tags: Set(new.has_tags),
        created_at: Set(now.0),
    };
    object_type::Entity::insert(row).exec_without_returning(db).await?;
    note_change(db, now).await
}

async fn note_change(db: &impl ConnectionTrait, now: Timestamp) -> Result<()> {
    revision::note(db, revision::Kind::Catalog, 0, 0, None::<&()>, now).await
}

/// Adds an event to a type.
///
/// # Errors
/// [`Conflict`](super::Error::Conflict) when the type has one with this id.
pub async fn insert_event(db: &impl ConnectionTrait, type_id: &str, new: &EventKind, now: Timestamp) -> Result<()> {
    let row = object_event::ActiveModel {
        type_id: Set(type_id.to_owned()),
        event_id: Set(new.id.clone()),
        label: Set(new.label.clone()),
        created_at: Set(now.0),
    };
    object_event::Entity::insert(row).exec_without_returning(db).await?;
    unknown_kind::Entity::delete_many()
        .filter(unknown_kind::Column::TypeId.eq(type_id))
        .filter(unknown_kind::Column::EventId.eq(new.id.as_str()))
        .exec(db)
        .await?;
    note_change(db, now).await
}

/// Deletes a type of an admin with its events. Returns true when there was one. The caller has checked that nothing
/// names the type.
pub async fn delete_type(db: &impl ConnectionTrait, id: &str, now: Timestamp) -> Result<bool> {
    if is_built_in(id) {
        return Ok(false);
    }
    object_event::Entity::delete_many().filter(object_event::Column::TypeId.eq(id)).exec(db).await?;
    let is_done = object_type::Entity::delete_by_id(id.to_owned()).exec(db).await?.rows_affected == 1;
    note_change(db, now).await?;
    Ok(is_done)
}

/// Deletes an event of an admin. Returns true when there was one. The caller has checked that nothing names the event.
pub async fn delete_event(db: &impl ConnectionTrait, type_id: &str, event_id: &str, now: Timestamp) -> Result<bool> {
    let key = (type_id.to_owned(), event_id.to_owned());
    let is_done = object_event::Entity::delete_by_id(key).exec(db).await?.rows_affected == 1;
    note_change(db, now).await?;
    Ok(is_done)
}

/// Returns the ids of the configured events that name this type, or this event of it.
pub async fn named_by(db: &impl ConnectionTrait, type_id: &str, event_id: Option<&str>) -> Result<Vec<i64>> {
    let mut query =
        event::Entity::find().select_only().column(event::Column::Id).filter(event::Column::TypeId.eq(type_id));
    if let Some(event_id) = event_id {
        query = query.filter(event::Column::EventId.eq(event_id));
    }
    Ok(query.order_by_asc(event::Column::Id).into_tuple().all(db).await?)
}

/// A kind that was reported and is in no catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the table's")]
pub struct UnknownKind {
    pub type_id: String,
    pub event_id: String,
    pub seen: u64,
    pub last_at: Timestamp,
}

/// Notes that a kind which is in no catalogue was reported `seen` times.
///
/// Takes lock 9 of 9.
pub async fn note_unknown(db: &impl ConnectionTrait, kind: (&str, &str), seen: i64, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO unknown_kind (type_id, event_id, seen, first_at, last_at) VALUES ($1, $2, $3, $4, $4) \
               ON CONFLICT (type_id, event_id) DO UPDATE SET seen = unknown_kind.seen + excluded.seen, \
               last_at = excluded.last_at";
    let values = [Value::from(kind.0), kind.1.into(), seen.into(), now.0.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// Deletes the unknown kinds that were reported longest ago, beyond the number that is retained.
///
/// Takes lock 9 of 9.
pub async fn forget_oldest_unknown(db: &impl ConnectionTrait) -> Result<()> {
    let sql = "DELETE FROM unknown_kind WHERE (type_id, event_id) IN (SELECT type_id, event_id FROM unknown_kind \
               ORDER BY last_at DESC, first_at DESC, type_id, event_id LIMIT 1000000 OFFSET $1)";
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [UNKNOWN_MAX.into()])).await?;
    Ok(())
}

/// Returns the unknown kinds, the last reported first.
pub async fn list_unknown(db: &impl ConnectionTrait) -> Result<Vec<UnknownKind>> {
    let rows = unknown_kind::Entity::find()
        .order_by_desc(unknown_kind::Column::LastAt)
        .order_by_asc(unknown_kind::Column::TypeId)
        .order_by_asc(unknown_kind::Column::EventId)
        .all(db)
        .await?;
    let read = |row: unknown_kind::Model| UnknownKind {
        type_id: row.type_id,
        event_id: row.event_id,
        seen: to_u64(row.seen),
        last_at: Timestamp(row.last_at),
    };
    Ok(rows.into_iter().map(read).collect())
}
