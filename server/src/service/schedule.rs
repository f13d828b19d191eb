//! Use cases of schedules, of their triggers, and of the time zone in which they run.

mod form;
mod show;
mod trigger;
mod zone;

pub(super) use trigger::links;

use super::Services;
use crate::schedule::never;
use crate::schedule::next::next_after;
use crate::store::{self, schedule, task, trigger as triggers};
use app::backend::Schedules;
use app::error::{AppError, Code};
use app::view::schedule::{ScheduleDetail, ScheduleForm, SchedulePreview, ScheduleRow, TriggerForm, ZoneForm};
use async_trait::async_trait;
use model::field_error::FieldErrors;
use model::id::{ScheduleId, TaskId, TriggerId};
use model::schedule::{Schedule, ScheduleDraft, TriggerDraft, ZoneDraft, summary};
use model::time::Timestamp;

fn refused(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => {
            FieldErrors::one("name", "There is already a schedule with this name. Choose another.").into()
        }
        other => other.into(),
    }
}

fn not_found() -> AppError {
    AppError::not_found("schedule")
}

/// Returns true for schedules that have their runs at the same instants while they are enabled.
fn is_same_rule(one: &Schedule, other: &Schedule) -> bool {
    let rule = |schedule: &Schedule| (schedule.repeat, schedule.start, schedule.ends);
    rule(one) == rule(other)
}

impl Services {
    /// Returns the next run of a schedule as it is stored: none while the schedule is disabled.
    fn next_run(&self, schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
        next_after(schedule, now, &self.zone.get()).filter(|_| schedule.is_enabled)
    }
}

#[async_trait]
impl Schedules for Services {
    async fn list(&self) -> Result<Vec<ScheduleRow>, AppError> {
        let db = self.store.pages();
        let counts = triggers::count(db).await?;
        let now = self.clock.now();
        let row = |row: schedule::Row| ScheduleRow {
            id: row.id,
            summary: summary(&row.schedule),
            next: self.upcoming(&row, now, 1).pop(),
            triggers: counts.get(&row.id).copied().unwrap_or_default(),
            name: row.schedule.name,
            description: row.schedule.description,
            is_enabled: row.schedule.is_enabled,
        };
        Ok(schedule::list(db).await?.into_iter().map(row).collect())
    }

    async fn load_form(&self, id: Option<ScheduleId>) -> Result<ScheduleForm, AppError> {
        self.schedule_form(id).await
    }

    async fn save(&self, id: Option<ScheduleId>, draft: ScheduleDraft) -> Result<ScheduleId, AppError> {
        let checked = draft.parse()?;
        let txn = self.store.begin_change().await?;
        self.zone.follow(&txn).await?;
        let now = self.clock.now();
        let stored = match id {
            None => None,
            Some(id) => Some(schedule::find(&txn, id).await?.ok_or_else(not_found)?),
        };
        let is_same = stored.as_ref().is_some_and(|row| is_same_rule(&row.schedule, &checked));
        let stays_enabled = stored.as_ref().is_some_and(|row| row.schedule.is_enabled) && checked.is_enabled;
        // A schedule that has ended can be renamed, described and disabled. Only to enable it needs a run to come.
        if !(is_same && (stays_enabled || !checked.is_enabled))
            && let Some(wrong) = never::reason(&checked, now, &self.zone.get())
        {
            return Err(wrong.into());
        }
        let next_at = self.next_run(&checked, now);
        let saved = match stored {
            None => schedule::insert(&txn, &checked, next_at, now).await.map_err(refused)?,
            Some(row) => {
                let id = row.id;
                let opened_on = super::revision(&draft.revision)?;
                // A new name or description moves no run, even if it is due at this moment.
                let next_at = if is_same && stays_enabled { row.next_at.or(next_at) } else { next_at };
                if !schedule::update(&txn, (id, opened_on), &checked, next_at, now).await.map_err(refused)? {
                    return Err(super::stale("schedule", &draft, &ScheduleDraft::of(&row.schedule, row.revision)));
                }
                id
            }
        };
        self.commit(txn).await?;
        Ok(saved)
    }

    async fn preview(&self, draft: ScheduleDraft) -> Result<SchedulePreview, AppError> {
        self.preview_runs(&draft)
    }

    async fn detail(&self, id: ScheduleId) -> Result<ScheduleDetail, AppError> {
        self.schedule_detail(id).await
    }

    async fn delete(&self, ids: Vec<ScheduleId>) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        for id in ids {
            let row = schedule::find(&txn, id).await?.ok_or_else(not_found)?;
            let started = triggers::list_of(&txn, id).await?;
            if !started.is_empty() {
                let ids = started.iter().map(|row| row.trigger.task_id.0).collect();
                let tasks = task::find_many(&txn, ids).await?;
                let links = started.iter().filter_map(|row| tasks.get(&row.trigger.task_id)).map(super::task::link);
                return Err(AppError::in_use(&format!("The schedule {}", row.schedule.name), links.collect()));
            }
            schedule::delete(&txn, id).await?;
        }
        self.commit(txn).await
    }

    async fn set_enabled(&self, ids: Vec<ScheduleId>, is_enabled: bool) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        self.zone.follow(&txn).await?;
        let now = self.clock.now();
        for id in ids {
            let schedule::Row { mut schedule, revision, .. } = schedule::find(&txn, id).await?.ok_or_else(not_found)?;
            if schedule.is_enabled == is_enabled {
                continue;
            }
            schedule.is_enabled = is_enabled;
            let next_at = self.next_run(&schedule, now);
            if is_enabled && next_at.is_none() {
                let message =
                    format!("The schedule {} has no run to come. Change it, so that it runs again.", schedule.name);
                return Err(AppError::new(Code::Conflict, message));
            }
            schedule::update(&txn, (id, revision), &schedule, next_at, now).await.map_err(refused)?;
        }
        self.commit(txn).await
    }

    async fn trigger(&self, id: ScheduleId, by: String) -> Result<usize, AppError> {
        self.trigger_now(id, by).await
    }

    async fn trigger_form(&self, schedule: Option<ScheduleId>, task: Option<TaskId>) -> Result<TriggerForm, AppError> {
        self.new_trigger_form(schedule, task).await
    }

    async fn add_trigger(&self, draft: TriggerDraft) -> Result<TriggerId, AppError> {
        self.save_trigger(draft).await
    }

    async fn set_trigger_enabled(&self, id: TriggerId, is_enabled: bool) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        if !triggers::set_enabled(&txn, id, is_enabled, self.clock.now()).await? {
            return Err(AppError::not_found("schedule trigger"));
        }
        self.commit(txn).await
    }

    async fn delete_trigger(&self, id: TriggerId) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        if !triggers::delete(&txn, id, self.clock.now()).await? {
            return Err(AppError::not_found("schedule trigger"));
        }
        self.commit(txn).await
    }

    async fn zone_form(&self) -> Result<ZoneForm, AppError> {
        self.load_zone_form().await
    }

    async fn set_zone(&self, draft: ZoneDraft) -> Result<(), AppError> {
        self.change_zone(draft).await
    }
}
