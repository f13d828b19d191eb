//! Figures of the dashboards, and the change feed of the live pages.

use super::Result;
use super::delivery::{ListRow, list_rows};
use super::entity::delivery;
use model::hold::HoldReason;
use model::id::DestinationId;
use model::number::to_u64;
use model::time::Timestamp;
use sea_orm::{
    ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
    sea_query::Expr,
};
use std::collections::HashMap;

/// The number of deliveries of one status in one hour.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct HourCount {
    /// Hours since 1970.
    pub hour: i64,
    /// The status with which they were settled.
    pub status: String,
    /// Their number.
    pub deliveries: i64,
}

/// The number of waiting deliveries that were queued in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct WaitingCount {
    /// Hours since 1970.
    pub hour: i64,
    /// Their number.
    pub deliveries: i64,
}

fn statement(db: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

/// Returns the numbers of deliveries that were settled from one instant until before another, by the hour of their end.
pub async fn settled_by_hour(db: &impl ConnectionTrait, from: Timestamp, to: Timestamp) -> Result<Vec<HourCount>> {
    let sql = "SELECT settled_at / 3600000 AS hour, status, COUNT(*) AS deliveries FROM delivery \
               WHERE settled_at IS NOT NULL AND settled_at >= $1 AND settled_at < $2 GROUP BY 1, 2";
    Ok(HourCount::find_by_statement(statement(db, sql, [from.0.into(), to.0.into()])).all(db).await?)
}

/// Returns the numbers of waiting deliveries that were queued since an instant, by the hour in which they were queued.
pub async fn waiting_by_hour(db: &impl ConnectionTrait, since: Timestamp) -> Result<Vec<WaitingCount>> {
    let sql = "SELECT created_at / 3600000 AS hour, COUNT(*) AS deliveries FROM \
               (SELECT created_at FROM delivery WHERE COALESCE(settled_at, 0) = 0 AND status <> 'running' AND created_at >= $1 \
               UNION ALL SELECT created_at FROM delivery WHERE status = 'running' AND created_at >= $1) w GROUP BY 1";
    Ok(WaitingCount::find_by_statement(statement(db, sql, [since.0.into()])).all(db).await?)
}

/// Returns the times from queueing to receipt of the newest deliveries that were sent within these instants, in ms,
/// sorted. Leaves out a delivery during which the clock was set back.
pub async fn receipt_times(
    db: &impl ConnectionTrait,
    (since, until): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<i64>> {
    #[derive(FromQueryResult)]
    struct Took {
        took: i64,
    }
    let sql = "SELECT settled_at - created_at AS took FROM delivery \
               WHERE settled_at IS NOT NULL AND settled_at >= $1 AND settled_at <= $3 AND settled_at >= created_at \
               AND status = 'sent' ORDER BY settled_at DESC LIMIT $2";
    let rows =
        Took::find_by_statement(statement(db, sql, [since.0.into(), limit.into(), until.0.into()])).all(db).await?;
    let mut took: Vec<_> = rows.into_iter().map(|row| row.took).collect();
    took.sort_unstable();
    Ok(took)
}

/// The number of deliveries that are held for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCount {
    /// The reason.
    pub reason: HoldReason,
    /// Their number.
    pub deliveries: u64,
}

/// Returns the numbers of held deliveries of a destination, by reason.
pub async fn held_by_reason(db: &impl ConnectionTrait, id: DestinationId) -> Result<Vec<HeldCount>> {
    #[derive(FromQueryResult)]
    struct Held {
        reason: String,
        deliveries: i64,
    }
    let sql = "SELECT hold_reason AS reason, COUNT(*) AS deliveries FROM delivery \
               WHERE destination_id = $1 AND status = 'held' \
               AND hold_reason IN ('paused', 'breaker', 'releasing', 'target') GROUP BY hold_reason";
    let rows = Held::find_by_statement(statement(db, sql, [id.0.into()])).all(db).await?;
    let read = |row: Held| {
        let deliveries = to_u64(row.deliveries);
        Some(HeldCount { reason: HoldReason::find(&row.reason)?, deliveries })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Returns the number of held deliveries of each destination that holds any.
pub async fn held_by_destination(db: &impl ConnectionTrait) -> Result<HashMap<DestinationId, u64>> {
    #[derive(FromQueryResult)]
    struct Held {
        destination_id: i64,
        deliveries: i64,
    }
    // Without the `+` SQLite would read all deliveries in the order of their destinations instead of the index of held
    // deliveries.
    let sql = "SELECT +destination_id AS destination_id, COUNT(*) AS deliveries FROM delivery WHERE status = 'held' GROUP BY 1";
    let rows = Held::find_by_statement(statement(db, sql, [])).all(db).await?;
    let read = |row: Held| (DestinationId(row.destination_id), to_u64(row.deliveries));
    Ok(rows.into_iter().map(read).collect())
}

/// Returns the number of tasks whose last run began since an instant and failed. Missed runs do not count.
pub async fn failed_tasks(db: &impl ConnectionTrait, since: Timestamp) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct Count {
        tasks: i64,
    }
    // A range of one task instead of an equality: for an equality PostgreSQL would walk through all runs for a task
    // that has none.
    let sql = "SELECT COUNT(*) AS tasks FROM task t JOIN run r ON r.id = \
               (SELECT l.id FROM run l WHERE l.task_id >= t.id AND l.task_id <= t.id AND l.status <> 'missed' \
               ORDER BY l.task_id DESC, l.id DESC LIMIT 1) \
               WHERE r.status = 'failed' AND r.started_at >= $1";
    Ok(Count::find_by_statement(statement(db, sql, [since.0.into()])).one(db).await?.map_or(0, |row| row.tasks))
}

/// The deliveries on their way.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromQueryResult)]
pub struct Queue {
    /// The number that wait for an attempt.
    pub queued: i64,
    /// The number that are being sent.
    pub running: i64,
    /// The number that are held.
    pub held: i64,
    /// The instant at which the oldest was queued.
    pub oldest: Option<i64>,
}

/// Returns the deliveries on their way.
pub async fn queue(db: &impl ConnectionTrait) -> Result<Queue> {
    let sql = "SELECT (SELECT COUNT(*) FROM delivery WHERE status = 'queued') AS queued, \
               (SELECT COUNT(*) FROM delivery WHERE status = 'running') AS running, \
               (SELECT COUNT(*) FROM delivery WHERE status = 'held') AS held, \
               (SELECT MIN(created_at) FROM (SELECT created_at FROM (SELECT created_at FROM delivery \
               WHERE COALESCE(settled_at, 0) = 0 AND status <> 'running' ORDER BY created_at LIMIT 1) q \
               UNION ALL SELECT created_at FROM delivery WHERE status = 'running') w) AS oldest";
    Ok(Queue::find_by_statement(statement(db, sql, [])).one(db).await?.unwrap_or_default())
}

/// Returns the newest failed deliveries.
pub async fn failures(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<ListRow>> {
    Ok(list_rows(delivery::Entity::find())
        // The status is part of the SQL text: with a bound value the partial index is not used.
        .filter(Expr::cust("status = 'error'"))
        .order_by_desc(delivery::Column::Id)
        .limit(limit)
        .into_model()
        .all(db)
        .await?)
}

/// Returns a text that changes with everything that a page may show. It contains the newest ids of tables to which rows
/// are only added, the newest end of a delivery, the newest lease, the times of holds, which can hold and release
/// deliveries without a new row, and the times of schedules.
pub async fn change_mark(db: &impl ConnectionTrait) -> Result<String> {
    #[derive(FromQueryResult)]
    struct Newest {
        deliveries: Option<i64>,
        attempts: Option<i64>,
        revisions: Option<i64>,
        occurrences: Option<i64>,
        settled: Option<i64>,
        leased: Option<i64>,
        holds: Option<i64>,
        runs: Option<i64>,
        schedules: Option<i64>,
    }
    let sql = "SELECT (SELECT MAX(id) FROM delivery) AS deliveries, (SELECT MAX(id) FROM attempt) AS attempts, \
               (SELECT MAX(id) FROM revision) AS revisions, (SELECT MAX(id) FROM occurrence) AS occurrences, \
               (SELECT settled_at FROM delivery WHERE settled_at IS NOT NULL ORDER BY settled_at DESC LIMIT 1) \
               AS settled, \
               (SELECT lease_until FROM delivery WHERE status = 'running' ORDER BY lease_until DESC LIMIT 1) AS leased, \
               (SELECT CAST(SUM(COALESCE(paused_at, 0) + COALESCE(breaker_probe_at, 0) + COALESCE(released_at, 0) \
               + arranging) AS BIGINT) FROM destination) AS holds, (SELECT MAX(id) FROM run) AS runs, \
               (SELECT CAST(SUM(COALESCE(next_at, 0) + updated_at) AS BIGINT) FROM schedule) AS schedules";
    let newest = Newest::find_by_statement(statement(db, sql, [])).one(db).await?;
    Ok(newest.map_or_else(String::new, |newest| {
        let Newest { deliveries, attempts, revisions, occurrences, settled, leased, holds, runs, schedules } = newest;
        [deliveries, attempts, revisions, occurrences, settled, leased, holds, runs, schedules]
            .map(|id| id.unwrap_or_default().to_string())
            .join("-")
    }))
}
