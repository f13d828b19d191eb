//! The ends of leases without an attempt on record: a lease that ran out or that its node gives back.
//!
//! A delivery that loses its lease returns to the queue, or is held where an open breaker concerns it. Nothing else may
//! decide that: `hold` and `arrange` go by the state of the destination, not by leases.

use super::hold::BEHIND_BREAKER;
use super::{Result, group, run};
use model::id::DeliveryId;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// Ends a delivery that is leased to `owner` with an internal error, without an attempt on record. Also ends its run.
///
/// Takes lock 5, then 6 of 9. The caller holds lock 1 where the run may end a task that is deleted after running.
pub async fn end_as_internal(
    db: &impl ConnectionTrait,
    owner: Uuid,
    id: DeliveryId,
    message: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE delivery SET status = 'error', error_code = 'internal', error = $3, settled_at = $4, \
               next_attempt_at = NULL, hold_reason = NULL, lease_owner = NULL, lease_until = NULL \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2";
    let values = [Value::from(id.0), owner.into(), message.into(), now.0.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    // This ends no run whose delivery has not ended.
    run::end_settled(db, &[id.into()], now).await
}

/// Returns the columns of a delivery that loses its lease: it is queued, or held where an open breaker concerns it.
fn returned() -> String {
    format!(
        "status = CASE WHEN {BEHIND_BREAKER} THEN 'held' ELSE 'queued' END, \
         hold_reason = CASE WHEN {BEHIND_BREAKER} THEN 'breaker' END, lease_owner = NULL, lease_until = NULL"
    )
}

/// The due time that gives a leased delivery its place in the queue again; `$1` is now. A leased delivery was due, so a
/// due time in the future means that the clock has been set back since.
const PLACE: &str = "CASE WHEN next_attempt_at < $1 THEN next_attempt_at ELSE $1 END";

/// Returns deliveries whose lease has run out to the queue, except those in `held`, which `owner` has in flight.
/// Returns their number. They go behind all that is due: one of them may have ended its node, and at its old place it
/// would be sent again before anything else.
///
/// Takes lock 5 of 9.
pub async fn return_expired(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    held: &[DeliveryId],
) -> Result<u64> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql = format!(
        "UPDATE delivery SET {}, next_attempt_at = $1 WHERE status = 'running' AND lease_until <= $2 \
         AND NOT (lease_owner = $3 AND {})",
        returned(),
        group::id_in("id", "$4", is_postgres)
    );
    let held = group::ids(held.iter().map(|id| id.0), is_postgres);
    let values = [Value::from(now.0), now.0.into(), owner.into(), held];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

/// Returns the deliveries that are leased to `owner` and not in `held` to their places in the queue, as if they had not
/// been claimed. The response to their commit was lost, so no node sends them. `held` is called after the look, and
/// returns a set that contains all leases that were committed before the look. Returns the number of deliveries, or
/// `None` where `held` cannot return such a set.
///
/// Takes lock 5 of 9.
pub async fn give_back_unknown(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    held: impl FnOnce() -> Option<HashSet<DeliveryId>>,
) -> Result<Option<u64>> {
    #[derive(FromQueryResult)]
    struct Running {
        id: i64,
        claims: i64,
    }
    let sql = "SELECT id, claims FROM delivery WHERE status = 'running' AND lease_owner = $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [owner.into()]);
    let running = Running::find_by_statement(statement).all(db).await?;
    let Some(held) = held() else { return Ok(None) };
    let sql = format!(
        "UPDATE delivery SET {}, claims = claims - 1, next_attempt_at = {PLACE} \
         WHERE id = $2 AND status = 'running' AND lease_owner = $3 AND claims = $4",
        returned()
    );
    let mut count = 0;
    for one in running.iter().filter(|one| !held.contains(&DeliveryId(one.id))) {
        let values = [Value::from(now.0), one.id.into(), owner.into(), one.claims.into()];
        let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), &sql, values)).await?;
        count += done.rows_affected();
    }
    Ok(Some(count))
}

/// Returns every leased delivery to the queue, as [`return_expired`] does. Only for the start of a single server.
pub async fn return_all(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64> {
    let sql = format!("UPDATE delivery SET {}, next_attempt_at = $1 WHERE status = 'running'", returned());
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.0.into()])).await?;
    Ok(done.rows_affected())
}

/// Returns leased deliveries to the queue as if they had not been claimed: nothing was sent, or the result is unknown
/// because this server is stopping. A delivery that was returned already, and claimed once more, keeps its new lease.
///
/// Takes lock 5 of 9.
pub async fn give_back(
    db: &impl ConnectionTrait,
    owner: Uuid,
    leases: &BTreeMap<Returned, Vec<DeliveryId>>,
    now: Timestamp,
) -> Result<()> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql = format!(
        "UPDATE delivery SET {}, claims = claims - 1, next_attempt_at = COALESCE(CAST($4 AS BIGINT), {PLACE}) \
         WHERE {} AND COALESCE(status, '') = 'running' AND lease_owner = $3 AND lease_until <= $5",
        returned(),
        group::id_in("id", "$2", is_postgres)
    );
    for (Returned { due, until }, ids) in leases {
        let ids = group::ids(ids.iter().map(|id| id.0), is_postgres);
        let values = [now.0.into(), ids, owner.into(), due.map(|due| due.0).into(), until.0.into()];
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), &sql, values)).await?;
    }
    Ok(())
}

/// The due time and the lease that some deliveries share when they return to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Returned {
    /// The due time. `None`: each delivery returns to its place, before all deliveries that were queued later.
    pub due: Option<Timestamp>,
    /// The end of their leases. A clock that was set back may have made it earlier.
    pub until: Timestamp,
}
