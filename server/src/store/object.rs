//! Objects of the managed systems, as occurrences made them known.

use super::Result;
use super::entity::object;
use model::id::ObjectId;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
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

/// The object of this type with this external id.
pub async fn find_by_external_id(db: &impl ConnectionTrait, type_id: &str, id: &str) -> Result<Option<Row>> {
    let row = object::Entity::find()
        .filter(object::Column::TypeId.eq(type_id))
        .filter(object::Column::ExternalId.eq(id))
        .one(db)
        .await?;
    Ok(row.map(Row::from))
}

/// The objects of this type with this name: at most two, which is enough to know that it is ambiguous.
pub async fn find_by_name(db: &impl ConnectionTrait, type_id: &str, name: &str) -> Result<Vec<Row>> {
    let rows = object::Entity::find()
        .filter(object::Column::TypeId.eq(type_id))
        .filter(object::Column::Name.eq(name))
        .order_by_asc(object::Column::Id)
        .limit(2)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Makes an object.
pub async fn insert(
    db: &impl ConnectionTrait,
    type_id: &str,
    external_id: Option<&str>,
    name: &str,
    now: Timestamp,
) -> Result<ObjectId> {
    let row = object::ActiveModel {
        id: NotSet,
        type_id: Set(type_id.to_owned()),
        external_id: Set(external_id.map(str::to_owned)),
        name: Set(name.to_owned()),
        created_at: Set(now.0),
        updated_at: Set(now.0),
    };
    Ok(ObjectId(object::Entity::insert(row).exec(db).await?.last_insert_id))
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
