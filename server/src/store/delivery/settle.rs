//! Settling: the record of an attempt, and the next state of its delivery.

use super::recipients_json;
use crate::store::claim::Claimed;
use crate::store::entity::{attempt, delivery};
use crate::store::rows::{self, BYTES, Columns, INT, RowStatement, TEXT};
use crate::store::turn::{Along, Turn};
use crate::store::{Result, Store, run};
use model::breaker::Ending;
use model::delivery::{Next, Outcome, Status};
use model::email::Recipient;
use model::number::millis;
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
    sea_query::{Expr, LockType},
};
use std::time::Duration;
use uuid::Uuid;

/// The result of one attempt.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// The outcome, which decides how the delivery continues.
    pub outcome: Outcome,
    /// The response's status, if a response arrived.
    pub status_code: Option<u16>,
    /// The error, as a sentence for the operator.
    pub error: Option<String>,
    /// The instant at which the attempt began.
    pub started_at: Timestamp,
    /// The duration of the whole attempt.
    pub duration: Duration,
    /// The time that connecting took, TLS included; `None` when a connection was reused, or none was made.
    pub connect: Option<Duration>,
    /// The time from the beginning to the status line.
    pub first_byte: Option<Duration>,
    /// The response's headers as lines, `name: value`.
    pub response_headers: String,
    /// The first 64 KiB of the response's body, byte for byte.
    pub response_body: Vec<u8>,
    /// "truncated", "incomplete", …
    pub response_note: Option<String>,
    /// True when the timeout came before the response was whole.
    pub has_timed_out: bool,
    /// The recipients of an e-mail, with the server's reply to each; `None` for a webhook.
    pub recipients: Option<Vec<Recipient>>,
}

/// The number of last attempts of a delivery whose responses are retained.
const RESPONSES_RETAINED: u32 = 10;
/// The note of an attempt whose response is not retained.
const RESPONSE_FORGOTTEN: &str = "the response is no longer retained: only those of the last 10 attempts are";

/// The end of an attempt, and the next state of its delivery.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The delivery.
    pub claimed: Claimed,
    /// The result of the attempt.
    pub attempted: Attempted,
    /// The next state.
    pub next: Next,
    /// The destination's revision that the attempt was made with.
    pub destination_revision: i64,
    /// True where an earlier record of the attempt was tried, and may have been committed.
    pub may_be_recorded: bool,
}

impl Settlement {
    /// Returns the end of an attempt of which no record was tried yet.
    pub fn new(claimed: Claimed, attempted: Attempted, next: Next, destination_revision: i64) -> Self {
        Self { claimed, attempted, next, destination_revision, may_be_recorded: false }
    }

    /// Returns true for a success that changes only the delivery and its run.
    pub fn is_plain(&self) -> bool {
        self.next == Next::Settle(Status::Sent)
            && self.attempted.recipients.is_none()
            && !self.claimed.ends_task
            && !self.attempted.has_timed_out
            && self.claimed.attempt() <= RESPONSES_RETAINED
            && !self.may_be_recorded
    }

    /// Returns the end of the attempt as far as it concerns the breaker of the target of `target_revision`. `None` if
    /// the attempt was for an earlier target, or if nothing was sent.
    pub fn ending(&self, target_revision: i64) -> Option<Ending> {
        let is_to_this = self.claimed.replay_revision.is_none() && self.destination_revision >= target_revision;
        let Attempted { outcome, status_code, has_timed_out, started_at, .. } = &self.attempted;
        is_to_this.then(|| outcome.ending(*status_code, *has_timed_out, *started_at)).flatten()
    }
}

/// Returns the settlements whose attempts are not recorded yet. An earlier record may still be about to be committed
/// (PostgreSQL), so the deliveries are locked before the look.
///
/// Takes lock 5 of 9.
pub async fn without_recorded(db: &impl ConnectionTrait, settlements: Vec<Settlement>) -> Result<Vec<Settlement>> {
    delivery::Entity::find()
        .select_only()
        .column(delivery::Column::Id)
        .filter(delivery::Column::Id.is_in(settlements.iter().map(|one| one.claimed.id)))
        .order_by_asc(delivery::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .into_tuple::<i64>()
        .all(db)
        .await?;
    let rows: Vec<(i64, i64, i64)> = attempt::Entity::find()
        .select_only()
        .columns([attempt::Column::DeliveryId, attempt::Column::Number, attempt::Column::StartedAt])
        .filter(attempt::Column::DeliveryId.is_in(settlements.iter().map(|one| one.claimed.id)))
        .into_tuple()
        .all(db)
        .await?;
    let is_new =
        |one: &Settlement| !rows.contains(&(one.claimed.id, one.claimed.attempt().into(), one.attempted.started_at.0));
    Ok(settlements.into_iter().filter(is_new).collect())
}

/// Records attempts, moves on their deliveries that are still leased to `owner`, and ends the runs of those that are
/// settled by this. A delivery that `owner` has lost keeps its state, and so does its run. Its attempt is recorded all
/// the same. The caller finishes the tasks that are deleted after running.
///
/// Takes lock 5, then 6 of 9.
pub async fn settle_many(
    db: &impl ConnectionTrait,
    owner: Uuid,
    mut settlements: Vec<Settlement>,
    now: Timestamp,
) -> Result<()> {
    note_recipients(db, owner, &settlements).await?;
    forget_responses(db, &settlements).await?;
    let backend = db.get_database_backend();
    settlements.sort_by_key(|one| one.claimed.id);
    for group in rows::statements(db, settlements) {
        let moves = group.iter().map(|one| move_row(one, now)).collect();
        let attempts =
            group.into_iter().map(|one| attempt_row(&one.claimed, one.destination_revision, one.attempted)).collect();
        let (sql, values) = if backend == DbBackend::Postgres {
            postgres_sql(owner, moves, attempts, now)
        } else {
            sqlite_sql(owner, moves, attempts, now)
        };
        db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}

/// Records plain attempts ([`Settlement::is_plain`]) like [`settle_many`], in a turn of the embedded database.
pub async fn settle_in_turn(turn: Turn, owner: Uuid, group: Vec<PlainRow>) -> Result<()> {
    turn.write(plain_statements(owner, group)).await
}

/// Lets the record of plain attempts wait for a turn to go along with. `None` on PostgreSQL, and while another record
/// waits.
pub fn settle_along(store: &Store, owner: Uuid, group: Vec<PlainRow>) -> Option<Along<PlainRow>> {
    store.go_along(group, move |group| {
        crate::fault::point("settle.before-commit");
        plain_statements(owner, group)
    })
}

/// A plain attempt as rows of the embedded database: the new state of the delivery, and the attempt.
#[derive(Debug)]
pub struct PlainRow {
    id: i64,
    moved: [Value; 10],
    attempt: [Value; 13],
    now: Timestamp,
}

impl PlainRow {
    /// Returns the rows of an attempt whose delivery is settled now.
    pub fn new(one: &Settlement, now: Timestamp) -> Self {
        let attempt = attempt_row(&one.claimed, one.destination_revision, one.attempted.clone());
        Self { id: one.claimed.id, moved: move_row(one, now), attempt, now }
    }
}

/// Returns the statements of a turn that record plain attempts. The runs end at the instant of the latest of them.
fn plain_statements(owner: Uuid, mut group: Vec<PlainRow>) -> Vec<RowStatement> {
    group.sort_by_key(|one| one.id);
    let now = group.iter().map(|one| one.now).max().unwrap_or(Timestamp(0));
    let (moves, attempts) = group.into_iter().map(|one| (one.moved, one.attempt)).unzip();
    row_statements(owner, moves, attempts, now)
}

const MOVE: Columns<10> = [
    ("id", INT),
    ("status", TEXT),
    ("attempts", INT),
    ("next_attempt_at", INT),
    ("settled_at", INT),
    ("status_code", INT),
    ("error_code", TEXT),
    ("error", TEXT),
    ("duration_ms", INT),
    ("hold_reason", TEXT),
];

/// Returns one statement for a record. Its parts see the rows as they were before it, so the runs are ended by the rows
/// that the update returns. Rows are found by an array of ids, for which the index is the only plan. `COALESCE` hides
/// the status from PostgreSQL. Otherwise it would read the index of leased deliveries, which has an entry for each
/// lease since the last vacuum.
///
/// A delivery's columns are found in the arrays at the index of its id, by a binary search: a join would compare each
/// row with each other. So `moves` has to be sorted by id.
fn postgres_sql(
    owner: Uuid,
    moves: Vec<[Value; 10]>,
    attempts: Vec<[Value; 13]>,
    now: Timestamp,
) -> (String, Vec<Value>) {
    let mut values = vec![Value::from(owner), now.0.into()];
    let ids = if moves.len() == 1 { "ARRAY[CAST($3 AS BIGINT)]" } else { "CAST($3 AS BIGINT[])" };
    let arrays = rows::arrays(&MOVE, moves, &mut values);
    let places = MOVE[1..].iter().map(|(name, _)| format!("{name} = v.{name}[width_bucket(delivery.id, v.id)]"));
    let places = places.collect::<Vec<_>>().join(", ");
    let attempts = rows::insert_sql(true, "attempt", &ATTEMPT, attempts, &mut values);
    let sql = format!(
        "WITH v AS MATERIALIZED (SELECT {arrays}), \
         moved AS (UPDATE delivery SET {places}, lease_owner = NULL, lease_until = NULL FROM v \
         WHERE delivery.id = ANY({ids}) AND delivery.lease_owner = $1 \
         AND COALESCE(delivery.status, '') = 'running' RETURNING delivery.id, delivery.status, delivery.settled_at), noted AS ({attempts}) \
         UPDATE run SET ended_at = $2, status = CASE WHEN id = ANY(ARRAY(SELECT id FROM moved WHERE status = 'sent')) \
         THEN 'succeeded' ELSE 'failed' END \
         WHERE id = ANY(ARRAY(SELECT id FROM moved WHERE settled_at IS NOT NULL)) AND status = 'running'"
    );
    (sql, values)
}

/// Returns the ids of the rows whose deliveries are settled.
fn settled(moves: &[[Value; 10]]) -> Vec<Value> {
    moves.iter().filter(|row| row[4] != Value::BigInt(None)).map(|row| row[0].clone()).collect()
}

/// Returns the text for SQLite of a record within a transaction. The library switches threads for each call and for the
/// result of each statement, so the text has three statements, however many attempts there are.
fn sqlite_sql(
    owner: Uuid,
    moves: Vec<[Value; 10]>,
    attempts: Vec<[Value; 13]>,
    now: Timestamp,
) -> (String, Vec<Value>) {
    let settled = settled(&moves);
    let mut values = Vec::with_capacity(moves.len() * 24 + 2);
    let moves = rows::sqlite_table(&MOVE, moves, &mut values);
    values.push(owner.into());
    let columns = MOVE[1..].iter().map(|(name, _)| format!("{name} = v.{name}")).collect::<Vec<_>>().join(", ");
    let attempts = rows::insert_sql(false, "attempt", &ATTEMPT, attempts, &mut values);
    let mut sql = format!(
        "UPDATE delivery SET {columns}, lease_owner = NULL, lease_until = NULL FROM {moves} \
         WHERE delivery.id = v.id AND delivery.status = 'running' AND delivery.lease_owner = ?; {attempts}"
    );
    if !settled.is_empty() {
        let ids = vec!["?"; settled.len()].join(",");
        sql = format!("{sql}; {}", run::end_sql("?", &format!("id IN ({ids})")));
        values.push(now.0.into());
        values.extend(settled);
    }
    (sql, values)
}

/// Returns the statements of a turn: the deliveries move on, the attempts are noted, and the runs of settled deliveries
/// end.
fn row_statements(
    owner: Uuid,
    moves: Vec<[Value; 10]>,
    attempts: Vec<[Value; 13]>,
    now: Timestamp,
) -> Vec<RowStatement> {
    let settled = settled(&moves);
    let columns = MOVE[1..].iter().map(|(name, _)| format!("{name} = ?")).collect::<Vec<_>>().join(", ");
    let move_on = format!(
        "UPDATE delivery SET {columns}, lease_owner = NULL, lease_until = NULL \
         WHERE id = ? AND status = 'running' AND lease_owner = ?"
    );
    let changes = moves.into_iter().map(|mut row| {
        // The id comes last in the statement.
        row.rotate_left(1);
        row.into_iter().chain([owner.into()])
    });
    vec![
        RowStatement::new(move_on, changes),
        RowStatement::insert("attempt", &ATTEMPT, attempts),
        RowStatement::new(run::end_sql("?", "id = ?"), settled.into_iter().map(|id| [now.0.into(), id])),
    ]
}

fn move_row(one: &Settlement, now: Timestamp) -> [Value; 10] {
    let (status, next_attempt_at, settled_at, hold) = match one.next {
        Next::Settle(status) => (status, None, Some(now.0), None),
        Next::RetryAt(due) => (Status::Queued, Some(due.0), None, None),
        Next::Hold(reason, due) => (Status::Held, Some(due.0), None, Some(reason.as_str())),
    };
    [
        one.claimed.id.into(),
        status.as_str().into(),
        i64::from(one.claimed.attempt()).into(),
        next_attempt_at.into(),
        settled_at.into(),
        one.attempted.status_code.map(i64::from).into(),
        error_code(&one.attempted).into(),
        one.attempted.error.clone().into(),
        duration_ms(&one.attempted).into(),
        hold.into(),
    ]
}

/// Stores the replies that the recipients of e-mails got, so that a further attempt goes only to the others. Runs
/// before the deliveries move on, since that ends their leases.
async fn note_recipients(db: &impl ConnectionTrait, owner: Uuid, group: &[Settlement]) -> Result<()> {
    for one in group {
        let Some(recipients) = &one.attempted.recipients else { continue };
        delivery::Entity::update_many()
            .col_expr(delivery::Column::Recipients, Expr::value(recipients_json(recipients)?))
            .filter(delivery::Column::Id.eq(one.claimed.id))
            .filter(delivery::Column::LeaseOwner.eq(owner))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Removes the responses of all but a delivery's last attempts, so that a delivery that is tried a hundred times does
/// not retain a hundred long responses.
async fn forget_responses(db: &impl ConnectionTrait, group: &[Settlement]) -> Result<()> {
    for one in group.iter().filter(|one| one.claimed.attempt() > RESPONSES_RETAINED) {
        attempt::Entity::update_many()
            .col_expr(attempt::Column::ResponseHeaders, Expr::value(""))
            .col_expr(attempt::Column::ResponseBody, Expr::value(Vec::<u8>::new()))
            .col_expr(attempt::Column::ResponseNote, Expr::value(RESPONSE_FORGOTTEN))
            .filter(attempt::Column::DeliveryId.eq(one.claimed.id))
            .filter(attempt::Column::Number.eq(i64::from(one.claimed.attempt() - RESPONSES_RETAINED)))
            .exec(db)
            .await?;
    }
    Ok(())
}

fn error_code(attempted: &Attempted) -> Option<&'static str> {
    match &attempted.outcome {
        Outcome::Sent => None,
        Outcome::Failed { code, .. } => Some(code.as_str()),
    }
}

fn duration_ms(attempted: &Attempted) -> i64 {
    millis(attempted.duration)
}

const ATTEMPT: Columns<13> = [
    ("delivery_id", INT),
    ("number", INT),
    ("destination_revision", INT),
    ("started_at", INT),
    ("duration_ms", INT),
    ("connect_ms", INT),
    ("first_byte_ms", INT),
    ("status_code", INT),
    ("error_code", TEXT),
    ("error", TEXT),
    ("response_note", TEXT),
    ("response_headers", TEXT),
    ("response_body", BYTES),
];

fn attempt_row(claimed: &Claimed, destination_revision: i64, attempted: Attempted) -> [Value; 13] {
    let code = error_code(&attempted);
    [
        claimed.id.into(),
        i64::from(claimed.attempt()).into(),
        destination_revision.into(),
        attempted.started_at.0.into(),
        duration_ms(&attempted).into(),
        attempted.connect.map(millis).into(),
        attempted.first_byte.map(millis).into(),
        attempted.status_code.map(i64::from).into(),
        code.into(),
        attempted.error.into(),
        attempted.response_note.into(),
        attempted.response_headers.into(),
        attempted.response_body.into(),
    ]
}
