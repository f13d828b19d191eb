//! A schedule in words, for its page and beside its form. Called by the server only.

use super::{Date, MonthDay, Repeat, Schedule, WEEKDAYS, Weekdays, Window};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Returns the rule of a schedule as a sentence: `Every 2 weeks on Monday at 07:00, from 2026-03-02 until 2026-12-31.`
pub fn summary(schedule: &Schedule) -> String {
    let (date, at) = (schedule.start.date, schedule.start.at);
    let rhythm = match schedule.repeat {
        Repeat::Never => return format!("Once, on {date} at {at}."),
        Repeat::Minutes { every, window } => format!("{}{}", each(every, "minute"), part_of_day(window)),
        Repeat::Hours { every, window } => format!("{}{}", each(every, "hour"), part_of_day(window)),
        Repeat::Days { every, weekdays } => format!("{} at {at}", days(every, weekdays)),
        Repeat::Weeks { every } => format!("{} on {} at {at}", each(every, "week"), WEEKDAYS[date.weekday()].1),
        Repeat::Months { every, day } => format!("{} on {} at {at}", each(every, "month"), day_of_month(day, date)),
        Repeat::Years { every } => format!("{} on {} at {at}", each(every, "year"), day_of_year(date)),
    };
    let start = match schedule.repeat {
        Repeat::Minutes { .. } | Repeat::Hours { .. } => format!("counted from {date} at {at}"),
        _ => format!("from {date}"),
    };
    let end = schedule.ends.map(|end| format!(" until {end}")).unwrap_or_default();
    format!("{rhythm}, {start}{end}.")
}

fn each(every: u32, unit: &str) -> String {
    if every == 1 { format!("Every {unit}") } else { format!("Every {every} {unit}s") }
}

fn part_of_day(window: Option<Window>) -> String {
    window.map_or_else(String::new, |Window { from, to }| {
        let over = if to < from { " of the next day" } else { "" };
        format!(" from {from} to {to}{over}")
    })
}

fn days(every: u32, weekdays: Weekdays) -> String {
    let names: Vec<_> = (0..7).filter(|index| weekdays.contains(*index)).map(|index| WEEKDAYS[index].1).collect();
    let list = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    };
    match (every, weekdays == Weekdays::ALL) {
        (_, true) => each(every, "day"),
        (1, false) => format!("Every {list}"),
        (_, false) => format!("{}, but only on {list},", each(every, "day")),
    }
}

fn day_of_month(day: MonthDay, start: Date) -> String {
    match (day, start.day()) {
        (MonthDay::First, _) => "the first day".to_owned(),
        (MonthDay::Fifteenth, _) => "day 15".to_owned(),
        (MonthDay::Last, _) => "the last day".to_owned(),
        (MonthDay::Start, day @ 29..) => format!("day {day} (the last day of shorter months)"),
        (MonthDay::Start, day) => format!("day {day}"),
    }
}

fn day_of_year(start: Date) -> String {
    let other = if (start.month(), start.day()) == (2, 29) { " (February 28 in other years)" } else { "" };
    format!("{} {}{other}", MONTHS[usize::from(start.month()) - 1], start.day())
}
