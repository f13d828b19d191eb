//! What is looked at once a second: due probes, the next of what is released at a rate, and what slipped through.
//!
//! What slips through is a large backlog whose webhook was paused, moved or deleted or whose breaker has opened, and on
//! PostgreSQL a row that another node queues meanwhile: `arrange` puts it right, and the claim leaves such rows alone
//! until then. So is what a clock that was set back leaves in the future.

use super::entity::webhook;
use super::hold::{execute, save_breaker};
use super::steps::Steps;
use super::webhook::hold_state;
use super::{Result, Store, arrange, group};
use model::breaker::{Breaker, LONGEST_WAIT};
use model::delivery::DUE_MAX;
use model::id::WebhookId;
use model::time::Timestamp;
use model::webhook::TIMEOUT_MAX_SECONDS;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement};
use std::collections::VecDeque;
use std::time::Duration;

/// How many seconds of a release at a rate are made up for: an outage is not followed by a burst.
const CATCH_UP: i64 = 2;
/// How many rows of a step it takes to look at a webhook.
const WEBHOOK_COST: i64 = 5;
/// From here on an instant in the future is one that a clock which was set back has left.
const SET_BACK: Duration = Duration::from_mins(1);

/// Once a second: starts due probes, lets go the next of what is released at a rate, and arranges what does not wait for
/// what holds its webhook. In steps; nobody waits for the sweep as a whole. `margin` is what a probe may take beyond its
/// webhook's timeout before it is given up.
pub async fn sweep(store: &Store, now: Timestamp, margin: Duration) -> Result<()> {
    let mut todo = VecDeque::from(list_due(store.read(), now).await?);
    let mut steps = Steps::new();
    while !todo.is_empty()
        && let Some(size) = steps.next().await
    {
        let txn = store.begin().await?;
        steps.begin();
        store.in_time(step(&txn, &mut todo, size, now, margin)).await?;
        // There is more as long as a webhook is left.
        steps.end(if todo.is_empty() { 0 } else { size.unsigned_abs() });
        crate::fault::point("sweep.before-commit");
        store.commit(txn).await?;
    }
    set_back(store, now, margin).await
}

/// Does what is to be done about the first of these webhooks, and takes out those that are done.
async fn step(
    txn: &DatabaseTransaction,
    todo: &mut VecDeque<(WebhookId, bool)>,
    size: i64,
    now: Timestamp,
    margin: Duration,
) -> Result<()> {
    let may_give_up = todo.iter().any(|(_, is_deleted)| *is_deleted);
    let mut left = size;
    while left > 0
        && let Some((id, _)) = todo.front().copied()
    {
        // Whoever is changing one, which may take long, arranges it.
        if let Some(row) = arrange::lock(txn, id, may_give_up && left == size).await? {
            left -= i64::try_from(arrange::step(txn, &row, left, now).await?).unwrap_or(left).min(left);
            if left == 0 {
                break;
            }
            move_on(txn, &row, now, margin).await?;
        }
        todo.pop_front();
        // A thousand with nothing to move are some work, too.
        left -= WEBHOOK_COST.min(left);
    }
    Ok(())
}

/// The webhooks that something is to be done about, and whether each is deleted.
pub async fn list_due(db: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<(WebhookId, bool)>> {
    #[derive(FromQueryResult)]
    struct Due {
        id: i64,
        is_deleted: bool,
    }
    let (tables, is_needed) = arrange::needed();
    let sql = format!(
        "WITH RECURSIVE {tables} SELECT id, deleted_at IS NOT NULL AS is_deleted FROM webhook WHERE {is_needed} OR (deleted_at IS NULL AND paused_at IS NULL AND breaker_opened_at IS NULL AND release_per_second IS NOT NULL) \
         OR (deleted_at IS NULL AND paused_at IS NULL AND (breaker_probe_at <= $1 OR breaker_probe_at > $2 OR breaker_opened_at > $1)) ORDER BY id"
    );
    let values = [now.0.into(), now.after(LONGEST_WAIT).0.into()];
    let rows = Due::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values));
    Ok(rows.all(db).await?.into_iter().map(|row| (WebhookId(row.id), row.is_deleted)).collect())
}

/// What is due by the clock for a webhook that is arranged: a probe, or the next of a release at a rate.
async fn move_on(txn: &DatabaseTransaction, row: &webhook::Model, now: Timestamp, margin: Duration) -> Result<()> {
    let (id, state) = (WebhookId(row.id), hold_state(row));
    if row.deleted_at.is_some() || state.paused_at.is_some() {
        return Ok(());
    }
    if state.breaker.open.is_some() {
        let timeout = Duration::from_millis(u64::try_from(row.timeout_ms).unwrap_or_default());
        let breaker = next_probe(txn, id, state.breaker, now, timeout + margin).await?;
        if breaker != state.breaker {
            save_breaker(txn, id, &breaker).await?;
        }
    } else if let Some(rate) = state.release_per_second {
        let since = Timestamp(row.released_at.unwrap_or(now.0));
        release_step(txn, id, rate, since, now).await?;
    }
    Ok(())
}

/// A clock that was set back must not put deliveries off for as long, nor keep them with a worker that died.
async fn set_back(store: &Store, now: Timestamp, margin: Duration) -> Result<()> {
    let mut steps = Steps::new();
    while let Some(size) = steps.next().await {
        let txn = store.begin().await?;
        steps.begin();
        let some = group::among(
            "SELECT id FROM delivery WHERE status = 'queued' AND next_attempt_at > $1 LIMIT $2 + 0",
            store.is_postgres(),
        );
        let sql = format!("UPDATE delivery SET next_attempt_at = $1 WHERE {some} AND status = 'queued'");
        let moved = execute(&txn, &sql, [now.after(DUE_MAX).0.into(), size.into()]).await?;
        let latest_lease = now.after(Duration::from_secs(TIMEOUT_MAX_SECONDS.into()) + margin);
        let sql = "UPDATE delivery SET lease_until = $1 WHERE status = 'running' AND lease_until > $1";
        execute(&txn, sql, [latest_lease.0.into()]).await?;
        steps.end(moved);
        store.commit(txn).await?;
    }
    Ok(())
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
    let first = |reason: &str, due: &str| {
        format!(
            "SELECT id FROM (SELECT id FROM delivery WHERE webhook_id = $1 AND status = 'held' AND hold_reason = '{reason}' \
             AND replay_revision IS NULL AND next_attempt_at {due} ORDER BY next_attempt_at, id LIMIT 1) AS first"
        )
    };
    let due = ["breaker", "releasing"].into_iter().flat_map(|reason| ["<= $2", "> $3"].map(|due| first(reason, due)));
    let sql = format!(
        "UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE id = (SELECT MIN(id) FROM ({}) AS due)",
        due.collect::<Vec<_>>().join(" UNION ALL ")
    );
    Ok(execute(db, &sql, [id.0.into(), now.0.into(), now.after(DUE_MAX).0.into()]).await? == 1)
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
    let some = group::among(
        "SELECT id FROM delivery WHERE webhook_id = $1 AND status = 'held' AND hold_reason = 'releasing' \
         ORDER BY next_attempt_at, id LIMIT $2 + 0",
        db.get_database_backend() == DbBackend::Postgres,
    );
    let sql = format!("UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE {some} AND status = 'held'");
    // A clock that was set back begins again.
    let (seconds, at) = if seconds > CATCH_UP || is_set_back {
        (Ord::min(seconds, CATCH_UP), now)
    } else {
        (seconds, Timestamp(since.0 + seconds * 1000))
    };
    let released = execute(db, &sql, [id.0.into(), (seconds * i64::from(rate)).into()]).await?;
    let is_over = released == 0 && seconds > 0;
    let (rate, at) = if is_over { (None, None) } else { (Some(i64::from(rate)), Some(at.0)) };
    let sql = "UPDATE webhook SET release_per_second = $2, released_at = $3 WHERE id = $1";
    execute(db, sql, [id.0.into(), rate.into(), at.into()]).await?;
    Ok(())
}
