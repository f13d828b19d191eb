//! Triggers: their form, adding one, and starting all tasks of a schedule at once.

use super::not_found;
use crate::engine::held::HeldCounts;
use crate::engine::start::Setting;
use crate::schedule::tasks;
use crate::service::Services;
use crate::service::choice::{OFFERED, found, named};
use crate::store::{self, choice, schedule, task, trigger};
use app::error::{AppError, Code, Link};
use app::view::Choice;
use app::view::schedule::TriggerForm;
use model::field_error::FieldErrors;
use model::id::{ScheduleId, TaskId, TriggerId};
use model::run::Cause;
use model::schedule::TriggerDraft;
use sea_orm::ConnectionTrait;

/// Returns the schedules that start a task as links, for a refusal to delete the task.
pub(in crate::service) async fn links(db: &impl ConnectionTrait, id: TaskId) -> Result<Vec<Link>, AppError> {
    let rows = trigger::list_starting(db, id).await?;
    let link = |row: &trigger::Row, name: &str| Link {
        label: format!("the schedule {name}"),
        href: format!("/schedules/{}", row.trigger.schedule_id),
    };
    let schedules = schedule::find_many(db, rows.iter().map(|row| row.trigger.schedule_id.0).collect()).await?;
    let name = |row: &trigger::Row| {
        let found = schedules.iter().find(|schedule| schedule.id == row.trigger.schedule_id);
        found.map_or("(it cannot be read)", |found| found.schedule.name.as_str())
    };
    Ok(rows.iter().map(|row| link(row, name(row))).collect())
}

impl Services {
    pub(super) async fn new_trigger_form(
        &self,
        schedule: Option<ScheduleId>,
        task: Option<TaskId>,
    ) -> Result<TriggerForm, AppError> {
        let db = self.store.pages();
        let offer = |row: schedule::Row| Choice { value: row.id.to_string(), label: row.schedule.name };
        let schedules: Vec<_> = schedule::list(db).await?.into_iter().map(offer).collect();
        let chosen = schedule.map(|id| id.to_string());
        let schedule = schedules.iter().find(|choice| Some(&choice.value) == chosen.as_ref()).cloned();
        let task = match task {
            Some(id) => task::find(db, id).await?,
            None => None,
        };
        Ok(TriggerForm {
            schedule,
            schedules,
            tasks: choice::tasks(db, "", OFFERED + 1).await.map(found)?,
            task: task.map(|row| Choice { value: row.id.to_string(), label: row.task.name }),
        })
    }

    pub(super) async fn save_trigger(&self, mut draft: TriggerDraft) -> Result<TriggerId, AppError> {
        let txn = self.store.begin_change().await?;
        if let Some(id) = named(&draft.task, async |name| choice::task_named(&txn, name).await).await? {
            draft.task = id;
        }
        let checked = draft.parse()?;
        let mut errors = FieldErrors::default();
        if schedule::find(&txn, checked.schedule_id).await?.is_none() {
            errors.add("schedule", "This schedule does not exist any more. Choose another.");
        }
        if task::find(&txn, checked.task_id).await?.is_none() {
            errors.add("task", "This task does not exist any more. Choose another.");
        }
        if !errors.is_empty() {
            return Err(errors.into());
        }
        let id = trigger::insert(&txn, &checked, self.clock.now()).await.map_err(|error| match error {
            store::Error::Conflict { .. } => {
                FieldErrors::one("task", "This schedule starts this task already. Choose another.").into()
            }
            other => AppError::from(other),
        })?;
        self.commit(txn).await?;
        Ok(id)
    }

    /// Starts the enabled tasks of all enabled triggers once. Returns their number.
    pub(super) async fn trigger_now(&self, id: ScheduleId, by: String) -> Result<usize, AppError> {
        let txn = self.store.begin_change().await?;
        let row = schedule::find(&txn, id).await?.ok_or_else(not_found)?;
        let tasks = tasks::enabled(&txn, id).await?;
        let name = row.schedule.name;
        if tasks.is_empty() {
            let message = format!(
                "The schedule {name} starts no task: it has no trigger, or its triggers or their tasks are disabled."
            );
            return Err(AppError::new(Code::Conflict, message));
        }
        let (held, zone) = (HeldCounts::new(self.store.clone()), self.zone.get());
        let setting =
            Setting { now: self.clock.now(), zone: &zone, held: &held, has_lock_of_changes: true, lanes: None };
        let started = tasks::start_all(&txn, &tasks, &Cause::Person(by), setting).await?;
        if started.count == 0 {
            let message =
                format!("The tasks of the schedule {name} are deleted after running, and are running already.");
            return Err(AppError::new(Code::Conflict, message));
        }
        self.commit_due(txn).await?;
        Ok(started.count)
    }
}
