//! Deliveries that wait for something else than their time: a paused webhook, an open breaker, a changed target.
//!
//! Held rows are never claimed. What lets them go is here, and nowhere else: a person's word, a breaker that closes, a
//! step of a release at a rate, a probe. On PostgreSQL another node may queue a row while a webhook is being paused or
//! deleted: [`sweep`] puts that right, and the claim leaves such rows alone meanwhile.

use super::entity::webhook;
use super::webhook::{HoldState, hold_state};
use super::{Result, Store, group};
use model::breaker::Breaker;
use model::delivery::{DUE_MAX, HELD_MAX, HoldReason};
use model::id::{RunId, WebhookId};
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement, Value,
    sea_query::{Expr, LockBehavior, LockType},
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
    /// Of each object the newest; those without an object all.
    NewestPerObject,
    /// None.
    None,
}

async fn execute(db: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
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

/// Holds everything that waits for a webhook. What is held already keeps its reason.
pub async fn hold_waiting(db: &impl ConnectionTrait, id: WebhookId, reason: HoldReason) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'held', hold_reason = $2 WHERE webhook_id = $1 AND status = 'queued'";
    execute(db, sql, [id.0.into(), reason.as_str().into()]).await
}

/// Holds everything that waits, also what was held for another reason: its target has changed.
pub async fn hold_for_target(db: &impl ConnectionTrait, id: WebhookId) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'held', hold_reason = 'target' \
               WHERE webhook_id = $1 AND (status = 'queued' OR status = 'held') AND replay_revision IS NULL";
    execute(db, sql, [id.0.into()]).await
}

/// Pauses a webhook; answers whether it was not.
pub async fn pause(db: &impl ConnectionTrait, id: WebhookId, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE webhook SET paused_at = $2, release_per_second = NULL \
               WHERE id = $1 AND paused_at IS NULL AND deleted_at IS NULL";
    if execute(db, sql, [id.0.into(), now.0.into()]).await? == 0 {
        return Ok(false);
    }
    hold_waiting(db, id, HoldReason::Paused).await?;
    let sql = "UPDATE delivery SET hold_reason = 'paused' \
               WHERE webhook_id = $1 AND status = 'held' AND hold_reason = 'releasing'";
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
                             AND id NOT IN (SELECT MAX(id) FROM delivery WHERE webhook_id = $3 AND status = 'held' \
                             AND hold_reason = $4 AND object_id IS NOT NULL GROUP BY object_id)";
            discard(db, NOT_RELEASED, condition, [id.0.into(), reason.as_str().into()], now).await?
        }
    };
    let state = load_state(db, id).await?;
    let next = state.reason().or(per_second.map(|_| HoldReason::Releasing));
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
async fn move_held(db: &impl ConnectionTrait, id: WebhookId, from: HoldReason, to: Option<HoldReason>) -> Result<u64> {
    let status = if to.is_some() { "held" } else { "queued" };
    let sql = "UPDATE delivery SET status = $3, hold_reason = $4 \
               WHERE webhook_id = $1 AND status = 'held' AND hold_reason = $2";
    let to = to.map(HoldReason::as_str);
    execute(db, sql, [id.0.into(), from.as_str().into(), status.into(), to.into()]).await
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

/// The states of these webhooks, each with its name; with `lock`, nobody else changes them until the transaction ends.
pub async fn load_states(
    db: &impl ConnectionTrait,
    ids: &[WebhookId],
    lock: bool,
) -> Result<HashMap<WebhookId, (String, HoldState)>> {
    let ids = group::padded(ids.iter().map(|id| id.0).collect());
    let mut query = webhook::Entity::find().filter(webhook::Column::Id.is_in(ids)).order_by_asc(webhook::Column::Id);
    if lock {
        query = query.lock(LockType::NoKeyUpdate);
    }
    let rows = query.all(db).await?;
    Ok(rows.into_iter().map(|row| (WebhookId(row.id), (row.name.clone(), hold_state(&row)))).collect())
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
pub async fn release_breaker(db: &impl ConnectionTrait, id: WebhookId, state: &HoldState) -> Result<u64> {
    move_held(db, id, HoldReason::Breaker, state.reason()).await
}

/// Once a second: starts due probes, lets go the next of what is released at a rate, and puts right what slipped
/// through; the runs of what is given up end with it. `margin` is what a probe may take beyond its webhook's timeout before it is given up.
pub async fn sweep(store: &Store, now: Timestamp, margin: Duration) -> Result<()> {
    let mut runs: Vec<RunId> = Vec::new();
    let txn = store.begin().await?;
    let mut query = webhook::Entity::find().filter(
        Condition::any()
            .add(webhook::Column::PausedAt.is_not_null())
            .add(webhook::Column::BreakerOpenedAt.is_not_null())
            .add(webhook::Column::ReleasePerSecond.is_not_null())
            .add(webhook::Column::DeletedAt.is_not_null().and(has_waiting()))
            .add(Expr::cust(HAS_STRAYS))
            .add(webhook::Column::TargetRevision.gt(0).and(Expr::cust(HAS_OUTDATED))),
    );
    // Whoever is changing one, which may take long, puts its deliveries right by himself.
    query = query.order_by_asc(webhook::Column::Id).lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
    for row in query.all(&txn).await? {
        let (id, mut state) = (WebhookId(row.id), hold_state(&row));
        if row.target_revision > 0 {
            hold_outdated(&txn, id).await?;
        }
        if row.deleted_at.is_some() {
            runs.extend(discard_waiting(&txn, id, WEBHOOK_DELETED, now).await?);
        } else if state.paused_at.is_some() {
            hold_waiting(&txn, id, HoldReason::Paused).await?;
        } else if state.breaker.open.is_some() {
            let timeout = Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or_default());
            if state.breaker.start_probe(now, timeout + margin) && probe(&txn, id, now).await? {
                save_breaker(&txn, id, &state.breaker).await?;
            }
            if state.release_per_second.is_some() {
                // What the outage lasts is not made up for by a burst.
                let sql = "UPDATE webhook SET released_at = $2 WHERE id = $1";
                execute(&txn, sql, [id.0.into(), now.0.into()]).await?;
            }
        } else if let Some(rate) = state.release_per_second {
            let since = Timestamp(row.released_at.unwrap_or(now.0));
            release_step(&txn, id, rate, since, now).await?;
        } else {
            // Another node held it just as what held it ended.
            let sql = "UPDATE delivery SET status = 'queued', hold_reason = NULL \
                       WHERE webhook_id = $1 AND status = 'held' AND hold_reason <> 'target'";
            execute(&txn, sql, [id.0.into()]).await?;
        }
    }
    hold_strays(&txn).await?;
    runs.sort_unstable();
    runs.dedup();
    for runs in runs.chunks(500) {
        super::occurrence::end_settled_runs(&txn, runs, now).await?;
    }
    // A clock that was set back must not put deliveries off for as long.
    let latest = now.after(DUE_MAX);
    let sql = "UPDATE delivery SET next_attempt_at = $1 WHERE status = 'queued' AND next_attempt_at > $1";
    execute(&txn, sql, [latest.0.into()]).await?;
    Ok(txn.commit().await?)
}

/// Rows that are held though nothing holds their webhook.
const HAS_STRAYS: &str = "webhook.deleted_at IS NULL AND EXISTS (SELECT 1 FROM delivery d \
    WHERE d.webhook_id = webhook.id AND d.status = 'held' AND d.hold_reason <> 'target')";

/// Rows that were queued for the target before the webhook's present one. Nobody claims them, so they come to be the
/// first that are due: looking at those keeps a large backlog from being read each second.
const HAS_OUTDATED: &str = "EXISTS (SELECT 1 FROM (SELECT f.replay_revision, f.webhook_revision FROM delivery f \
    WHERE f.webhook_id = webhook.id AND f.status = 'queued' ORDER BY f.next_attempt_at, f.id LIMIT 1000) AS d \
    WHERE d.replay_revision IS NULL AND d.webhook_revision < webhook.target_revision)";

/// Holds what was queued for an earlier target: by another node, or by one that died with the attempt.
async fn hold_outdated(db: &impl ConnectionTrait, id: WebhookId) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'held', hold_reason = 'target' WHERE webhook_id = $1 AND status = 'queued' \
               AND replay_revision IS NULL \
               AND webhook_revision < (SELECT target_revision FROM webhook WHERE webhook.id = $1)";
    execute(db, sql, [id.0.into()]).await
}

/// Holds what another node queued just as a breaker opened. While a probe is under way, what is queued may be the probe.
async fn hold_strays(db: &impl ConnectionTrait) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'held', hold_reason = 'breaker' WHERE status = 'queued' \
               AND webhook_id IN (SELECT id FROM webhook WHERE breaker_opened_at IS NOT NULL \
               AND NOT breaker_is_probing AND paused_at IS NULL AND deleted_at IS NULL)";
    execute(db, sql, []).await
}

fn has_waiting() -> sea_orm::sea_query::SimpleExpr {
    Expr::cust(
        "EXISTS (SELECT 1 FROM delivery d WHERE d.webhook_id = webhook.id AND (d.status = 'queued' OR d.status = 'held'))",
    )
}

/// Queues the oldest delivery that waits behind the breaker; answers whether there was one.
async fn probe(db: &impl ConnectionTrait, id: WebhookId, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE delivery SET status = 'queued', hold_reason = NULL, next_attempt_at = $2 WHERE id = \
               (SELECT MIN(id) FROM delivery WHERE webhook_id = $1 AND status = 'held' \
               AND (hold_reason = 'breaker' OR hold_reason = 'releasing'))";
    Ok(execute(db, sql, [id.0.into(), now.0.into()]).await? == 1)
}

/// Lets go as many as the rate allows since the last step.
async fn release_step(
    db: &impl ConnectionTrait,
    id: WebhookId,
    rate: u32,
    since: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let seconds = i64::try_from(now.since(since).as_secs()).unwrap_or(i64::MAX);
    if seconds == 0 {
        return Ok(());
    }
    let sql = "UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE id IN \
               (SELECT id FROM delivery WHERE webhook_id = $1 AND status = 'held' AND hold_reason = 'releasing' \
               ORDER BY id LIMIT $2)";
    let most = seconds.saturating_mul(rate.into());
    let released = execute(db, sql, [id.0.into(), most.into()]).await?;
    let (rate, at) = if released == 0 { (None, None) } else { (Some(i64::from(rate)), Some(since.0 + seconds * 1000)) };
    let sql = "UPDATE webhook SET release_per_second = $2, released_at = $3 WHERE id = $1";
    execute(db, sql, [id.0.into(), rate.into(), at.into()]).await?;
    Ok(())
}
