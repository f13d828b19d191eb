//! The sweep: once a second, each node does the work that is due by the clock and the work that was left over. An idle
//! server sweeps less often (`look`).
//!
//! The steps, in order:
//!
//! 1. `find destinations` lists the destinations that one of the next steps has work for.
//! 2. `arrange` brings a destination's waiting deliveries in line with its state.
//! 3. `probe` queues one delivery behind an open breaker when its probe is due.
//! 4. `release` queues the next deliveries of a destination that was resumed at a rate.
//!
//! Steps 2 to 4 visit the destinations in turn, some hundred rows in each transaction, so that neither the one writer
//! of SQLite nor a lock on PostgreSQL is held for long. A large backlog takes several turns. After five seconds the
//! rest is left to the next sweep. Each step depends on the rows alone, so a crash between two transactions needs no
//! record. A step that fails ends the sweep, and its name is in the error. The next sweep follows a second later.
//!
//! `arrange` has work left when a backlog is too large for the transaction that changes its destination, and when
//! another node queues a delivery at the same moment (PostgreSQL). Such rows are not claimed until they are arranged.
//!
//! Times that a clock which was set back has left in the future are corrected elsewhere (`set_back`).

use super::destination::hold_state;
use super::entity::destination;
use super::hold::{execute, save_breaker};
use super::steps::Steps;
use super::{Error, Result, Store, arrange, group};
use model::id::DestinationId;
use model::number::{from_millis, to_i64};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time after which a sweep leaves the rest to the next one, which has a later instant and lists anew.
const LONGEST: Duration = Duration::from_secs(5);
/// The most seconds of a release at a rate that are made up for, so that no burst follows an outage.
const CATCH_UP: i64 = 2;
/// The number of rows that a visit of a destination counts for, in addition to those it moves.
const VISIT_COST: i64 = 5;

/// A destination that the sweep has work for.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// Id of the destination.
    pub id: DestinationId,
    /// True when the destination is deleted: its waiting deliveries are discarded.
    pub is_deleted: bool,
}

/// Runs each step once. `margin` is the time that a probe may take beyond its destination's timeout before it counts as
/// lost. Returns true when there was work, so that a delivery may be due now.
pub async fn sweep(store: &Store, now: Timestamp, margin: Duration) -> std::result::Result<bool, Failed> {
    let due = named("find destinations", list_due(store.read(), now).await)?;
    let had_work = !due.is_empty();
    visit_destinations(store, due.into(), now, margin).await?;
    Ok(had_work)
}

/// A step that has failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
pub struct Failed {
    step: &'static str,
    source: Error,
}

impl From<Error> for Failed {
    /// Names a failure outside of the steps: the database did not begin, commit, or end a transaction in time.
    fn from(source: Error) -> Self {
        Self { step: "transaction", source }
    }
}

/// Adds the name of its step to a failure.
fn named<T>(step: &'static str, done: Result<T>) -> std::result::Result<T, Failed> {
    done.map_err(|source| Failed { step, source })
}

/// Lists the destinations that have waiting deliveries to arrange, a probe that is due, or a release at a rate, in
/// order of id.
pub async fn list_due(db: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<Due>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        is_deleted: bool,
    }
    let (tables, is_unarranged) = arrange::unarranged();
    let sql = format!(
        "WITH RECURSIVE {tables} SELECT id, deleted_at IS NOT NULL AS is_deleted FROM destination WHERE {is_unarranged} \
         OR (deleted_at IS NULL AND paused_at IS NULL AND breaker_opened_at IS NULL \
             AND release_per_second IS NOT NULL) \
         OR (deleted_at IS NULL AND paused_at IS NULL \
             AND breaker_probe_at <= $1) ORDER BY id"
    );
    let rows = Row::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.0.into()]));
    let due = |row: Row| Due { id: DestinationId(row.id), is_deleted: row.is_deleted };
    Ok(rows.all(db).await?.into_iter().map(due).collect())
}

/// Arranges, probes and releases each of these destinations, in as many transactions as that takes, for five seconds at
/// most.
async fn visit_destinations(
    store: &Store,
    mut todo: VecDeque<Due>,
    now: Timestamp,
    margin: Duration,
) -> std::result::Result<(), Failed> {
    let (mut steps, since) = (Steps::new(), Instant::now());
    while !todo.is_empty()
        && since.elapsed() < LONGEST
        && let Some(size) = steps.next().await
    {
        let txn = store.begin().await?;
        steps.begin();
        store.in_time(visit_some(&txn, &mut todo, size, now, margin)).await?;
        // A step counts as full as long as a destination is left.
        steps.end(if todo.is_empty() { 0 } else { size.unsigned_abs() });
        crate::fault::point("sweep.before-commit");
        store.commit(txn).await?;
    }
    Ok(())
}

/// Visits the first of these destinations in one transaction, for about `size` rows, and removes those that are done
/// from the list.
///
/// Takes lock 1 of 9 if one of the destinations is deleted, then locks 4 to 7 of one destination after the other.
async fn visit_some(
    txn: &DatabaseTransaction,
    todo: &mut VecDeque<Due>,
    size: i64,
    now: Timestamp,
    margin: Duration,
) -> std::result::Result<(), Failed> {
    let may_discard = todo.iter().any(|due| due.is_deleted);
    let mut left = size;
    while left > 0
        && let Some(due) = todo.front()
    {
        // A destination that another transaction is changing is arranged there, or by the next sweep.
        if let Some(row) = named("arrange", arrange::lock(txn, due.id, may_discard && left == size).await)? {
            let moved = named("arrange", arrange::step(txn, &row, left, now).await)?;
            left -= i64::try_from(moved).unwrap_or(left).min(left);
            if left == 0 {
                // A large backlog does not keep the others waiting.
                todo.rotate_left(1);
                break;
            }
            if row.deleted_at.is_none() && row.paused_at.is_none() {
                named("probe", start_due_probe(txn, &row, now, margin).await)?;
                named("release", release_at_rate(txn, &row, now).await)?;
            }
        }
        todo.pop_front();
        // A visit that moves nothing takes some time, too.
        left -= VISIT_COST.min(left);
    }
    Ok(())
}

/// Starts the probe of an open breaker when it is due and the last one is over.
///
/// A probe is one delivery that waits behind the breaker and is queued, so that its attempt decides about the breaker.
/// The last probe may still wait for a slot, or be lost with a worker that died: it counts as lost after its
/// destination's timeout plus `margin`.
async fn start_due_probe(
    txn: &DatabaseTransaction,
    row: &destination::Model,
    now: Timestamp,
    margin: Duration,
) -> Result<()> {
    let (id, stored) = (DestinationId(row.id), hold_state(row).breaker);
    let mut probing = stored;
    if !probing.start_probe(now, from_millis(row.timeout_ms) + margin) {
        return Ok(());
    }
    let is_last_under_way = stored.is_probing() && is_probe_under_way(txn, id).await?;
    if !is_last_under_way && queue_probe(txn, id, now).await? {
        save_breaker(txn, id, &probing).await?;
    }
    Ok(())
}

async fn is_probe_under_way(db: &impl ConnectionTrait, id: DestinationId) -> Result<bool> {
    // Without the `+` SQLite would read the whole history of the destination instead of the few leased deliveries.
    let sql = "SELECT 1 AS n FROM delivery WHERE destination_id = $1 AND status = 'queued' AND replay_revision IS NULL \
               UNION ALL \
               SELECT 1 FROM delivery WHERE +destination_id = $1 AND status = 'running' AND replay_revision IS NULL LIMIT 1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into()]);
    Ok(db.query_one_raw(statement).await?.is_some())
}

/// Queues the oldest delivery that waits behind the breaker and is due: a probe too respects the schedule of retries
/// and the time that the receiver asked for. Returns true when there was such a delivery. Where the delivery was
/// discarded at that moment, the next sweep picks another one.
async fn queue_probe(db: &impl ConnectionTrait, id: DestinationId, now: Timestamp) -> Result<bool> {
    let first = |reason: &str| {
        format!(
            "SELECT id FROM (SELECT id FROM delivery WHERE destination_id = $1 AND status = 'held' \
             AND hold_reason = '{reason}' AND replay_revision IS NULL AND next_attempt_at <= $2 \
             ORDER BY next_attempt_at, id LIMIT 1) AS first"
        )
    };
    // The status stands twice: on PostgreSQL the picked delivery may have been discarded meanwhile.
    let sql = format!(
        "UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE id = (SELECT MIN(id) FROM ({}) AS due) \
         AND COALESCE(status, '') = 'held'",
        ["breaker", "releasing"].map(first).join(" UNION ALL ")
    );
    Ok(execute(db, &sql, [id.0.into(), now.0.into()]).await? == 1)
}

/// Queues as many held deliveries as the rate allows since the last release, and ends the rate when none is left.
///
/// An open breaker holds the deliveries instead; the rate then begins when it closes. After an outage at most
/// [`CATCH_UP`] seconds are made up for.
///
/// Takes lock 5 of 9.
pub async fn release_at_rate(txn: &DatabaseTransaction, row: &destination::Model, now: Timestamp) -> Result<()> {
    let state = hold_state(row);
    let (None, Some(rate)) = (state.breaker.open, state.release_per_second) else { return Ok(()) };
    let since = Timestamp(row.released_at.unwrap_or(now.0));
    let seconds = to_i64(now.since(since).as_secs());
    if seconds == 0 {
        return Ok(());
    }
    let some = group::among(
        "SELECT id FROM delivery WHERE destination_id = $1 AND status = 'held' AND hold_reason = 'releasing' \
         ORDER BY next_attempt_at, id LIMIT $2 + 0",
        txn.get_database_backend() == DbBackend::Postgres,
    );
    // `COALESCE` keeps PostgreSQL from reading all that is held, when its statistics are of a time with few of these.
    let sql = format!(
        "UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE {some} AND COALESCE(status, '') = 'held'"
    );
    let (seconds, at) =
        if seconds > CATCH_UP { (CATCH_UP, now) } else { (seconds, Timestamp(since.0 + seconds * 1000)) };
    let released = execute(txn, &sql, [row.id.into(), (seconds * i64::from(rate)).into()]).await?;
    let (rate, at) = if released == 0 { (None, None) } else { (Some(i64::from(rate)), Some(at.0)) };
    let sql = "UPDATE destination SET release_per_second = $2, released_at = $3 WHERE id = $1";
    execute(txn, sql, [row.id.into(), rate.into(), at.into()]).await?;
    Ok(())
}
