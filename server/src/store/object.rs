//! Objects of the managed systems, as occurrences and inventories name them.

mod find;
mod list;

use super::entity::object;
use super::rows::{self, Columns, INT, TEXT};
use super::{Error, Result, group};
use futures_util::TryStreamExt;
use model::id::ObjectId;
use model::number::{to_i64, to_u64, to_usize};
use model::text::folded;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select, Statement, StreamTrait, Value,
};
use std::collections::BTreeSet;

pub use find::{Found, Wanted, find_named, find_wanted};
pub use list::{Filter, Sort, list, list_types};

/// An object as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Id of the object.
    pub id: ObjectId,
    /// Id of the object's type.
    pub type_id: String,
    /// Id of the object in the system it comes from.
    pub external_id: Option<String>,
    /// Name of the object.
    pub name: String,
    /// True when the object is no longer in its inventory, and retained because an event names it.
    pub is_gone: bool,
}

impl From<object::Model> for Row {
    fn from(row: object::Model) -> Self {
        Self {
            id: ObjectId(row.id),
            type_id: row.type_id,
            external_id: row.external_id,
            name: row.name,
            is_gone: row.gone_at.is_some(),
        }
    }
}

/// Keeps other nodes from making objects of a type with these names until the transaction ends (PostgreSQL). Returns
/// true when a lock was taken: rows that were read before may have changed. SQLite has one writer and needs no lock.
///
/// The names of a type share 64 locks, since PostgreSQL's table of locks is limited.
///
/// Takes lock 3 of 9.
pub async fn lock_names(db: &impl ConnectionTrait, type_id: &str, names: &BTreeSet<String>) -> Result<bool> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(false);
    }
    // The locks are taken in the order of their numbers, so that two nodes never wait for each other.
    let sql = "SELECT pg_advisory_xact_lock(lock) FROM \
               (SELECT DISTINCT hashtextextended($1, 0) # numbers.n AS lock FROM \
               (SELECT hashtextextended(name, 0) & 63 AS n FROM json_array_elements_text(CAST($2 AS JSON)) AS name) \
               AS numbers ORDER BY lock) AS locks";
    let values = [Value::from(type_id), serde_json::json!(names).to_string().into()];
    db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    Ok(true)
}

/// A new object.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Id of the object's type.
    pub type_id: String,
    /// Id of the object in the system it comes from.
    pub external_id: Option<String>,
    /// Name of the object.
    pub name: String,
}

/// Makes objects and returns their ids, in the order of the objects.
///
/// # Errors
/// [`Error::Conflict`] when another node has just made an object with the same external id.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<NewObject>, now: Timestamp) -> Result<Vec<ObjectId>> {
    const COLUMNS: Columns<5> =
        [("type_id", TEXT), ("external_id", TEXT), ("name", TEXT), ("created_at", INT), ("updated_at", INT)];
    let row =
        |new: NewObject| [new.type_id.into(), new.external_id.into(), new.name.into(), now.0.into(), now.0.into()];
    let ids = rows::insert_for_ids(db, "object", &COLUMNS, new.into_iter().map(row).collect()).await?;
    Ok(ids.into_iter().map(ObjectId).collect())
}

/// Gives an object another name or external id, and marks it as gone or as present.
///
/// Takes lock 8 of 9.
///
/// # Errors
/// [`Error::InUse`] when the row is not `before` any more: another node has just changed or deleted it.
pub async fn update(db: &impl ConnectionTrait, before: &Row, row: &Row, now: Timestamp) -> Result<()> {
    let change = object::ActiveModel {
        id: Unchanged(row.id.0),
        external_id: Set(row.external_id.clone()),
        name: Set(row.name.clone()),
        updated_at: Set(now.0),
        gone_at: Set(row.is_gone.then_some(now.0)),
        ..Default::default()
    };
    let is_external_id = match &before.external_id {
        Some(id) => object::Column::ExternalId.eq(id.as_str()),
        None => object::Column::ExternalId.is_null(),
    };
    let done = object::Entity::update_many()
        .set(change)
        .filter(object::Column::Id.eq(before.id.0))
        .filter(object::Column::Name.eq(before.name.as_str()))
        .filter(is_external_id)
        .exec(db)
        .await?;
    if done.rows_affected == 0 { Err(Error::InUse) } else { Ok(()) }
}

/// Returns the object with this id.
pub async fn find(db: &impl ConnectionTrait, id: ObjectId) -> Result<Option<Row>> {
    Ok(object::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// Returns the number of objects of a type, without those that are gone, counted up to `most`.
pub async fn count_of(db: &impl ConnectionTrait, type_id: &str, most: u64) -> Result<u64> {
    Ok(object::Entity::find()
        .filter(object::Column::TypeId.eq(type_id))
        .filter(object::Column::GoneAt.is_null())
        .limit(most)
        .count(db)
        .await?)
}

/// Returns true when a type has at least this many objects, including gone ones.
pub async fn has_at_least(db: &impl ConnectionTrait, type_id: &str, count: u64) -> Result<bool> {
    let sql = "SELECT 1 AS n FROM object WHERE type_id = $1 LIMIT 1 OFFSET $2";
    let count = to_i64(count.saturating_sub(1));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [type_id.into(), count.into()]);
    Ok(db.query_one_raw(statement).await?.is_some())
}

/// Returns up to `limit` objects of a type whose name or external id contains a text in any case, by name.
pub async fn search(
    db: &(impl ConnectionTrait + StreamTrait),
    type_id: &str,
    text: &str,
    limit: usize,
) -> Result<Vec<Row>> {
    let wanted = folded(text.trim());
    let query = object::Entity::find().filter(object::Column::TypeId.eq(type_id));
    if reads_all(text) {
        let holds = |text: &str| folded(text).contains(&wanted);
        let is_wanted = |row: &object::Model| holds(&row.name) || row.external_id.as_deref().is_some_and(holds);
        let rows = pick(db, in_order_of_index(query), is_wanted, limit).await?;
        return Ok(rows.into_iter().map(Row::from).collect());
    }
    let query = if wanted.is_empty() {
        query
    } else {
        let within = |column: &str| {
            group::holds(ConnectionTrait::get_database_backend(db), &format!("lower({column})"), wanted.clone())
        };
        query.filter(Condition::any().add(within("name")).add(within("external_id")))
    };
    let rows = query
        .order_by_asc(object::Column::Name)
        .order_by_asc(object::Column::ExternalId)
        .limit(to_u64(limit))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Sorts a query in the order of the index of names, so that it reads no more objects than needed.
fn in_order_of_index(query: Select<object::Entity>) -> Select<object::Entity> {
    query
        .order_by_asc(object::Column::TypeId)
        .order_by_asc(object::Column::Name)
        .order_by_asc(object::Column::ExternalId)
}

/// Returns true for a text that no database can look for: neither folds the case of letters beyond ASCII. A search for
/// such a text reads every object of the type.
fn reads_all(text: &str) -> bool {
    !folded(text).is_ascii()
}

/// Returns the first objects of a query that satisfy a condition which no database can check, for a text that
/// [`reads_all`]. Holds one object at a time. PostgreSQL sends all objects, also behind the last wanted one.
async fn pick(
    db: &(impl ConnectionTrait + StreamTrait),
    query: Select<object::Entity>,
    is_wanted: impl Fn(&object::Model) -> bool,
    limit: usize,
) -> Result<Vec<object::Model>> {
    let mut rows = query.stream(db).await?;
    let mut picked = Vec::new();
    while picked.len() < limit
        && let Some(row) = rows.try_next().await?
    {
        if is_wanted(&row) {
            picked.push(row);
        }
    }
    Ok(picked)
}

/// Returns the objects with these ids.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<Vec<Row>> {
    let rows = object::Entity::find().filter(object::Column::Id.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Deletes an object. Returns true when there was one.
///
/// Takes lock 8 of 9.
///
/// # Errors
/// [`Error::InUse`] when an event names it.
pub async fn delete(db: &impl ConnectionTrait, id: ObjectId) -> Result<bool> {
    Ok(object::Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1)
}

/// Returns the ids of a type's objects except for these.
pub async fn list_others(db: &impl ConnectionTrait, type_id: &str, but: &BTreeSet<ObjectId>) -> Result<Vec<ObjectId>> {
    let query = object::Entity::find().select_only().column(object::Column::Id);
    let ids: Vec<i64> = query.filter(object::Column::TypeId.eq(type_id)).into_tuple().all(db).await?;
    Ok(ids.into_iter().map(ObjectId).filter(|id| !but.contains(id)).collect())
}

/// Deletes objects of a type. Objects that an event names are marked as gone instead, so that the event never means
/// another object.
///
/// Takes lock 8 of 9.
pub async fn remove(db: &impl ConnectionTrait, type_id: &str, ids: &[ObjectId], now: Timestamp) -> Result<Removed> {
    const NAMED: &str = "EXISTS (SELECT 1 FROM event e WHERE e.object_id = object.id)";
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let run = async |sql: &str, values: Vec<Value>| {
        let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
        Ok::<_, Error>(to_usize(done.rows_affected()))
    };
    let these = |parameter| group::id_in("id", parameter, is_postgres);
    let ids = group::ids(ids.iter().map(|id| id.0), is_postgres);
    let sql = format!(
        "UPDATE object SET gone_at = $1 WHERE type_id = $2 AND gone_at IS NULL AND {} AND {NAMED}",
        these("$3")
    );
    let gone = run(&sql, vec![now.0.into(), type_id.into(), ids.clone()]).await?;
    let sql = format!("DELETE FROM object WHERE type_id = $1 AND {} AND NOT {NAMED}", these("$2"));
    let deleted = run(&sql, vec![type_id.into(), ids]).await?;
    Ok(Removed { deleted, gone })
}

/// The numbers of objects that an inventory removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Objects that were deleted.
    pub deleted: usize,
    /// Objects that were marked as gone, since events name them.
    pub gone: usize,
}
