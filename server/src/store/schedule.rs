//! Schedules, each with the instant of its next run.

use super::entity::schedule;
use super::{Error, Result};
use model::id::ScheduleId;
use model::schedule::{Date, Moment, Repeat, Schedule};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
    sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The stored next run of a schedule whose next run has yet to be computed. No run can be planned for that instant.
pub const TO_BE_COMPUTED: Timestamp = Timestamp(0);

/// A schedule as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The id.
    pub id: ScheduleId,
    /// The saved schedule.
    pub schedule: Schedule,
    /// Counts the changes.
    pub revision: i64,
    /// The next run, or [`TO_BE_COMPUTED`]. `None` for a schedule that is disabled or has had its last run.
    pub next_at: Option<Timestamp>,
}

/// The parts of a schedule that are stored as one document.
#[derive(Serialize, Deserialize)]
struct Rule {
    repeat: Repeat,
    start: Moment,
    ends: Option<Date>,
}

impl Row {
    /// Returns `None` for a schedule whose rule cannot be read, since a newer version or a person has written it.
    fn of(row: schedule::Model) -> Option<Self> {
        let Rule { repeat, start, ends } = serde_json::from_str(&row.rule).ok()?;
        let schedule =
            Schedule { name: row.name, description: row.description, is_enabled: row.is_enabled, repeat, start, ends };
        Some(Self { id: ScheduleId(row.id), schedule, revision: row.revision, next_at: row.next_at.map(Timestamp) })
    }
}

/// Returns the columns that a save writes: all but the id and the time at which the row was made.
fn columns(
    schedule: &Schedule,
    next_at: Option<Timestamp>,
    revision: i64,
    now: Timestamp,
) -> Result<schedule::ActiveModel> {
    let rule = Rule { repeat: schedule.repeat, start: schedule.start, ends: schedule.ends };
    let rule = serde_json::to_string(&rule).map_err(|error| Error::Other(DbErr::Json(error.to_string())))?;
    Ok(schedule::ActiveModel {
        id: NotSet,
        name: Set(schedule.name.clone()),
        description: Set(schedule.description.clone()),
        is_enabled: Set(schedule.is_enabled),
        rule: Set(rule),
        revision: Set(revision),
        next_at: Set(next_at.map(|at| at.0)),
        created_at: NotSet,
        updated_at: Set(now.0),
    })
}

/// Makes a schedule. `Conflict` if the name is taken.
pub async fn insert(
    db: &impl ConnectionTrait,
    schedule: &Schedule,
    next_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<ScheduleId> {
    let mut row = columns(schedule, next_at, 1, now)?;
    row.created_at = Set(now.0);
    Ok(ScheduleId(schedule::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Changes a schedule that still has this revision; returns false if it has another. `Conflict` if the name is taken.
pub async fn update(
    db: &impl ConnectionTrait,
    (id, revision): (ScheduleId, i64),
    schedule: &Schedule,
    next_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let done = schedule::Entity::update_many()
        .set(columns(schedule, next_at, revision + 1, now)?)
        .filter(schedule::Column::Id.eq(id.0))
        .filter(schedule::Column::Revision.eq(revision))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Removes a schedule; returns false if there is none. `InUse` if it has a trigger.
pub async fn delete(db: &impl ConnectionTrait, id: ScheduleId) -> Result<bool> {
    Ok(schedule::Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1)
}

/// Returns the schedule with this id.
pub async fn find(db: &impl ConnectionTrait, id: ScheduleId) -> Result<Option<Row>> {
    Ok(readable(db, schedule::Entity::find_by_id(id.0)).await?.pop())
}

/// Returns all schedules, by name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    readable(db, schedule::Entity::find().order_by_asc(schedule::Column::Name)).await
}

/// Returns the schedules with these ids.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<Vec<Row>> {
    let query = schedule::Entity::find().filter(schedule::Column::Id.is_in(ids));
    readable(db, query.order_by_asc(schedule::Column::Name)).await
}

/// Returns the schedules that can be read, and logs the others.
async fn readable(db: &impl ConnectionTrait, query: Select<schedule::Entity>) -> Result<Vec<Row>> {
    let read = |row: schedule::Model| {
        let id = row.id;
        let row = Row::of(row);
        if row.is_none() {
            tracing::error!(schedule = id, "a schedule cannot be read and is left out");
        }
        row
    };
    Ok(super::readable(db, query).await?.into_iter().filter_map(read).collect())
}

/// Returns the schedules whose next run is due, or still to be computed, the longest due first.
///
/// A schedule that cannot be read is logged and added to `unreadable`, and is left out without a log line from then on.
/// It is removed from `unreadable` as soon as it can be read.
pub async fn list_due(db: &impl ConnectionTrait, now: Timestamp, unreadable: &mut BTreeSet<i64>) -> Result<Vec<Row>> {
    let query = schedule::Entity::find()
        .filter(schedule::Column::NextAt.lte(now.0))
        .order_by_asc(schedule::Column::NextAt)
        .order_by_asc(schedule::Column::Id);
    let mut rows = Vec::new();
    for found in db.query_all_raw(query.build(db.get_database_backend())).await? {
        let id: i64 = found.try_get("", "id")?;
        match schedule::Model::from_query_result(&found, "").ok().and_then(Row::of) {
            Some(row) => {
                unreadable.remove(&id);
                rows.push(row);
            }
            None if unreadable.insert(id) => {
                tracing::error!(schedule = id, "a schedule cannot be read and starts nothing");
            }
            None => {}
        }
    }
    Ok(rows)
}

/// Returns the next run of any schedule, also of one that cannot be read. `None` if there is none.
pub async fn next_at(db: &impl ConnectionTrait) -> Result<Option<Timestamp>> {
    let query = schedule::Entity::find()
        .select_only()
        .column(schedule::Column::NextAt)
        .filter(schedule::Column::NextAt.is_not_null())
        .order_by_asc(schedule::Column::NextAt);
    Ok(query.into_tuple().one(db).await?.map(Timestamp))
}

/// Moves the next run of a schedule on from `from`; returns false if the schedule has another next run. Of several
/// nodes that try this, only one gets true, and starts the run.
pub async fn advance(
    db: &impl ConnectionTrait,
    id: ScheduleId,
    from: Timestamp,
    to: Option<Timestamp>,
) -> Result<bool> {
    let done = schedule::Entity::update_many()
        .col_expr(schedule::Column::NextAt, Expr::value(to.map(|at| at.0)))
        .filter(schedule::Column::Id.eq(id.0))
        .filter(schedule::Column::NextAt.eq(from.0))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}
