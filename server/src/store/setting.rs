//! Settings of the whole installation: texts by their keys.

use super::Result;
use super::entity::setting;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, sea_query::OnConflict};

/// Returns the value of `key`.
pub async fn find(db: &impl ConnectionTrait, key: &str) -> Result<Option<String>> {
    Ok(setting::Entity::find_by_id(key.to_owned()).one(db).await?.map(|row| row.value))
}

/// Stores the value unless there is one already. Returns the stored value.
pub async fn insert_once(db: &impl ConnectionTrait, key: &str, value: &str) -> Result<String> {
    let row = setting::ActiveModel { key: Set(key.to_owned()), value: Set(value.to_owned()) };
    let keep = OnConflict::column(setting::Column::Key).do_nothing().to_owned();
    setting::Entity::insert(row).on_conflict(keep).exec_without_returning(db).await?;
    Ok(find(db, key).await?.unwrap_or_else(|| value.to_owned()))
}

/// Stores the value, and replaces an earlier one.
pub async fn put(db: &impl ConnectionTrait, key: &str, value: &str) -> Result<()> {
    let row = setting::ActiveModel { key: Set(key.to_owned()), value: Set(value.to_owned()) };
    let replace = OnConflict::column(setting::Column::Key).update_column(setting::Column::Value).to_owned();
    setting::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}

/// Deletes the value if it is `value`. Returns true when it was.
pub async fn take(db: &impl ConnectionTrait, key: &str, value: &str) -> Result<bool> {
    use sea_orm::{ColumnTrait, QueryFilter};
    let done = setting::Entity::delete_many()
        .filter(setting::Column::Key.eq(key))
        .filter(setting::Column::Value.eq(value))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}
