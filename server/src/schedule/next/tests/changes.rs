//! Tests of the days on which clocks are changed.

use super::*;

#[test]
fn window_follows_the_wall_clock_when_it_changes() {
    let daily = within("07:00", "08:00", starting("2026-03-01 00:00", "60", "minutes"));
    assert_eq!(
        runs(&daily, "2026-03-07T00:00:00Z", "America/New_York", 3),
        ["2026-03-07 07:00 -05:00", "2026-03-08 07:00 -04:00", "2026-03-09 07:00 -04:00"]
    );
    let right_after_the_gap = within("03:00", "03:30", starting("2026-03-01 00:00", "60", "minutes"));
    assert_eq!(
        runs(&right_after_the_gap, "2026-03-07T12:00:00Z", "America/New_York", 2),
        ["2026-03-08 03:00 -04:00", "2026-03-09 03:00 -04:00"]
    );
    let in_the_gap = within("02:00", "02:59", right_after_the_gap);
    assert_eq!(
        runs(&in_the_gap, "2026-03-07T12:00:00Z", "America/New_York", 1),
        ["2026-03-09 02:00 -04:00"],
        "the window does not exist on March 8"
    );
    // Every 24 h of elapsed time is at 07:30 only in summer.
    let half_year = within("07:00", "08:00", starting("2026-03-01 06:30", "24", "hours"));
    assert_eq!(
        runs(&half_year, "2026-03-01T00:00:00Z", "America/New_York", 1),
        ["2026-03-08 07:30 -04:00"],
        "the first one after the change"
    );
    assert_eq!(
        runs(&half_year, "2026-11-01T04:00:00Z", "America/New_York", 1),
        ["2027-03-14 07:30 -04:00"],
        "none in winter"
    );
}

#[test]
fn skipped_hour_runs_right_after_the_gap() {
    let daily = starting("2026-03-01 02:30", "1", "days");
    assert_eq!(
        runs(&daily, "2026-03-07T00:00:00Z", "America/New_York", 3),
        ["2026-03-07 02:30 -05:00", "2026-03-08 03:00 -04:00", "2026-03-09 02:30 -04:00"]
    );
    // Lord Howe skips half an hour: 02:00 becomes 02:30.
    let daily = starting("2026-09-01 02:15", "1", "days");
    assert_eq!(
        runs(&daily, "2026-10-03T00:00:00Z", "Australia/Lord_Howe", 2),
        ["2026-10-04 02:30 +11:00", "2026-10-05 02:15 +11:00"]
    );
    // By Irish law, winter time is the deviation from standard time in Dublin.
    let daily = starting("2026-03-01 01:30", "1", "days");
    assert_eq!(
        runs(&daily, "2026-03-28T12:00:00Z", "Europe/Dublin", 2),
        ["2026-03-29 02:00 +01:00", "2026-03-30 01:30 +01:00"]
    );
    let once = starting("2026-03-29 01:00", "1", "never");
    assert_eq!(runs(&once, "2026-01-01T00:00:00Z", "Europe/Dublin", 2), ["2026-03-29 02:00 +01:00"]);
}

#[test]
fn repeated_hour_runs_once() {
    let daily = starting("2026-10-01 01:30", "1", "days");
    assert_eq!(
        runs(&daily, "2026-10-31T12:00:00Z", "America/New_York", 2),
        ["2026-11-01 01:30 -04:00", "2026-11-02 01:30 -05:00"]
    );
    assert_eq!(
        runs(&daily, "2026-11-01T06:00:00Z", "America/New_York", 1),
        ["2026-11-02 01:30 -05:00"],
        "the clock shows 01:00 again"
    );
    let daily = starting("2026-04-01 01:45", "1", "days");
    assert_eq!(
        runs(&daily, "2026-04-04T00:00:00Z", "Australia/Lord_Howe", 2),
        ["2026-04-05 01:45 +11:00", "2026-04-06 01:45 +10:30"]
    );
    let daily = starting("2026-10-01 01:30", "1", "days");
    assert_eq!(
        runs(&daily, "2026-10-24T12:00:00Z", "Europe/Dublin", 2),
        ["2026-10-25 01:30 +01:00", "2026-10-26 01:30 +00:00"]
    );
}

#[test]
fn minutes_and_hours_do_not_care_for_changed_clocks() {
    let hourly = starting("2026-03-01 00:30", "1", "hours");
    assert_eq!(
        runs(&hourly, "2026-03-08T06:00:00Z", "America/New_York", 2),
        ["2026-03-08 01:30 -05:00", "2026-03-08 03:30 -04:00"]
    );
    assert_eq!(
        runs(&hourly, "2026-11-01T05:00:00Z", "America/New_York", 3),
        ["2026-11-01 01:30 -04:00", "2026-11-01 01:30 -05:00", "2026-11-01 02:30 -05:00"]
    );
}

#[test]
fn skipped_day_runs_when_the_next_begins() {
    // Samoa went to the other side of the date line: 2011-12-29 was followed by 2011-12-31.
    let daily = starting("2011-12-01 07:05", "1", "days");
    assert_eq!(
        runs(&daily, "2011-12-29T12:00:00Z", "Pacific/Apia", 4),
        ["2011-12-29 07:05 -10:00", "2011-12-31 00:00 +14:00", "2011-12-31 07:05 +14:00", "2012-01-01 07:05 +14:00"]
    );
    let midnight = starting("2011-12-01 00:00", "1", "days");
    assert_eq!(
        runs(&midnight, "2011-12-29T12:00:00Z", "Pacific/Apia", 2),
        ["2011-12-31 00:00 +14:00", "2012-01-01 00:00 +14:00"],
        "one instant is one run"
    );
    let ends = until("2011-12-30", daily);
    assert_eq!(
        runs(&ends, "2011-12-29T18:00:00Z", "Pacific/Apia", 2),
        ["2011-12-31 00:00 +14:00"],
        "the run of the end date"
    );
}

#[test]
fn ramadan_sets_the_clocks_of_casablanca_twice() {
    let daily = starting("2026-01-01 02:30", "1", "days");
    assert_eq!(
        runs(&daily, "2026-02-14T12:00:00Z", "Africa/Casablanca", 2),
        ["2026-02-15 02:30 +01:00", "2026-02-16 02:30 +00:00"]
    );
    assert_eq!(
        runs(&daily, "2026-03-21T12:00:00Z", "Africa/Casablanca", 2),
        ["2026-03-22 03:00 +01:00", "2026-03-23 02:30 +01:00"]
    );
}
