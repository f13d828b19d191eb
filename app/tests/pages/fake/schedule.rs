//! Schedules, triggers and the time zone of the fake backend.

use super::{Fake, State, choice, when};
use app::backend::Schedules;
use app::error::AppError;
use app::view::schedule::{
    ScheduleDetail, ScheduleForm, SchedulePreview, ScheduleRow, TriggerForm, TriggerLine, ZoneForm,
};
use app::view::{Choice, When};
use async_trait::async_trait;
use model::id::{ScheduleId, TaskId, TriggerId};
use model::schedule::{Date, ScheduleDraft, TriggerDraft, ZoneDraft};

const SUMMARY: &str = "Every 2 weeks on Thursday at 07:05, from 2025-10-16 until 2026-12-31.";
const ZONE: &str = "America/New_York";

fn runs() -> Vec<When> {
    vec![when(); 5]
}

fn schedule_choice(id: ScheduleId) -> Choice {
    choice(&id.to_string(), &format!("Hourly {id}"))
}

/// Returns a trigger. Among the first ones is one of each kind that starts nothing, and one that does.
pub(super) fn trigger_line(number: i64) -> TriggerLine {
    TriggerLine {
        id: TriggerId(number),
        schedule_id: ScheduleId(number),
        schedule: format!("Hourly {number}"),
        is_schedule_enabled: number % 4 != 2,
        summary: SUMMARY.to_owned(),
        task_id: TaskId(number),
        task: format!("Tell {number}"),
        is_task_enabled: number % 4 != 3,
        is_enabled: number % 4 != 0,
        next: (number % 4 != 2).then(when),
    }
}

/// Returns triggers of every kind.
pub(super) fn trigger_lines() -> Vec<TriggerLine> {
    (1..=4).map(trigger_line).collect()
}

#[async_trait]
impl Schedules for Fake {
    async fn list(&self) -> Result<Vec<ScheduleRow>, AppError> {
        self.rows(|number| ScheduleRow {
            id: ScheduleId(number),
            name: format!("Hourly {number}"),
            description: "For <reports>".to_owned(),
            is_enabled: number % 2 == 1,
            summary: SUMMARY.to_owned(),
            next: (number % 2 == 1).then(when),
            triggers: 3,
        })
    }

    async fn load_form(&self, id: Option<ScheduleId>) -> Result<ScheduleForm, AppError> {
        let today = Date::parse("2025-10-16").expect("a date");
        let draft = ScheduleDraft::new_form(today);
        let new = ScheduleForm { name: String::new(), draft, zone: ZONE.to_owned() };
        if id.is_none() {
            return self.always(new);
        }
        let draft = ScheduleDraft {
            name: "Hourly 1".to_owned(),
            description: "For <reports>".to_owned(),
            every: "2".to_owned(),
            unit: "weeks".to_owned(),
            sunday: String::new(),
            month_day: "last".to_owned(),
            start_time: "07:05".to_owned(),
            all_day: String::new(),
            window_from: "08:00".to_owned(),
            window_to: "18:30".to_owned(),
            never_ends: String::new(),
            end_date: "2026-12-31".to_owned(),
            revision: "4".to_owned(),
            ..new.draft
        };
        self.found("schedule", ScheduleForm { name: draft.name.clone(), draft, zone: ZONE.to_owned() })
    }

    async fn save(&self, _: Option<ScheduleId>, _: ScheduleDraft) -> Result<ScheduleId, AppError> {
        self.always(ScheduleId(1))
    }

    async fn preview(&self, _: ScheduleDraft) -> Result<SchedulePreview, AppError> {
        self.always(SchedulePreview { summary: SUMMARY.to_owned(), runs: runs(), zone: ZONE.to_owned() })
    }

    async fn detail(&self, id: ScheduleId) -> Result<ScheduleDetail, AppError> {
        let detail = ScheduleDetail {
            id,
            name: "Hourly 1".to_owned(),
            description: "For <reports>".to_owned(),
            is_enabled: true,
            summary: SUMMARY.to_owned(),
            zone: ZONE.to_owned(),
            runs: runs(),
            triggers: trigger_lines(),
        };
        self.found("schedule", detail)
    }

    async fn delete(&self, _: Vec<ScheduleId>) -> Result<(), AppError> {
        self.always(())
    }

    async fn set_enabled(&self, _: Vec<ScheduleId>, _: bool) -> Result<(), AppError> {
        self.always(())
    }

    async fn trigger(&self, _: ScheduleId, _: String) -> Result<usize, AppError> {
        self.always(1)
    }

    async fn trigger_form(&self, schedule: Option<ScheduleId>, task: Option<TaskId>) -> Result<TriggerForm, AppError> {
        self.always(TriggerForm {
            schedules: (1..=self.count(20)).map(|number| schedule_choice(ScheduleId(number))).collect(),
            tasks: self.choices("Tell"),
            schedule: schedule.filter(|_| self.state != State::Empty).map(schedule_choice),
            task: task.filter(|_| self.state != State::Empty).map(|id| choice(&id.to_string(), &format!("Tell {id}"))),
        })
    }

    async fn add_trigger(&self, _: TriggerDraft) -> Result<TriggerId, AppError> {
        self.always(TriggerId(1))
    }

    async fn set_trigger_enabled(&self, _: TriggerId, _: bool) -> Result<(), AppError> {
        self.always(())
    }

    async fn delete_trigger(&self, _: TriggerId) -> Result<(), AppError> {
        self.always(())
    }

    async fn zone_form(&self) -> Result<ZoneForm, AppError> {
        self.always(ZoneForm {
            zone: ZONE.to_owned(),
            now: when(),
            zones: vec!["America/New_York".to_owned(), "Europe/Berlin".to_owned(), "UTC".to_owned()],
            revision: ZONE.to_owned(),
        })
    }

    async fn set_zone(&self, _: ZoneDraft) -> Result<(), AppError> {
        self.always(())
    }
}
