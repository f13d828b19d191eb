//! How a worker comes by deliveries, and lets them go again.
//!
//! It claims with one conditional update that leases rows to it (`lease_owner`, `lease_until`). A lease that has run
//! out is claimed again: a worker that died is noticed by the clock, and at-least-once is the contract. On PostgreSQL
//! the rows are picked with `FOR UPDATE SKIP LOCKED`; SQLite has a single writer.

use super::{Result, group, occurrence};
use model::id::{DeliveryId, RunId, WebhookId};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// A delivery leased to a worker.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Claimed {
    pub(super) id: i64,
    /// The public id.
    pub uuid: Uuid,
    run_id: i64,
    webhook_id: i64,
    /// What to send.
    pub body: Vec<u8>,
    attempts: i64,
    claims: i64,
    depth: i64,
    webhook_revision: i64,
    /// The webhook's revision whose target it is sent to; `None`: the one of now.
    pub replay_revision: Option<i64>,
    /// The webhook's revision when it was claimed.
    pub current_revision: i64,
}

impl Claimed {
    /// How many deliveries led to it.
    pub fn depth(&self) -> u32 {
        u32::try_from(self.depth).unwrap_or(u32::MAX)
    }

    /// Whether it was queued for a target before the one that came with this revision.
    pub fn is_outdated(&self, target_revision: i64) -> bool {
        self.replay_revision.is_none() && self.webhook_revision < target_revision
    }

    /// Its id.
    pub fn id(&self) -> DeliveryId {
        DeliveryId(self.id)
    }

    /// Its run.
    pub fn run_id(&self) -> RunId {
        RunId(self.run_id)
    }

    /// Where it goes.
    pub fn webhook_id(&self) -> WebhookId {
        WebhookId(self.webhook_id)
    }

    /// How often it was claimed before without an attempt on record: a worker died, or the record was refused. The
    /// receiver may have been called each time.
    pub fn unrecorded(&self) -> u32 {
        u32::try_from(self.claims - self.attempts - 1).unwrap_or_default()
    }

    /// Which attempt the worker is to make, from 1.
    pub fn attempt(&self) -> u32 {
        u32::try_from(self.attempts).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// How many deliveries a worker may take: in all, and of each webhook.
#[derive(Debug, Clone)]
pub struct Room {
    /// In all.
    pub total: usize,
    /// Of a webhook that is not among `busy`.
    pub per_webhook: usize,
    /// What is left of `per_webhook` for webhooks with deliveries in flight, and for those that hang.
    pub busy: Vec<(WebhookId, usize)>,
    /// Whether the busy ones come before the others.
    pub is_busy_first: bool,
    /// The others take turns: the next one is the first after this.
    pub after: WebhookId,
}

/// Why a delivery that cannot be read is not sent.
const UNREADABLE: &str = "This delivery cannot be read: a change by hand has written it.";

/// The advisory lock of who claims: "claiming" in ASCII.
const TURN_LOCK: i64 = 0x636c_6169_6d69_6e67;

/// Where several workers claim, waits until it is this one's turn, which lasts until the transaction ends, so that what
/// is in flight of a webhook is counted over all of them. Answers how many deliveries the others have in flight.
///
/// The last lock of its transaction: who has it waits for nobody.
pub async fn take_turn(db: &impl ConnectionTrait, owner: Uuid) -> Result<HashMap<WebhookId, usize>> {
    #[derive(FromQueryResult)]
    struct InFlight {
        webhook_id: i64,
        deliveries: i64,
    }
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(HashMap::new());
    }
    db.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({TURN_LOCK})")).await?;
    let sql = "SELECT webhook_id, COUNT(*) AS deliveries FROM delivery \
               WHERE status = 'running' AND lease_owner <> $1 GROUP BY webhook_id";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [owner.into()]);
    let rows = InFlight::find_by_statement(statement).all(db).await?;
    let count = |row: InFlight| (WebhookId(row.webhook_id), usize::try_from(row.deliveries).unwrap_or(usize::MAX));
    Ok(rows.into_iter().map(count).collect())
}

/// Leases due deliveries to `owner` within the room, each for its webhook's timeout after `lease_from`. Webhooks take
/// turns; of each its oldest go first, found by index: a backlog of one never costs or delays the others. The room is
/// that of after [`take_turn`].
pub async fn claim(
    db: &impl ConnectionTrait,
    owner: Uuid,
    now: Timestamp,
    lease_from: Timestamp,
    room: &Room,
) -> Result<Vec<Claimed>> {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let number = |number: usize| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let of = |left: usize| group::json_ids(room.busy.iter().filter(|one| one.1 == left).map(|one| one.0.0));
    let mut values = vec![
        Value::from(owner),
        lease_from.0.into(),
        now.0.into(),
        number(room.total),
        number(room.per_webhook),
        room.after.0.into(),
        group::json_ids(room.busy.iter().map(|one| one.0.0)),
    ];
    values.extend((1..=room.per_webhook).map(of));
    let not_busy = format!("AND n.id NOT IN (SELECT b.id FROM {} b)", group::ids_in("$7", is_postgres));
    let idle = ["after_last", "up_to_last"].map(|turns| oldest_of(turns, &not_busy, "$5", is_postgres));
    // By what is left, not one by one: the text stays the same, and SQLite joins 500 parts at most.
    // Up to all of it: a webhook that hangs has nothing in flight, and is not among the others.
    let busy = (1..=room.per_webhook).map(|left| {
        let webhooks = group::ids_in(&format!("${}", 7 + left), is_postgres);
        oldest_of(&webhooks, "", &left.to_string(), is_postgres)
    });
    let parts: Vec<_> =
        if room.is_busy_first { busy.chain(idle).collect() } else { idle.into_iter().chain(busy).collect() };
    let turns = [turns("after_last", "> $6", ""), turns("up_to_last", "> 0", "AND d.webhook_id <= $6")].join(", ");
    // Materialized: picked once, however the database joins it, or more could be claimed than there is room for.
    let sql = format!(
        "WITH RECURSIVE {turns}, due AS MATERIALIZED (SELECT id FROM ({}) AS all_due LIMIT $4 + 0) \
         UPDATE delivery SET status = 'running', claims = claims + 1, lease_owner = $1, \
         lease_until = $2 + (SELECT timeout_ms FROM webhook WHERE webhook.id = delivery.webhook_id) \
         WHERE id IN (SELECT id FROM due) \
         RETURNING id, uuid, run_id, webhook_id, body, attempts, claims, depth, webhook_revision, replay_revision, \
         (SELECT revision FROM webhook WHERE webhook.id = delivery.webhook_id) AS current_revision",
        parts.join(" UNION ALL ")
    );
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let mut claimed = Vec::new();
    for row in db.query_all_raw(statement).await? {
        match Claimed::from_query_result(&row, "") {
            Ok(one) => claimed.push(one),
            // A change by hand must not keep the other deliveries from being sent.
            Err(_) => {
                let id = DeliveryId(row.try_get("", "id")?);
                tracing::error!(delivery = %id, "a delivery cannot be read and ends as an error");
                end_as_internal(db, owner, id, UNREADABLE, now).await?;
            }
        }
    }
    Ok(claimed)
}

/// Ends a delivery that is leased to `owner` by a fault of ours, without an attempt on record; its run ends with it.
pub async fn end_as_internal(
    db: &impl ConnectionTrait,
    owner: Uuid,
    id: DeliveryId,
    words: &str,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE delivery SET status = 'error', error_code = 'internal', error = $3, settled_at = $4, \
               next_attempt_at = NULL, hold_reason = NULL, lease_owner = NULL, lease_until = NULL \
               WHERE id = $1 AND status = 'running' AND lease_owner = $2 RETURNING run_id";
    let values = [Value::from(id.0), owner.into(), words.into(), now.0.into()];
    let ended = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    // The run of a damaged row may be what cannot be read.
    let runs: Vec<_> = ended.iter().filter_map(|row| row.try_get("", "run_id").ok()).map(RunId).collect();
    occurrence::end_settled_runs(db, &runs, now).await
}

/// The oldest due deliveries of each of these webhooks, a table with an `id`, in its order. What was queued while its
/// webhook was paused or deleted, its breaker opened, or for an earlier target, waits until it is arranged: a webhook with
/// a backlog of such is left out as a whole, so that nobody reads the backlog.
fn oldest_of(webhooks: &str, condition: &str, limit: &str, is_postgres: bool) -> String {
    const OPEN: &str = "w.paused_at IS NULL AND w.deleted_at IS NULL AND w.arranging = 0";
    let skip = if is_postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    // `+ 0`: SQLite compiles a statement anew for each value of a bare LIMIT.
    let oldest = format!(
        "SELECT d.id FROM delivery d WHERE d.webhook_id = w.id AND d.status = 'queued' AND d.next_attempt_at <= $3 \
         AND (d.replay_revision IS NOT NULL OR (d.webhook_revision >= w.target_revision \
         AND (w.breaker_opened_at IS NULL OR w.breaker_is_probing))) ORDER BY d.next_attempt_at, d.id LIMIT {limit} + 0 {skip}"
    );
    // CROSS JOIN: SQLite keeps this order, and stops when there are enough.
    if is_postgres {
        format!(
            "SELECT o.id FROM {webhooks} n JOIN webhook w ON w.id = n.id AND {OPEN} {condition} \
             CROSS JOIN LATERAL ({oldest}) AS o"
        )
    } else {
        format!(
            "SELECT o.id FROM {webhooks} n CROSS JOIN webhook w CROSS JOIN delivery o \
             WHERE w.id = n.id AND {OPEN} {condition} AND o.id IN ({oldest})"
        )
    }
}

/// A table of the webhooks with queued deliveries, in order: a step of the index for each, not for each delivery.
fn turns(name: &str, first: &str, bound: &str) -> String {
    let next = |after: &str| {
        // Not MIN: PostgreSQL reads all rows for one when it believes that they are few.
        format!(
            "(SELECT d.webhook_id FROM delivery d WHERE d.status = 'queued' AND d.webhook_id {after} {bound} \
             ORDER BY d.webhook_id LIMIT 1)"
        )
    };
    let (first, next) = (next(first), next(&format!("> {name}.id")));
    format!("{name}(id) AS (SELECT {first} UNION ALL SELECT {next} FROM {name} WHERE {name}.id IS NOT NULL)")
}

/// Puts deliveries whose lease has run out back into the queue, but for those that `owner` knows of. Answers how many.
pub async fn release_expired(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    known: Vec<DeliveryId>,
) -> Result<u64> {
    let known = group::json_ids(known.into_iter().map(|id| id.0));
    let ids = group::ids_in("$4", db.get_database_backend() == DbBackend::Postgres);
    let sql = format!(
        "UPDATE delivery SET status = 'queued', next_attempt_at = $1, lease_owner = NULL, lease_until = NULL \
         WHERE status = 'running' AND lease_until <= $2 \
         AND NOT (lease_owner = $3 AND id IN (SELECT k.id FROM {ids} k))"
    );
    let values = [Value::from(now.0), now.0.into(), owner.into(), known];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

/// Puts back what is leased to `owner` and not among those that `owner` knows of, as if it had not been claimed: the
/// answer to the claim was lost, and nobody sends it.
pub async fn give_back_unknown(
    db: &impl ConnectionTrait,
    now: Timestamp,
    owner: Uuid,
    known: Vec<DeliveryId>,
) -> Result<u64> {
    let known = group::json_ids(known.into_iter().map(|id| id.0));
    let ids = group::ids_in("$3", db.get_database_backend() == DbBackend::Postgres);
    let sql = format!(
        "UPDATE delivery SET status = 'queued', claims = claims - 1, next_attempt_at = $1, lease_owner = NULL, \
         lease_until = NULL WHERE status = 'running' AND lease_owner = $2 AND id NOT IN (SELECT k.id FROM {ids} k)"
    );
    let values = [Value::from(now.0), owner.into(), known];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected())
}

/// Puts every leased delivery back into the queue: a server that is the only one has just started.
pub async fn release_all(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE delivery SET status = 'queued', next_attempt_at = $1, lease_owner = NULL, lease_until = NULL \
               WHERE status = 'running'";
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.0.into()])).await?;
    Ok(done.rows_affected())
}

/// Puts a leased delivery back as if it had not been claimed, due at `due`: nothing was sent, or nobody can tell what
/// came of it because this server is stopping.
pub async fn give_back(db: &impl ConnectionTrait, owner: Uuid, id: DeliveryId, due: Timestamp) -> Result<()> {
    let sql = "UPDATE delivery SET status = 'queued', claims = claims - 1, next_attempt_at = $3, lease_owner = NULL, \
               lease_until = NULL WHERE id = $1 AND status = 'running' AND lease_owner = $2";
    let values = [Value::from(id.0), owner.into(), due.0.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// When the next waiting delivery is due.
pub async fn next_due(db: &impl ConnectionTrait) -> Result<Option<Timestamp>> {
    #[derive(FromQueryResult)]
    struct Due {
        due: Option<i64>,
    }
    let sql = "SELECT next_attempt_at AS due FROM delivery WHERE status = 'queued' ORDER BY next_attempt_at LIMIT 1";
    let row = Due::find_by_statement(Statement::from_string(db.get_database_backend(), sql)).one(db).await?;
    Ok(row.and_then(|row| row.due).map(Timestamp))
}
