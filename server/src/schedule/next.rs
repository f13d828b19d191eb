//! The instants at which a schedule runs: pure functions of the schedule, an instant and the time zone. The engine, the
//! pages and the preview of the form use the same function, which must not read a clock or a database.
//!
//! Minutes and hours are elapsed time since the start. Longer units plan times of the wall clock. A planned time that
//! the clock skips runs right after the gap. A planned time that the clock shows twice runs only the first time.

mod calendar;
mod elapsed;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use calendar::{Plan, Step};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};
use model::schedule::{Date, MonthDay, Repeat, Schedule, Time, Weekdays};
use model::time::Timestamp;

/// Returns the first instant later than `after` at which the schedule runs in `zone`, in whole seconds. `None` if there
/// is none before the end of the year 9999.
///
/// The switch *Enabled* has no influence. The effort does not grow with the distance of `after` from the start.
pub fn next_after(schedule: &Schedule, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let after = match jiff::Timestamp::from_millisecond(after.0) {
        Ok(after) => after,
        Err(_) if after.0 < 0 => jiff::Timestamp::MIN,
        Err(_) => return None,
    };
    let start = civil_date(schedule.start.date)?.to_datetime(civil_time(schedule.start.at)?);
    let ends = match schedule.ends {
        Some(date) => Some(civil_date(date)?),
        None => None,
    };
    let plan = |step, weekdays| Plan { start, ends, step, weekdays }.next(after, zone);
    let elapse = |every, window| elapsed::Rhythm::new(start, ends, every, zone)?.next(window, after, zone);
    let next = match schedule.repeat {
        Repeat::Minutes { every, window } => elapse(i64::from(every) * 60, window),
        Repeat::Hours { every, window } => elapse(i64::from(every) * 3600, window),
        Repeat::Days { every, weekdays } => plan(Step::Days(every.into()), weekdays),
        Repeat::Weeks { every } => plan(Step::Days(i64::from(every) * 7), Weekdays::ALL),
        Repeat::Months { every, day } => plan(Step::Months(every.into(), day), Weekdays::ALL),
        Repeat::Years { every } => plan(Step::Months(i64::from(every) * 12, MonthDay::Start), Weekdays::ALL),
        Repeat::Never => instant(start, zone).filter(|start| *start > after),
    };
    next.map(|next| Timestamp(next.as_millisecond()))
}

/// Returns the first `count` instants later than `after` at which the schedule runs in `zone`. Fewer if it ends.
pub fn next_runs(schedule: &Schedule, after: Timestamp, zone: &TimeZone, count: usize) -> Vec<Timestamp> {
    let mut last = after;
    let runs = std::iter::from_fn(|| {
        last = next_after(schedule, last, zone)?;
        Some(last)
    });
    runs.take(count).collect()
}

/// Returns the first instant at which the wall clock shows `time` or a later time. `None` after the year 9999.
pub(crate) fn instant(time: civil::DateTime, zone: &TimeZone) -> Option<jiff::Timestamp> {
    match zone.to_ambiguous_timestamp(time).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(time).ok()
        }
        // By the offset after the gap, the skipped time would be an instant before the gap.
        AmbiguousOffset::Gap { after, .. } => zone
            .following(after.to_timestamp(time).ok()?)
            .map(|change| change.timestamp())
            .find(|change| zone.to_datetime(*change) >= time),
    }
}

/// Converts a date. Every date of the model exists.
fn civil_date(date: Date) -> Option<civil::Date> {
    civil::Date::new(date.year(), date.month().cast_signed(), date.day().cast_signed()).ok()
}

/// Converts a time. Every time of the model exists.
fn civil_time(time: Time) -> Option<civil::Time> {
    civil::Time::new(time.hour().cast_signed(), time.minute().cast_signed(), 0, 0).ok()
}
