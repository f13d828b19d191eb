//! Deliveries and attempts as rows: what lists show, and what is stored.

use super::Replay;
use crate::store::entity::{attempt, delivery};
use model::delivery::Status;
use model::destination::Kind;
use model::email::Recipient;
use model::hold::HoldReason;
use model::id::{DeliveryId, DestinationId, ObjectId, RunId};
use model::message::Note;
use model::number::{from_millis, to_u32};
use model::time::Timestamp;
use sea_orm::{DbErr, FromQueryResult, QueryResult, QuerySelect, Select, sea_query::Expr};
use std::time::Duration;
use uuid::Uuid;

/// The columns of [`ListRow`].
pub(in crate::store) const LIST_COLUMNS: [delivery::Column; 15] = [
    delivery::Column::Uuid,
    delivery::Column::Status,
    delivery::Column::CreatedAt,
    delivery::Column::DestinationId,
    delivery::Column::DestinationName,
    delivery::Column::TaskName,
    delivery::Column::TypeId,
    delivery::Column::EventId,
    delivery::Column::ObjectName,
    delivery::Column::Attempts,
    delivery::Column::StatusCode,
    delivery::Column::DurationMs,
    delivery::Column::NextAttemptAt,
    delivery::Column::Error,
    delivery::Column::HoldReason,
];

/// Returns the query with only the columns of a [`ListRow`].
pub(in crate::store) fn list_rows(query: Select<delivery::Entity>) -> Select<delivery::Entity> {
    with_kind(query.select_only().columns(LIST_COLUMNS))
}

/// Adds the kind of the destination to a query. Destinations are marked as deleted and stay.
pub(in crate::store) fn with_kind(query: Select<delivery::Entity>) -> Select<delivery::Entity> {
    query.expr_as(Expr::cust("(SELECT w.kind FROM destination w WHERE w.id = destination_id)"), "kind")
}

/// A delivery as a line of a list, of a query by [`list_rows`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the table's")]
pub struct ListRow {
    pub uuid: Uuid,
    /// `None` when the stored status cannot be read.
    pub status: Option<Status>,
    pub hold: Option<HoldReason>,
    pub created_at: Timestamp,
    pub destination_id: DestinationId,
    pub destination_name: String,
    /// The kind of the destination. Where it cannot be read, the kind is that of webhooks.
    pub kind: Kind,
    pub task_name: String,
    pub type_id: String,
    pub event_id: String,
    pub object_name: Option<String>,
    pub attempts: u32,
    pub status_code: Option<u16>,
    pub duration: Option<Duration>,
    pub next_attempt_at: Option<Timestamp>,
    pub error: Option<String>,
}

impl FromQueryResult for ListRow {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let hold: Option<String> = row.try_get(prefix, "hold_reason")?;
        let kind: Option<String> = row.try_get(prefix, "kind")?;
        let status_code: Option<i64> = row.try_get(prefix, "status_code")?;
        let duration: Option<i64> = row.try_get(prefix, "duration_ms")?;
        let next_attempt_at: Option<i64> = row.try_get(prefix, "next_attempt_at")?;
        Ok(Self {
            uuid: row.try_get(prefix, "uuid")?,
            status: Status::find(&row.try_get::<String>(prefix, "status")?),
            hold: hold.as_deref().and_then(HoldReason::find),
            created_at: Timestamp(row.try_get(prefix, "created_at")?),
            destination_id: DestinationId(row.try_get(prefix, "destination_id")?),
            destination_name: row.try_get(prefix, "destination_name")?,
            kind: kind.as_deref().and_then(Kind::find).unwrap_or(Kind::Webhook),
            task_name: row.try_get(prefix, "task_name")?,
            type_id: row.try_get(prefix, "type_id")?,
            event_id: row.try_get(prefix, "event_id")?,
            object_name: row.try_get(prefix, "object_name")?,
            attempts: to_u32(row.try_get::<i64>(prefix, "attempts")?),
            status_code: status_code.and_then(|status| u16::try_from(status).ok()),
            duration: duration.map(from_millis),
            next_attempt_at: next_attempt_at.map(Timestamp),
            error: row.try_get(prefix, "error")?,
        })
    }
}

/// A delivery as stored, without its lease, of a query by [`with_kind`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `NewDelivery`")]
pub struct Row {
    pub id: DeliveryId,
    /// The columns that lists show, too.
    pub line: ListRow,
    pub object_id: Option<ObjectId>,
    pub body: Vec<u8>,
    pub notes: Vec<Note>,
    pub error_code: Option<String>,
    pub depth: u32,
    pub destination_revision: i64,
    pub replay: Replay,
    /// The recipients of an e-mail, each with the server's last reply; none where they cannot be read.
    pub recipients: Vec<Recipient>,
}

impl FromQueryResult for Row {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let object_id: Option<i64> = row.try_get(prefix, "object_id")?;
        let notes: Option<String> = row.try_get(prefix, "notes")?;
        let recipients: Option<String> = row.try_get(prefix, "recipients")?;
        let replay_of: Option<i64> = row.try_get(prefix, "replay_of")?;
        Ok(Self {
            id: DeliveryId(row.try_get(prefix, "id")?),
            line: ListRow::from_query_result(row, prefix)?,
            object_id: object_id.map(ObjectId),
            body: row.try_get(prefix, "body")?,
            notes: notes.iter().flat_map(|notes| notes.lines()).filter_map(Note::from_line).collect(),
            error_code: row.try_get(prefix, "error_code")?,
            depth: to_u32(row.try_get::<i64>(prefix, "depth")?),
            destination_revision: row.try_get(prefix, "destination_revision")?,
            replay: Replay { of: replay_of.map(DeliveryId), revision: row.try_get(prefix, "replay_revision")? },
            recipients: recipients.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
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
    pub destination_name: String,
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
    pub status_code: Option<u16>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub response_headers: String,
    pub response_body: Vec<u8>,
    pub response_note: Option<String>,
    /// The destination's revision that the attempt was made with.
    pub destination_revision: i64,
}

impl From<attempt::Model> for AttemptRow {
    fn from(row: attempt::Model) -> Self {
        Self {
            number: to_u32(row.number),
            started_at: Timestamp(row.started_at),
            duration: from_millis(row.duration_ms),
            connect: row.connect_ms.map(from_millis),
            first_byte: row.first_byte_ms.map(from_millis),
            status_code: row.status_code.and_then(|status| u16::try_from(status).ok()),
            error_code: row.error_code,
            error: row.error,
            response_headers: row.response_headers,
            response_body: row.response_body,
            response_note: row.response_note,
            destination_revision: row.destination_revision,
        }
    }
}
