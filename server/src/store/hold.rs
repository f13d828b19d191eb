//! Held deliveries: they wait for a paused destination, an open breaker or the confirmation of a changed target.
//!
//! A held row is never claimed. A delivery is held from its start, after an attempt (`dispatch::settle`), or when it
//! loses its lease behind an open breaker (`lease`). Only this module, `arrange` and `sweep` release held rows: on a
//! person's command, when a breaker closes, by a step of a release at a rate, or as a probe.

use super::destination::hold_state;
use super::entity::destination;
use super::{Result, group};
use model::breaker::Breaker;
use model::hold::{HELD_MAX, HoldReason, HoldState};
use model::id::{DestinationId, RunId};
use model::number::{millis, to_i64};
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Statement, Value,
    sea_query::{Expr, LockType},
};
use std::collections::HashMap;

/// The error of a delivery that was discarded with its destination. Only webhooks are deleted.
pub const DESTINATION_DELETED: &str = "The webhook was deleted.";
/// The error of a delivery that was discarded when its destination was resumed.
pub const NOT_RELEASED: &str = "Discarded when the destination was resumed.";

/// The error of a delivery beyond [`HELD_MAX`].
pub const HOLD_FULL: &str = "Too many deliveries are held for this destination already. Resume it, or discard them.";

/// The condition of deliveries that an open breaker holds: those that go to the current target of their destination. A
/// delivery that loses its lease while a probe is under way must not be queued, since only the probe may be claimed
/// then.
pub(super) const BEHIND_BREAKER: &str = "(delivery.replay_revision IS NULL AND EXISTS (SELECT 1 FROM destination w \
     WHERE w.id = delivery.destination_id AND w.breaker_opened_at IS NOT NULL \
     AND w.target_revision <= delivery.destination_revision))";

pub(super) async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64> {
    Ok(db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?.rows_affected())
}

#[derive(FromQueryResult)]
struct RunOf {
    id: i64,
}

/// Discards the waiting deliveries that satisfy `condition`. Returns their runs, which may have ended with them.
///
/// Takes lock 5 of 9.
pub(super) async fn discard(
    db: &impl ConnectionTrait,
    error: &str,
    condition: &str,
    more: impl IntoIterator<Item = Value>,
    now: Timestamp,
) -> Result<Vec<RunId>> {
    let sql = format!(
        "UPDATE delivery SET status = 'discarded', hold_reason = NULL, next_attempt_at = NULL, settled_at = $1, \
         error = $2 WHERE (status = 'queued' OR status = 'held') AND {condition} RETURNING id"
    );
    let values = [Value::from(now.0), error.into()].into_iter().chain(more);
    let rows = RunOf::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| RunId(row.id)).collect())
}

/// Discards one delivery, if it waits. Returns its run.
///
/// Takes lock 5 of 9.
pub async fn discard_one(db: &impl ConnectionTrait, id: i64, error: &str, now: Timestamp) -> Result<Vec<RunId>> {
    discard(db, error, "id = $3", [id.into()], now).await
}

/// Pauses a destination. Returns false when it is paused already, or deleted.
///
/// Takes lock 4 of 9.
pub async fn pause(db: &impl ConnectionTrait, id: DestinationId, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE destination SET paused_at = $2, release_per_second = NULL \
               WHERE id = $1 AND paused_at IS NULL AND deleted_at IS NULL";
    Ok(execute(db, sql, [id.0.into(), now.0.into()]).await? == 1)
}

/// Ends a pause. Returns false when there was none. With a rate, that many held deliveries are released a second. If a
/// breaker is open, the rate applies once it closes.
///
/// Takes lock 4 of 9.
pub async fn resume(
    db: &impl ConnectionTrait,
    id: DestinationId,
    per_second: Option<u32>,
    now: Timestamp,
) -> Result<bool> {
    let sql = "UPDATE destination SET paused_at = NULL, release_per_second = $2, released_at = $3 \
               WHERE id = $1 AND paused_at IS NOT NULL AND deleted_at IS NULL";
    let rate = per_second.map(i64::from);
    Ok(execute(db, sql, [id.0.into(), rate.into(), rate.map(|_| now.0).into()]).await? == 1)
}

/// Returns the id of the newest delivery that is held for a reason.
pub async fn newest_held(db: &impl ConnectionTrait, id: DestinationId, reason: HoldReason) -> Result<Option<i64>> {
    #[derive(FromQueryResult)]
    struct Newest {
        id: Option<i64>,
    }
    // Without the `+` SQLite would read the whole history of the destination instead of the index of held deliveries.
    let sql = "SELECT MAX(+id) AS id FROM delivery WHERE destination_id = $1 AND status = 'held' AND hold_reason = $2";
    let values = [id.0.into(), reason.as_str().into()];
    let row = Newest::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values));
    Ok(row.one(db).await?.and_then(|row| row.id))
}

/// Returns the deliveries held for a reason, up to this delivery, that a newer one of the same object supersedes.
/// Nothing supersedes a delivery without an object, or a replay.
pub async fn superseded(
    db: &impl ConnectionTrait,
    id: DestinationId,
    (reason, newest): (HoldReason, i64),
) -> Result<Vec<i64>> {
    #[derive(FromQueryResult)]
    struct Id {
        id: i64,
    }
    const HELD: &str = "destination_id = $1 AND status = 'held' AND hold_reason = $2 AND +id <= $3 \
                        AND object_id IS NOT NULL AND replay_of IS NULL";
    let sql = format!(
        "SELECT id FROM delivery WHERE {HELD} \
         AND id NOT IN (SELECT MAX(id) FROM delivery WHERE {HELD} GROUP BY object_id)"
    );
    let values = [id.0.into(), reason.as_str().into(), newest.into()];
    let rows = Id::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values));
    Ok(rows.all(db).await?.into_iter().map(|row| row.id).collect())
}

/// Discards those of these deliveries that are still held for the reason. Returns their runs, which may have ended.
///
/// Takes lock 5 of 9.
pub async fn discard_held(
    db: &impl ConnectionTrait,
    ids: Vec<i64>,
    reason: HoldReason,
    now: Timestamp,
) -> Result<Vec<RunId>> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let which = format!("hold_reason = $3 AND {}", group::id_in("id", "$4", is_postgres));
    let values = [reason.as_str().into(), group::ids(ids.into_iter(), is_postgres)];
    discard(db, NOT_RELEASED, &which, values, now).await
}

/// Discards `size` of the deliveries that are held for a reason, up to this delivery. Returns their runs.
///
/// Takes lock 5 of 9.
pub async fn discard_some_held(
    db: &impl ConnectionTrait,
    id: DestinationId,
    (reason, newest): (HoldReason, i64),
    size: i64,
    now: Timestamp,
) -> Result<Vec<RunId>> {
    let some = "SELECT id FROM delivery WHERE destination_id = $3 AND status = 'held' AND hold_reason = $4 AND +id <= $5 LIMIT $6 + 0";
    let which =
        format!("hold_reason = $4 AND {}", group::among(some, db.get_database_backend() == DbBackend::Postgres));
    discard(db, NOT_RELEASED, &which, [id.0.into(), reason.as_str().into(), newest.into(), size.into()], now).await
}

/// Confirms `size` of the deliveries that are held for a changed target, up to this delivery: they will go to the
/// target of `revision`, and stay held for `reason` if there is one. Returns their number.
///
/// Takes lock 5 of 9.
pub async fn confirm(
    db: &impl ConnectionTrait,
    id: DestinationId,
    (revision, newest): (i64, i64),
    reason: Option<HoldReason>,
    size: i64,
) -> Result<u64> {
    // The `+` is as above. The status is checked twice for PostgreSQL, where a picked delivery may have been discarded
    // meanwhile.
    let some = "SELECT id FROM delivery WHERE destination_id = $1 AND status = 'held' AND hold_reason = 'target' \
                AND +id <= $2 LIMIT $6 + 0";
    let some = group::among(some, db.get_database_backend() == DbBackend::Postgres);
    let sql = format!(
        "UPDATE delivery SET destination_revision = $3, status = $4, hold_reason = $5 \
         WHERE {some} AND COALESCE(status, '') = 'held'"
    );
    let status = if reason.is_some() { "held" } else { "queued" };
    let reason = reason.map(HoldReason::as_str);
    let values = [id.0.into(), newest.into(), revision.into(), status.into(), reason.into(), size.into()];
    execute(db, &sql, values).await
}

/// Sets the rate at which confirmed deliveries are released, unless the destination is paused. Returns the reason for
/// which they are held from now on.
///
/// Takes lock 4 of 9.
pub async fn set_rate(
    db: &impl ConnectionTrait,
    id: DestinationId,
    per_second: Option<u32>,
    now: Timestamp,
) -> Result<Option<HoldReason>> {
    let state = load_state(db, id).await?;
    let Some(rate) = per_second.filter(|_| state.paused_at.is_none()) else { return Ok(state.reason()) };
    let sql = "UPDATE destination SET release_per_second = $2, released_at = $3 WHERE id = $1";
    execute(db, sql, [id.0.into(), i64::from(rate).into(), now.0.into()]).await?;
    Ok(Some(HoldReason::Releasing))
}

/// Lets a release at a rate begin now, so that no burst makes up for an outage.
///
/// Takes lock 4 of 9.
pub async fn start_rate_anew(db: &impl ConnectionTrait, id: DestinationId, now: Timestamp) -> Result<()> {
    let sql = "UPDATE destination SET released_at = $2 WHERE id = $1 AND release_per_second IS NOT NULL";
    execute(db, sql, [id.0.into(), now.0.into()]).await?;
    Ok(())
}

/// Returns the number of held deliveries of a destination, counted up to [`HELD_MAX`].
pub async fn count_held(db: &impl ConnectionTrait, id: DestinationId) -> Result<u64> {
    #[derive(FromQueryResult)]
    struct Count {
        held: i64,
    }
    let sql = "SELECT COUNT(*) AS held FROM (SELECT 1 FROM delivery WHERE destination_id = $1 AND status = 'held' \
               AND hold_reason IN ('paused', 'breaker', 'releasing', 'target') LIMIT $2) AS held_rows";
    let values = [Value::from(id.0), to_i64(HELD_MAX).into()];
    let row = Count::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values))
        .one(db)
        .await?;
    Ok(row.and_then(|row| u64::try_from(row.held).ok()).unwrap_or_default())
}

async fn load_state(db: &impl ConnectionTrait, id: DestinationId) -> Result<HoldState> {
    Ok(destination::Entity::find_by_id(id.0).one(db).await?.map(|row| hold_state(&row)).unwrap_or_default())
}

/// Returns the states of the destinations that are not deleted. With `lock`, takes lock 4 of 9 on their rows, by id.
pub async fn load_states(
    db: &impl ConnectionTrait,
    ids: &[DestinationId],
    lock: bool,
) -> Result<HashMap<DestinationId, HoldState>> {
    let ids = group::padded(ids.iter().map(|id| id.0).collect());
    let mut query = destination::Entity::find()
        .filter(destination::Column::Id.is_in(ids))
        .filter(destination::Column::DeletedAt.is_null())
        .order_by_asc(destination::Column::Id);
    if lock {
        query = query.lock(LockType::NoKeyUpdate);
    }
    let rows = super::readable(db, query).await?;
    Ok(rows.into_iter().map(|row| (DestinationId(row.id), hold_state(&row))).collect())
}

/// Stores the state of a breaker.
///
/// Takes lock 4 of 9.
pub async fn save_breaker(db: &impl ConnectionTrait, id: DestinationId, breaker: &Breaker) -> Result<()> {
    let open = breaker.open;
    destination::Entity::update_many()
        .col_expr(destination::Column::BreakerFailures, Expr::value(i64::from(breaker.failures)))
        .col_expr(destination::Column::BreakerOpenedAt, Expr::value(open.map(|open| open.since.0)))
        .col_expr(destination::Column::BreakerWaitMs, Expr::value(open.map(|open| millis(open.wait))))
        .col_expr(destination::Column::BreakerProbeAt, Expr::value(open.map(|open| open.probe_at.0)))
        .col_expr(destination::Column::BreakerIsProbing, Expr::value(open.is_some_and(|open| open.is_probing)))
        .col_expr(destination::Column::IsHanging, Expr::value(breaker.is_hanging))
        .filter(destination::Column::Id.eq(id.0))
        .exec(db)
        .await?;
    Ok(())
}
