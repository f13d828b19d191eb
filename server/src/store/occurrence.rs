//! Occurrences.

use super::entity::occurrence;
use super::rows::{self, Columns, INT, RowStatement, TEXT, UUID};
use super::{Result, group};
use futures_util::TryStreamExt;
use model::id::{DestinationId, ObjectId, OccurrenceId, TagId};
use model::matching::Reason;
use model::number::{to_i64, to_u32};
use model::time::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, StreamTrait};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// An occurrence as the intake stores it, without its id.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `model::occurrence::Occurrence`")]
pub struct Row {
    pub uuid: Uuid,
    pub type_id: String,
    pub event_id: String,
    pub object_id: Option<ObjectId>,
    /// The object's external id at that time. The name is also of that time.
    pub object_external_id: Option<String>,
    pub object_name: Option<String>,
    pub external_id: Option<String>,
    pub source: String,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    /// The data as JSON.
    pub data: Option<String>,
    pub tasks_started: u32,
    /// The tags the object carried.
    pub object_tags: Vec<TagId>,
    /// The number of events that did not fire, by reason.
    pub reasons: BTreeMap<Reason, u32>,
    /// The number of deliveries that led to the occurrence.
    pub depth: u32,
    /// The newest revision when the occurrence was matched.
    pub revision_mark: i64,
    pub about_destination: Option<DestinationId>,
}

/// JSON that cannot be parsed counts as absent: the intake never writes any.
impl From<occurrence::Model> for Row {
    fn from(row: occurrence::Model) -> Self {
        Self {
            uuid: row.uuid,
            type_id: row.type_id,
            event_id: row.event_id,
            object_id: row.object_id.map(ObjectId),
            object_external_id: row.object_external_id,
            object_name: row.object_name,
            external_id: row.external_id,
            source: row.source,
            occurred_at: row.occurred_at.map(Timestamp),
            received_at: Timestamp(row.received_at),
            data: row.data,
            tasks_started: to_u32(row.tasks_started),
            object_tags: row.object_tags.and_then(|tags| serde_json::from_str(&tags).ok()).unwrap_or_default(),
            reasons: serde_json::from_str(&row.reasons).unwrap_or_default(),
            depth: to_u32(row.depth),
            revision_mark: row.revision_mark,
            about_destination: row.about_destination.map(DestinationId),
        }
    }
}

impl Row {
    /// Returns the parsed data. `None` if there is none.
    pub fn parse_data(&self) -> Option<Value> {
        serde_json::from_str(self.data.as_deref()?).ok()
    }
}

const COLUMNS: Columns<17> = [
    ("uuid", UUID),
    ("type_id", TEXT),
    ("event_id", TEXT),
    ("object_id", INT),
    ("object_external_id", TEXT),
    ("object_name", TEXT),
    ("external_id", TEXT),
    ("source", TEXT),
    ("occurred_at", INT),
    ("received_at", INT),
    ("data", TEXT),
    ("tasks_started", INT),
    ("object_tags", TEXT),
    ("reasons", TEXT),
    ("depth", INT),
    ("revision_mark", INT),
    ("about_destination", INT),
];

/// Stores occurrences and returns their ids, in the order of the occurrences.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<Row>) -> Result<Vec<OccurrenceId>> {
    let ids = rows::insert_for_ids(db, "occurrence", &COLUMNS, new.into_iter().map(columns).collect()).await?;
    Ok(ids.into_iter().map(OccurrenceId).collect())
}

/// Returns an INSERT of occurrences on PostgreSQL. `ids` is an expression for the array of their ids. Adds its values
/// to `values`.
pub(super) fn insert_sql(ids: &str, new: Vec<Row>, values: &mut Vec<sea_orm::Value>) -> String {
    rows::insert_with_ids_sql("occurrence", &COLUMNS, ids, None, new.into_iter().map(columns).collect(), values)
}

/// Returns the statement of a turn that stores occurrences.
pub(super) fn insert_statement(new: Vec<Row>) -> RowStatement {
    RowStatement::insert("occurrence", &COLUMNS, new.into_iter().map(columns).collect())
}

fn columns(new: Row) -> [sea_orm::Value; 17] {
    let tags = |tags: &[TagId]| (!tags.is_empty()).then(|| serde_json::to_string(tags).unwrap_or_default());
    [
        new.uuid.into(),
        new.type_id.into(),
        new.event_id.into(),
        new.object_id.map(|id| id.0).into(),
        new.object_external_id.into(),
        new.object_name.into(),
        new.external_id.into(),
        new.source.into(),
        new.occurred_at.map(|time| time.0).into(),
        new.received_at.0.into(),
        new.data.into(),
        i64::from(new.tasks_started).into(),
        tags(&new.object_tags).into(),
        serde_json::to_string(&new.reasons).unwrap_or_default().into(),
        i64::from(new.depth).into(),
        new.revision_mark.into(),
        new.about_destination.map(|id| id.0).into(),
    ]
}

/// Returns the occurrence with this public id.
pub async fn find(db: &impl ConnectionTrait, uuid: Uuid) -> Result<Option<Row>> {
    Ok(occurrence::Entity::find().filter(occurrence::Column::Uuid.eq(uuid)).one(db).await?.map(Row::from))
}

/// Returns the occurrence with this id.
pub async fn find_by_id(db: &impl ConnectionTrait, id: OccurrenceId) -> Result<Option<Row>> {
    Ok(occurrence::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// Returns the occurrences with these ids.
pub async fn find_many(
    db: &impl ConnectionTrait,
    ids: impl Iterator<Item = OccurrenceId>,
) -> Result<HashMap<OccurrenceId, Row>> {
    let ids = group::padded(ids.map(|id| id.0).collect());
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = occurrence::Entity::find().filter(occurrence::Column::Id.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().map(|row| (OccurrenceId(row.id), Row::from(row))).collect())
}

/// Returns the newest occurrences, newest first.
pub async fn list_newest(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Row>> {
    let rows = occurrence::Entity::find().order_by_desc(occurrence::Column::Id).limit(limit).all(db).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Visits the occurrences of a kind among the newest `most` of all kinds, newest first. A few are in memory at a time,
/// since each may have much data. Returns the instant of the newest occurrence beyond these `most`, if there is one.
pub async fn visit_newest(
    db: &(impl ConnectionTrait + StreamTrait),
    kind: (&str, &str),
    most: u64,
    mut visit: impl FnMut(Row),
) -> Result<Option<Timestamp>> {
    use occurrence::Column;
    let newest = occurrence::Entity::find().select_only().column(Column::Id).order_by_desc(Column::Id).limit(1);
    let Some(newest) = newest.into_tuple::<i64>().one(db).await? else { return Ok(None) };
    // No index has the kinds, so that a rare kind would read all that is retained. The ids are the limit.
    let first = newest.saturating_sub(to_i64(most) - 1);
    let mut rows = occurrence::Entity::find()
        .filter(Column::Id.gte(first))
        .filter(Column::TypeId.eq(kind.0))
        .filter(Column::EventId.eq(kind.1))
        .order_by_desc(Column::Id)
        .stream(db)
        .await?;
    while let Some(row) = rows.try_next().await? {
        visit(Row::from(row));
    }
    drop(rows);
    let beyond = occurrence::Entity::find().select_only().column(Column::ReceivedAt).filter(Column::Id.lt(first));
    let beyond = beyond.order_by_desc(Column::Id).limit(1).into_tuple::<i64>().one(db).await?;
    Ok(beyond.map(Timestamp))
}
