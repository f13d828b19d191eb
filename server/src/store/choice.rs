//! The options of a select: the first rows by name, or those whose name contains a text.

use super::Result;
use super::entity::{destination, task};
use super::group;
use model::destination::Kind;
use model::number::to_u64;
use model::text::folded;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Condition, Expr, ExprTrait},
};

/// A row that a select offers.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Named {
    /// The row's id.
    pub id: i64,
    /// The row's name.
    pub name: String,
}

/// Returns up to `limit` destinations of a kind whose name contains a text in any case, or whose id is the text, by
/// name.
pub async fn destinations(db: &impl ConnectionTrait, kind: Kind, text: &str, limit: usize) -> Result<Vec<Named>> {
    let query = rows_of(kind).select_only().column(destination::Column::Id).column(destination::Column::Name);
    find(db, query.order_by_asc(destination::Column::Name), text, limit).await
}

fn rows_of(kind: Kind) -> Select<destination::Entity> {
    destination::Entity::find()
        .filter(destination::Column::Kind.eq(kind.as_str()))
        .filter(destination::Column::DeletedAt.is_null())
}

/// Returns up to `limit` tasks, found in the same way.
pub async fn tasks(db: &impl ConnectionTrait, text: &str, limit: usize) -> Result<Vec<Named>> {
    let query = task::Entity::find().select_only().column(task::Column::Id).column(task::Column::Name);
    find(db, query.order_by_asc(task::Column::Name), text, limit).await
}

/// Returns the id of the destination of a kind with exactly this name.
pub async fn destination_named(db: &impl ConnectionTrait, kind: Kind, name: &str) -> Result<Option<i64>> {
    let query = rows_of(kind).filter(destination::Column::Name.eq(name)).select_only().column(destination::Column::Id);
    Ok(query.into_tuple().one(db).await?)
}

/// Returns the id of the task with exactly this name.
pub async fn task_named(db: &impl ConnectionTrait, name: &str) -> Result<Option<i64>> {
    let query = task::Entity::find().filter(task::Column::Name.eq(name));
    Ok(query.select_only().column(task::Column::Id).into_tuple().one(db).await?)
}

async fn find<E: EntityTrait>(
    db: &impl ConnectionTrait,
    query: Select<E>,
    text: &str,
    limit: usize,
) -> Result<Vec<Named>> {
    let wanted = folded(text.trim());
    if !wanted.is_ascii() {
        // Neither database folds the case of letters beyond ASCII.
        let rows: Vec<Named> = query.into_model().all(db).await?;
        return Ok(rows.into_iter().filter(|row| folded(&row.name).contains(&wanted)).take(limit).collect());
    }
    let query = if wanted.is_empty() {
        query
    } else {
        let named = group::holds(db.get_database_backend(), "lower(name)", wanted.clone());
        let has_id = wanted.parse::<i64>().ok().map(|id| Expr::col("id").eq(id));
        query.filter(Condition::any().add(named).add_option(has_id))
    };
    Ok(query.limit(to_u64(limit)).into_model().all(db).await?)
}
