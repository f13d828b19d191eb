//! Tasks.

use super::entity::{event, task};
use super::revision::{self, Kind};
use super::{Error, Result};
use model::id::{DestinationId, TaskId};
use model::number::to_u32;
use model::task::Task;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A task as stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// The id.
    pub id: TaskId,
    /// The saved task.
    pub task: Task,
    /// Counts the changes.
    pub revision: i64,
}

impl Row {
    /// Returns `None` for a task whose settings cannot be read, since a newer version or a person has written them, and
    /// logs that. Nothing starts such a task, and it does not block other tasks.
    pub(super) fn of(row: task::Model) -> Option<Self> {
        let Ok(action) = serde_json::from_str(&row.settings) else {
            tracing::error!(task = row.id, "a task cannot be read and is left out");
            return None;
        };
        Some(Self {
            id: TaskId(row.id),
            task: Task {
                name: row.name,
                description: row.description,
                is_enabled: row.is_enabled,
                deletes_after_running: row.deletes_after_running,
                destination_id: DestinationId(row.destination_id),
                action,
            },
            revision: row.revision,
        })
    }
}

/// Returns the columns that a save writes: all but the id, the time at which the row was made, and the claim.
fn columns(task: &Task, revision: i64, now: Timestamp) -> Result<task::ActiveModel> {
    let json = |error: serde_json::Error| Error::Other(DbErr::Json(error.to_string()));
    Ok(task::ActiveModel {
        id: NotSet,
        name: Set(task.name.clone()),
        description: Set(task.description.clone()),
        is_enabled: Set(task.is_enabled),
        deletes_after_running: Set(task.deletes_after_running),
        destination_id: Set(task.destination_id.0),
        settings: Set(serde_json::to_string(&task.action).map_err(json)?),
        claimed_at: NotSet,
        revision: Set(revision),
        created_at: NotSet,
        updated_at: Set(now.0),
    })
}

/// Makes a task. `Conflict` if the name is taken.
pub async fn insert(db: &impl ConnectionTrait, task: &Task, now: Timestamp) -> Result<TaskId> {
    let mut row = columns(task, 1, now)?;
    row.created_at = Set(now.0);
    let id = task::Entity::insert(row).exec(db).await?.last_insert_id;
    revision::note(db, Kind::Task, id, 1, Some(task), now).await?;
    Ok(TaskId(id))
}

/// Changes a task that still has this revision; returns false if it has another.
pub async fn update(db: &impl ConnectionTrait, id: TaskId, revision: i64, task: &Task, now: Timestamp) -> Result<bool> {
    // Removes a claim from the time when the task was deleted after running, or by a node that had still read it as
    // such. Its run is now one of many.
    task::Entity::update_many()
        .col_expr(task::Column::ClaimedAt, Expr::value(Option::<i64>::None))
        .filter(task::Column::Id.eq(id.0))
        .filter(task::Column::DeletesAfterRunning.eq(false))
        .exec(db)
        .await?;
    let done = task::Entity::update_many()
        .set(columns(task, revision + 1, now)?)
        .filter(task::Column::Id.eq(id.0))
        .filter(task::Column::Revision.eq(revision))
        .exec(db)
        .await?;
    if done.rows_affected == 1 {
        revision::note(db, Kind::Task, id.0, revision + 1, Some(task), now).await?;
    }
    Ok(done.rows_affected == 1)
}

/// Enables or disables a task; returns false if there is no such task.
pub async fn set_enabled(db: &impl ConnectionTrait, id: TaskId, is_enabled: bool, now: Timestamp) -> Result<bool> {
    let Some(mut row) = find(db, id).await? else { return Ok(false) };
    row.task.is_enabled = is_enabled;
    update(db, id, row.revision, &row.task, now).await
}

/// Removes a task; returns false if there is none. `InUse` if an event or a schedule starts it. Its runs keep its name.
pub async fn delete(db: &impl ConnectionTrait, id: TaskId, now: Timestamp) -> Result<bool> {
    let is_done = task::Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1;
    if is_done {
        revision::note(db, Kind::Task, id.0, 0, None::<&Task>, now).await?;
    }
    Ok(is_done)
}

/// Returns the tasks that send to this destination, by name.
pub async fn list_using(db: &impl ConnectionTrait, id: DestinationId) -> Result<Vec<Row>> {
    let of = task::Column::DestinationId.eq(id.0);
    let rows = task::Entity::find().filter(of).order_by_asc(task::Column::Name).all(db).await?;
    Ok(rows.into_iter().filter_map(Row::of).collect())
}

/// Returns the task with this id.
pub async fn find(db: &impl ConnectionTrait, id: TaskId) -> Result<Option<Row>> {
    Ok(task::Entity::find_by_id(id.0).one(db).await?.and_then(Row::of))
}

/// Returns the tasks among these that are not deleted.
pub async fn list_existing(db: &impl ConnectionTrait, ids: impl Iterator<Item = TaskId>) -> Result<HashSet<TaskId>> {
    let ids: BTreeSet<_> = ids.map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let query = task::Entity::find().select_only().column(task::Column::Id).filter(task::Column::Id.is_in(ids));
    Ok(query.into_tuple::<i64>().all(db).await?.into_iter().map(TaskId).collect())
}

/// Returns the tasks with these ids.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<TaskId, Row>> {
    let rows = task::Entity::find().filter(task::Column::Id.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().filter_map(Row::of).map(|row| (row.id, row)).collect())
}

/// Returns all tasks, by name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    let rows = task::Entity::find().order_by_asc(task::Column::Name).all(db).await?;
    Ok(rows.into_iter().filter_map(Row::of).collect())
}

/// Claims a task that is deleted after running for its one run; returns false if it is claimed already. An event or a
/// schedule claims the task only while it is enabled, since a failed run may just have disabled it. A person claims
/// also a disabled one.
pub async fn claim(db: &impl ConnectionTrait, id: TaskId, is_by_event: bool, now: Timestamp) -> Result<bool> {
    let mut claim = task::Entity::update_many()
        .col_expr(task::Column::ClaimedAt, Expr::value(now.0))
        .filter(task::Column::Id.eq(id.0))
        .filter(task::Column::ClaimedAt.is_null());
    if is_by_event {
        claim = claim.filter(task::Column::IsEnabled.eq(true));
    }
    Ok(claim.exec(db).await?.rows_affected == 1)
}

/// Ends the one run of a task that is deleted after running, which began at `claimed_at`. A success deletes the task,
/// its events and its schedule triggers; a failure disables the task. Other runs of the task change nothing.
pub async fn finish_claimed(
    db: &impl ConnectionTrait,
    id: TaskId,
    claimed_at: Timestamp,
    has_succeeded: bool,
    now: Timestamp,
) -> Result<()> {
    // The lock is taken before the task is read: a person may be saving it as a task that is not deleted.
    revision::lock_changes(db).await?;
    let Some(found) = task::Entity::find_by_id(id.0)
        .filter(task::Column::ClaimedAt.eq(claimed_at.0))
        .filter(task::Column::DeletesAfterRunning.eq(true))
        .one(db)
        .await?
    else {
        return Ok(());
    };
    if has_succeeded {
        for row in super::event::list_starting(db, id).await? {
            super::event::delete(db, row.id, now).await?;
        }
        for row in super::trigger::list_starting(db, id).await? {
            super::trigger::delete(db, row.id, now).await?;
        }
        delete(db, id, now).await?;
    } else {
        task::Entity::update_many()
            .col_expr(task::Column::ClaimedAt, Expr::value(Option::<i64>::None))
            .col_expr(task::Column::IsEnabled, Expr::value(false))
            .col_expr(task::Column::Revision, Expr::value(found.revision + 1))
            .col_expr(task::Column::UpdatedAt, Expr::value(now.0))
            .filter(task::Column::Id.eq(id.0))
            .exec(db)
            .await?;
        let Some(mut row) = Row::of(found) else { return Ok(()) };
        row.task.is_enabled = false;
        revision::note(db, Kind::Task, id.0, row.revision + 1, Some(&row.task), now).await?;
    }
    Ok(())
}

/// Returns the number of events that start each task.
pub async fn count_events(db: &impl ConnectionTrait) -> Result<HashMap<TaskId, u32>> {
    let rows: Vec<(i64, i64)> = event::Entity::find()
        .select_only()
        .column(event::Column::TaskId)
        .column_as(event::Column::Id.count(), "events")
        .group_by(event::Column::TaskId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, events)| (TaskId(id), to_u32(events))).collect())
}
