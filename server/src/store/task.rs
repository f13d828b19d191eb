//! Tasks.

use super::Result;
use super::entity::{event, task};
use super::revision::{self, Kind};
use model::id::{TaskId, WebhookId};
use model::task::Task;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use std::collections::HashMap;

/// A task as stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: TaskId,
    /// What was saved.
    pub task: Task,
    /// Counts its changes.
    pub revision: i64,
}

impl From<task::Model> for Row {
    fn from(row: task::Model) -> Self {
        Self {
            id: TaskId(row.id),
            task: Task {
                name: row.name,
                description: row.description,
                is_enabled: row.is_enabled,
                deletes_after_running: row.deletes_after_running,
                webhook_id: WebhookId(row.webhook_id),
                message: row.message,
            },
            revision: row.revision,
        }
    }
}

fn columns(task: &Task, now: Timestamp) -> task::ActiveModel {
    task::ActiveModel {
        name: Set(task.name.clone()),
        description: Set(task.description.clone()),
        is_enabled: Set(task.is_enabled),
        deletes_after_running: Set(task.deletes_after_running),
        webhook_id: Set(task.webhook_id.0),
        message: Set(task.message.clone()),
        updated_at: Set(now.0),
        ..Default::default()
    }
}

/// Makes a task. `Conflict` if the name is taken.
pub async fn insert(db: &impl ConnectionTrait, task: &Task, now: Timestamp) -> Result<TaskId> {
    let row = task::ActiveModel { id: NotSet, revision: Set(1), created_at: Set(now.0), ..columns(task, now) };
    let id = task::Entity::insert(row).exec(db).await?.last_insert_id;
    revision::note(db, Kind::Task, id, 1, Some(task), now).await?;
    Ok(TaskId(id))
}

/// Changes a task that still has this revision; answers whether it had.
pub async fn update(db: &impl ConnectionTrait, id: TaskId, revision: i64, task: &Task, now: Timestamp) -> Result<bool> {
    let row = task::ActiveModel { id: Unchanged(id.0), revision: Set(revision + 1), ..columns(task, now) };
    // A claim from when it was deleted after running, or by a node that still knew it so: its run is one of many now.
    task::Entity::update_many()
        .col_expr(task::Column::ClaimedAt, Expr::value(Option::<i64>::None))
        .filter(task::Column::Id.eq(id.0))
        .filter(task::Column::DeletesAfterRunning.eq(false))
        .exec(db)
        .await?;
    let done = task::Entity::update_many()
        .set(row)
        .filter(task::Column::Id.eq(id.0))
        .filter(task::Column::Revision.eq(revision))
        .exec(db)
        .await?;
    if done.rows_affected == 1 {
        revision::note(db, Kind::Task, id.0, revision + 1, Some(task), now).await?;
    }
    Ok(done.rows_affected == 1)
}

/// Lets events start a task, or not; answers whether it was there. Nothing else changes.
pub async fn set_enabled(db: &impl ConnectionTrait, id: TaskId, is_enabled: bool, now: Timestamp) -> Result<bool> {
    let Some(mut row) = find(db, id).await? else { return Ok(false) };
    row.task.is_enabled = is_enabled;
    update(db, id, row.revision, &row.task, now).await
}

/// Removes a task; answers whether it was there. `InUse` if an event starts it. Its runs keep its name.
pub async fn delete(db: &impl ConnectionTrait, id: TaskId, now: Timestamp) -> Result<bool> {
    let is_done = task::Entity::delete_by_id(id.0).exec(db).await?.rows_affected == 1;
    if is_done {
        revision::note(db, Kind::Task, id.0, 0, None::<&Task>, now).await?;
    }
    Ok(is_done)
}

/// The tasks that send through this webhook, by name.
pub async fn list_using(db: &impl ConnectionTrait, id: WebhookId) -> Result<Vec<Row>> {
    let rows =
        task::Entity::find().filter(task::Column::WebhookId.eq(id.0)).order_by_asc(task::Column::Name).all(db).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// The task with this id.
pub async fn find(db: &impl ConnectionTrait, id: TaskId) -> Result<Option<Row>> {
    Ok(task::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// The tasks with these ids.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<TaskId, Row>> {
    let rows = task::Entity::find().filter(task::Column::Id.is_in(ids)).all(db).await?;
    Ok(rows.into_iter().map(|row| (TaskId(row.id), Row::from(row))).collect())
}

/// All tasks, by name.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Row>> {
    Ok(task::Entity::find().order_by_asc(task::Column::Name).all(db).await?.into_iter().map(Row::from).collect())
}

/// Claims a task that is deleted after running for its one run; answers whether nobody had. An event claims it only while
/// it is enabled, which a failed run may just have ended; a person also when it is not.
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

/// Ends the one run of a task that is deleted after running, begun at `claimed_at`: a success deletes task and events, a
/// failure leaves the task, disabled. Other runs of it change nothing.
pub async fn finish_claimed(
    db: &impl ConnectionTrait,
    id: TaskId,
    claimed_at: Timestamp,
    has_succeeded: bool,
    now: Timestamp,
) -> Result<()> {
    // Before it is read: somebody may be saving it as one that stays.
    revision::take_turn(db).await?;
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
        let mut row = Row::from(found);
        row.task.is_enabled = false;
        revision::note(db, Kind::Task, id.0, row.revision + 1, Some(&row.task), now).await?;
    }
    Ok(())
}

/// How many events start each task.
pub async fn count_events(db: &impl ConnectionTrait) -> Result<HashMap<TaskId, u32>> {
    let rows: Vec<(i64, i64)> = event::Entity::find()
        .select_only()
        .column(event::Column::TaskId)
        .column_as(event::Column::Id.count(), "events")
        .group_by(event::Column::TaskId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, events)| (TaskId(id), u32::try_from(events).unwrap_or(u32::MAX))).collect())
}
