//! Notes of attempts that begin, for suspect deliveries: those with several claims that have no record. One of them may be
//! what ends its server each time it is sent; most were leased to a node that ended, and never sent. The notes tell the
//! two apart.
//!
//! A note is a commit before the receiver is called. It must not be made for other deliveries: they would wait for the
//! disk.

use super::Result;
use model::id::DeliveryId;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use uuid::Uuid;

/// Notes that an attempt of a delivery begins. Returns the number of its notes, or `None` when the delivery is not leased
/// to `owner` any more.
///
/// Takes lock 5 of 9.
pub async fn note(db: &impl ConnectionTrait, owner: Uuid, id: DeliveryId) -> Result<Option<i64>> {
    #[derive(FromQueryResult)]
    struct Noted {
        notes: i64,
    }
    let sql = "UPDATE delivery SET begins = COALESCE(begins, 0) + 1 \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2 RETURNING begins AS notes";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into(), owner.into()]);
    Ok(Noted::find_by_statement(statement).one(db).await?.map(|noted| noted.notes))
}

/// Takes the note of an attempt back that was not made after all.
///
/// Takes lock 5 of 9.
pub async fn take_back(db: &impl ConnectionTrait, owner: Uuid, id: DeliveryId) -> Result<()> {
    let sql = "UPDATE delivery SET begins = begins - 1 \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2 AND begins > 0";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into(), owner.into()]);
    db.execute_raw(statement).await?;
    Ok(())
}
