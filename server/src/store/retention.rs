//! Removing what is old and over, in small steps: a step never holds the writer for long, and looks at nothing that stays.

use super::{Result, Store, group};
use model::id::WebhookId;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};

/// How many deliveries, or else rows, one step removes at most.
pub const STEP: i64 = 500;

/// What one step came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    /// How many rows went.
    pub removed: u64,
    /// Whether there may be more.
    pub is_full: bool,
}

#[derive(FromQueryResult)]
struct Id {
    id: Option<i64>,
}

/// What this statement answers as `id`.
async fn ids(db: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<i64>> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(Id::find_by_statement(statement).all(db).await?.into_iter().filter_map(|row| row.id).collect())
}

async fn delete(db: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Step> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let removed = db.execute_raw(statement).await?.rows_affected();
    Ok(Step { removed, is_full: removed >= STEP.unsigned_abs() })
}

/// Removes deliveries, with their attempts, that were settled before `oldest`; with them the runs and occurrences that
/// have none left.
pub async fn delete_settled(store: &Store, oldest: Timestamp) -> Result<Step> {
    let which = "settled_at < $1 ORDER BY settled_at LIMIT $2";
    delete_deliveries(store, which, [oldest.0.into(), STEP.into()]).await
}

/// The webhooks with more than `most` settled deliveries, each with the newest id of what is too much.
pub async fn find_excess(db: &impl ConnectionTrait, most: u32) -> Result<Vec<(WebhookId, i64)>> {
    let mut found = Vec::new();
    for webhook in ids(db, "SELECT id FROM webhook ORDER BY id", []).await? {
        let sql = "SELECT id FROM delivery WHERE webhook_id = $1 AND settled_at IS NOT NULL \
                   ORDER BY id DESC LIMIT 1 OFFSET $2";
        let newest = ids(db, sql, [webhook.into(), i64::from(most).into()]).await?;
        found.extend(newest.first().map(|newest| (WebhookId(webhook), *newest)));
    }
    Ok(found)
}

/// Removes settled deliveries of a webhook up to this id, as [`delete_settled`] does.
pub async fn delete_up_to(store: &Store, webhook: WebhookId, newest: i64) -> Result<Step> {
    let which = "webhook_id = $1 AND settled_at IS NOT NULL AND id <= $2 ORDER BY id LIMIT $3";
    delete_deliveries(store, which, [webhook.0.into(), newest.into(), STEP.into()]).await
}

async fn delete_deliveries(store: &Store, which: &str, values: impl IntoIterator<Item = Value>) -> Result<Step> {
    let txn = store.begin().await?;
    let table = group::ids_in("$1", txn.get_database_backend() == DbBackend::Postgres);
    let sql =
        format!("DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE {which}) RETURNING run_id AS id");
    let runs = ids(&txn, &sql, values).await?;
    let count = runs.len() as u64;
    let sql = format!(
        "DELETE FROM run WHERE id IN (SELECT r.id FROM {table} r) AND ended_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.run_id = run.id) RETURNING COALESCE(occurrence_id, 0) AS id"
    );
    let occurrences = ids(&txn, &sql, [group::json_ids(runs.into_iter())]).await?;
    let mut removed = count + occurrences.len() as u64;
    let sql = format!(
        "DELETE FROM occurrence WHERE id IN (SELECT o.id FROM {table} o) \
         AND NOT EXISTS (SELECT 1 FROM run WHERE run.occurrence_id = occurrence.id)"
    );
    removed += delete(&txn, &sql, [group::json_ids(occurrences.into_iter())]).await?.removed;
    store.commit(txn).await?;
    Ok(Step { removed, is_full: count >= STEP.unsigned_abs() })
}

/// Removes runs that ended before `oldest` and have no deliveries.
pub async fn delete_empty_runs(db: &impl ConnectionTrait, oldest: Timestamp) -> Result<Step> {
    let sql = "DELETE FROM run WHERE id IN (SELECT id FROM run WHERE ended_at < $1 \
               AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.run_id = run.id) LIMIT $2)";
    delete(db, sql, [oldest.0.into(), STEP.into()]).await
}

/// Removes occurrences that were received before `oldest`, have started something and have no runs any more.
pub async fn delete_occurrences(db: &impl ConnectionTrait, oldest: Timestamp) -> Result<Step> {
    let sql = "DELETE FROM occurrence WHERE id IN (SELECT id FROM occurrence WHERE received_at < $1 \
               AND tasks_started > 0 AND NOT EXISTS (SELECT 1 FROM run WHERE run.occurrence_id = occurrence.id) LIMIT $2)";
    delete(db, sql, [oldest.0.into(), STEP.into()]).await
}

/// Removes occurrences that were received before `oldest` and started nothing.
pub async fn delete_unmatched(db: &impl ConnectionTrait, oldest: Timestamp) -> Result<Step> {
    let sql = "DELETE FROM occurrence WHERE id IN (SELECT id FROM occurrence WHERE received_at < $1 \
               AND tasks_started = 0 LIMIT $2)";
    delete(db, sql, [oldest.0.into(), STEP.into()]).await
}
