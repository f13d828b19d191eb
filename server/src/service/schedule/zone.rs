//! The time zone of the console.

use crate::clock::zone::{self, TIME_ZONE, name_of};
use crate::engine::render::zoned;
use crate::schedule::next::{instant, next_after};
use crate::service::Services;
use crate::service::conflict::stale;
use crate::store::{schedule, setting};
use app::error::AppError;
use app::view::schedule::ZoneForm;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use model::field_error::FieldErrors;
use model::schedule::{Repeat, Schedule, ZoneDraft};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

impl Services {
    pub(super) async fn load_zone_form(&self) -> Result<ZoneForm, AppError> {
        let db = self.store.pages();
        self.zone.follow(db).await?;
        let zones = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let (zone, revision) = (self.zone.name(), self.stored_zone(db).await?);
        Ok(ZoneForm { zone, now: self.when(self.clock.now()), zones, revision })
    }

    /// Returns the stored name of the time zone.
    async fn stored_zone(&self, db: &impl ConnectionTrait) -> Result<String, AppError> {
        Ok(setting::find(db, TIME_ZONE).await?.unwrap_or_else(|| self.zone.name()))
    }

    /// Changes the time zone, and plans the next runs of all schedules anew.
    pub(super) async fn change_zone(&self, draft: ZoneDraft) -> Result<(), AppError> {
        let typed = draft.time_zone.trim();
        let Some(zone) = zone::find(typed) else {
            let message = if typed.is_empty() {
                "Enter a time zone, like Europe/Berlin.".to_owned()
            } else {
                "There is no time zone of this name. Enter region and city, like Europe/Berlin, or UTC.".to_owned()
            };
            return Err(FieldErrors::one("time_zone", message).into());
        };
        let txn = self.store.begin_change().await?;
        let stored = self.stored_zone(&txn).await?;
        if stored != draft.revision {
            let saved = ZoneDraft { time_zone: stored.clone(), revision: stored };
            return Err(stale("time zone", &draft, &saved));
        }
        let name = name_of(&zone).to_owned();
        setting::put(&txn, TIME_ZONE, &name).await?;
        self.plan_anew(&txn, zone::find(&stored), &zone).await?;
        self.commit(txn).await?;
        self.zone.adopt(&name);
        Ok(())
    }

    /// Moves the next runs of all schedules that are not due from the zone `old` to the zone `new`. A run that is
    /// already due still starts, and a schedule that has had its last run does not begin again.
    async fn plan_anew(
        &self,
        txn: &DatabaseTransaction,
        old: Option<TimeZone>,
        new: &TimeZone,
    ) -> Result<(), AppError> {
        let now = self.clock.now();
        let old = old.unwrap_or_else(|| self.zone.get());
        for row in schedule::list(txn).await? {
            if let Some(next_at) = row.next_at.filter(|at| *at > now) {
                schedule::advance(txn, row.id, next_at, moved(&row.schedule, next_at, now, (&old, new))).await?;
            }
        }
        Ok(())
    }
}

/// Returns the next run of a schedule whose next run was planned for `next_at`, after the change between two zones. A
/// run by the calendar keeps its date and time of day. It may then be due at once, or missed, but no date is left out
/// or repeated.
fn moved(
    schedule: &Schedule,
    next_at: Timestamp,
    now: Timestamp,
    (old, new): (&TimeZone, &TimeZone),
) -> Option<Timestamp> {
    if let Repeat::Minutes { .. } | Repeat::Hours { .. } = schedule.repeat {
        return next_after(schedule, now, new);
    }
    // The search starts at the beginning of the date, since one of the zones may skip the time of day.
    let date = instant(zoned(next_at, old).date().to_datetime(Time::midnight()), new)?;
    next_after(schedule, Timestamp(date.as_millisecond() - 1), new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::schedule::{Date, ScheduleDraft};

    #[test]
    fn run_at_a_time_that_the_new_zone_skips_is_not_lost() {
        let mut draft = ScheduleDraft::new_form(Date::parse("2026-03-08").unwrap());
        draft.name = "Once".to_owned();
        draft.unit = "never".to_owned();
        draft.start_time = "02:30".to_owned();
        let once = draft.parse().unwrap();
        let zone = |name| TimeZone::get(name).unwrap();
        let (old, new) = (zone("UTC"), zone("America/New_York"));
        let at = |text: &str| Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let planned = at("2026-03-08T02:30:00Z");
        let now = at("2026-03-07T12:00:00Z");
        assert_eq!(next_after(&once, now, &old), Some(planned));
        // The clock goes from 02:00 to 03:00 there.
        assert_eq!(moved(&once, planned, now, (&old, &new)), Some(at("2026-03-08T07:00:00Z")));
    }
}
