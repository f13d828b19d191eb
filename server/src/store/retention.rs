//! Removing what is old and over, in small steps: a step never holds the writer for long.

use super::Result;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};

/// How many rows one step removes at most.
pub const STEP: i64 = 500;

async fn delete(db: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    Ok(db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?.rows_affected())
}

/// Removes deliveries, with their attempts, that were settled before `oldest`.
pub async fn delete_settled(db: &impl ConnectionTrait, oldest: Timestamp) -> Result<u64> {
    let sql = "DELETE FROM delivery WHERE id IN \
               (SELECT id FROM delivery WHERE settled_at < $1 ORDER BY settled_at LIMIT $2)";
    delete(db, sql, [oldest.0.into(), STEP.into()]).await
}

/// Removes the oldest settled deliveries of each webhook beyond `most`.
pub async fn delete_excess(db: &impl ConnectionTrait, most: i64) -> Result<u64> {
    #[derive(FromQueryResult)]
    struct Id {
        id: i64,
    }
    let all = Statement::from_string(db.get_database_backend(), "SELECT id FROM webhook ORDER BY id");
    let mut removed = 0;
    for webhook in Id::find_by_statement(all).all(db).await? {
        let sql = "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery \
                   WHERE webhook_id = $1 AND settled_at IS NOT NULL ORDER BY id DESC LIMIT $2 OFFSET $3)";
        removed += delete(db, sql, [webhook.id.into(), STEP.into(), most.into()]).await?;
    }
    Ok(removed)
}

/// Removes runs that ended before `oldest` and have no deliveries left.
pub async fn delete_empty_runs(db: &impl ConnectionTrait, oldest: Timestamp) -> Result<u64> {
    let sql = "DELETE FROM run WHERE id IN (SELECT id FROM run WHERE ended_at < $1 \
               AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.run_id = run.id) LIMIT $2)";
    delete(db, sql, [oldest.0.into(), STEP.into()]).await
}

/// Removes occurrences that were received before `oldest` and have no runs; before `oldest_unmatched` if they never
/// started anything.
pub async fn delete_occurrences(
    db: &impl ConnectionTrait,
    oldest: Timestamp,
    oldest_unmatched: Timestamp,
) -> Result<u64> {
    let sql = "DELETE FROM occurrence WHERE id IN (SELECT id FROM occurrence \
               WHERE (received_at < $1 OR (received_at < $2 AND tasks_started = 0)) \
               AND NOT EXISTS (SELECT 1 FROM run WHERE run.occurrence_id = occurrence.id) LIMIT $3)";
    delete(db, sql, [oldest.0.into(), oldest_unmatched.0.into(), STEP.into()]).await
}
