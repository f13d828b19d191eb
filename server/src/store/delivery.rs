//! Deliveries and attempts: queueing, reading, and in `settle` what follows an attempt. Claiming is in `claim`.

mod row;
mod settle;

pub use row::{AttemptRow, ListRow, OfRun, Row};
pub use settle::{Attempted, Settlement, settle_many, without_recorded};

pub(super) use row::list_rows;
use row::with_kind;

use super::entity::{attempt, delivery};
use super::{Error, Result, group};
use model::delivery::{ErrorCode, Status};
use model::email::Recipient;
use model::hold::HoldReason;
use model::id::{DeliveryId, DestinationId, ObjectId, RunId};
use model::message::Note;
use model::text;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

/// A new delivery, due at once.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the table's")]
pub struct NewDelivery {
    pub uuid: Uuid,
    pub run_id: RunId,
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
}

/// The delivery that a replay repeats, if it is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replay {
    /// The earlier delivery.
    pub of: Option<DeliveryId>,
    /// The destination's revision whose target the delivery is sent to; `None` for the current one.
    pub revision: Option<i64>,
}

/// Queues deliveries.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<NewDelivery>, now: Timestamp) -> Result<()> {
    let rows = new.into_iter().map(|new| columns(new, now)).collect::<Result<_>>()?;
    group::insert(db, rows, None).await?;
    Ok(())
}

/// Returns recipients as their column stores them.
fn recipients_json(recipients: &[Recipient]) -> Result<Option<String>> {
    if recipients.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_string(recipients).map_err(|error| Error::Other(DbErr::Json(error.to_string())))?;
    Ok(Some(json))
}

/// Returns a name without its case, for searches. `None` where that is the name itself, as for most names.
pub(super) fn fold(name: &str) -> Option<String> {
    if name.is_ascii() && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let folded = text::folded(name);
    (folded != name).then_some(folded)
}

fn columns(new: NewDelivery, now: Timestamp) -> Result<delivery::ActiveModel> {
    let is_failed = new.failed.is_some();
    let (code, error) = new.failed.map(|(code, error)| (code.as_str().to_owned(), error)).unzip();
    let hold = new.hold.filter(|_| !is_failed);
    let status = match hold {
        _ if is_failed => Status::Error,
        Some(_) => Status::Held,
        None => Status::Queued,
    };
    let notes: Vec<_> = new.notes.iter().map(Note::to_line).collect();
    Ok(delivery::ActiveModel {
        id: NotSet,
        uuid: Set(new.uuid),
        destination_folded: Set(fold(&new.destination_name)),
        task_folded: Set(fold(&new.task_name)),
        object_folded: Set(new.object_name.as_deref().and_then(fold)),
        run_id: Set(new.run_id.0),
        destination_id: Set(new.destination_id.0),
        destination_name: Set(new.destination_name),
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
        status_code: Set(None),
        error_code: Set(code),
        error: Set(error),
        duration_ms: Set(None),
        created_at: Set(now.0),
        settled_at: Set(is_failed.then_some(now.0)),
        object_id: Set(new.object_id.map(|id| id.0)),
        hold_reason: Set(hold.map(|reason| reason.as_str().to_owned())),
        notes: Set((!notes.is_empty()).then(|| notes.join("\n"))),
        depth: Set(new.depth.into()),
        destination_revision: Set(new.destination_revision),
        replay_of: Set(new.replay.of.map(|id| id.0)),
        replay_revision: Set(new.replay.revision),
        recipients: Set(recipients_json(&new.recipients)?),
    })
}

/// Returns the newest deliveries of one destination or of all, newest first.
pub async fn list_newest(
    db: &impl ConnectionTrait,
    destination: Option<DestinationId>,
    limit: u64,
) -> Result<Vec<ListRow>> {
    use delivery::Column;
    let of = Condition::all().add_option(destination.map(|id| Column::DestinationId.eq(id.0)));
    Ok(list_rows(delivery::Entity::find())
        .filter(of)
        .order_by_desc(Column::Id)
        .limit(limit)
        .into_model()
        .all(db)
        .await?)
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
        .columns([Column::RunId, Column::Uuid, Column::Status, Column::DestinationName, Column::Error])
        .filter(Column::RunId.is_in(run_ids.iter().map(|id| id.0)))
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(db)
        .await?;
    let read = |(run_id, uuid, status, destination_name, error): (_, _, String, _, _)| OfRun {
        run_id: RunId(run_id),
        uuid,
        status: Status::find(&status),
        destination_name,
        error,
    };
    Ok(rows.into_iter().map(read).collect())
}
