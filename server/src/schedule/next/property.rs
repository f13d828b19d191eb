//! Compares the next run with a reference that walks the wall clock minute by minute, in the zones with the oddest
//! rules. The reference shares no arithmetic with the function: it looks at every minute, and counts the days of a
//! calendar one by one.
//!
//! To look longer: `PROPTEST_CASES=20000`.

use super::*;
use jiff::ToSpan;
use model::schedule::{Moment, Window};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::BTreeSet;

const ZONES: [&str; 8] = [
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Europe/Dublin",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "UTC",
];

/// The number of minutes that are walked after the instant, and before it, where the walk learns the state of the wall
/// clock.
const AHEAD: i64 = 5 * 24 * 60;
const BEHIND: i64 = 26 * 60;

#[derive(Debug)]
struct Case {
    zone: &'static str,
    after: jiff::Timestamp,
    schedule: Schedule,
}

/// Returns the minutes since 1970 from `from` on, with the time that the wall clock shows.
fn clock(zone: &TimeZone, from: i64, count: i64) -> impl Iterator<Item = (i64, civil::DateTime)> {
    (from..from + count).map(|minute| {
        let instant = jiff::Timestamp::from_second(minute * 60).expect("an instant");
        (minute, zone.to_datetime(instant))
    })
}

/// Returns the minutes since 1970 in `AHEAD` minutes after `after` at which the schedule runs.
fn walk(schedule: &Schedule, after: jiff::Timestamp, zone: &TimeZone) -> Vec<i64> {
    let first = after.as_millisecond().div_euclid(60_000) + 1;
    let minutes = clock(zone, first - BEHIND, BEHIND + AHEAD);
    let ends = schedule.ends.map(|date| civil_date(date).expect("a date"));
    let mut runs = match schedule.repeat {
        Repeat::Minutes { every, window } => walk_elapsed(schedule, (every.into(), window, ends), minutes, zone),
        Repeat::Hours { every, window } => walk_elapsed(schedule, (i64::from(every) * 60, window, ends), minutes, zone),
        _ => walk_planned(schedule, ends, minutes),
    };
    runs.retain(|minute| *minute >= first);
    runs
}

type Elapsed = (i64, Option<Window>, Option<civil::Date>);

fn walk_elapsed(
    schedule: &Schedule,
    (every, window, ends): Elapsed,
    minutes: impl Iterator<Item = (i64, civil::DateTime)>,
    zone: &TimeZone,
) -> Vec<i64> {
    let planned = start(schedule);
    let near = TimeZone::UTC.to_timestamp(planned).expect("an instant").as_second() / 60;
    let (begin, _) = clock(zone, near - 30 * 60, 5 * 24 * 60).find(|(_, shown)| *shown >= planned).expect("the start");
    let mut latest = civil::DateTime::MIN;
    let mut runs = Vec::new();
    for (minute, shown) in minutes {
        latest = latest.max(shown);
        let is_due = minute >= begin && (minute - begin) % every == 0;
        let is_within = window.is_none_or(|Window { from, to }| {
            let (from, to) = (civil_time(from).expect("a time"), civil_time(to).expect("a time"));
            let (is_after, is_before) = (shown.time() >= from, shown.time() < to);
            if from < to { is_after && is_before } else { is_after || is_before }
        });
        if is_due && is_within && ends.is_none_or(|ends| latest.date() <= ends) {
            runs.push(minute);
        }
    }
    runs
}

/// A planned time runs at the first minute at which the clock shows it or a later time.
fn walk_planned(
    schedule: &Schedule,
    ends: Option<civil::Date>,
    minutes: impl Iterator<Item = (i64, civil::DateTime)>,
) -> Vec<i64> {
    let mut minutes = minutes.peekable();
    let mut latest = minutes.peek().expect("a minute").1;
    let limit = latest.date().checked_add(30.days()).expect("a date");
    let planned = planned_dates(schedule, ends.map_or(limit, |ends| ends.min(limit)));
    let at = start(schedule).time();
    let mut runs = Vec::new();
    for (minute, shown) in minutes {
        if shown > latest {
            let newly_shown = |date: &civil::Date| {
                let planned = date.to_datetime(at);
                latest < planned && planned <= shown
            };
            if planned.range(latest.date()..=shown.date()).any(newly_shown) {
                runs.push(minute);
            }
            latest = shown;
        }
    }
    runs
}

/// Returns the planned dates up to `last`, found by a walk from the start date, day by day.
fn planned_dates(schedule: &Schedule, last: civil::Date) -> BTreeSet<civil::Date> {
    let start = start(schedule).date();
    let has_day = |date: civil::Date| {
        date.day() == start.day() || (date.day() < start.day() && date.day() == date.days_in_month())
    };
    let (mut date, mut days, mut months) = (start, 0, 0);
    let mut planned = BTreeSet::new();
    while date <= last {
        let is_planned = match schedule.repeat {
            Repeat::Days { every, weekdays } => {
                let weekday = usize::try_from((date.weekday().to_sunday_zero_offset() + 6) % 7).expect("a weekday");
                days % every == 0 && weekdays.contains(weekday)
            }
            Repeat::Weeks { every } => days % 7 == 0 && days / 7 % every == 0,
            Repeat::Months { every, day } => {
                months % every == 0
                    && match day {
                        MonthDay::Start => has_day(date),
                        MonthDay::First => date.day() == 1,
                        MonthDay::Fifteenth => date.day() == 15,
                        MonthDay::Last => date.tomorrow().expect("a date").day() == 1,
                    }
            }
            Repeat::Years { every } => months % 12 == 0 && months / 12 % every == 0 && has_day(date),
            _ => days == 0,
        };
        if is_planned {
            planned.insert(date);
        }
        date = date.tomorrow().expect("a date");
        days += 1;
        months += u32::from(date.day() == 1);
    }
    planned
}

fn start(schedule: &Schedule) -> civil::DateTime {
    let Moment { date, at } = schedule.start;
    civil_date(date).expect("a date").to_datetime(civil_time(at).expect("a time"))
}

/// Returns an instant from 1990 to 2040 in a zone: some days around a change of its clocks, or any.
fn zone_and_instant() -> impl Strategy<Value = (&'static str, jiff::Timestamp)> {
    let any = 631_152_000_000_i64..2_208_988_800_000;
    let around = -3 * 86_400_000_i64..86_400_000 / 2;
    (0..ZONES.len(), any, prop_oneof![3 => around.prop_map(Some), 1 => Just(None)], 0..4).prop_map(
        |(zone, any, around, quarter)| {
            let any = jiff::Timestamp::from_millisecond(any).expect("an instant");
            // A quarter of the cases of Apia are about the day that it skipped.
            let any = match (ZONES[zone], quarter) {
                ("Pacific/Apia", 0) => "2011-12-01T00:00:00Z".parse().expect("an instant"),
                _ => any,
            };
            let after = around.and_then(|around| {
                let change = get(ZONES[zone]).following(any).next()?.timestamp();
                change.checked_add(around.milliseconds()).ok()
            });
            (ZONES[zone], after.unwrap_or(any))
        },
    )
}

fn get(zone: &str) -> TimeZone {
    TimeZone::get(zone).expect("a known zone")
}

fn every() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(1_u32), 4 => 2..=12_u32, 2 => 1..=1000_u32]
}

fn time() -> impl Strategy<Value = Time> {
    // Clocks are changed at night.
    prop_oneof![1 => Just(0), 3 => 0..=240_u16, 2 => 0..1440_u16].prop_map(|minutes| later(Time::MIDNIGHT, minutes))
}

/// Returns the time of the day so many minutes later.
fn later(time: Time, minutes: u16) -> Time {
    let minute = (u16::from(time.hour()) * 60 + u16::from(time.minute()) + minutes) % 1440;
    Time::new((minute / 60) as u8, (minute % 60) as u8).expect("a time")
}

fn repeat() -> impl Strategy<Value = Repeat> {
    // Few minutes fall into a short window, and other minutes do after a change of the clock.
    let length = || prop_oneof![2 => 1..=120_u16, 1 => 1..1440_u16];
    let window = || {
        proptest::option::weighted(
            0.7,
            (time(), length()).prop_map(|(from, length)| Window { from, to: later(from, length) }),
        )
    };
    let weekdays = prop_oneof![Just(127), 1..=127_u8].prop_map(|bits| Weekdays::from_bits(bits).expect("weekdays"));
    let day =
        prop_oneof![Just(MonthDay::Start), Just(MonthDay::First), Just(MonthDay::Fifteenth), Just(MonthDay::Last)];
    prop_oneof![
        2 => (every(), window()).prop_map(|(every, window)| Repeat::Minutes { every, window }),
        2 => (every(), window()).prop_map(|(every, window)| Repeat::Hours { every, window }),
        4 => (every(), weekdays).prop_map(|(every, weekdays)| Repeat::Days { every, weekdays }),
        2 => every().prop_map(|every| Repeat::Weeks { every }),
        3 => (every(), day).prop_map(|(every, day)| Repeat::Months { every, day }),
        2 => every().prop_map(|every| Repeat::Years { every }),
        1 => Just(Repeat::Never),
    ]
}

/// Returns a case whose schedule has a turn within days of the instant, if the weekday and the window allow.
fn case() -> impl Strategy<Value = Case> {
    let ends = proptest::option::weighted(0.3, -4..12_i64);
    (zone_and_instant(), repeat(), time(), -1..6_i64, 0..60_i64, ends).prop_map(
        |((zone, after), repeat, at, days, turns, ends)| {
            let every = i64::from(repeat.every()) * turns;
            let near = get(zone).to_datetime(after).date().checked_add(days.days()).expect("a date");
            let back = match repeat {
                Repeat::Minutes { .. } => (every / 1440).days(),
                Repeat::Hours { .. } => (every / 24).days(),
                Repeat::Days { .. } => every.days(),
                Repeat::Weeks { .. } => every.weeks(),
                Repeat::Months { .. } => every.min(9999).months(),
                Repeat::Years { .. } => every.min(999).years(),
                Repeat::Never => 0.days(),
            };
            let model =
                |date: civil::Date| Date::new(date.year(), date.month().unsigned_abs(), date.day().unsigned_abs());
            let far = near.checked_sub(back).ok().and_then(model);
            let date = far.or_else(|| model(near)).expect("a date");
            let ends = ends.and_then(|days| model(near.checked_add(days.days()).expect("a date")));
            let schedule = Schedule {
                name: "Nightly".into(),
                description: String::new(),
                is_enabled: true,
                repeat,
                start: Moment { date, at },
                ends: ends.filter(|ends| *ends >= date),
            };
            Case { zone, after, schedule }
        },
    )
}

#[test]
fn next_runs_are_those_of_a_walk_minute_by_minute() {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { 150 };
    let config = Config { failure_persistence: None, ..Config::with_cases(cases) };
    let (seen, with_runs) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&case(), |case| {
        let zone = get(case.zone);
        let walked = walk(&case.schedule, case.after, &zone);
        let until = (case.after.as_millisecond().div_euclid(60_000) + AHEAD) * 60_000;
        let mut after = Timestamp(case.after.as_millisecond());
        let mut found = Vec::new();
        while let Some(next) = next_after(&case.schedule, after, &zone).filter(|next| next.0 <= until) {
            prop_assert!(next > after && next.0 % 60_000 == 0, "{next:?} after {after:?}");
            found.push(next.0 / 60_000);
            after = next;
        }
        seen.set(seen.get() + 1);
        with_runs.set(with_runs.get() + u32::from(!walked.is_empty()));
        prop_assert_eq!(found, walked);
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.expect_err("a failure"));
    let (seen, with_runs) = (seen.get(), with_runs.get());
    assert!(seen < 100 || with_runs * 2 > seen, "only {with_runs} of {seen} cases have runs");
}
