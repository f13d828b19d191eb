//! Has a webhook's waiting deliveries wait for what holds the webhook now, in steps.
//!
//! What holds a webhook is said by its own row, at once, and the intake and the claim go by that. Its waiting deliveries
//! may be a backlog of any size: they follow in steps, a few hundred rows at a time, each found by index. Whoever changes
//! what holds a webhook takes the first step in the same transaction; the sweep takes those that are left, also after a
//! crash. Nothing here decides: doing it again changes nothing.

use super::hold::{self, WEBHOOK_DELETED};
use super::steps::Steps;
use super::webhook::hold_state;
use super::{Result, Store, entity, group, occurrence, revision};
use model::delivery::HoldReason;
use model::id::WebhookId;
use model::time::Timestamp;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QuerySelect, Value,
    sea_query::{LockBehavior, LockType},
};
use std::time::{Duration, Instant};

/// How many rows the transaction moves that changes what holds the webhook.
const AT_ONCE: i64 = 100;

/// What is being arranged of a webhook, as its row says: nothing; what follows its state; also what was made for an earlier
/// target, which may be anywhere among the rest.
const NOTHING: i64 = 0;
const STATE: i64 = 1;
const TARGET: i64 = 2;

/// A webhook's waiting deliveries, and how many of them may still be moved.
struct Moving<'a> {
    txn: &'a DatabaseTransaction,
    is_postgres: bool,
    id: WebhookId,
    left: i64,
    moved: u64,
}

/// Those of a reason that go to the webhook's target.
fn held(reason: HoldReason) -> String {
    format!("status = 'held' AND hold_reason = '{}' AND replay_revision IS NULL", reason.as_str())
}

/// Those that are held and go to an earlier target.
const HELD_AS_IT_WAS: &str =
    "status = 'held' AND replay_revision IS NOT NULL AND settled_at IS NULL AND hold_reason <> 'target'";

impl Moving<'_> {
    /// Has these wait for a reason, or for their time alone.
    async fn move_to(&mut self, which: &str, reason: Option<HoldReason>) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        let status = if reason.is_some() { "held" } else { "queued" };
        // Twice: on PostgreSQL one that was picked may have been claimed meanwhile.
        let some = group::among(
            &format!("SELECT id FROM delivery WHERE webhook_id = $1 AND {which} LIMIT $3 + 0"),
            self.is_postgres,
        );
        let sql = format!("UPDATE delivery SET status = '{status}', hold_reason = $2 WHERE {some} AND {which}");
        let reason = reason.map(HoldReason::as_str);
        let moved = hold::execute(self.txn, &sql, [self.id.0.into(), reason.into(), self.left.into()]).await?;
        self.count(moved);
        Ok(())
    }

    fn count(&mut self, moved: u64) {
        self.moved += moved;
        self.left -= i64::try_from(moved).unwrap_or(self.left).min(self.left);
    }

    /// Gives up everything that waits; the runs end with it.
    async fn discard(&mut self, now: Timestamp) -> Result<()> {
        let mut runs = Vec::new();
        for status in ["queued", "held"] {
            let some = format!("SELECT id FROM delivery WHERE webhook_id = $3 AND status = '{status}' LIMIT $4 + 0");
            let which = format!("{} AND status = '{status}'", group::among(&some, self.is_postgres));
            let values = [Value::from(self.id.0), self.left.into()];
            let given_up = hold::discard(self.txn, WEBHOOK_DELETED, &which, values, now).await?;
            self.count(given_up.len() as u64);
            runs.extend(given_up);
        }
        runs.sort_unstable();
        runs.dedup();
        occurrence::end_settled_runs(self.txn, &runs, now).await
    }

    /// Holds what was made for an earlier target: all of it, or what is among the first that are due.
    async fn hold_outdated(&mut self, target_revision: i64, is_all: bool) -> Result<()> {
        let outdated = format!("replay_revision IS NULL AND webhook_revision < {target_revision}");
        if !is_all {
            let first = "id IN (SELECT f.id FROM delivery f WHERE f.webhook_id = $1 AND f.status = 'queued' \
                         ORDER BY f.next_attempt_at, f.id LIMIT 1000) AND status = 'queued'";
            return self.move_to(&format!("{first} AND {outdated}"), Some(HoldReason::Target)).await;
        }
        self.move_to(&format!("status = 'queued' AND {outdated}"), Some(HoldReason::Target)).await?;
        for reason in [HoldReason::Paused, HoldReason::Breaker, HoldReason::Releasing] {
            self.move_to(&format!("{} AND {outdated}", held(reason)), Some(HoldReason::Target)).await?;
        }
        Ok(())
    }
}

/// Arranges up to `size` of a webhook's waiting deliveries. Answers how many were moved: fewer than `size`, and nothing
/// is left to do.
pub(super) async fn step(
    txn: &DatabaseTransaction,
    row: &entity::webhook::Model,
    size: i64,
    now: Timestamp,
) -> Result<u64> {
    let state = hold_state(row);
    let is_postgres = txn.get_database_backend() == DbBackend::Postgres;
    let mut moving = Moving { txn, is_postgres, id: WebhookId(row.id), left: size, moved: 0 };
    if row.deleted_at.is_some() {
        moving.discard(now).await?;
        return Ok(moving.moved);
    }
    if state.target_revision > 0 {
        moving.hold_outdated(state.target_revision, row.arranging == TARGET).await?;
    }
    if state.paused_at.is_some() {
        moving.move_to("status = 'queued'", Some(HoldReason::Paused)).await?;
        // What else held them, but for a changed target, is one with the pause: who resumes decides about all of them.
        moving.move_to("status = 'held' AND hold_reason = 'releasing'", Some(HoldReason::Paused)).await?;
        moving.move_to("status = 'held' AND hold_reason = 'breaker'", Some(HoldReason::Paused)).await?;
    } else {
        // An open breaker and a rate know nothing of an earlier target.
        moving.move_to(HELD_AS_IT_WAS, None).await?;
        let (is_open, is_releasing) = (state.breaker.open.is_some(), state.release_per_second.is_some());
        let reason = match (is_open, is_releasing) {
            (_, true) => Some(HoldReason::Releasing),
            (true, false) => Some(HoldReason::Breaker),
            (false, false) => None,
        };
        // What is queued while a probe is under way may be the probe.
        if is_open && !state.breaker.is_probing() {
            moving.move_to("status = 'queued' AND replay_revision IS NULL", reason).await?;
        }
        for from in [HoldReason::Paused, HoldReason::Breaker, HoldReason::Releasing] {
            if reason != Some(from) {
                moving.move_to(&held(from), reason).await?;
            }
        }
    }
    if moving.left > 0 && row.arranging != NOTHING {
        set_arranging(txn, moving.id, NOTHING).await?;
    }
    Ok(moving.moved)
}

async fn set_arranging(txn: &DatabaseTransaction, id: WebhookId, what: i64) -> Result<()> {
    hold::execute(txn, "UPDATE webhook SET arranging = $2 WHERE id = $1", [id.0.into(), what.into()]).await?;
    Ok(())
}

/// Takes the first step of what a transaction has just changed about a webhook, which nobody else changes meanwhile; also
/// whether its target has changed. What is left is not claimed until the sweep has arranged it.
pub async fn begin(txn: &DatabaseTransaction, id: WebhookId, has_moved: bool, now: Timestamp) -> Result<()> {
    let Some(row) = entity::webhook::Entity::find_by_id(id.0).one(txn).await? else { return Ok(()) };
    // What an earlier change has left to do is still to be done.
    let what = row.arranging.max(if has_moved { TARGET } else { STATE });
    let row = entity::webhook::Model { arranging: what, ..row };
    if step(txn, &row, AT_ONCE, now).await? >= AT_ONCE.unsigned_abs() {
        set_arranging(txn, id, what).await?;
    }
    Ok(())
}

/// Takes steps until a webhook is arranged, or for this long: the sweep does the rest.
pub async fn finish(store: &Store, id: WebhookId, now: Timestamp, patience: Duration) -> Result<()> {
    let (mut steps, since) = (Steps::new(), Instant::now());
    while since.elapsed() < patience
        && let Some(size) = steps.next().await
    {
        let txn = store.begin().await?;
        steps.begin();
        let Some(row) = lock(&txn, id, true).await? else { return Ok(()) };
        let moved = step(&txn, &row, size, now).await?;
        steps.end(moved);
        store.commit(txn).await?;
    }
    Ok(())
}

/// The webhook, which nobody else changes until the transaction ends; nothing if somebody is changing it right now.
pub(super) async fn lock(
    txn: &DatabaseTransaction,
    id: WebhookId,
    may_give_up_deliveries: bool,
) -> Result<Option<entity::webhook::Model>> {
    if may_give_up_deliveries {
        // First of all: with its last delivery a task may end that is deleted after running.
        revision::take_turn(txn).await?;
    }
    let query =
        entity::webhook::Entity::find_by_id(id.0).lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
    Ok(super::readable(txn, query).await?.pop())
}

/// The webhooks with rows that do not wait for what holds them: tables for a `WITH RECURSIVE`, and a condition on `webhook`
/// that uses them. Those with waiting rows are found by index, a step for each, whatever the length of their backlogs.
pub(super) fn needed() -> (String, String) {
    let table = |name: &str, which: &str| {
        let next = |after: &str| {
            // Not MIN: PostgreSQL reads all rows for one when it believes that they are few.
            format!(
                "(SELECT d.webhook_id FROM delivery d WHERE {which} AND d.webhook_id > {after} ORDER BY d.webhook_id LIMIT 1)"
            )
        };
        let (first, next) = (next("0"), next(&format!("{name}.id")));
        format!("{name}(id) AS (SELECT {first} UNION ALL SELECT {next} FROM {name} WHERE {name}.id IS NOT NULL)")
    };
    let held = |reason: &str| table(reason, &format!("d.status = 'held' AND d.hold_reason = '{reason}'"));
    let tables =
        [table("queued", "d.status = 'queued'"), held("paused"), held("breaker"), held("releasing"), held("target")];
    let has = |names: &[&str]| {
        let one = |name: &&str| format!("webhook.id IN (SELECT {name}.id FROM {name})");
        names.iter().map(one).collect::<Vec<_>>().join(" OR ")
    };
    // Nobody claims outdated ones, so they come to be the first that are due: looking at those keeps a large backlog from
    // being read each second.
    let outdated = "EXISTS (SELECT 1 FROM (SELECT f.replay_revision, f.webhook_revision FROM delivery f \
                    WHERE f.webhook_id = webhook.id AND f.status = 'queued' ORDER BY f.next_attempt_at, f.id LIMIT 1000) AS first \
                    WHERE first.replay_revision IS NULL AND first.webhook_revision < webhook.target_revision)";
    let condition = format!(
        "(arranging > 0 \
         OR (deleted_at IS NOT NULL AND ({})) \
         OR (deleted_at IS NULL AND paused_at IS NOT NULL AND ({})) \
         OR (deleted_at IS NULL AND paused_at IS NULL AND breaker_opened_at IS NOT NULL AND ({} \
             OR (release_per_second IS NOT NULL AND ({})) OR (NOT breaker_is_probing AND ({})))) \
         OR (deleted_at IS NULL AND paused_at IS NULL AND breaker_opened_at IS NULL AND ({} \
             OR (release_per_second IS NULL AND ({})))) \
         OR (deleted_at IS NULL AND target_revision > 0 AND ({}) AND {outdated}))",
        has(&["queued", "paused", "breaker", "releasing", "target"]),
        has(&["queued", "breaker", "releasing"]),
        has(&["paused"]),
        has(&["breaker"]),
        has(&["queued"]),
        has(&["paused", "breaker"]),
        has(&["releasing"]),
        has(&["queued"]),
    );
    (tables.join(", "), condition)
}
