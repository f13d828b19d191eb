//! Deliveries that wait for something else than their time: a paused webhook, an open breaker, a changed target.
//!
//! Held rows are never claimed. What lets them go is here and in `sweep`, and nowhere else: a person's word, a breaker
//! that closes, a step of a release at a rate, a probe.

use super::entity::webhook;
use super::webhook::{HoldState, hold_state};
use super::{Result, group};
use model::breaker::Breaker;
use model::delivery::{HELD_MAX, HoldReason};
use model::id::{RunId, WebhookId};
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
    sea_query::{Expr, LockType},
};
use std::collections::HashMap;
use std::time::Duration;

/// Why a delivery of a deleted webhook was given up.
pub const WEBHOOK_DELETED: &str = "The webhook was deleted.";
/// Why a delivery was given up when its webhook was resumed.
pub const NOT_RELEASED: &str = "Given up when the webhook was resumed.";

/// Why a delivery could not be held.
pub const HOLD_FULL: &str = "Too many deliveries are held for this webhook already. Resume it, or give them up.";

/// Which held deliveries go on; the others are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// All of them.
    All,
    /// Of each object the newest; those without an object all, and what a person has sent again.
    NewestPerObject,
    /// None.
    None,
}

pub(super) async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64> {
    Ok(db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?.rows_affected())
}

#[derive(FromQueryResult)]
struct RunOf {
    run_id: i64,
}

/// Gives deliveries up by a condition on `delivery`. Answers their runs, which may have ended with them.
async fn discard(
    db: &impl ConnectionTrait,
    words: &str,
    condition: &str,
    more: impl IntoIterator<Item = Value>,
    now: Timestamp,
) -> Result<Vec<RunId>> {
    let sql = format!(
        "UPDATE delivery SET status = 'discarded', hold_reason = NULL, next_attempt_at = NULL, settled_at = $1, \
         error = $2 WHERE (status = 'queued' OR status = 'held') AND {condition} RETURNING run_id"
    );
    let values = [Value::from(now.0), words.into()].into_iter().chain(more);
    let rows = RunOf::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| RunId(row.run_id)).collect())
}

/// Gives up everything that waits for a webhook.
pub async fn discard_waiting(
    db: &impl ConnectionTrait,
    id: WebhookId,
    words: &str,
    now: Timestamp,
) -> Result<Vec<RunId>> {
    discard(db, words, "webhook_id = $3", [id.0.into()], now).await
}

/// Gives up one delivery that waits.
pub async fn discard_one(db: &impl ConnectionTrait, id: i64, words: &str, now: Timestamp) -> Result<Vec<RunId>> {
    discard(db, words, "id = $3", [id.into()], now).await
}

/// Holds everything that waits for a webhook, but behind its breaker not what goes to an earlier target. What is held
/// already keeps its reason.
pub async fn hold_waiting(db: &impl ConnectionTrait, id: WebhookId, reason: HoldReason) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'held', hold_reason = $2 WHERE webhook_id = $1 AND status = 'queued' \
               AND ($2 <> 'breaker' OR replay_revision IS NULL)";
    execute(db, sql, [id.0.into(), reason.as_str().into()]).await
}

/// Holds everything that waits, also what was held for another reason: its target has changed.
pub async fn hold_for_target(db: &impl ConnectionTrait, id: WebhookId) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'held', hold_reason = 'target' \
               WHERE webhook_id = $1 AND (status = 'queued' OR status = 'held') AND replay_revision IS NULL";
    execute(db, sql, [id.0.into()]).await
}

/// Pauses a webhook; answers whether it was not. What else held its deliveries, but for a changed target, is one with
/// the pause: who resumes decides about all of them.
pub async fn pause(db: &impl ConnectionTrait, id: WebhookId, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE webhook SET paused_at = $2, release_per_second = NULL \
               WHERE id = $1 AND paused_at IS NULL AND deleted_at IS NULL";
    if execute(db, sql, [id.0.into(), now.0.into()]).await? == 0 {
        return Ok(false);
    }
    hold_waiting(db, id, HoldReason::Paused).await?;
    let sql = "UPDATE delivery SET hold_reason = 'paused' \
               WHERE webhook_id = $1 AND status = 'held' AND hold_reason IN ('releasing', 'breaker')";
    execute(db, sql, [id.0.into()]).await?;
    Ok(true)
}

/// Ends a pause; answers whether there was one. What was held goes on as [`release`] is told.
pub async fn resume(db: &impl ConnectionTrait, id: WebhookId) -> Result<bool> {
    let sql = "UPDATE webhook SET paused_at = NULL WHERE id = $1 AND paused_at IS NOT NULL";
    Ok(execute(db, sql, [id.0.into()]).await? == 1)
}

/// Lets go what was held for `reason`, all at once or `per_second`. Answers the runs of what was given up.
pub async fn release(
    db: &impl ConnectionTrait,
    id: WebhookId,
    reason: HoldReason,
    which: Release,
    per_second: Option<u32>,
    now: Timestamp,
) -> Result<Vec<RunId>> {
    let given_up = match which {
        Release::All => Vec::new(),
        Release::None => {
            let condition = "webhook_id = $3 AND status = 'held' AND hold_reason = $4";
            discard(db, NOT_RELEASED, condition, [id.0.into(), reason.as_str().into()], now).await?
        }
        Release::NewestPerObject => {
            let condition = "webhook_id = $3 AND status = 'held' AND hold_reason = $4 AND object_id IS NOT NULL \
                             AND replay_of IS NULL AND id NOT IN (SELECT MAX(id) FROM delivery WHERE webhook_id = $3 \
                             AND status = 'held' AND hold_reason = $4 AND object_id IS NOT NULL AND replay_of IS NULL \
                             GROUP BY object_id)";
            discard(db, NOT_RELEASED, condition, [id.0.into(), reason.as_str().into()], now).await?
        }
    };
    let state = load_state(db, id).await?;
    // An open breaker holds what goes at a rate, too, and the rate is still meant when it closes.
    let next = match per_second {
        Some(_) if state.paused_at.is_none() => Some(HoldReason::Releasing),
        _ => state.reason(),
    };
    if next == Some(HoldReason::Releasing) {
        let sql = "UPDATE webhook SET release_per_second = $2, released_at = $3 WHERE id = $1";
        execute(db, sql, [id.0.into(), per_second.map(i64::from).into(), now.0.into()]).await?;
    }
    if reason == HoldReason::Target {
        // Confirmed: what is left is meant for the target of now.
        let sql = "UPDATE delivery SET webhook_revision = (SELECT revision FROM webhook WHERE webhook.id = $1) \
                   WHERE webhook_id = $1 AND status = 'held' AND hold_reason = 'target'";
        execute(db, sql, [id.0.into()]).await?;
    }
    move_held(db, id, reason, next).await?;
    Ok(given_up)
}

/// Has what is held for one reason wait for another, or for its time alone.
async fn move_held(db: &impl ConnectionTrait, id: WebhookId, from: HoldReason, to: Option<HoldReason>) -> Result<()> {
    if to == Some(HoldReason::Breaker) {
        // Which knows nothing of an earlier target.
        let sql = "UPDATE delivery SET status = 'queued', hold_reason = NULL \
                   WHERE webhook_id = $1 AND status = 'held' AND hold_reason = $2 AND replay_revision IS NOT NULL";
        execute(db, sql, [id.0.into(), from.as_str().into()]).await?;
    }
    let status = if to.is_some() { "held" } else { "queued" };
    let sql = "UPDATE delivery SET status = $3, hold_reason = $4 \
               WHERE webhook_id = $1 AND status = 'held' AND hold_reason = $2";
    let to = to.map(HoldReason::as_str);
    execute(db, sql, [id.0.into(), from.as_str().into(), status.into(), to.into()]).await?;
    Ok(())
}

/// How many deliveries of a webhook are held, counted up to [`HELD_MAX`].
pub async fn count_held(db: &impl ConnectionTrait, id: WebhookId) -> Result<u64> {
    #[derive(FromQueryResult)]
    struct Count {
        held: i64,
    }
    let sql = "SELECT COUNT(*) AS held FROM \
               (SELECT 1 FROM delivery WHERE webhook_id = $1 AND status = 'held' LIMIT $2) AS held_rows";
    let values = [Value::from(id.0), i64::try_from(HELD_MAX).unwrap_or(i64::MAX).into()];
    let row = Count::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values))
        .one(db)
        .await?;
    Ok(row.and_then(|row| u64::try_from(row.held).ok()).unwrap_or_default())
}

async fn load_state(db: &impl ConnectionTrait, id: WebhookId) -> Result<HoldState> {
    Ok(webhook::Entity::find_by_id(id.0).one(db).await?.map(|row| hold_state(&row)).unwrap_or_default())
}

/// The states of those of these webhooks that were not deleted; with `lock`, nobody else changes them
/// until the transaction ends.
pub async fn load_states(
    db: &impl ConnectionTrait,
    ids: &[WebhookId],
    lock: bool,
) -> Result<HashMap<WebhookId, HoldState>> {
    let ids = group::padded(ids.iter().map(|id| id.0).collect());
    let mut query = webhook::Entity::find()
        .filter(webhook::Column::Id.is_in(ids))
        .filter(webhook::Column::DeletedAt.is_null())
        .order_by_asc(webhook::Column::Id);
    if lock {
        query = query.lock(LockType::NoKeyUpdate);
    }
    let rows = super::readable(db, query).await?;
    Ok(rows.into_iter().map(|row| (WebhookId(row.id), hold_state(&row))).collect())
}

/// Stores where a breaker stands.
pub async fn save_breaker(db: &impl ConnectionTrait, id: WebhookId, breaker: &Breaker) -> Result<()> {
    let open = breaker.open;
    webhook::Entity::update_many()
        .col_expr(webhook::Column::BreakerFailures, Expr::value(i64::from(breaker.failures)))
        .col_expr(webhook::Column::BreakerOpenedAt, Expr::value(open.map(|open| open.since.0)))
        .col_expr(webhook::Column::BreakerWaitMs, Expr::value(open.map(|open| millis(open.wait))))
        .col_expr(webhook::Column::BreakerProbeAt, Expr::value(open.map(|open| open.probe_at.0)))
        .col_expr(webhook::Column::BreakerIsProbing, Expr::value(open.is_some_and(|open| open.is_probing)))
        .col_expr(webhook::Column::IsHanging, Expr::value(breaker.is_hanging))
        .filter(webhook::Column::Id.eq(id.0))
        .exec(db)
        .await?;
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Lets go what an open breaker held, unless a person has paused the webhook meanwhile.
pub async fn release_breaker(db: &impl ConnectionTrait, id: WebhookId, state: &HoldState) -> Result<()> {
    move_held(db, id, HoldReason::Breaker, state.reason()).await
}
