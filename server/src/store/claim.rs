//! Claims: a node leases deliveries to itself, and releases them again.
//!
//! A claim is one conditional update that sets `lease_owner` and `lease_until`. A lease that has run out is returned to
//! the queue: a node that died is noticed by the clock. On PostgreSQL the deliveries are picked with `FOR UPDATE SKIP
//! LOCKED` under the lock of claims (lock 10 of 10), so that the deliveries in flight are counted over all nodes.
//! SQLite has one writer.
//!
//! # The claim whole
//!
//! `$1` owner · `$2` now + 10 s, so that a lease lasts for the destination's timeout and 10 s · `$3` now · `$4` free slots,
//! 100 at most · `$5` slots of each destination · `$6` the last destination claimed from · `$7` the busy destinations, as a JSON
//! array: those with deliveries in flight on any node, and those that hang · `$8` … those of them with 1, 2, … slots
//! left.
//!
//! Parts 1 and 2 go from destination to destination by the index `delivery_due`, one step for each, however many deliveries it
//! has. Parts 3 to 5 pick the oldest due deliveries of each destination by the same index. A destination that is paused,
//! deleted or being arranged is left out. So are deliveries for an earlier target, and those behind an open breaker
//! without a probe; replays that go to an earlier target ignore both. Part 5 stands first in every second claim, so
//! that neither busy nor idle destinations starve. `MATERIALIZED` picks the rows once, whatever the plan. `+ 0` keeps
//! SQLite from compiling the statement anew for each value of a `LIMIT`.
//!
//! PostgreSQL:
//!
//! ```sql
//! WITH RECURSIVE
//!   -- (1) The destinations with queued deliveries: first those after the last one claimed from.
//!   after_last(id) AS (
//!     SELECT (SELECT d.destination_id FROM delivery d WHERE d.status = 'queued' AND d.destination_id > $6
//!             ORDER BY d.destination_id LIMIT 1)
//!     UNION ALL
//!     SELECT (SELECT d.destination_id FROM delivery d WHERE d.status = 'queued' AND d.destination_id > after_last.id
//!             ORDER BY d.destination_id LIMIT 1)
//!     FROM after_last WHERE after_last.id IS NOT NULL),
//!   -- (2) Then the others, from the first one up to the last one claimed from.
//!   up_to_last(id) AS (
//!     SELECT (SELECT d.destination_id FROM delivery d WHERE d.status = 'queued' AND d.destination_id > 0
//!             AND d.destination_id <= $6 ORDER BY d.destination_id LIMIT 1)
//!     UNION ALL
//!     SELECT (SELECT d.destination_id FROM delivery d WHERE d.status = 'queued' AND d.destination_id > up_to_last.id
//!             AND d.destination_id <= $6 ORDER BY d.destination_id LIMIT 1)
//!     FROM up_to_last WHERE up_to_last.id IS NOT NULL),
//!   due AS MATERIALIZED (
//!     SELECT id FROM (
//!       -- (3) Destinations with nothing in flight, after the last one: the oldest due deliveries of each.
//!       SELECT o.id FROM after_last n
//!         JOIN destination w ON w.id = n.id AND w.paused_at IS NULL AND w.deleted_at IS NULL AND w.arranging = 0
//!           AND n.id NOT IN (SELECT b.id FROM
//!           (SELECT CAST(v AS BIGINT) AS id FROM json_array_elements_text(CAST($7 AS JSON)) AS v) b)
//!         CROSS JOIN LATERAL (
//!           SELECT d.id FROM delivery d WHERE d.destination_id = w.id AND d.status = 'queued' AND d.next_attempt_at <= $3
//!           AND (d.replay_revision IS NOT NULL OR (d.destination_revision >= w.target_revision
//!           AND (w.breaker_opened_at IS NULL OR w.breaker_is_probing)))
//!           ORDER BY d.next_attempt_at, d.id LIMIT $5 + 0 FOR UPDATE SKIP LOCKED) AS o
//!       UNION ALL
//!       -- (4) The same for the destinations up to the last one.
//!       SELECT o.id FROM up_to_last n
//!         JOIN destination w ON w.id = n.id AND w.paused_at IS NULL AND w.deleted_at IS NULL AND w.arranging = 0
//!           AND n.id NOT IN (SELECT b.id FROM
//!           (SELECT CAST(v AS BIGINT) AS id FROM json_array_elements_text(CAST($7 AS JSON)) AS v) b)
//!         CROSS JOIN LATERAL (
//!           SELECT d.id FROM delivery d WHERE d.destination_id = w.id AND d.status = 'queued' AND d.next_attempt_at <= $3
//!           AND (d.replay_revision IS NOT NULL OR (d.destination_revision >= w.target_revision
//!           AND (w.breaker_opened_at IS NULL OR w.breaker_is_probing)))
//!           ORDER BY d.next_attempt_at, d.id LIMIT $5 + 0 FOR UPDATE SKIP LOCKED) AS o
//!       UNION ALL
//!       -- (5) Busy destinations with one slot left; one such part for each number of slots, 1 to `per_destination`.
//!       SELECT o.id FROM (SELECT CAST(v AS BIGINT) AS id FROM json_array_elements_text(CAST($8 AS JSON)) AS v) n
//!         JOIN destination w ON w.id = n.id AND w.paused_at IS NULL AND w.deleted_at IS NULL AND w.arranging = 0
//!         CROSS JOIN LATERAL (
//!           SELECT d.id FROM delivery d WHERE d.destination_id = w.id AND d.status = 'queued' AND d.next_attempt_at <= $3
//!           AND (d.replay_revision IS NOT NULL OR (d.destination_revision >= w.target_revision
//!           AND (w.breaker_opened_at IS NULL OR w.breaker_is_probing)))
//!           ORDER BY d.next_attempt_at, d.id LIMIT 1 + 0 FOR UPDATE SKIP LOCKED) AS o
//!     ) AS all_due LIMIT $4 + 0)
//! -- (6) Lease them.
//! UPDATE delivery SET status = 'running', claims = claims + 1, lease_owner = $1,
//!   lease_until = $2 + (SELECT timeout_ms FROM destination WHERE destination.id = delivery.destination_id)
//! WHERE id IN (SELECT id FROM due)
//! RETURNING id, uuid, run_id, destination_id, body, attempts, claims, depth, destination_revision, replay_revision,
//!   recipients, (SELECT revision FROM destination WHERE destination.id = delivery.destination_id) AS current_revision
//! ```
//!
//! On SQLite the parts 3 to 5 read `… CROSS JOIN destination w CROSS JOIN delivery o WHERE w.id = n.id … AND o.id IN (…)` instead
//! of `LATERAL`, since `CROSS JOIN` keeps the order of the join and the statement stops at its limit. Arrays are read by
//! `json_each`, and nothing is locked.

use super::{Result, group, run};
use model::email::Recipient;
use model::id::{DeliveryId, DestinationId, RunId};
use model::number::{to_i64, to_u32, to_usize};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// A delivery leased to a node.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Claimed {
    pub(super) id: i64,
    /// The public id.
    pub uuid: Uuid,
    run_id: i64,
    destination_id: i64,
    /// The message, byte for byte.
    pub body: Vec<u8>,
    attempts: i64,
    claims: i64,
    depth: i64,
    destination_revision: i64,
    /// The destination's revision whose target the delivery is sent to; `None` for the current one.
    pub replay_revision: Option<i64>,
    /// The destination's revision at the time of the claim.
    pub current_revision: i64,
    /// The recipients of an e-mail, as JSON.
    recipients: Option<String>,
}

impl Claimed {
    /// Returns the number of deliveries that led to this one.
    pub fn depth(&self) -> u32 {
        to_u32(self.depth)
    }

    /// Returns true when the delivery was queued for a target before that of `target_revision`.
    pub fn is_outdated(&self, target_revision: i64) -> bool {
        self.replay_revision.is_none() && self.destination_revision < target_revision
    }

    /// Returns the id.
    pub fn id(&self) -> DeliveryId {
        DeliveryId(self.id)
    }

    /// Returns the id of the run.
    pub fn run_id(&self) -> RunId {
        RunId(self.run_id)
    }

    /// Returns the id of the destination.
    pub fn destination_id(&self) -> DestinationId {
        DestinationId(self.destination_id)
    }

    /// Returns the recipients of an e-mail; none for a message to a webhook. `None` where the column cannot be read.
    pub fn recipients(&self) -> Option<Vec<Recipient>> {
        self.recipients.as_deref().map_or(Some(Vec::new()), |json| serde_json::from_str(json).ok())
    }

    /// Returns the number of earlier claims without an attempt on record: a node died, or the record was refused. Each of
    /// them may have called the receiver.
    pub fn unrecorded(&self) -> u32 {
        u32::try_from(self.claims - self.attempts - 1).unwrap_or_default()
    }

    /// Returns the number of the attempt to make, from 1.
    pub fn attempt(&self) -> u32 {
        to_u32(self.attempts).saturating_add(1)
    }
}

/// The number of deliveries that a node may claim.
#[derive(Debug, Clone)]
pub struct Capacity {
    /// In all.
    pub total: usize,
    /// Of each destination that is not in `busy`.
    pub per_destination: usize,
    /// The rest of `per_destination` for destinations with deliveries in flight, and for destinations that hang.
    pub busy: Vec<(DestinationId, usize)>,
    /// True when the destinations of `busy` come before the others.
    pub is_busy_first: bool,
    /// The others are claimed from in rotation. The next one is the first after this destination.
    pub after: DestinationId,
}

/// The error of a delivery that cannot be read.
const UNREADABLE: &str = "This delivery cannot be read: it was changed by hand.";

/// The key of the advisory lock of claims: "claiming" in ASCII.
const CLAIM_LOCK: i64 = 0x636c_6169_6d69_6e67;

/// Takes the lock of claims until the transaction ends, on PostgreSQL, so that a destination's deliveries in flight are counted
/// over all nodes. Returns the number that other nodes have in flight, by destination.
///
/// Takes lock 10 of 10: always the last lock of a transaction, so it cannot deadlock.
pub async fn lock_claims(db: &impl ConnectionTrait, owner: Uuid) -> Result<HashMap<DestinationId, usize>> {
    #[derive(FromQueryResult)]
    struct InFlight {
        destination_id: i64,
        deliveries: i64,
    }
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(HashMap::new());
    }
    db.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({CLAIM_LOCK})")).await?;
    let sql = "SELECT destination_id, COUNT(*) AS deliveries FROM delivery \
               WHERE status = 'running' AND lease_owner <> $1 GROUP BY destination_id";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [owner.into()]);
    let rows = InFlight::find_by_statement(statement).all(db).await?;
    let count = |row: InFlight| (DestinationId(row.destination_id), to_usize(row.deliveries));
    Ok(rows.into_iter().map(count).collect())
}

/// Leases due deliveries to `owner` within the capacity, each until its destination's timeout after `lease_from`. Destinations are
/// claimed from in rotation, the oldest deliveries of each first. An index finds them, so that the backlog of a destination
/// neither costs nor delays the others. The capacity is computed after [`lock_claims`].
///
/// Runs under lock 10 of 10, and picks rows with `SKIP LOCKED`.
pub async fn claim(
    db: &impl ConnectionTrait,
    owner: Uuid,
    now: Timestamp,
    lease_from: Timestamp,
    capacity: &Capacity,
) -> Result<Vec<Claimed>> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let number = |number: usize| Value::from(to_i64(number));
    let of = |left: usize| group::json_ids(capacity.busy.iter().filter(|one| one.1 == left).map(|one| one.0.0));
    let mut values = vec![
        Value::from(owner),
        lease_from.0.into(),
        now.0.into(),
        number(capacity.total),
        number(capacity.per_destination),
        capacity.after.0.into(),
        group::json_ids(capacity.busy.iter().map(|one| one.0.0)),
    ];
    values.extend((1..=capacity.per_destination).map(of));
    let sql = claim_sql(capacity.per_destination, capacity.is_busy_first, is_postgres);
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let mut claimed = Vec::new();
    for row in db.query_all_raw(statement).await? {
        match Claimed::from_query_result(&row, "") {
            Ok(one) => claimed.push(one),
            // A row changed by hand must not block the other deliveries.
            Err(_) => {
                let id = DeliveryId(row.try_get("", "id")?);
                tracing::error!(delivery = %id, "a delivery cannot be read and ends as an error");
                end_as_internal(db, owner, id, UNREADABLE, now).await?;
            }
        }
    }
    Ok(claimed)
}

/// Returns the text of the claim. The head of this module shows it.
fn claim_sql(per_destination: usize, is_busy_first: bool, is_postgres: bool) -> String {
    let not_busy = format!("AND n.id NOT IN (SELECT b.id FROM {} b)", group::ids_in("$7", is_postgres));
    let idle = ["after_last", "up_to_last"].map(|destinations| oldest_of(destinations, &not_busy, "$5", is_postgres));
    // One part for each rest, not for each destination: the text of the statement stays the same, and SQLite joins 500 parts
    // at most. The rest may be all of it: a hanging destination without deliveries in flight is in `busy`.
    let busy = (1..=per_destination).map(|left| {
        let destinations = group::ids_in(&format!("${}", 7 + left), is_postgres);
        oldest_of(&destinations, "", &left.to_string(), is_postgres)
    });
    let parts: Vec<_> = if is_busy_first { busy.chain(idle).collect() } else { idle.into_iter().chain(busy).collect() };
    let rotation =
        [with_queued("after_last", "> $6", ""), with_queued("up_to_last", "> 0", "AND d.destination_id <= $6")]
            .join(", ");
    // Materialized, so that the rows are picked once, whatever the plan: otherwise a claim could exceed its capacity.
    format!(
        "WITH RECURSIVE {rotation}, due AS MATERIALIZED (SELECT id FROM ({}) AS all_due LIMIT $4 + 0) \
         UPDATE delivery SET status = 'running', claims = claims + 1, lease_owner = $1, \
         lease_until = $2 + (SELECT timeout_ms FROM destination WHERE destination.id = delivery.destination_id) \
         WHERE id IN (SELECT id FROM due) \
         RETURNING id, uuid, run_id, destination_id, body, attempts, claims, depth, destination_revision, \
         replay_revision, recipients, \
         (SELECT revision FROM destination WHERE destination.id = delivery.destination_id) AS current_revision",
        parts.join(" UNION ALL ")
    )
}

/// Ends a delivery that is leased to `owner` by an internal error, without an attempt on record. Ends the run with it.
///
/// Takes lock 5, then 6 of 10. The caller holds lock 1 where the run may end a task that is deleted after running.
pub async fn end_as_internal(
    db: &impl ConnectionTrait,
    owner: Uuid,
    id: DeliveryId,
    message: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE delivery SET status = 'error', error_code = 'internal', error = $3, settled_at = $4, \
               next_attempt_at = NULL, hold_reason = NULL, lease_owner = NULL, lease_until = NULL \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2 RETURNING run_id";
    let values = [Value::from(id.0), owner.into(), message.into(), now.0.into()];
    let ended = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    // The column that cannot be read may be the run's.
    let runs: Vec<_> = ended.iter().filter_map(|row| row.try_get("", "run_id").ok()).map(RunId).collect();
    run::end_settled(db, &runs, now).await
}

/// Returns a query for the oldest due deliveries of each destination of `destinations` (a table with an `id`), in its order.
/// Deliveries that were queued before their destination was paused, deleted or moved, or before its breaker opened, wait until
/// they are arranged. A destination with a backlog of them is left out as a whole, so that no claim reads the backlog.
fn oldest_of(destinations: &str, condition: &str, limit: &str, is_postgres: bool) -> String {
    const OPEN: &str = "w.paused_at IS NULL AND w.deleted_at IS NULL AND w.arranging = 0";
    let skip = if is_postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    // `+ 0`: SQLite compiles a statement anew for each value of a bare LIMIT.
    let oldest = format!(
        "SELECT d.id FROM delivery d WHERE d.destination_id = w.id AND d.status = 'queued' AND d.next_attempt_at <= $3 \
         AND (d.replay_revision IS NOT NULL OR (d.destination_revision >= w.target_revision \
         AND (w.breaker_opened_at IS NULL OR w.breaker_is_probing))) ORDER BY d.next_attempt_at, d.id LIMIT {limit} + 0 {skip}"
    );
    // CROSS JOIN: SQLite keeps this join order, and stops at the limit.
    if is_postgres {
        format!(
            "SELECT o.id FROM {destinations} n JOIN destination w ON w.id = n.id AND {OPEN} {condition} \
             CROSS JOIN LATERAL ({oldest}) AS o"
        )
    } else {
        format!(
            "SELECT o.id FROM {destinations} n CROSS JOIN destination w CROSS JOIN delivery o \
             WHERE w.id = n.id AND {OPEN} {condition} AND o.id IN ({oldest})"
        )
    }
}

/// Returns a table of the destinations with queued deliveries, in order. Each destination costs one step in the index, however
/// many deliveries it has.
fn with_queued(name: &str, first: &str, bound: &str) -> String {
    let next = |after: &str| {
        // Not MIN: PostgreSQL reads all rows of a destination for it when it estimates them to be few.
        format!(
            "(SELECT d.destination_id FROM delivery d WHERE d.status = 'queued' AND d.destination_id {after} {bound} \
             ORDER BY d.destination_id LIMIT 1)"
        )
    };
    let (first, next) = (next(first), next(&format!("> {name}.id")));
    format!("{name}(id) AS (SELECT {first} UNION ALL SELECT {next} FROM {name} WHERE {name}.id IS NOT NULL)")
}

/// Returns deliveries whose lease has run out to the queue, except those in `held`, which `owner` has in flight. Returns
/// their number.
///
/// Takes lock 5 of 10.
pub async fn release_expired(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    held: Vec<DeliveryId>,
) -> Result<u64> {
    let held = group::json_ids(held.into_iter().map(|id| id.0));
    let ids = group::ids_in("$4", db.get_database_backend() == DbBackend::Postgres);
    let sql = format!(
        "UPDATE delivery SET status = 'queued', next_attempt_at = $1, lease_owner = NULL, lease_until = NULL \
         WHERE status = 'running' AND lease_until <= $2 \
         AND NOT (lease_owner = $3 AND id IN (SELECT k.id FROM {ids} k))"
    );
    let values = [Value::from(now.0), now.0.into(), owner.into(), held];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

/// Returns deliveries to the queue that are leased to `owner` and not in `held`, as if they had not been claimed. The
/// response to their claim was lost, so no node sends them.
///
/// Takes lock 5 of 10.
pub async fn give_back_unknown(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    held: Vec<DeliveryId>,
) -> Result<u64> {
    let held = group::json_ids(held.into_iter().map(|id| id.0));
    let ids = group::ids_in("$3", db.get_database_backend() == DbBackend::Postgres);
    let sql = format!(
        "UPDATE delivery SET status = 'queued', claims = claims - 1, next_attempt_at = $1, lease_owner = NULL, \
         lease_until = NULL WHERE status = 'running' AND lease_owner = $2 AND id NOT IN (SELECT k.id FROM {ids} k)"
    );
    let values = [Value::from(now.0), owner.into(), held];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

/// Returns every leased delivery to the queue. Only for the start of a server that is the only one.
pub async fn release_all(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'queued', next_attempt_at = $1, lease_owner = NULL, lease_until = NULL \
               WHERE status = 'running'";
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.0.into()])).await?;
    Ok(done.rows_affected())
}

/// Returns a leased delivery to the queue as if it had not been claimed, due at `due`: nothing was sent, or the result is
/// unknown because this server is stopping.
///
/// Takes lock 5 of 10.
pub async fn give_back(db: &impl ConnectionTrait, owner: Uuid, id: DeliveryId, due: Timestamp) -> Result<()> {
    let sql = "UPDATE delivery SET status = 'queued', claims = claims - 1, next_attempt_at = $3, lease_owner = NULL, \
               lease_until = NULL WHERE id = $1 AND status = 'running' AND lease_owner = $2";
    let values = [Value::from(id.0), owner.into(), due.0.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// Returns the instant at which the next queued delivery is due.
pub async fn next_due(db: &impl ConnectionTrait) -> Result<Option<Timestamp>> {
    #[derive(FromQueryResult)]
    struct Due {
        due: Option<i64>,
    }
    let sql = "SELECT next_attempt_at AS due FROM delivery WHERE status = 'queued' ORDER BY next_attempt_at LIMIT 1";
    let row = Due::find_by_statement(Statement::from_string(db.get_database_backend(), sql)).one(db).await?;
    Ok(row.and_then(|row| row.due).map(Timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_of_the_module_shows_the_claim_as_it_runs() {
        let head = include_str!("claim.rs").split("```sql").nth(1).and_then(|rest| rest.split("```").next());
        let lines = head.expect("a statement").lines().map(|line| line.trim_start_matches("//!").trim());
        let shown: Vec<_> = lines.filter(|line| !line.starts_with("--")).flat_map(str::split_whitespace).collect();
        let parentheses = |text: &str| text.replace("( ", "(").replace(" )", ")");
        let run = claim_sql(1, false, true);
        let run: Vec<_> = run.split_whitespace().collect();
        assert_eq!(parentheses(&shown.join(" ")), parentheses(&run.join(" ")));
    }
}
