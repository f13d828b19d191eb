//! The schedule form: its content, and the runs that a schedule as typed would have.

use super::not_found;
use crate::engine::render::zoned;
use crate::schedule::never;
use crate::schedule::next::next_runs;
use crate::service::Services;
use crate::store::schedule;
use app::error::AppError;
use app::view::schedule::{ScheduleForm, SchedulePreview};
use model::id::ScheduleId;
use model::schedule::{Date, ScheduleDraft, summary};

/// The number of next runs that are shown.
pub(super) const RUNS: usize = 5;

impl Services {
    pub(super) async fn schedule_form(&self, id: Option<ScheduleId>) -> Result<ScheduleForm, AppError> {
        let zone = self.zone.name();
        let Some(id) = id else {
            let draft = ScheduleDraft::new_form(self.today()?);
            return Ok(ScheduleForm { name: String::new(), draft, zone });
        };
        let row = schedule::find(self.store.pages(), id).await?.ok_or_else(not_found)?;
        let draft = ScheduleDraft::of(&row.schedule, row.revision);
        Ok(ScheduleForm { name: row.schedule.name, draft, zone })
    }

    /// Returns the present date in the console's time zone.
    fn today(&self) -> Result<Date, AppError> {
        let today = zoned(self.clock.now(), &self.zone.get()).date();
        let date = Date::new(today.year(), today.month().unsigned_abs(), today.day().unsigned_abs());
        date.ok_or_else(|| {
            let message = "The clock of the server shows a year before 1970. Set the clock.";
            AppError::new(app::error::Code::Internal, message)
        })
    }

    /// Returns the runs that a schedule as typed would have, enabled or not.
    pub(super) fn preview_runs(&self, draft: &ScheduleDraft) -> Result<SchedulePreview, AppError> {
        let schedule = draft.parse()?;
        let (now, zone) = (self.clock.now(), self.zone.get());
        if let Some(wrong) = never::reason(&schedule, now, &zone) {
            return Err(wrong.into());
        }
        let runs = next_runs(&schedule, now, &zone, RUNS).into_iter().map(|at| self.when(at)).collect();
        Ok(SchedulePreview { summary: summary(&schedule), runs, zone: self.zone.name() })
    }
}
