//! What is looked at once a second: due probes, the next of what is released at a rate, and what slipped through.
//!
//! On PostgreSQL another node may queue a row while a webhook is being paused or deleted, or its breaker opens: that is
//! put right here, and the claim leaves such rows alone meanwhile. So is what a clock that was set back leaves in the
//! future.

use super::entity::webhook;
use super::hold::{WEBHOOK_DELETED, discard_waiting, execute, hold_waiting, save_breaker};
use super::webhook::hold_state;
use super::{Result, Store, occurrence};
use model::breaker::Breaker;
use model::delivery::{DUE_MAX, HoldReason};
use model::id::{RunId, WebhookId};
use model::time::Timestamp;
use model::webhook::TIMEOUT_MAX_SECONDS;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::{Expr, LockBehavior, LockType},
};
use std::time::Duration;

/// How many seconds of a release at a rate are made up for: an outage is not followed by a burst.
const CATCH_UP: i64 = 2;
/// From here on an instant in the future is one that a clock which was set back has left.
const SET_BACK: Duration = Duration::from_mins(1);

/// Once a second: starts due probes, lets go the next of what is released at a rate, and puts right what slipped
/// through; the runs of what is given up end with it. `margin` is what a probe may take beyond its webhook's timeout
/// before it is given up.
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
    for row in super::readable(&txn, query).await? {
        let (id, state) = (WebhookId(row.id), hold_state(&row));
        if row.target_revision > 0 {
            hold_outdated(&txn, id).await?;
        }
        if row.deleted_at.is_some() {
            runs.extend(discard_waiting(&txn, id, WEBHOOK_DELETED, now).await?);
        } else if state.paused_at.is_some() {
            hold_waiting(&txn, id, HoldReason::Paused).await?;
        } else if state.breaker.open.is_some() {
            let timeout = Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or_default());
            let is_releasing = state.release_per_second.is_some();
            let reason = if is_releasing { HoldReason::Releasing } else { HoldReason::Breaker };
            gather_strays(&txn, id, reason).await?;
            let breaker = next_probe(&txn, id, state.breaker, now, timeout + margin).await?;
            if breaker != state.breaker {
                save_breaker(&txn, id, &breaker).await?;
            }
            if is_releasing {
                // What the outage lasts is not made up for by a burst.
                let sql = "UPDATE webhook SET released_at = $2 WHERE id = $1";
                execute(&txn, sql, [id.0.into(), now.0.into()]).await?;
            }
        } else if let Some(rate) = state.release_per_second {
            gather_strays(&txn, id, HoldReason::Releasing).await?;
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
        occurrence::end_settled_runs(&txn, runs, now).await?;
    }
    // A clock that was set back must not put deliveries off for as long, nor keep them with a worker that died.
    let sql = "UPDATE delivery SET next_attempt_at = $1 WHERE status = 'queued' AND next_attempt_at > $1";
    execute(&txn, sql, [now.after(DUE_MAX).0.into()]).await?;
    let latest_lease = now.after(Duration::from_secs(TIMEOUT_MAX_SECONDS.into()) + margin);
    let sql = "UPDATE delivery SET lease_until = $1 WHERE status = 'running' AND lease_until > $1";
    execute(&txn, sql, [latest_lease.0.into()]).await?;
    crate::fault::point("sweep.before-commit");
    store.commit(txn).await
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
               AND NOT breaker_is_probing AND paused_at IS NULL AND deleted_at IS NULL) AND replay_revision IS NULL";
    execute(db, sql, []).await
}

fn has_waiting() -> sea_orm::sea_query::SimpleExpr {
    Expr::cust(
        "EXISTS (SELECT 1 FROM delivery d WHERE d.webhook_id = webhook.id AND (d.status = 'queued' OR d.status = 'held'))",
    )
}

/// Has what another node held just as a pause or an open breaker ended wait for what holds the webhook now, and lets go
/// what goes to an earlier target. In one pass: there may be 100,000.
async fn gather_strays(db: &impl ConnectionTrait, id: WebhookId, reason: HoldReason) -> Result<u64> {
    let sql = "UPDATE delivery SET status = CASE WHEN replay_revision IS NULL THEN 'held' ELSE 'queued' END, \
               hold_reason = CASE WHEN replay_revision IS NULL THEN $2 END WHERE webhook_id = $1 AND status = 'held' \
               AND (hold_reason = 'paused' OR (hold_reason = 'breaker' AND $2 = 'releasing') \
               OR (hold_reason <> 'target' AND replay_revision IS NOT NULL))";
    execute(db, sql, [id.0.into(), reason.as_str().into()]).await
}

/// Starts a probe if one is due and nothing of the last one is left. Answers where the breaker stands now.
async fn next_probe(
    db: &impl ConnectionTrait,
    id: WebhookId,
    mut breaker: Breaker,
    now: Timestamp,
    lost_after: Duration,
) -> Result<Breaker> {
    breaker.pull_in(now);
    let mut probing = breaker;
    if !probing.start_probe(now, lost_after) {
        return Ok(breaker);
    }
    // The last one may still wait for a slot, or be with a worker that died.
    let is_under_way = breaker.is_probing() && is_under_way(db, id).await?;
    if !is_under_way && probe(db, id, now).await? { Ok(probing) } else { Ok(breaker) }
}

async fn is_under_way(db: &impl ConnectionTrait, id: WebhookId) -> Result<bool> {
    let of = |status| {
        format!("SELECT 1 AS n FROM delivery WHERE webhook_id = $1 AND status = '{status}' AND replay_revision IS NULL")
    };
    let sql = format!("{} UNION ALL {} LIMIT 1", of("queued"), of("running"));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into()]);
    Ok(db.query_one_raw(statement).await?.is_some())
}

/// Queues the oldest delivery that waits behind the breaker and whose time has come: what the receiver asked for and the
/// schedule hold for a probe, too. Answers whether there was one.
async fn probe(db: &impl ConnectionTrait, id: WebhookId, now: Timestamp) -> Result<bool> {
    // A due time that a clock which was set back left further ahead than any is pulled in with the queued ones.
    let sql = "UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE id = \
               (SELECT MIN(id) FROM delivery WHERE webhook_id = $1 AND status = 'held' \
               AND (next_attempt_at <= $2 OR next_attempt_at > $3) \
               AND replay_revision IS NULL AND (hold_reason = 'breaker' OR hold_reason = 'releasing'))";
    Ok(execute(db, sql, [id.0.into(), now.0.into(), now.after(DUE_MAX).0.into()]).await? == 1)
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
    // Another node may have looked at the clock a moment later.
    let is_set_back = since.since(now) > SET_BACK;
    if seconds == 0 && !is_set_back {
        return Ok(());
    }
    let sql = "UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE id IN \
               (SELECT id FROM delivery WHERE webhook_id = $1 AND status = 'held' AND hold_reason = 'releasing' \
               ORDER BY id LIMIT $2)";
    // A clock that was set back begins again.
    let (seconds, at) = if seconds > CATCH_UP || is_set_back {
        (Ord::min(seconds, CATCH_UP), now)
    } else {
        (seconds, Timestamp(since.0 + seconds * 1000))
    };
    let released = execute(db, sql, [id.0.into(), (seconds * i64::from(rate)).into()]).await?;
    let is_over = released == 0 && seconds > 0;
    let (rate, at) = if is_over { (None, None) } else { (Some(i64::from(rate)), Some(at.0)) };
    let sql = "UPDATE webhook SET release_per_second = $2, released_at = $3 WHERE id = $1";
    execute(db, sql, [id.0.into(), rate.into(), at.into()]).await?;
    Ok(())
}
