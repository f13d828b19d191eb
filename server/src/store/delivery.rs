//! Deliveries and attempts: queueing, settling, listing. Claiming is in `claim`.

use super::claim::Claimed;
use super::entity::{attempt, delivery};
use super::{Result, group};
use model::breaker::Ending;
use model::delivery::{ErrorCode, Next, Outcome, Status};
use model::hold::HoldReason;
use model::id::{DeliveryId, ObjectId, RunId, WebhookId};
use model::message::Note;
use model::number::{from_millis, millis, to_u32};
use model::text;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, Statement, Value,
    sea_query::Expr,
};
use std::time::Duration;
use uuid::Uuid;

/// A new delivery, due at once.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the table's")]
pub struct NewDelivery {
    pub uuid: Uuid,
    pub run_id: RunId,
    pub webhook_id: WebhookId,
    pub webhook_name: String,
    pub task_name: String,
    pub type_id: String,
    pub event_id: String,
    pub object_id: Option<ObjectId>,
    pub object_name: Option<String>,
    pub body: Vec<u8>,
    /// Notes on the message that explain what a receiver may refuse.
    pub notes: Vec<Note>,
    /// Set for a delivery that cannot be sent: it is an error from the start.
    pub failed: Option<(ErrorCode, String)>,
    /// Set while the webhook holds deliveries.
    pub hold: Option<HoldReason>,
    /// The number of deliveries that led to this one.
    pub depth: u32,
    pub webhook_revision: i64,
    pub replay: Replay,
}

/// The delivery that a replay repeats, if it is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replay {
    /// The earlier delivery.
    pub of: Option<DeliveryId>,
    /// The webhook's revision whose target the delivery is sent to; `None` for the current one.
    pub revision: Option<i64>,
}

/// The result of one attempt.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// The outcome, as far as it decides what follows.
    pub outcome: Outcome,
    /// The response's status, if a response arrived.
    pub http_status: Option<u16>,
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
}

/// A delivery as a line of a list: the columns of [`LIST_COLUMNS`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the table's")]
pub struct ListRow {
    pub uuid: Uuid,
    /// `None` when the stored status cannot be read.
    pub status: Option<Status>,
    pub hold: Option<HoldReason>,
    pub created_at: Timestamp,
    pub webhook_id: WebhookId,
    pub webhook_name: String,
    pub task_name: String,
    pub type_id: String,
    pub event_id: String,
    pub object_name: Option<String>,
    pub attempts: u32,
    pub http_status: Option<u16>,
    pub duration: Option<Duration>,
    pub next_attempt_at: Option<Timestamp>,
    pub error: Option<String>,
}

impl FromQueryResult for ListRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> std::result::Result<Self, DbErr> {
        let hold: Option<String> = row.try_get(prefix, "hold_reason")?;
        let http_status: Option<i64> = row.try_get(prefix, "http_status")?;
        let duration: Option<i64> = row.try_get(prefix, "duration_ms")?;
        let next_attempt_at: Option<i64> = row.try_get(prefix, "next_attempt_at")?;
        Ok(Self {
            uuid: row.try_get(prefix, "uuid")?,
            status: Status::find(&row.try_get::<String>(prefix, "status")?),
            hold: hold.as_deref().and_then(HoldReason::find),
            created_at: Timestamp(row.try_get(prefix, "created_at")?),
            webhook_id: WebhookId(row.try_get(prefix, "webhook_id")?),
            webhook_name: row.try_get(prefix, "webhook_name")?,
            task_name: row.try_get(prefix, "task_name")?,
            type_id: row.try_get(prefix, "type_id")?,
            event_id: row.try_get(prefix, "event_id")?,
            object_name: row.try_get(prefix, "object_name")?,
            attempts: to_u32(row.try_get::<i64>(prefix, "attempts")?),
            http_status: http_status.and_then(|status| u16::try_from(status).ok()),
            duration: duration.map(from_millis),
            next_attempt_at: next_attempt_at.map(Timestamp),
            error: row.try_get(prefix, "error")?,
        })
    }
}

/// A delivery as stored, but for its lease.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `NewDelivery`")]
pub struct Row {
    pub id: DeliveryId,
    /// The columns that lists show, too.
    pub line: ListRow,
    pub run_id: RunId,
    pub object_id: Option<ObjectId>,
    pub body: Vec<u8>,
    pub notes: Vec<Note>,
    pub error_code: Option<String>,
    pub depth: u32,
    pub webhook_revision: i64,
    pub replay: Replay,
}

impl FromQueryResult for Row {
    fn from_query_result(row: &QueryResult, prefix: &str) -> std::result::Result<Self, DbErr> {
        let object_id: Option<i64> = row.try_get(prefix, "object_id")?;
        let notes: Option<String> = row.try_get(prefix, "notes")?;
        let replay_of: Option<i64> = row.try_get(prefix, "replay_of")?;
        Ok(Self {
            id: DeliveryId(row.try_get(prefix, "id")?),
            line: ListRow::from_query_result(row, prefix)?,
            run_id: RunId(row.try_get(prefix, "run_id")?),
            object_id: object_id.map(ObjectId),
            body: row.try_get(prefix, "body")?,
            notes: notes.iter().flat_map(|notes| notes.lines()).filter_map(Note::from_line).collect(),
            error_code: row.try_get(prefix, "error_code")?,
            depth: to_u32(row.try_get::<i64>(prefix, "depth")?),
            webhook_revision: row.try_get(prefix, "webhook_revision")?,
            replay: Replay { of: replay_of.map(DeliveryId), revision: row.try_get(prefix, "replay_revision")? },
        })
    }
}

/// A delivery of a run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the table's")]
pub struct OfRun {
    pub run_id: RunId,
    pub uuid: Uuid,
    /// `None` when the stored status cannot be read.
    pub status: Option<Status>,
    pub webhook_name: String,
    pub error: Option<String>,
}

/// An attempt as stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `Attempted`")]
pub struct AttemptRow {
    pub number: u32,
    pub started_at: Timestamp,
    pub duration: Duration,
    pub connect: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub http_status: Option<u16>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub response_headers: String,
    pub response_body: Vec<u8>,
    pub response_note: Option<String>,
    /// The webhook's revision that the attempt was made with.
    pub webhook_revision: i64,
}

impl From<attempt::Model> for AttemptRow {
    fn from(row: attempt::Model) -> Self {
        Self {
            number: to_u32(row.number),
            started_at: Timestamp(row.started_at),
            duration: from_millis(row.duration_ms),
            connect: row.connect_ms.map(from_millis),
            first_byte: row.first_byte_ms.map(from_millis),
            http_status: row.http_status.and_then(|status| u16::try_from(status).ok()),
            error_code: row.error_code,
            error: row.error,
            response_headers: row.answer_headers,
            response_body: row.answer_body,
            response_note: row.answer_note,
            webhook_revision: row.webhook_revision,
        }
    }
}

/// Queues deliveries.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<NewDelivery>, now: Timestamp) -> Result<()> {
    group::insert(db, new.into_iter().map(|new| columns(new, now)).collect(), None).await?;
    Ok(())
}

/// Returns a name without its case, for searches. `None` where that is the name itself, as for most names.
pub(super) fn fold(name: &str) -> Option<String> {
    if name.is_ascii() && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let folded = text::folded(name);
    (folded != name).then_some(folded)
}

fn columns(new: NewDelivery, now: Timestamp) -> delivery::ActiveModel {
    let is_failed = new.failed.is_some();
    let (code, error) = new.failed.map(|(code, error)| (code.as_str().to_owned(), error)).unzip();
    let hold = new.hold.filter(|_| !is_failed);
    let status = match hold {
        _ if is_failed => Status::Error,
        Some(_) => Status::Held,
        None => Status::Queued,
    };
    let notes: Vec<_> = new.notes.iter().map(Note::to_line).collect();
    delivery::ActiveModel {
        id: NotSet,
        uuid: Set(new.uuid),
        webhook_folded: Set(fold(&new.webhook_name)),
        task_folded: Set(fold(&new.task_name)),
        object_folded: Set(new.object_name.as_deref().and_then(fold)),
        run_id: Set(new.run_id.0),
        webhook_id: Set(new.webhook_id.0),
        webhook_name: Set(new.webhook_name),
        task_name: Set(new.task_name),
        type_id: Set(new.type_id),
        event_id: Set(new.event_id),
        object_name: Set(new.object_name),
        status: Set(status.as_str().to_owned()),
        body: Set(new.body),
        attempts: Set(0),
        claims: Set(0),
        next_attempt_at: Set((!is_failed).then_some(now.0)),
        lease_owner: Set(None),
        lease_until: Set(None),
        http_status: Set(None),
        error_code: Set(code),
        error: Set(error),
        duration_ms: Set(None),
        created_at: Set(now.0),
        settled_at: Set(is_failed.then_some(now.0)),
        object_id: Set(new.object_id.map(|id| id.0)),
        hold_reason: Set(hold.map(|reason| reason.as_str().to_owned())),
        notes: Set((!notes.is_empty()).then(|| notes.join("\n"))),
        depth: Set(new.depth.into()),
        webhook_revision: Set(new.webhook_revision),
        replay_of: Set(new.replay.of.map(|id| id.0)),
        replay_revision: Set(new.replay.revision),
    }
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
    /// The webhook's revision that the attempt was made with.
    pub webhook_revision: i64,
}

impl Settlement {
    /// Returns what the attempt says about the receiver of the target of `target_revision`. `None` if the attempt went to an
    /// earlier target, or not out at all.
    pub fn ending(&self, target_revision: i64) -> Option<Ending> {
        let is_to_this = self.claimed.replay_revision.is_none() && self.webhook_revision >= target_revision;
        let Attempted { outcome, http_status, has_timed_out, started_at, .. } = &self.attempted;
        is_to_this.then(|| outcome.ending(*http_status, *has_timed_out, *started_at)).flatten()
    }
}

/// Returns the settlements whose attempts are not recorded yet.
pub async fn without_recorded(db: &impl ConnectionTrait, settlements: Vec<Settlement>) -> Result<Vec<Settlement>> {
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

/// Records attempts, and moves their deliveries on that are still leased to `owner`. A delivery that has been settled
/// otherwise keeps its state; its attempt is recorded all the same.
///
/// Takes lock 5 of 10.
pub async fn settle_many(
    db: &impl ConnectionTrait,
    owner: Uuid,
    settlements: Vec<Settlement>,
    now: Timestamp,
) -> Result<()> {
    for group in group::split(settlements) {
        move_on(db, owner, &group, now).await?;
        forget_responses(db, &group).await?;
        let attempts = group.into_iter().map(attempt_row).collect();
        group::insert::<attempt::ActiveModel>(db, attempts, None).await?;
    }
    Ok(())
}

/// Removes the responses of all but a delivery's last attempts, so that a delivery that is tried a hundred times does not
/// retain a hundred long responses.
async fn forget_responses(db: &impl ConnectionTrait, group: &[Settlement]) -> Result<()> {
    for one in group.iter().filter(|one| one.claimed.attempt() > RESPONSES_RETAINED) {
        attempt::Entity::update_many()
            .col_expr(attempt::Column::AnswerHeaders, Expr::value(""))
            .col_expr(attempt::Column::AnswerBody, Expr::value(Vec::<u8>::new()))
            .col_expr(attempt::Column::AnswerNote, Expr::value(RESPONSE_FORGOTTEN))
            .filter(attempt::Column::DeliveryId.eq(one.claimed.id))
            .filter(attempt::Column::Number.eq(i64::from(one.claimed.attempt() - RESPONSES_RETAINED)))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Moves a group of deliveries on by one statement. Both databases name the columns of `VALUES` column1, column2 …
async fn move_on(db: &impl ConnectionTrait, owner: Uuid, group: &[Settlement], now: Timestamp) -> Result<()> {
    const COLUMNS: usize = 10;
    let rows: Vec<_> = (0..group.len())
        .map(|row| {
            let parameters: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column + 1)).collect();
            format!("({})", parameters.join(", "))
        })
        .collect();
    let sql = format!(
        "UPDATE delivery SET status = v.column2, attempts = v.column3, next_attempt_at = v.column4, \
         settled_at = v.column5, http_status = v.column6, error_code = v.column7, error = v.column8, \
         duration_ms = v.column9, hold_reason = v.column10, lease_owner = NULL, lease_until = NULL \
         FROM (VALUES {}) AS v \
         WHERE delivery.id = v.column1 AND delivery.status = 'running' AND delivery.lease_owner = $1",
        rows.join(", ")
    );
    let mut values = vec![Value::from(owner)];
    for one in group {
        let (status, next_attempt_at, settled_at, hold) = match one.next {
            Next::Settle(status) => (status, None, Some(now.0), None),
            Next::RetryAt(due) => (Status::Queued, Some(due.0), None, None),
            Next::Hold(reason, due) => (Status::Held, Some(due.0), None, Some(reason.as_str())),
        };
        values.extend([
            Value::from(one.claimed.id),
            status.as_str().into(),
            i64::from(one.claimed.attempt()).into(),
            next_attempt_at.into(),
            settled_at.into(),
            one.attempted.http_status.map(i64::from).into(),
            error_code(&one.attempted).into(),
            one.attempted.error.clone().into(),
            duration_ms(&one.attempted).into(),
            hold.into(),
        ]);
    }
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

fn error_code(attempted: &Attempted) -> Option<String> {
    match &attempted.outcome {
        Outcome::Sent => None,
        Outcome::Failed { code, .. } => Some(code.as_str().to_owned()),
    }
}

fn duration_ms(attempted: &Attempted) -> i64 {
    millis(attempted.duration)
}

fn attempt_row(one: Settlement) -> attempt::ActiveModel {
    attempt::ActiveModel {
        id: NotSet,
        delivery_id: Set(one.claimed.id),
        number: Set(one.claimed.attempt().into()),
        started_at: Set(one.attempted.started_at.0),
        duration_ms: Set(duration_ms(&one.attempted)),
        http_status: Set(one.attempted.http_status.map(i64::from)),
        error_code: Set(error_code(&one.attempted)),
        error: Set(one.attempted.error),
        answer_headers: Set(one.attempted.response_headers),
        answer_body: Set(one.attempted.response_body),
        answer_note: Set(one.attempted.response_note),
        webhook_revision: Set(one.webhook_revision),
        connect_ms: Set(one.attempted.connect.map(millis)),
        first_byte_ms: Set(one.attempted.first_byte.map(millis)),
    }
}

/// The columns of [`ListRow`].
pub(super) const LIST_COLUMNS: [delivery::Column; 15] = [
    delivery::Column::Uuid,
    delivery::Column::Status,
    delivery::Column::CreatedAt,
    delivery::Column::WebhookId,
    delivery::Column::WebhookName,
    delivery::Column::TaskName,
    delivery::Column::TypeId,
    delivery::Column::EventId,
    delivery::Column::ObjectName,
    delivery::Column::Attempts,
    delivery::Column::HttpStatus,
    delivery::Column::DurationMs,
    delivery::Column::NextAttemptAt,
    delivery::Column::Error,
    delivery::Column::HoldReason,
];

/// Returns the newest deliveries of one webhook or of all, newest first.
pub async fn list_newest(db: &impl ConnectionTrait, webhook: Option<WebhookId>, limit: u64) -> Result<Vec<ListRow>> {
    use delivery::Column;
    let of = Condition::all().add_option(webhook.map(|id| Column::WebhookId.eq(id.0)));
    Ok(delivery::Entity::find()
        .select_only()
        .columns(LIST_COLUMNS)
        .filter(of)
        .order_by_desc(Column::Id)
        .limit(limit)
        .into_model()
        .all(db)
        .await?)
}

/// Returns a delivery by its public id.
pub async fn find(db: &impl ConnectionTrait, uuid: Uuid) -> Result<Option<Row>> {
    Ok(delivery::Entity::find().filter(delivery::Column::Uuid.eq(uuid)).into_model().one(db).await?)
}

/// Returns the public id of a delivery.
pub async fn find_uuid(db: &impl ConnectionTrait, id: DeliveryId) -> Result<Option<Uuid>> {
    let query = delivery::Entity::find_by_id(id.0).select_only().column(delivery::Column::Uuid);
    Ok(query.into_tuple().one(db).await?)
}

/// Returns a delivery's attempts, in order.
pub async fn list_attempts(db: &impl ConnectionTrait, id: DeliveryId) -> Result<Vec<AttemptRow>> {
    let rows = attempt::Entity::find()
        .filter(attempt::Column::DeliveryId.eq(id.0))
        .order_by_asc(attempt::Column::Number)
        .order_by_asc(attempt::Column::Id)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(AttemptRow::from).collect())
}

/// Returns the deliveries of these runs, in order.
pub async fn list_of_runs(db: &impl ConnectionTrait, run_ids: &[RunId]) -> Result<Vec<OfRun>> {
    use delivery::Column;
    if run_ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, Uuid, String, String, Option<String>)> = delivery::Entity::find()
        .select_only()
        .columns([Column::RunId, Column::Uuid, Column::Status, Column::WebhookName, Column::Error])
        .filter(Column::RunId.is_in(run_ids.iter().map(|id| id.0)))
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let read = |(run_id, uuid, status, webhook_name, error): (_, _, String, _, _)| OfRun {
        run_id: RunId(run_id),
        uuid,
        status: Status::find(&status),
        webhook_name,
        error,
    };
    Ok(rows.into_iter().map(read).collect())
}
