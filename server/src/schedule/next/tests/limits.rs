//! Tests of schedules that never run, and of the ends of time.

use super::*;

#[test]
fn schedule_that_never_runs_has_no_next_run() {
    let zones = ["UTC", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe"];
    let monday = starting("2026-03-02 07:05", "7", "days");
    let never = [
        on_tuesdays(monday.clone()),
        on_tuesdays(starting("1970-01-05 07:05", "994", "days")),
        // Every second minute from 00:00 on is even.
        within("07:01", "07:02", starting("2026-03-02 00:00", "2", "minutes")),
        within("12:00", "13:00", starting("2026-03-02 00:00", "24", "hours")),
        until("2026-03-05", on_tuesdays(starting("2026-03-04 07:05", "1", "days"))),
        until("2026-03-02", within("06:00", "07:00", starting("2026-03-02 07:05", "60", "minutes"))),
        on_day("first", until("2026-03-31", starting("2026-03-02 07:05", "1", "months"))),
    ];
    for (index, draft) in never.iter().enumerate() {
        for name in zones {
            assert_eq!(runs(draft, "1970-01-01T00:00:00Z", name, 1), [""; 0], "{index} {name}");
        }
    }
    assert_eq!(runs_in_utc(&monday, "1970-01-01T00:00:00Z", 1), ["2026-03-02 07:05"]);
}

#[test]
fn centuries_between_start_and_now_cost_nothing() {
    for (every, unit, next) in [
        ("1", "minutes", "9998-12-31 23:59"),
        ("1", "hours", "9998-12-31 23:59"),
        ("1", "days", "9998-12-31 23:59"),
        ("1", "weeks", "9999-01-06 23:59"),
        ("1", "months", "9999-01-30 23:59"),
        ("1", "years", "9999-01-01 23:59"),
    ] {
        // A walk through all turns since 1970 would take minutes, and the test runner would end it.
        let start = if unit == "years" { "1970-01-01 23:59" } else { "1970-12-30 23:59" };
        for _ in 0..1000 {
            assert_eq!(runs_in_utc(&starting(start, every, unit), "9998-12-31T23:58:59Z", 1), [next], "{unit}");
        }
    }
}

#[test]
fn year_2038_is_a_year_as_others() {
    for (every, unit, next) in [("1", "minutes", "2038-01-19 03:15"), ("1", "days", "2038-01-20 03:14")] {
        let draft = starting("2026-01-01 03:14", every, unit);
        assert_eq!(runs_in_utc(&draft, "2038-01-19T03:14:07Z", 1), [next]);
    }
    let daily = starting("2026-01-01 02:30", "1", "days");
    assert_eq!(
        runs(&daily, "2500-03-13T12:00:00Z", "America/New_York", 2),
        ["2500-03-14 03:00 -04:00", "2500-03-15 02:30 -04:00"],
        "by the rule, long after the listed changes"
    );
}

#[test]
fn nothing_runs_after_the_last_instant_of_the_calendar() {
    // The last instant of the time library is 9999-12-30T22:00:00.999Z, which is December 31 on Kiritimati.
    let last = at("9999-12-30T22:00:00.999Z");
    for (unit, _) in model::schedule::UNITS {
        let late = starting("9999-12-31 11:59", "1", unit);
        let expected: &[_] = match unit {
            "minutes" => &["9999-12-31 11:59 +14:00", "9999-12-31 12:00 +14:00"],
            _ => &["9999-12-31 11:59 +14:00"],
        };
        assert_eq!(runs(&late, "9999-12-01T00:00:00Z", "Pacific/Kiritimati", 3), expected, "{unit}");
        for name in ["UTC", "America/New_York", "Australia/Lord_Howe"] {
            assert_eq!(runs(&late, "9999-12-01T00:00:00Z", name, 3), [""; 0], "{unit} {name}");
        }
        for name in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
            let endless = parsed(&starting("1970-01-01 00:00", "1", unit));
            let ends = parsed(&until("9999-12-31", starting("1970-01-01 00:00", "1", unit)));
            for after in [last, Timestamp(last.0 + 1), Timestamp(i64::MAX)] {
                assert_eq!(next_after(&endless, after, &zone(name)), None, "{unit} {name}");
                assert_eq!(next_after(&ends, after, &zone(name)), None, "{unit} {name}");
            }
            let soon = at("9999-12-28T00:00:00Z");
            assert_eq!(next_after(&endless, soon, &zone(name)), next_after(&ends, soon, &zone(name)), "{unit} {name}");
        }
    }
}
