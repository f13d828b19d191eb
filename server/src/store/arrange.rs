//! Arranging: the waiting deliveries of a destination follow the state of the destination, in steps.
//!
//! The row of a destination has the reasons that hold its deliveries: a pause, an open breaker, a changed target, a
//! release at a rate. The intake and the claim go by that row, so a change takes effect at once. The waiting deliveries
//! may be a backlog of any size, so they follow in steps of a few hundred rows, each found by index. The transaction
//! that changes the destination takes the first step ([`begin`]); the use case takes further ones for a moment
//! ([`finish`]); the sweep takes those that are left, also after a crash. While steps are left, `arranging` keeps the
//! deliveries of the destination from being claimed.
//!
//! A step decides nothing by itself: it follows the row, so it can be repeated.

use super::destination::hold_state;
use super::hold::{self, DESTINATION_DELETED};
use super::steps::Steps;
use super::{Result, Store, claim, entity, group, revision, run};
use model::hold::HoldReason;
use model::id::DestinationId;
use model::number::to_u64;
use model::time::Timestamp;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QuerySelect, Value,
    sea_query::{LockBehavior, LockType},
};
use std::time::{Duration, Instant};

/// The most rows that the transaction which changes the destination moves itself.
const FIRST_STEP: i64 = 100;

/// A value of the column `arranging`: no steps are left.
const NOTHING: i64 = 0;
/// A value of `arranging`: deliveries may be left whose status does not follow the state of the destination.
const STATE: i64 = 1;
/// A value of `arranging`: deliveries for an earlier target may be left too, anywhere among the others.
const TARGET: i64 = 2;

/// A step over the waiting deliveries of a destination.
struct Moving<'a> {
    txn: &'a DatabaseTransaction,
    is_postgres: bool,
    id: DestinationId,
    /// The rows that may still be moved.
    left: i64,
    /// The rows that were moved.
    moved: u64,
}

/// Returns the condition of deliveries that are held for a reason and go to the destination's current target.
fn held(reason: HoldReason) -> String {
    format!("status = 'held' AND hold_reason = '{}' AND replay_revision IS NULL", reason.as_str())
}

/// The condition of held deliveries that go to an earlier target, as of its revision. They have an index of their own.
const HELD_REPLAYS: &str = "COALESCE(status, '') = 'held' AND replay_revision IS NOT NULL AND hold_reason <> 'target'";

impl Moving<'_> {
    /// Holds these deliveries, which have the status `from`, for a reason. Without a reason, queues them.
    async fn move_to(&mut self, from: &str, which: &str, reason: Option<HoldReason>) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        let status = if reason.is_some() { "held" } else { "queued" };
        // The status is checked twice: on PostgreSQL a picked delivery may have been claimed meanwhile. `COALESCE`
        // keeps both databases from using the index of the held deliveries of all destinations.
        let some = group::among(
            &format!("SELECT id FROM delivery WHERE destination_id = $1 AND {which} LIMIT $3 + 0"),
            self.is_postgres,
        );
        let sql = format!(
            "UPDATE delivery SET status = '{status}', hold_reason = $2 WHERE {some} AND COALESCE(status, '') = '{from}'"
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

    /// Discards the waiting deliveries, and ends their runs.
    async fn discard(&mut self, now: Timestamp) -> Result<()> {
        let mut runs = Vec::new();
        // The reasons are listed because the index of held deliveries needs them.
        let reasons = HoldReason::ALL.map(|reason| format!("'{}'", reason.as_str())).join(", ");
        for (status, reason) in [("queued", String::new()), ("held", format!("AND hold_reason IN ({reasons})"))] {
            let some = format!(
                "SELECT id FROM delivery WHERE destination_id = $3 AND status = '{status}' {reason} LIMIT $4 + 0"
            );
            // As in `move_to`.
            let which = format!("{} AND COALESCE(status, '') = '{status}'", group::among(&some, self.is_postgres));
            let values = [Value::from(self.id.0), self.left.into()];
            let discarded = hold::discard(self.txn, DESTINATION_DELETED, &which, values, now).await?;
            self.count(to_u64(discarded.len()));
            runs.extend(discarded);
        }
        runs.sort_unstable();
        runs.dedup();
        run::end_settled(self.txn, &runs, now).await
    }

    /// Holds the deliveries that were made for an earlier target: all of them, or only those among the first in the
    /// queue.
    async fn hold_outdated(&mut self, target_revision: i64, is_all: bool) -> Result<()> {
        let outdated = format!("replay_revision IS NULL AND destination_revision < {target_revision}");
        if !is_all {
            let first = "SELECT f.id FROM delivery f WHERE f.destination_id = $1 AND f.status = 'queued' \
                         ORDER BY f.next_attempt_at, f.id LIMIT 1000";
            // `COALESCE` keeps PostgreSQL from reading the whole queue.
            let first = format!("{} AND COALESCE(status, '') = 'queued'", group::among(first, self.is_postgres));
            return self.move_to("queued", &format!("{first} AND {outdated}"), Some(HoldReason::Target)).await;
        }
        self.move_to("queued", &format!("status = 'queued' AND {outdated}"), Some(HoldReason::Target)).await?;
        for reason in [HoldReason::Paused, HoldReason::Breaker, HoldReason::Releasing] {
            self.move_to("held", &format!("{} AND {outdated}", held(reason)), Some(HoldReason::Target)).await?;
        }
        Ok(())
    }

    /// Has the waiting deliveries follow the state of the destination.
    async fn follow(&mut self, row: &entity::destination::Model) -> Result<()> {
        let state = hold_state(row);
        if state.target_revision > 0 {
            self.hold_outdated(state.target_revision, row.arranging == TARGET).await?;
        }
        if state.paused_at.is_some() {
            self.move_to("queued", "status = 'queued'", Some(HoldReason::Paused)).await?;
            // A pause absorbs the other reasons except a changed target: resuming decides about all of these deliveries.
            self.move_to("held", "status = 'held' AND hold_reason = 'releasing'", Some(HoldReason::Paused)).await?;
            self.move_to("held", "status = 'held' AND hold_reason = 'breaker'", Some(HoldReason::Paused)).await?;
        } else {
            // An open breaker and a rate concern the current target only.
            self.move_to("held", HELD_REPLAYS, None).await?;
            let (is_open, is_releasing) = (state.breaker.open.is_some(), state.release_per_second.is_some());
            let reason = match (is_open, is_releasing) {
                (_, true) => Some(HoldReason::Releasing),
                (true, false) => Some(HoldReason::Breaker),
                (false, false) => None,
            };
            // While a probe is under way, a queued delivery may be the probe.
            if is_open && !state.breaker.is_probing() {
                self.move_to("queued", "status = 'queued' AND replay_revision IS NULL", reason).await?;
            }
            for from in [HoldReason::Paused, HoldReason::Breaker, HoldReason::Releasing] {
                if reason != Some(from) {
                    self.move_to("held", &held(from), reason).await?;
                }
            }
        }
        Ok(())
    }
}

/// Arranges up to `size` waiting deliveries of a destination. Returns how many were moved; when they are fewer than
/// `size`, none is left.
///
/// Takes lock 5 of 9; for a deleted destination also locks 6 and 7.
pub(super) async fn step(
    txn: &DatabaseTransaction,
    row: &entity::destination::Model,
    size: i64,
    now: Timestamp,
) -> Result<u64> {
    let is_postgres = txn.get_database_backend() == DbBackend::Postgres;
    let mut moving = Moving { txn, is_postgres, id: DestinationId(row.id), left: size, moved: 0 };
    if row.deleted_at.is_some() {
        moving.discard(now).await?;
    } else {
        moving.follow(row).await?;
    }
    // Also for a deleted destination: each sweep would visit it again.
    if moving.left > 0 && row.arranging != NOTHING {
        set_arranging(txn, moving.id, NOTHING).await?;
    }
    Ok(moving.moved)
}

async fn set_arranging(txn: &DatabaseTransaction, id: DestinationId, what: i64) -> Result<()> {
    hold::execute(txn, "UPDATE destination SET arranging = $2 WHERE id = $1", [id.0.into(), what.into()]).await?;
    Ok(())
}

/// Takes the first step after this transaction has changed a destination, and so holds lock 4. `has_moved` says that
/// the target has changed. Deliveries that are left are not claimed until later steps have arranged them.
pub async fn begin(txn: &DatabaseTransaction, id: DestinationId, has_moved: bool, now: Timestamp) -> Result<()> {
    let Some(row) = entity::destination::Entity::find_by_id(id.0).one(txn).await? else { return Ok(()) };
    // An earlier change may have left steps that cover more.
    let what = row.arranging.max(if has_moved { TARGET } else { STATE });
    let row = entity::destination::Model { arranging: what, ..row };
    if step(txn, &row, FIRST_STEP, now).await? >= FIRST_STEP.unsigned_abs() {
        set_arranging(txn, id, what).await?;
    }
    Ok(())
}

/// Takes steps until a destination is arranged or `patience` is over. The sweep takes the others.
pub async fn finish(store: &Store, id: DestinationId, now: Timestamp, patience: Duration) -> Result<()> {
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

/// Locks a destination's row until the transaction ends. Does not wait: returns `None` when another transaction has
/// locked the row. With `may_discard`, lock 1 is taken first, since the last delivery of a run may end a task that is
/// deleted after running.
///
/// Takes lock 4 of 9, without waiting; with `may_discard` lock 1 before.
pub(super) async fn lock(
    txn: &DatabaseTransaction,
    id: DestinationId,
    may_discard: bool,
) -> Result<Option<entity::destination::Model>> {
    if may_discard {
        revision::lock_changes(txn).await?;
    }
    let query = entity::destination::Entity::find_by_id(id.0)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
    Ok(super::readable(txn, query).await?.pop())
}

/// Returns SQL that finds the destinations with deliveries to arrange: tables for a `WITH RECURSIVE`, and a condition
/// on `destination` that uses them. Each destination with waiting deliveries is found by one step in an index, however
/// long its backlog is.
pub(super) fn unarranged() -> (String, String) {
    let table = |name: &str, which: &str| claim::destinations_after(name, which, "0");
    let held = |reason: &str| table(reason, &format!("d.status = 'held' AND d.hold_reason = '{reason}'"));
    let tables =
        [table("queued", "d.status = 'queued'"), held("paused"), held("breaker"), held("releasing"), held("target")];
    let has = |names: &[&str]| {
        let one = |name: &&str| format!("destination.id IN (SELECT {name}.id FROM {name})");
        names.iter().map(one).collect::<Vec<_>>().join(" OR ")
    };
    // Outdated deliveries are never claimed, so in time they become the first in the queue. Looking only there keeps a
    // large backlog from being read each second.
    let outdated = "EXISTS (SELECT 1 FROM (SELECT f.replay_revision, f.destination_revision FROM delivery f \
                    WHERE f.destination_id = destination.id AND f.status = 'queued' \
                    ORDER BY f.next_attempt_at, f.id LIMIT 1000) AS first \
                    WHERE first.replay_revision IS NULL AND first.destination_revision < destination.target_revision)";
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
