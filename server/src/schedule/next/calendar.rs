//! Schedules of days and longer units: dates that are planned on the calendar, each at the same time of the wall clock.

use super::instant;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, civil};
use model::schedule::{MonthDay, Weekdays};

/// The distance of planned dates, at least one.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// Days from the start date.
    Days(i64),
    /// Months from the month of the start date, and the day in each.
    Months(i64, MonthDay),
}

/// The planned times of a schedule.
pub(super) struct Plan {
    pub(super) start: civil::DateTime,
    /// The last date that is planned.
    pub(super) ends: Option<civil::Date>,
    pub(super) step: Step,
    /// The weekdays that are planned.
    pub(super) weekdays: Weekdays,
}

impl Plan {
    /// Returns the first instant later than `after` at which a planned time runs.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if let Step::Days(days) = self.step
            && days % 7 == 0
            && !self.is_checked(self.start.date())
        {
            return None;
        }
        // Planned times up to the one that the wall clock shows have run. If the wall clock was set back, some later
        // ones have run too, which the loop skips.
        let mut turn = self.turn_near(zone.to_datetime(after).date());
        loop {
            let date = self.date(turn)?;
            if self.ends.is_some_and(|ends| date > ends) {
                return None;
            }
            if date >= self.start.date() && self.is_checked(date) {
                let at = instant(date.to_datetime(self.start.time()), zone)?;
                if at > after {
                    return Some(at);
                }
            }
            turn += 1;
        }
    }

    fn is_checked(&self, date: civil::Date) -> bool {
        self.weekdays.contains(date.weekday().to_monday_zero_offset().unsigned_abs().into())
    }

    /// Returns a turn such that all turns before it have earlier dates than `date`. Turn 0 is on the start date, and
    /// each further turn is one step later.
    fn turn_near(&self, date: civil::Date) -> i64 {
        let start = self.start.date();
        let turns = match self.step {
            Step::Days(every) => date.duration_since(start).as_hours() / 24 / every.max(1),
            Step::Months(every, _) => (months(date) - months(start)) / every.max(1),
        };
        turns.max(0)
    }

    /// Returns the date of a turn. `None` after the year 9999.
    fn date(&self, turn: i64) -> Option<civil::Date> {
        let start = self.start.date();
        match self.step {
            Step::Days(every) => start.checked_add(Span::new().try_days(turn * every.max(1)).ok()?).ok(),
            Step::Months(every, day) => {
                let month = months(start) + turn * every.max(1);
                let year = i16::try_from(month.div_euclid(12)).ok()?;
                let first = civil::Date::new(year, i8::try_from(month.rem_euclid(12) + 1).ok()?, 1).ok()?;
                let last = first.days_in_month();
                let day = match day {
                    MonthDay::Start => start.day().min(last),
                    MonthDay::First => 1,
                    MonthDay::Fifteenth => 15,
                    MonthDay::Last => last,
                };
                civil::Date::new(first.year(), first.month(), day).ok()
            }
        }
    }
}

/// Returns the number of months from the year 0 to the month of a date.
fn months(date: civil::Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}
