//! Claims: a node leases deliveries to itself. `lease` ends leases again.
//!
//! A claim is one conditional update that sets `lease_owner` and `lease_until`. A delivery whose lease has run out is
//! returned to the queue, or held behind an open breaker. The deliveries of a node that died are recovered this way. On
//! PostgreSQL the deliveries are picked with `FOR UPDATE SKIP LOCKED`, so nodes do not wait for each other. SQLite has
//! one writer.
//!
//! A new delivery may be leased from its start (`delivery::Lease`). Claims are for deliveries that have waited: a
//! backlog, retries, and released deliveries.
//!
//! # The whole claim
//!
//! [`list_due`] goes from destination to destination by the index `delivery_due`: one step for each, however many
//! deliveries a destination has. The caller decides how many of each may be claimed.
//!
//! `$1` owner · `$2` now + 10 s, so that a lease lasts for the destination's timeout and 10 s · `$3` now · `$4` the
//! destinations · `$5` how many deliveries of each.
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

mod claimed;

pub use claimed::Claimed;

use super::{Result, group, lease};
use model::id::{DeliveryId, DestinationId};
use model::number::to_i64;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use uuid::Uuid;

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
    let sql = format!(
        "WITH RECURSIVE {} SELECT q.id FROM queued q WHERE q.id IS NOT NULL AND q.id <= $2 AND (SELECT d.next_attempt_at FROM delivery d \
         WHERE d.destination_id = q.id AND d.status = 'queued' ORDER BY d.next_attempt_at LIMIT 1) <= $3 LIMIT $4 + 0",
        queued_after("$1")
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

/// Leases due deliveries to `owner`, the oldest first: of each destination at most the planned number. Each lease ends
/// at `lease_from` plus the timeout of the destination.
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
                lease::end_as_internal(db, owner, id, UNREADABLE, now).await?;
            }
        }
    }
    // The statement returns its rows in any order. Older deliveries are sent first.
    claimed.sort_unstable_by_key(Claimed::id);
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

/// Returns the table `queued` of a `WITH RECURSIVE`: the destinations with queued deliveries whose id is above `after`,
/// one step of the index `delivery_due` for each.
///
/// Its condition fits no other partial index. Otherwise PostgreSQL would read the index of all held deliveries when its
/// statistics say that no delivery is queued.
fn queued_after(after: &str) -> String {
    destinations_after("queued", "d.status = 'queued'", after)
}

/// Returns a table of a `WITH RECURSIVE`: the destinations whose id is above `after` and that have deliveries `d` which
/// satisfy a condition, one step of an index for each, however many deliveries they have. The last row is NULL.
pub(super) fn destinations_after(name: &str, which: &str, after: &str) -> String {
    // MIN and EXISTS are not used: PostgreSQL would read all rows of a destination for them when it estimates them to
    // be few.
    let next = |after: &str| {
        format!(
            "(SELECT d.destination_id FROM delivery d WHERE {which} AND d.destination_id > {after} \
             ORDER BY d.destination_id LIMIT 1)"
        )
    };
    let (first, next) = (next(after), next(&format!("{name}.id")));
    format!("{name}(id) AS (SELECT {first} UNION ALL SELECT {next} FROM {name} WHERE {name}.id IS NOT NULL)")
}

/// Returns the instant at which the next queued delivery is due.
pub async fn next_due(db: &impl ConnectionTrait) -> Result<Option<Timestamp>> {
    #[derive(FromQueryResult)]
    struct Due {
        due: Option<i64>,
    }
    let sql = format!(
        "WITH RECURSIVE {} SELECT MIN((SELECT d.next_attempt_at FROM delivery d WHERE d.destination_id = q.id \
         AND d.status = 'queued' ORDER BY d.next_attempt_at LIMIT 1)) AS due FROM queued q WHERE q.id IS NOT NULL",
        queued_after("0")
    );
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
