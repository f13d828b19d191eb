//! Has a webhook's waiting deliveries wait for what holds the webhook now, in steps.
//!
//! What holds a webhook is said by its own row, at once, and the intake and the claim go by that. Its waiting deliveries
//! may be a backlog of any size: they follow in steps, a few hundred rows at a time, each found by index. Whoever changes
//! what holds a webhook takes the first step in the same transaction; the sweep takes those that are left, also after a
//! crash. Nothing here decides: doing it again changes nothing.

use super::hold::{self, WEBHOOK_DELETED};
use super::steps::Steps;
use super::webhook::hold_state;
use super::{Result, Store, entity, occurrence, revision};
use model::delivery::HoldReason;
use model::id::WebhookId;
use model::time::Timestamp;
use sea_orm::{
    DatabaseTransaction, EntityTrait, QuerySelect, Value,
    sea_query::{LockBehavior, LockType},
};
use std::time::{Duration, Instant};

/// How many rows the transaction moves that changes what holds the webhook.
const AT_ONCE: i64 = 100;

/// A webhook's waiting deliveries, and how many of them may still be moved.
struct Moving<'a> {
    txn: &'a DatabaseTransaction,
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
        let sql = format!(
            "UPDATE delivery SET status = '{status}', hold_reason = $2 WHERE id IN (SELECT id FROM delivery \
             WHERE webhook_id = $1 AND {which} LIMIT $3 + 0) AND {which}"
        );
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
            let which = format!(
                "id IN (SELECT id FROM delivery WHERE webhook_id = $3 AND status = '{status}' LIMIT $4 + 0) \
                 AND status = '{status}'"
            );
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
    let mut moving = Moving { txn, id: WebhookId(row.id), left: size, moved: 0 };
    if row.deleted_at.is_some() {
        moving.discard(now).await?;
        return Ok(moving.moved);
    }
    if state.target_revision > 0 {
        moving.hold_outdated(state.target_revision, row.is_arranging).await?;
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
    if moving.left > 0 && row.is_arranging {
        hold::execute(txn, "UPDATE webhook SET is_arranging = FALSE WHERE id = $1", [row.id.into()]).await?;
    }
    Ok(moving.moved)
}

/// Takes the first step of what a transaction has just changed about a webhook, which nobody else changes meanwhile. What
/// is left is not claimed until the sweep has arranged it.
pub async fn begin(txn: &DatabaseTransaction, id: WebhookId, now: Timestamp) -> Result<()> {
    let Some(row) = entity::webhook::Entity::find_by_id(id.0).one(txn).await? else { return Ok(()) };
    // As if there were much to do: what was made for an earlier target may be anywhere among the rest.
    let row = entity::webhook::Model { is_arranging: true, ..row };
    let is_done = step(txn, &row, AT_ONCE, now).await? < AT_ONCE.unsigned_abs();
    let sql = "UPDATE webhook SET is_arranging = $2 WHERE id = $1";
    hold::execute(txn, sql, [id.0.into(), (!is_done).into()]).await?;
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
        store.commit(txn).await?;
        steps.end(moved);
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

/// Whether a webhook has rows that do not wait for what holds it: of the table `webhook`, by index.
pub(super) fn is_needed() -> String {
    let waits =
        |condition: &str| format!("EXISTS (SELECT 1 FROM delivery d WHERE d.webhook_id = webhook.id AND {condition})");
    let queued = waits("d.status = 'queued'");
    let queued_here = waits("d.status = 'queued' AND d.replay_revision IS NULL");
    let held = |reason: &str| waits(&format!("d.status = 'held' AND d.hold_reason = '{reason}'"));
    let (paused, breaker, releasing) = (held("paused"), held("breaker"), held("releasing"));
    // Nobody claims outdated ones, so they come to be the first that are due: looking at those keeps a large backlog from
    // being read each second.
    let outdated = "EXISTS (SELECT 1 FROM (SELECT f.replay_revision, f.webhook_revision FROM delivery f \
                    WHERE f.webhook_id = webhook.id AND f.status = 'queued' ORDER BY f.next_attempt_at, f.id LIMIT 1000) AS d \
                    WHERE d.replay_revision IS NULL AND d.webhook_revision < webhook.target_revision)";
    format!(
        "(is_arranging \
         OR (deleted_at IS NOT NULL AND ({queued} OR {paused} OR {breaker} OR {releasing} OR {})) \
         OR (deleted_at IS NULL AND paused_at IS NOT NULL AND ({queued} OR {breaker} OR {releasing})) \
         OR (deleted_at IS NULL AND paused_at IS NULL AND breaker_opened_at IS NOT NULL AND ({paused} \
             OR (release_per_second IS NOT NULL AND {breaker}) OR (NOT breaker_is_probing AND {queued_here}))) \
         OR (deleted_at IS NULL AND paused_at IS NULL AND breaker_opened_at IS NULL AND ({paused} OR {breaker} \
             OR (release_per_second IS NULL AND {releasing}))) \
         OR (deleted_at IS NULL AND target_revision > 0 AND {outdated}))",
        held("target"),
    )
}
