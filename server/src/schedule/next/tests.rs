//! Tests of the next run by examples: the helpers, and each kind of rhythm.

mod changes;
mod limits;

use super::*;
use model::schedule::ScheduleDraft;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a known zone")
}

/// Returns the draft of a schedule that starts at `start`, written `2026-03-31 07:05`.
fn starting(start: &str, every: &str, unit: &str) -> ScheduleDraft {
    let (date, time) = start.split_once(' ').expect("a date and a time");
    ScheduleDraft {
        name: "Nightly".into(),
        every: every.into(),
        unit: unit.into(),
        start_time: time.into(),
        ..ScheduleDraft::new_form(Date::parse(date).expect("a date"))
    }
}

fn within(from: &str, to: &str, draft: ScheduleDraft) -> ScheduleDraft {
    ScheduleDraft { all_day: String::new(), window_from: from.into(), window_to: to.into(), ..draft }
}

fn on_tuesdays(draft: ScheduleDraft) -> ScheduleDraft {
    let mut draft = draft;
    for pill in [
        &mut draft.monday,
        &mut draft.wednesday,
        &mut draft.thursday,
        &mut draft.friday,
        &mut draft.saturday,
        &mut draft.sunday,
    ] {
        pill.clear();
    }
    draft
}

fn until(date: &str, draft: ScheduleDraft) -> ScheduleDraft {
    ScheduleDraft { never_ends: String::new(), end_date: date.into(), ..draft }
}

fn on_day(day: &str, draft: ScheduleDraft) -> ScheduleDraft {
    ScheduleDraft { month_day: day.into(), ..draft }
}

fn parsed(draft: &ScheduleDraft) -> Schedule {
    draft.parse().expect("a valid draft")
}

/// Reads an instant, written `2026-03-31T07:05:00Z`.
fn at(instant: &str) -> Timestamp {
    Timestamp::parse_rfc3339(instant).expect("an instant")
}

/// Returns the next `count` runs as the clocks of the zone show them, with the offset.
fn runs(draft: &ScheduleDraft, after: &str, name: &str, count: usize) -> Vec<String> {
    let zone = zone(name);
    next_runs(&parsed(draft), at(after), &zone, count)
        .into_iter()
        .map(|run| {
            let run = jiff::Timestamp::from_millisecond(run.0).expect("an instant").to_zoned(zone.clone());
            run.strftime("%Y-%m-%d %H:%M %:z").to_string()
        })
        .collect()
}

/// As [`runs`] in UTC, without the offset.
fn runs_in_utc(draft: &ScheduleDraft, after: &str, count: usize) -> Vec<String> {
    runs(draft, after, "UTC", count).into_iter().map(|run| run.replace(" +00:00", "")).collect()
}

#[test]
fn minutes_and_hours_are_counted_from_the_start() {
    let minutes = starting("2026-01-01 00:07", "25", "minutes");
    assert_eq!(
        runs_in_utc(&minutes, "2026-01-01T00:07:00Z", 3),
        ["2026-01-01 00:32", "2026-01-01 00:57", "2026-01-01 01:22"],
        "the instant itself is not later"
    );
    assert_eq!(runs_in_utc(&minutes, "2026-01-01T00:06:59.999Z", 1), ["2026-01-01 00:07"]);
    assert_eq!(runs_in_utc(&minutes, "2026-01-01T00:07:00.001Z", 1), ["2026-01-01 00:32"]);
    let hours = starting("2026-01-01 22:30", "7", "hours");
    assert_eq!(
        runs_in_utc(&hours, "2026-01-01T23:00:00Z", 4),
        ["2026-01-02 05:30", "2026-01-02 12:30", "2026-01-02 19:30", "2026-01-03 02:30"]
    );
}

#[test]
fn window_has_its_first_minute_and_not_its_last() {
    let day = within("08:00", "18:00", starting("2026-01-01 00:00", "5", "hours"));
    assert_eq!(
        runs_in_utc(&day, "2026-01-01T00:00:00Z", 5),
        ["2026-01-01 10:00", "2026-01-01 15:00", "2026-01-02 11:00", "2026-01-02 16:00", "2026-01-03 12:00"]
    );
    let edges = within("10:00", "15:00", starting("2026-01-01 00:00", "5", "hours"));
    assert_eq!(runs_in_utc(&edges, "2026-01-01T00:00:00Z", 2), ["2026-01-01 10:00", "2026-01-02 11:00"]);
}

#[test]
fn window_over_midnight_has_both_sides() {
    let night = within("22:00", "02:00", starting("2026-01-01 00:00", "60", "minutes"));
    assert_eq!(
        runs_in_utc(&night, "2026-01-01T00:30:00Z", 6),
        [
            "2026-01-01 01:00",
            "2026-01-01 22:00",
            "2026-01-01 23:00",
            "2026-01-02 00:00",
            "2026-01-02 01:00",
            "2026-01-02 22:00"
        ]
    );
}

#[test]
fn window_of_one_minute_is_found_among_all_minutes_of_the_day() {
    let rare = within("00:01", "00:02", starting("2026-01-01 00:00", "7", "minutes"));
    // 7 * 823 = 5761 = 4 * 1440 + 1
    assert_eq!(runs_in_utc(&rare, "2026-01-01T00:00:00Z", 2), ["2026-01-05 00:01", "2026-01-12 00:01"]);
}

#[test]
fn days_run_on_the_checked_weekdays_only() {
    let daily = starting("2026-03-02 07:05", "1", "days");
    assert_eq!(runs_in_utc(&daily, "2026-03-02T07:05:00Z", 2), ["2026-03-03 07:05", "2026-03-04 07:05"]);
    assert_eq!(runs_in_utc(&daily, "2026-03-04T07:04:59Z", 1), ["2026-03-04 07:05"]);
    // 2026-03-02 is a Monday.
    let tuesdays = on_tuesdays(daily);
    assert_eq!(runs_in_utc(&tuesdays, "2026-03-02T00:00:00Z", 2), ["2026-03-03 07:05", "2026-03-10 07:05"]);
    let third = on_tuesdays(starting("2026-03-02 07:05", "3", "days"));
    assert_eq!(runs_in_utc(&third, "2026-03-02T00:00:00Z", 2), ["2026-03-17 07:05", "2026-04-07 07:05"]);
}

#[test]
fn weeks_run_on_the_weekday_of_the_start() {
    let weeks = starting("2026-03-04 07:05", "2", "weeks");
    assert_eq!(
        runs_in_utc(&weeks, "2026-01-01T00:00:00Z", 3),
        ["2026-03-04 07:05", "2026-03-18 07:05", "2026-04-01 07:05"]
    );
}

#[test]
fn month_without_the_day_runs_on_its_last() {
    let monthly = starting("2026-01-31 07:05", "1", "months");
    assert_eq!(
        runs_in_utc(&monthly, "2026-01-31T07:05:00Z", 4),
        ["2026-02-28 07:05", "2026-03-31 07:05", "2026-04-30 07:05", "2026-05-31 07:05"]
    );
    assert_eq!(runs_in_utc(&monthly, "2028-02-01T00:00:00Z", 2), ["2028-02-29 07:05", "2028-03-31 07:05"]);
    let third = starting("2026-01-31 07:05", "3", "months");
    assert_eq!(runs_in_utc(&third, "2026-02-01T00:00:00Z", 2), ["2026-04-30 07:05", "2026-07-31 07:05"]);
}

#[test]
fn first_fifteenth_and_last_day_are_counted_from_the_month_of_the_start() {
    let of = |day: &str, every: &str| on_day(day, starting("2026-01-20 07:05", every, "months"));
    let after = "2026-01-01T00:00:00Z";
    assert_eq!(runs_in_utc(&of("first", "1"), after, 2), ["2026-02-01 07:05", "2026-03-01 07:05"]);
    assert_eq!(runs_in_utc(&of("fifteenth", "1"), after, 2), ["2026-02-15 07:05", "2026-03-15 07:05"]);
    assert_eq!(runs_in_utc(&of("last", "1"), after, 3), ["2026-01-31 07:05", "2026-02-28 07:05", "2026-03-31 07:05"]);
    assert_eq!(runs_in_utc(&of("first", "2"), after, 2), ["2026-03-01 07:05", "2026-05-01 07:05"], "not in January");
    assert_eq!(runs_in_utc(&of("first", "1"), "2026-02-01T07:05:00Z", 1), ["2026-03-01 07:05"]);
    let on_the_first = on_day("first", starting("2026-01-01 07:05", "1", "months"));
    assert_eq!(runs_in_utc(&on_the_first, after, 1), ["2026-01-01 07:05"]);
}

#[test]
fn leap_day_runs_on_february_28_in_other_years() {
    let yearly = starting("2024-02-29 07:05", "1", "years");
    assert_eq!(
        runs_in_utc(&yearly, "2024-02-29T07:05:00Z", 4),
        ["2025-02-28 07:05", "2026-02-28 07:05", "2027-02-28 07:05", "2028-02-29 07:05"]
    );
    let fourth = starting("2096-02-29 07:05", "4", "years");
    assert_eq!(
        runs_in_utc(&fourth, "2096-12-31T00:00:00Z", 2),
        ["2100-02-28 07:05", "2104-02-29 07:05"],
        "2100 is no leap year"
    );
}

#[test]
fn schedule_that_does_not_repeat_runs_once() {
    let once = starting("2026-03-31 07:05", "1", "never");
    assert_eq!(runs_in_utc(&once, "2000-01-01T00:00:00Z", 3), ["2026-03-31 07:05"]);
    assert_eq!(runs_in_utc(&once, "2026-03-31T07:05:00Z", 3), [""; 0]);
    assert_eq!(runs(&once, "2026-03-01T00:00:00Z", "Asia/Kathmandu", 2), ["2026-03-31 07:05 +05:45"]);
}

#[test]
fn nothing_runs_before_the_start() {
    for (every, unit) in [
        ("5", "minutes"),
        ("5", "hours"),
        ("5", "days"),
        ("5", "weeks"),
        ("5", "months"),
        ("5", "years"),
        ("", "never"),
    ] {
        let draft = starting("2026-03-31 07:05", every, unit);
        for after in ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-03-31T07:04:00Z"] {
            assert_eq!(runs_in_utc(&draft, after, 1), ["2026-03-31 07:05"], "{unit} after {after}");
        }
        assert_eq!(next_after(&parsed(&draft), Timestamp(i64::MIN), &TimeZone::UTC), Some(at("2026-03-31T07:05:00Z")));
    }
}

#[test]
fn start_that_is_past_gives_the_rhythm() {
    let after = "2026-06-15T12:00:00Z";
    for (every, unit, next) in [
        ("7", "minutes", "2026-06-15 12:02"),
        ("5", "hours", "2026-06-15 14:00"),
        ("4", "days", "2026-06-16 00:00"),
        ("2", "weeks", "2026-06-18 00:00"),
        ("5", "months", "2026-09-01 00:00"),
        ("3", "years", "2027-01-01 00:00"),
    ] {
        assert_eq!(runs_in_utc(&starting("1970-01-01 00:00", every, unit), after, 1), [next], "{every} {unit}");
    }
}

#[test]
fn end_date_is_the_last_date_with_runs() {
    let daily = until("2026-03-09", starting("2026-03-01 23:59", "1", "days"));
    assert_eq!(
        runs(&daily, "2026-03-08T12:00:00Z", "America/New_York", 3),
        ["2026-03-08 23:59 -04:00", "2026-03-09 23:59 -04:00"]
    );
    let minutes = until("2026-03-09", starting("2026-03-01 00:00", "30", "minutes"));
    assert_eq!(
        runs(&minutes, "2026-03-10T03:00:00Z", "America/New_York", 3),
        ["2026-03-09 23:30 -04:00"],
        "midnight belongs to the next date"
    );
    let night = within("22:00", "02:00", minutes);
    assert_eq!(runs(&night, "2026-03-10T03:00:00Z", "America/New_York", 3), ["2026-03-09 23:30 -04:00"]);
    assert_eq!(runs(&night, "2026-03-10T04:00:00Z", "America/New_York", 3), [""; 0]);
    let on_its_start = until("2026-03-31", starting("2026-03-31 07:05", "1", "weeks"));
    assert_eq!(runs_in_utc(&on_its_start, "2026-01-01T00:00:00Z", 3), ["2026-03-31 07:05"]);
}
