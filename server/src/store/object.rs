//! Objects of the managed systems, as occurrences made them known.

use super::entity::object;
use super::{Result, group};
use model::id::ObjectId;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
};

/// An object as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: ObjectId,
    /// Its type's id.
    pub type_id: String,
    /// Its id in the system it comes from.
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
}

impl From<object::Model> for Row {
    fn from(row: object::Model) -> Self {
        Self { id: ObjectId(row.id), type_id: row.type_id, external_id: row.external_id, name: row.name }
    }
}

/// The objects of a type with any of these external ids or names.
pub async fn find_named(
    db: &impl ConnectionTrait,
    type_id: &str,
    external_ids: Vec<String>,
    names: Vec<String>,
) -> Result<Vec<Row>> {
    let is_named = object::Column::ExternalId.is_in(external_ids).or(object::Column::Name.is_in(names));
    let rows = object::Entity::find()
        .filter(object::Column::TypeId.eq(type_id))
        .filter(is_named)
        .order_by_asc(object::Column::Id)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// A new object.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// Its type's id.
    pub type_id: String,
    /// Its id in the system it comes from.
    pub external_id: Option<String>,
    /// Its name.
    pub name: String,
}

/// Makes objects and answers them. `Conflict` if another node has just made one with the same external id.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<NewObject>, now: Timestamp) -> Result<Vec<Row>> {
    let row = |new: NewObject| object::ActiveModel {
        id: NotSet,
        type_id: Set(new.type_id),
        external_id: Set(new.external_id),
        name: Set(new.name),
        created_at: Set(now.0),
        updated_at: Set(now.0),
    };
    let stored = group::insert_returning(db, new.into_iter().map(row).collect()).await?;
    Ok(stored.into_iter().map(Row::from).collect())
}

/// Gives an object another name or external id.
pub async fn update(db: &impl ConnectionTrait, row: &Row, now: Timestamp) -> Result<()> {
    let change = object::ActiveModel {
        id: Unchanged(row.id.0),
        external_id: Set(row.external_id.clone()),
        name: Set(row.name.clone()),
        updated_at: Set(now.0),
        ..Default::default()
    };
    object::Entity::update(change).exec(db).await?;
    Ok(())
}

/// The object with this id.
pub async fn find(db: &impl ConnectionTrait, id: ObjectId) -> Result<Option<Row>> {
    Ok(object::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// Up to `limit` objects, by type and name.
pub async fn list(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Row>> {
    let rows = object::Entity::find()
        .order_by_asc(object::Column::TypeId)
        .order_by_asc(object::Column::Name)
        .order_by_asc(object::Column::Id)
        .limit(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Row::from).collect())
}
