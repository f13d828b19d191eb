//! Deliveries and attempts: queueing, reading, and settling (`settle`). Claiming is in `claim`.

mod row;
mod settle;
mod start;

pub use row::{AttemptRow, ListRow, OfRun, Row};
pub use settle::{Attempted, PlainRow, Settlement, settle_along, settle_in_turn, settle_many, without_recorded};
pub use start::{Occurred, Started, start_alone, start_in_turn, start_many};

use row::with_kind;
pub(super) use row::{LIST_COLUMNS, list_rows};

use super::entity::{attempt, delivery};
use super::rows::{BYTES, Columns, INT, TEXT, UUID};
use super::{Error, Result};
use model::delivery::{ErrorCode, Status};
use model::email::Recipient;
use model::hold::HoldReason;
use model::id::{DeliveryId, DestinationId, ObjectId, RunId};
use model::message::Note;
use model::text;
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value,
};
use uuid::Uuid;

/// A new delivery, due at once.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the table's")]
pub struct NewDelivery {
    pub uuid: Uuid,
    pub destination_id: DestinationId,
    pub destination_name: String,
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
    /// Set while the destination holds deliveries.
    pub hold: Option<HoldReason>,
    /// The number of deliveries that led to this one.
    pub depth: u32,
    pub destination_revision: i64,
    pub replay: Replay,
    /// The recipients of an e-mail; none for a message to a webhook.
    pub recipients: Vec<Recipient>,
    /// Set for a delivery that this node sends at once: the claim comes with the row.
    pub lease: Option<Lease>,
}

/// The lease of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub owner: Uuid,
    /// The instant from which on other nodes may claim the delivery.
    pub until: Timestamp,
    /// The revision of the destination that the node has read.
    pub revision: i64,
    /// True for the only run of a task that is deleted after running.
    pub ends_task: bool,
}

/// The delivery that a replay repeats, if it is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replay {
    /// The earlier delivery.
    pub of: Option<DeliveryId>,
    /// The destination's revision whose target the delivery is sent to; `None` for the current one.
    pub revision: Option<i64>,
}

/// The columns of a new delivery, without its id.
const COLUMNS: Columns<29> = [
    ("uuid", UUID),
    ("destination_id", INT),
    ("status", TEXT),
    ("hold_reason", TEXT),
    ("next_attempt_at", INT),
    ("lease_owner", UUID),
    ("lease_until", INT),
    ("claims", INT),
    ("attempts", INT),
    ("created_at", INT),
    ("settled_at", INT),
    ("depth", INT),
    ("destination_revision", INT),
    ("replay_of", INT),
    ("replay_revision", INT),
    ("error_code", TEXT),
    ("type_id", TEXT),
    ("event_id", TEXT),
    ("destination_name", TEXT),
    ("destination_folded", TEXT),
    ("task_name", TEXT),
    ("task_folded", TEXT),
    ("object_id", INT),
    ("object_name", TEXT),
    ("object_folded", TEXT),
    ("error", TEXT),
    ("notes", TEXT),
    ("recipients", TEXT),
    ("body", BYTES),
];

/// Returns recipients as their column stores them.
fn recipients_json(recipients: &[Recipient]) -> Result<Option<String>> {
    if recipients.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_string(recipients).map_err(|error| Error::Other(DbErr::Json(error.to_string())))?;
    Ok(Some(json))
}

/// Returns a name with its case folded, for searches. `None` where the folded name is the same.
pub(super) fn fold(name: &str) -> Option<String> {
    if name.is_ascii() && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let folded = text::folded(name);
    (folded != name).then_some(folded)
}

fn columns(new: NewDelivery, recipients: Option<String>, now: Timestamp) -> [Value; 29] {
    let is_failed = new.failed.is_some();
    let (code, error) = new.failed.map(|(code, error)| (code.as_str(), error)).unzip();
    let hold = new.hold.filter(|_| !is_failed);
    let status = match hold {
        _ if is_failed => Status::Error,
        Some(_) => Status::Held,
        None if new.lease.is_some() => Status::Running,
        None => Status::Queued,
    };
    let notes: Vec<_> = new.notes.iter().map(Note::to_line).collect();
    let notes = (!notes.is_empty()).then(|| notes.join("\n"));
    let object_folded = new.object_name.as_deref().and_then(fold);
    [
        new.uuid.into(),
        new.destination_id.0.into(),
        status.as_str().into(),
        hold.map(HoldReason::as_str).into(),
        (!is_failed).then_some(now.0).into(),
        new.lease.map(|lease| lease.owner).into(),
        new.lease.map(|lease| lease.until.0).into(),
        i64::from(new.lease.is_some()).into(),
        0_i64.into(),
        now.0.into(),
        is_failed.then_some(now.0).into(),
        i64::from(new.depth).into(),
        new.destination_revision.into(),
        new.replay.of.map(|id| id.0).into(),
        new.replay.revision.into(),
        code.into(),
        new.type_id.into(),
        new.event_id.into(),
        new.destination_name.as_str().into(),
        fold(&new.destination_name).into(),
        new.task_name.as_str().into(),
        fold(&new.task_name).into(),
        new.object_id.map(|id| id.0).into(),
        new.object_name.into(),
        object_folded.into(),
        error.into(),
        notes.into(),
        recipients.into(),
        new.body.into(),
    ]
}

/// Returns the newest deliveries of one destination or of all, newest first.
pub async fn list_newest(
    db: &impl ConnectionTrait,
    destination: Option<DestinationId>,
    limit: u64,
) -> Result<Vec<ListRow>> {
    use delivery::Column;
    // A range of one destination instead of an equality: for an equality PostgreSQL may walk through all deliveries to
    // find a few.
    let of = Condition::all().add_option(destination.map(|id| Column::DestinationId.between(id.0, id.0)));
    let mut query = list_rows(delivery::Entity::find()).filter(of);
    if destination.is_some() {
        query = query.order_by_desc(Column::DestinationId);
    }
    Ok(query.order_by_desc(Column::Id).limit(limit).into_model().all(db).await?)
}

/// Returns a delivery by its public id.
pub async fn find(db: &impl ConnectionTrait, uuid: Uuid) -> Result<Option<Row>> {
    let query = with_kind(delivery::Entity::find()).filter(delivery::Column::Uuid.eq(uuid));
    Ok(query.into_model().one(db).await?)
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
        .columns([Column::Id, Column::Uuid, Column::Status, Column::DestinationName, Column::Error])
        .filter(Column::Id.is_in(run_ids.iter().map(|id| id.0)))
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let read = |(id, uuid, status, destination_name, error): (_, _, String, _, _)| OfRun {
        run_id: RunId(id),
        uuid,
        status: Status::find(&status),
        destination_name,
        error,
    };
    Ok(rows.into_iter().map(read).collect())
}
