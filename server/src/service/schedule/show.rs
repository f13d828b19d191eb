//! One schedule with its next runs and its triggers, and triggers as lines of lists.

use super::form::RUNS;
use super::not_found;
use crate::schedule::next::next_runs;
use crate::service::Services;
use crate::store::{schedule, task, trigger};
use app::error::AppError;
use app::view::When;
use app::view::schedule::{ScheduleDetail, TriggerLine};
use model::id::{ScheduleId, TaskId};
use model::schedule::summary;
use model::time::Timestamp;
use std::collections::HashMap;

impl Services {
    /// Returns the next runs of a schedule. The first is the stored one, since the clock may have been set back; the
    /// others follow from it.
    pub(super) fn upcoming(&self, row: &schedule::Row, now: Timestamp, count: usize) -> Vec<When> {
        let Some(next_at) = row.next_at else { return Vec::new() };
        // A run that is due starts at any moment, so it is left out.
        let first = Some(next_at).filter(|at| *at > now);
        let runs = next_runs(&row.schedule, first.unwrap_or(now), &self.zone.get(), count);
        first.into_iter().chain(runs).take(count).map(|at| self.when(at)).collect()
    }

    pub(super) async fn schedule_detail(&self, id: ScheduleId) -> Result<ScheduleDetail, AppError> {
        let db = self.store.pages();
        let row = schedule::find(db, id).await?.ok_or_else(not_found)?;
        let rows = trigger::list_of(db, id).await?;
        let tasks = task::find_many(db, rows.iter().map(|row| row.trigger.task_id.0).collect()).await?;
        let schedules = HashMap::from([(id, row)]);
        let mut triggers = self.trigger_lines(rows, &schedules, &tasks);
        triggers.sort_by(|one, other| one.task.cmp(&other.task));
        let row = &schedules[&id];
        Ok(ScheduleDetail {
            id,
            name: row.schedule.name.clone(),
            description: row.schedule.description.clone(),
            is_enabled: row.schedule.is_enabled,
            summary: summary(&row.schedule),
            zone: self.zone.name(),
            runs: self.upcoming(row, self.clock.now(), RUNS),
            triggers,
        })
    }

    /// Returns the triggers of a task as lines, by the names of their schedules.
    pub(in crate::service) async fn triggers_of_task(&self, row: &task::Row) -> Result<Vec<TriggerLine>, AppError> {
        let db = self.store.pages();
        let rows = trigger::list_starting(db, row.id).await?;
        let ids = rows.iter().map(|row| row.trigger.schedule_id.0).collect();
        let schedules = schedule::find_many(db, ids).await?.into_iter().map(|row| (row.id, row)).collect();
        let mut lines = self.trigger_lines(rows, &schedules, &HashMap::from([(row.id, row.clone())]));
        lines.sort_by(|one, other| one.schedule.cmp(&other.schedule));
        Ok(lines)
    }

    fn trigger_lines(
        &self,
        rows: Vec<trigger::Row>,
        schedules: &HashMap<ScheduleId, schedule::Row>,
        tasks: &HashMap<TaskId, task::Row>,
    ) -> Vec<TriggerLine> {
        let now = self.clock.now();
        let line = |trigger::Row { id, trigger }: trigger::Row| {
            // A trigger whose schedule or task cannot be read is left out. The error was logged when the row was read.
            let (row, task) = (schedules.get(&trigger.schedule_id)?, tasks.get(&trigger.task_id)?);
            Some(TriggerLine {
                id,
                schedule_id: trigger.schedule_id,
                schedule: row.schedule.name.clone(),
                is_schedule_enabled: row.schedule.is_enabled,
                summary: summary(&row.schedule),
                task_id: trigger.task_id,
                task: task.task.name.clone(),
                is_task_enabled: task.task.is_enabled,
                is_enabled: trigger.is_enabled,
                next: self.upcoming(row, now, 1).pop(),
            })
        };
        rows.into_iter().filter_map(line).collect()
    }
}
