//! Claims: a node leases deliveries to itself, and releases them again.
//!
//! A claim is one conditional update that sets `lease_owner` and `lease_until`. A delivery whose lease has run out is
//! returned to the queue, or held behind an open breaker: a node that died is noticed by the clock. On PostgreSQL the
//! deliveries are picked with `FOR UPDATE SKIP LOCKED`, so nodes do not wait for each other. SQLite has one writer.
//!
//! A new delivery may be leased from its start (`delivery::Lease`). Only what has waited is claimed: a backlog, retries,
//! and what was held.
//!
//! # The claim whole
//!
//! [`list_due`] goes from destination to destination by the index `delivery_due`, one step for each, however many
//! deliveries it has. The caller decides how many of each may be claimed.
//!
//! `$1` owner · `$2` now + 10 s, so that a lease lasts for the destination's timeout and 10 s · `$3` now · `$4` the
//! destinations, and how many deliveries of each.
//!
//! The statement picks the oldest due deliveries of each destination by the same index. A destination that is paused,
//! deleted or being arranged is left out. So are deliveries for an earlier target, and those behind an open breaker
//! without a probe; replays that go to an earlier target ignore both.
//!
//! PostgreSQL:
//!
//! ```sql
//! UPDATE delivery SET status = 'running', claims = claims + 1, lease_owner = $1,
//!   lease_until = $2 + (SELECT timeout_ms FROM destination WHERE destination.id = delivery.destination_id)
//! WHERE id = ANY(ARRAY(
//!   SELECT o.id FROM unnest(CAST($4 AS BIGINT[]), CAST($5 AS BIGINT[])) AS n(id, slots)
//!     JOIN destination w ON w.id = n.id AND w.paused_at IS NULL AND w.deleted_at IS NULL AND w.arranging = 0
//!     CROSS JOIN LATERAL (
//!       SELECT d.id FROM delivery d WHERE d.destination_id = w.id AND d.status = 'queued' AND d.next_attempt_at <= $3
//!       AND (d.replay_revision IS NOT NULL OR (d.destination_revision >= w.target_revision
//!       AND (w.breaker_opened_at IS NULL OR w.breaker_is_probing)))
//!       ORDER BY d.next_attempt_at, d.id LIMIT n.slots FOR UPDATE SKIP LOCKED) AS o))
//! RETURNING id, uuid, destination_id, body, attempts, claims, depth, destination_revision, replay_revision, recipients,
//!   lease_until,
//!   (SELECT revision FROM destination WHERE destination.id = delivery.destination_id) AS current_revision,
//!   EXISTS (SELECT 1 FROM run r JOIN task t ON t.id = r.task_id WHERE r.id = delivery.id
//!   AND t.deletes_after_running AND t.claimed_at = r.started_at) AS ends_task
//! ```
//!
//! On SQLite a `LIMIT` cannot come from a row, so the rows are numbered up to the largest limit. `CROSS JOIN` keeps the
//! order of the join. The destinations come as JSON, and nothing is locked.

use super::delivery::{Lease, NewDelivery};
use super::hold::BEHIND_BREAKER;
use super::{Result, group, run};
use model::email::Recipient;
use model::id::{DeliveryId, DestinationId};
use model::number::{to_i64, to_u32, to_usize};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// A delivery leased to a node.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Claimed {
    pub(super) id: i64,
    /// The public id.
    pub uuid: Uuid,
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
    lease_until: i64,
    /// True for the only run of a task that is deleted after running: the end of the delivery changes the task.
    pub ends_task: bool,
}

impl Claimed {
    /// Returns a new delivery that is leased from its start.
    pub(super) fn of_new(id: i64, new: &NewDelivery, recipients: Option<String>, lease: Lease) -> Self {
        Self {
            id,
            uuid: new.uuid,
            destination_id: new.destination_id.0,
            body: new.body.clone(),
            attempts: 0,
            claims: 1,
            depth: new.depth.into(),
            destination_revision: new.destination_revision,
            replay_revision: new.replay.revision,
            current_revision: lease.revision,
            recipients,
            lease_until: lease.until.0,
            ends_task: lease.ends_task,
        }
    }

    /// Returns a new delivery, whose id was its place from 1, with the id at that place.
    pub(super) fn with_id_at(self, ids: &[i64]) -> Self {
        Self { id: ids[to_usize(self.id) - 1], ..self }
    }

    /// Returns a delivery for tests of lanes.
    #[cfg(test)]
    pub(crate) fn sample(id: i64, destination_id: i64) -> Self {
        Self {
            id,
            uuid: Uuid::nil(),
            destination_id,
            body: Vec::new(),
            attempts: 0,
            claims: 1,
            depth: 0,
            destination_revision: 1,
            replay_revision: None,
            current_revision: 1,
            recipients: None,
            lease_until: 0,
            ends_task: false,
        }
    }

    /// Returns true when the lease would end before an attempt of this duration, and some seconds for its record.
    pub fn is_late(&self, now: Timestamp, timeout: Duration) -> bool {
        now.after(timeout + RECORD_WITHIN).0 > self.lease_until
    }

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

    /// Returns the id of the destination.
    pub fn destination_id(&self) -> DestinationId {
        DestinationId(self.destination_id)
    }

    /// Returns the recipients of an e-mail; none for a message to a webhook. `None` where the column cannot be read.
    pub fn recipients(&self) -> Option<Vec<Recipient>> {
        self.recipients.as_deref().map_or(Some(Vec::new()), |json| serde_json::from_str(json).ok())
    }

    /// Returns the number of earlier claims without an attempt on record: a node died, or the record was refused. Some of
    /// them may have called the receiver.
    pub fn unrecorded(&self) -> u32 {
        u32::try_from(self.claims - self.attempts - 1).unwrap_or_default()
    }

    /// Returns the number of attempts on record.
    pub fn attempts(&self) -> i64 {
        self.attempts
    }

    /// Returns the number of the attempt to make, from 1.
    pub fn attempt(&self) -> u32 {
        to_u32(self.attempts).saturating_add(1)
    }
}

/// The time that is left of a lease after the longest attempt that may begin with it.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// The error of a delivery that cannot be read.
const UNREADABLE: &str = "This delivery cannot be read: it was changed by hand.";

/// The most destinations that one look lists.
const LISTED_MAX: usize = 1000;

/// The destinations with due deliveries.
#[derive(Debug)]
pub struct Due {
    /// The destinations, in the order in which they are claimed from.
    pub destinations: Vec<DestinationId>,
    /// True when no other destination has due deliveries.
    pub is_whole: bool,
}

impl Due {
    /// No destination has due deliveries.
    pub const NONE: Self = Self { destinations: Vec::new(), is_whole: true };
}

/// Lists the destinations with due deliveries, from the one after `after` upwards, and then from the first one on.
pub async fn list_due(db: &impl ConnectionTrait, now: Timestamp, after: DestinationId) -> Result<Due> {
    #[derive(FromQueryResult)]
    struct Id {
        id: i64,
    }
    // Neither MIN nor EXISTS: PostgreSQL reads all rows of a destination for them when it estimates them to be few.
    let next = |after: &str| {
        format!(
            "(SELECT d.destination_id FROM delivery d WHERE d.status = 'queued' AND d.destination_id > {after} \
             ORDER BY d.destination_id LIMIT 1)"
        )
    };
    let sql = format!(
        "WITH RECURSIVE queued(id) AS (SELECT {} UNION ALL SELECT {} FROM queued WHERE queued.id IS NOT NULL) \
         SELECT q.id FROM queued q WHERE q.id IS NOT NULL AND q.id <= $2 AND (SELECT d.next_attempt_at FROM delivery d \
         WHERE d.destination_id = q.id AND d.status = 'queued' ORDER BY d.next_attempt_at LIMIT 1) <= $3 LIMIT $4 + 0",
        next("$1"),
        next("queued.id")
    );
    let mut destinations = Vec::new();
    for (first, last) in [(after.0, i64::MAX), (0, after.0)] {
        let left = LISTED_MAX - destinations.len();
        if first == last || left == 0 {
            continue;
        }
        let values = [first.into(), last.into(), now.0.into(), to_i64(left).into()];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), &sql, values);
        destinations
            .extend(Id::find_by_statement(statement).all(db).await?.into_iter().map(|row| DestinationId(row.id)));
    }
    Ok(Due { is_whole: destinations.len() < LISTED_MAX, destinations })
}

/// Leases due deliveries to `owner`, at most so many of each destination, each until its destination's timeout after
/// `lease_from`. The oldest ones come first.
///
/// Picks rows with `SKIP LOCKED`.
pub async fn claim(
    db: &impl ConnectionTrait,
    owner: Uuid,
    now: Timestamp,
    lease_from: Timestamp,
    plan: &[(DestinationId, usize)],
) -> Result<Vec<Claimed>> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let mut values = vec![Value::from(owner), lease_from.0.into(), now.0.into()];
    if is_postgres {
        values.push(group::array(plan.iter().map(|(id, _)| id.0)));
        values.push(group::array(plan.iter().map(|(_, slots)| to_i64(*slots))));
    } else {
        let pairs: Vec<_> = plan.iter().map(|(id, slots)| format!("[{id},{slots}]")).collect();
        values.push(format!("[{}]", pairs.join(",")).into());
        values.push(to_i64(plan.iter().map(|(_, slots)| *slots).max().unwrap_or_default()).into());
    }
    let statement = Statement::from_sql_and_values(db.get_database_backend(), claim_sql(is_postgres), values);
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
fn claim_sql(is_postgres: bool) -> String {
    const OPEN: &str = "w.paused_at IS NULL AND w.deleted_at IS NULL AND w.arranging = 0";
    const OLDEST: &str = "FROM delivery d WHERE d.destination_id = w.id AND d.status = 'queued' \
         AND d.next_attempt_at <= $3 AND (d.replay_revision IS NOT NULL OR (d.destination_revision >= w.target_revision \
         AND (w.breaker_opened_at IS NULL OR w.breaker_is_probing))) ORDER BY d.next_attempt_at, d.id";
    let picked = if is_postgres {
        format!(
            "id = ANY(ARRAY(SELECT o.id FROM unnest(CAST($4 AS BIGINT[]), CAST($5 AS BIGINT[])) AS n(id, slots) \
             JOIN destination w ON w.id = n.id AND {OPEN} \
             CROSS JOIN LATERAL (SELECT d.id {OLDEST} LIMIT n.slots FOR UPDATE SKIP LOCKED) AS o))"
        )
    } else {
        // `+ 0`: SQLite compiles a statement anew for each value of a bare LIMIT.
        format!(
            "id IN (SELECT o.id FROM (SELECT value ->> 0 AS id, value ->> 1 AS slots FROM json_each($4)) n \
             CROSS JOIN destination w CROSS JOIN delivery o WHERE w.id = n.id AND {OPEN} AND o.id IN \
             (SELECT q.id FROM (SELECT d.id, row_number() OVER (ORDER BY d.next_attempt_at, d.id) AS number {OLDEST} \
             LIMIT $5 + 0) q WHERE q.number <= n.slots))"
        )
    };
    format!(
        "UPDATE delivery SET status = 'running', claims = claims + 1, lease_owner = $1, \
         lease_until = $2 + (SELECT timeout_ms FROM destination WHERE destination.id = delivery.destination_id) \
         WHERE {picked} \
         RETURNING id, uuid, destination_id, body, attempts, claims, depth, destination_revision, \
         replay_revision, recipients, lease_until, \
         (SELECT revision FROM destination WHERE destination.id = delivery.destination_id) AS current_revision, \
         EXISTS (SELECT 1 FROM run r JOIN task t ON t.id = r.task_id WHERE r.id = delivery.id \
         AND t.deletes_after_running AND t.claimed_at = r.started_at) AS ends_task"
    )
}

/// Ends a delivery that is leased to `owner` by an internal error, without an attempt on record. Ends the run with it.
///
/// Takes lock 5, then 6 of 9. The caller holds lock 1 where the run may end a task that is deleted after running.
pub async fn end_as_internal(
    db: &impl ConnectionTrait,
    owner: Uuid,
    id: DeliveryId,
    message: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE delivery SET status = 'error', error_code = 'internal', error = $3, settled_at = $4, \
               next_attempt_at = NULL, hold_reason = NULL, lease_owner = NULL, lease_until = NULL \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2";
    let values = [Value::from(id.0), owner.into(), message.into(), now.0.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    // Ends none whose delivery has not ended here.
    run::end_settled(db, &[id.into()], now).await
}

/// Returns the columns of a delivery that loses its lease: it is queued, or held where an open breaker concerns it.
fn returned() -> String {
    format!(
        "status = CASE WHEN {BEHIND_BREAKER} THEN 'held' ELSE 'queued' END, \
         hold_reason = CASE WHEN {BEHIND_BREAKER} THEN 'breaker' END, lease_owner = NULL, lease_until = NULL"
    )
}

/// Returns deliveries whose lease has run out to the queue, except those in `held`, which `owner` has in flight. Returns
/// their number.
///
/// Takes lock 5 of 9.
pub async fn release_expired(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    held: &[DeliveryId],
) -> Result<u64> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql = format!(
        "UPDATE delivery SET {}, next_attempt_at = $1 WHERE status = 'running' AND lease_until <= $2 \
         AND NOT (lease_owner = $3 AND {})",
        returned(),
        group::id_in("id", "$4", is_postgres)
    );
    let held = group::ids(held.iter().map(|id| id.0), is_postgres);
    let values = [Value::from(now.0), now.0.into(), owner.into(), held];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

/// Returns deliveries to the queue that are leased to `owner` and not in `held`, as if they had not been claimed. The
/// response to their commit was lost, so no node sends them. `held` is asked after the look: a delivery is there before
/// its lease is committed.
///
/// Takes lock 5 of 9.
pub async fn give_back_unknown(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    held: impl FnOnce() -> HashSet<DeliveryId>,
) -> Result<u64> {
    #[derive(FromQueryResult)]
    struct Running {
        id: i64,
        claims: i64,
    }
    let sql = "SELECT id, claims FROM delivery WHERE status = 'running' AND lease_owner = $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [owner.into()]);
    let running = Running::find_by_statement(statement).all(db).await?;
    let held = held();
    let sql = format!(
        "UPDATE delivery SET {}, claims = claims - 1, next_attempt_at = $1 \
         WHERE id = $2 AND status = 'running' AND lease_owner = $3 AND claims = $4",
        returned()
    );
    let mut count = 0;
    for one in running.iter().filter(|one| !held.contains(&DeliveryId(one.id))) {
        let values = [Value::from(now.0), one.id.into(), owner.into(), one.claims.into()];
        let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), &sql, values)).await?;
        count += done.rows_affected();
    }
    Ok(count)
}

/// Returns every leased delivery to the queue. Only for the start of a server that is the only one.
pub async fn release_all(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64> {
    let sql = format!("UPDATE delivery SET {}, next_attempt_at = $1 WHERE status = 'running'", returned());
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.0.into()])).await?;
    Ok(done.rows_affected())
}

/// Returns leased deliveries to the queue as if they had not been claimed, due at `due`: nothing was sent, or the result
/// is unknown because this server is stopping.
///
/// Takes lock 5 of 9.
pub async fn give_back(db: &impl ConnectionTrait, owner: Uuid, ids: &[DeliveryId], due: Timestamp) -> Result<()> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql = format!(
        "UPDATE delivery SET {}, claims = claims - 1, next_attempt_at = $3 \
         WHERE {} AND COALESCE(status, '') = 'running' AND lease_owner = $2",
        returned(),
        group::id_in("id", "$1", is_postgres)
    );
    let values = [group::ids(ids.iter().map(|id| id.0), is_postgres), owner.into(), due.0.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// Returns the instant at which the next queued delivery is due.
pub async fn next_due(db: &impl ConnectionTrait) -> Result<Option<Timestamp>> {
    #[derive(FromQueryResult)]
    struct Due {
        due: Option<i64>,
    }
    let sql = "SELECT next_attempt_at AS due FROM delivery WHERE status = 'queued' AND settled_at IS NULL \
               ORDER BY next_attempt_at LIMIT 1";
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
        let run = claim_sql(true);
        let run: Vec<_> = run.split_whitespace().collect();
        assert_eq!(parentheses(&shown.join(" ")), parentheses(&run.join(" ")));
    }
}
