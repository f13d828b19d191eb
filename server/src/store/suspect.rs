//! Suspect deliveries, which have several claims without a record. A few of them may end their server each time they
//! are sent. Most were only leased to a node that ended, and were never sent. The number of attempts that have begun
//! distinguishes the two.
//!
//! The beginning of an attempt is committed before the receiver is called. Other deliveries skip this commit, since
//! they would wait for the disk.

use super::Result;
use model::id::DeliveryId;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use uuid::Uuid;

/// Records that an attempt of a delivery begins. Returns the number of recorded beginnings, or `None` when the delivery
/// is not leased to `owner` any more.
///
/// Takes lock 5 of 9.
pub async fn note_begin(db: &impl ConnectionTrait, owner: Uuid, id: DeliveryId) -> Result<Option<i64>> {
    #[derive(FromQueryResult)]
    struct Noted {
        begins: i64,
    }
    let sql = "UPDATE delivery SET begins = COALESCE(begins, 0) + 1 \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2 RETURNING begins";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into(), owner.into()]);
    Ok(Noted::find_by_statement(statement).one(db).await?.map(|noted| noted.begins))
}

/// Removes the recorded beginning of an attempt that was not made.
///
/// Takes lock 5 of 9.
pub async fn take_back_begin(db: &impl ConnectionTrait, owner: Uuid, id: DeliveryId) -> Result<()> {
    let sql = "UPDATE delivery SET begins = begins - 1 \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2 AND begins > 0";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into(), owner.into()]);
    db.execute_raw(statement).await?;
    Ok(())
}
