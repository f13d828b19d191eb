//! Schedule triggers: each links a schedule to a task that it starts.

use super::Result;
use super::entity::{schedule, schedule_trigger};
use model::id::{ScheduleId, TaskId, TriggerId};
use model::number::to_u32;
use model::schedule::Trigger;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use std::collections::HashMap;

/// A trigger as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The id.
    pub id: TriggerId,
    /// The saved trigger.
    pub trigger: Trigger,
}

impl From<schedule_trigger::Model> for Row {
    fn from(row: schedule_trigger::Model) -> Self {
        let trigger = Trigger {
            schedule_id: ScheduleId(row.schedule_id),
            task_id: TaskId(row.task_id),
            is_enabled: row.is_enabled,
        };
        Self { id: TriggerId(row.id), trigger }
    }
}

/// Makes a trigger. `Conflict` if the schedule starts the task already; `InUse` if the schedule or the task does not
/// exist.
pub async fn insert(db: &impl ConnectionTrait, trigger: &Trigger, now: Timestamp) -> Result<TriggerId> {
    let row = schedule_trigger::ActiveModel {
        id: NotSet,
        schedule_id: Set(trigger.schedule_id.0),
        task_id: Set(trigger.task_id.0),
        is_enabled: Set(trigger.is_enabled),
        created_at: Set(now.0),
    };
    let id = schedule_trigger::Entity::insert(row).exec(db).await?.last_insert_id;
    touch(db, trigger.schedule_id, now).await?;
    Ok(TriggerId(id))
}

/// Enables or disables a trigger; returns false if there is no such trigger.
pub async fn set_enabled(db: &impl ConnectionTrait, id: TriggerId, is_enabled: bool, now: Timestamp) -> Result<bool> {
    let Some(row) = find(db, id).await? else { return Ok(false) };
    schedule_trigger::Entity::update_many()
        .col_expr(schedule_trigger::Column::IsEnabled, Expr::value(is_enabled))
        .filter(schedule_trigger::Column::Id.eq(id.0))
        .exec(db)
        .await?;
    touch(db, row.trigger.schedule_id, now).await?;
    Ok(true)
}

/// Removes a trigger; returns false if there is none.
pub async fn delete(db: &impl ConnectionTrait, id: TriggerId, now: Timestamp) -> Result<bool> {
    let Some(row) = find(db, id).await? else { return Ok(false) };
    schedule_trigger::Entity::delete_by_id(id.0).exec(db).await?;
    touch(db, row.trigger.schedule_id, now).await?;
    Ok(true)
}

/// Notes the change of a trigger on its schedule, which the change feed of the live pages includes.
async fn touch(db: &impl ConnectionTrait, id: ScheduleId, now: Timestamp) -> Result<()> {
    schedule::Entity::update_many()
        .col_expr(schedule::Column::UpdatedAt, Expr::value(now.0))
        .filter(schedule::Column::Id.eq(id.0))
        .exec(db)
        .await?;
    Ok(())
}

/// Returns the trigger with this id.
async fn find(db: &impl ConnectionTrait, id: TriggerId) -> Result<Option<Row>> {
    Ok(schedule_trigger::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// Returns the triggers of a schedule, the oldest first.
pub async fn list_of(db: &impl ConnectionTrait, id: ScheduleId) -> Result<Vec<Row>> {
    let query = schedule_trigger::Entity::find().filter(schedule_trigger::Column::ScheduleId.eq(id.0));
    let rows = query.order_by_asc(schedule_trigger::Column::Id).all(db).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Returns the triggers that start a task, the oldest first.
pub async fn list_starting(db: &impl ConnectionTrait, id: TaskId) -> Result<Vec<Row>> {
    let query = schedule_trigger::Entity::find().filter(schedule_trigger::Column::TaskId.eq(id.0));
    let rows = query.order_by_asc(schedule_trigger::Column::Id).all(db).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Returns the number of triggers of each schedule that has any.
pub async fn count(db: &impl ConnectionTrait) -> Result<HashMap<ScheduleId, u32>> {
    let rows: Vec<(i64, i64)> = schedule_trigger::Entity::find()
        .select_only()
        .column(schedule_trigger::Column::ScheduleId)
        .column_as(schedule_trigger::Column::Id.count(), "triggers")
        .group_by(schedule_trigger::Column::ScheduleId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, triggers)| (ScheduleId(id), to_u32(triggers))).collect())
}
