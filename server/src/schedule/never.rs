//! The reason why a schedule has no further run, for the person who saves it. A pure function.

use super::next::next_after;
use crate::engine::render::zoned;
use jiff::tz::TimeZone;
use model::field_error::FieldErrors;
use model::schedule::{Repeat, Schedule, WEEKDAYS};
use model::time::Timestamp;

/// Returns the reason why the schedule has no run after `now`, with the field to change. `None` if it has a run.
pub fn reason(schedule: &Schedule, now: Timestamp, zone: &TimeZone) -> Option<FieldErrors> {
    if next_after(schedule, now, zone).is_some() {
        return None;
    }
    let endless = Schedule { ends: None, ..schedule.clone() };
    let past = |at: Timestamp| zoned(at, zone).strftime("%Y-%m-%d at %H:%M").to_string();
    let (field, message) = match (schedule.repeat, next_after(&endless, now, zone)) {
        (Repeat::Never, _) if next_after(schedule, Timestamp(i64::MIN), zone).is_some() => (
            "start_date",
            format!(
                "This is past: it is {} now. A schedule that does not repeat runs once, at its start. Enter a start that is \
                 still to come.",
                past(now)
            ),
        ),
        (_, Some(next)) => (
            "end_date",
            format!(
                "There is no run until this date: the next one would be on {}. Enter that date or a later one, or choose \
                 Never Ends.",
                past(next)
            ),
        ),
        (Repeat::Days { every, weekdays }, None)
            if every % 7 == 0 && !weekdays.contains(schedule.start.date.weekday()) =>
        {
            let weekday = WEEKDAYS[schedule.start.date.weekday()].1;
            (
                WEEKDAYS[0].0,
                format!(
                    "Every {every} days from the start date is always a {weekday}, which is not checked. Check {weekday}, or \
                     enter another start date or number of days."
                ),
            )
        }
        (Repeat::Minutes { window: Some(_), .. } | Repeat::Hours { window: Some(_), .. }, None) => (
            "window_from",
            "Counted from the start, no run is ever in this window. Enter a longer window, another start, or a smaller \
             number in Repeat Every."
                .to_owned(),
        ),
        _ => (
            "start_date",
            "There is no run from this date to the end of the year 9999. Enter an earlier date.".to_owned(),
        ),
    };
    Some(FieldErrors::one(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::schedule::{Date, Moment, Time, Weekdays, Window};

    fn schedule(repeat: Repeat, start: &str, ends: Option<&str>) -> Schedule {
        let date = |text| Date::parse(text).expect("a date");
        let at = Time::parse("07:30").expect("a time");
        Schedule {
            name: "s".into(),
            description: String::new(),
            is_enabled: true,
            repeat,
            start: Moment { date: date(start), at },
            ends: ends.map(date),
        }
    }

    /// Returns the field and the message at 2026-06-15T12:00:00Z.
    fn wrong(schedule: &Schedule) -> (String, String) {
        let errors = reason(schedule, Timestamp(1_781_524_800_000), &TimeZone::UTC).expect("it never runs");
        let [error] = &errors.0[..] else { panic!("{errors:?}") };
        (error.field.clone(), error.message.clone())
    }

    #[test]
    fn schedule_without_a_run_names_the_field_and_what_would_be_right() {
        let mondays = Weekdays::from_bits(1).expect("a weekday");
        let window = Some(Window { from: Time::MIDNIGHT, to: Time::new(1, 0).expect("a time") });
        let days = |every, weekdays| Repeat::Days { every, weekdays };
        let cases = [
            (schedule(Repeat::Never, "2026-06-15", None), "start_date", "it is 2026-06-15 at 12:00 now"),
            (
                schedule(days(1, Weekdays::ALL), "2026-01-01", Some("2026-06-15")),
                "end_date",
                "the next one would be on 2026-06-16 at 07:30",
            ),
            (
                schedule(Repeat::Weeks { every: 2 }, "2026-06-20", Some("2026-06-19")),
                "end_date",
                "the next one would be on 2026-06-20 at 07:30",
            ),
            (schedule(days(14, mondays), "2026-06-16", None), "monday", "always a Tuesday, which is not checked"),
            (schedule(Repeat::Hours { every: 24, window }, "2026-06-16", None), "window_from", "no run is ever"),
        ];
        for (schedule, field, words) in cases {
            let (found, message) = wrong(&schedule);
            assert_eq!(found, field, "{message}");
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn schedule_with_a_run_has_no_reason() {
        for ends in [None, Some("2026-06-16")] {
            let schedule = schedule(Repeat::Weeks { every: 1 }, "2026-06-16", ends);
            assert_eq!(reason(&schedule, Timestamp(1_781_524_800_000), &TimeZone::UTC), None);
        }
    }
}
