//! Tests of the form's rules, the round trip between draft and schedule, and the words.

use super::*;

fn date(text: &str) -> Date {
    Date::parse(text).expect("a date")
}

fn time(text: &str) -> Time {
    Time::parse(text).expect("a time")
}

fn weekdays(bits: u8) -> Weekdays {
    Weekdays::from_bits(bits).expect("weekdays")
}

fn schedule(repeat: Repeat) -> Schedule {
    Schedule {
        name: "Nightly".into(),
        description: "What for".into(),
        is_enabled: true,
        repeat,
        start: Moment { date: date("2026-01-31"), at: time("07:05") },
        ends: None,
    }
}

fn window(from: &str, to: &str) -> Window {
    Window { from: time(from), to: time(to) }
}

/// Returns one schedule of each kind.
fn each_kind() -> Vec<Schedule> {
    [
        Repeat::Minutes { every: 15, window: None },
        Repeat::Minutes { every: 1, window: Some(window("08:00", "18:30")) },
        Repeat::Hours { every: 1000, window: Some(window("22:00", "06:00")) },
        Repeat::Days { every: 1, weekdays: Weekdays::ALL },
        Repeat::Days { every: 2, weekdays: weekdays(0b101_0001) },
        Repeat::Weeks { every: 2 },
        Repeat::Months { every: 3, day: MonthDay::Start },
        Repeat::Months { every: 1, day: MonthDay::First },
        Repeat::Months { every: 1, day: MonthDay::Fifteenth },
        Repeat::Months { every: 1, day: MonthDay::Last },
        Repeat::Years { every: 1 },
        Repeat::Never,
    ]
    .map(schedule)
    .into()
}

fn valid(unit: &str) -> ScheduleDraft {
    ScheduleDraft { name: "Nightly".into(), unit: unit.into(), ..ScheduleDraft::new_form(date("2026-03-10")) }
}

/// Returns the only wrong field with its message.
fn refusal(draft: &ScheduleDraft) -> (String, String) {
    let mut errors = draft.parse().expect_err("a wrong draft").0;
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = errors.remove(0);
    (error.field, error.message)
}

#[test]
fn new_form_with_a_name_runs_daily_at_midnight_from_today_on() {
    let expected = Schedule {
        name: "Nightly".into(),
        description: String::new(),
        is_enabled: true,
        repeat: Repeat::Days { every: 1, weekdays: Weekdays::ALL },
        start: Moment { date: date("2026-03-10"), at: Time::MIDNIGHT },
        ends: None,
    };
    assert_eq!(valid("days").parse(), Ok(expected));
}

#[test]
fn edit_without_a_change_saves_the_stored_schedule() {
    for schedule in each_kind() {
        assert_eq!(ScheduleDraft::of(&schedule, 3).parse().as_ref(), Ok(&schedule));
        assert_eq!(ScheduleDraft::of(&schedule, 3).revision, "3");
    }
    for schedule in each_kind().into_iter().filter(|schedule| schedule.repeat != Repeat::Never) {
        let schedule = Schedule { ends: Some(date("9999-12-31")), is_enabled: false, ..schedule };
        assert_eq!(ScheduleDraft::of(&schedule, 3).parse(), Ok(schedule));
    }
}

#[test]
fn stored_document_is_read_as_it_was_written() {
    for schedule in each_kind() {
        let document = serde_json::to_string(&schedule).expect("a document");
        assert_eq!(serde_json::from_str::<Schedule>(&document).ok(), Some(schedule), "{document}");
    }
    let days = Schedule { ends: Some(date("2026-12-31")), ..each_kind().swap_remove(4) };
    let document = r#"{"name":"Nightly","description":"What for","is_enabled":true,"repeat":{"unit":"days","every":2,"weekdays":81},"start":{"date":"2026-01-31","at":"07:05"},"ends":"2026-12-31"}"#;
    assert_eq!(serde_json::to_string(&days).ok().as_deref(), Some(document), "rows of earlier versions have it");
    for wrong in ["81", "\"2026-01-31\"", "\"07:05\""] {
        let document = document.replace(wrong, if wrong == "81" { "0" } else { "\"2026-02-30\"" });
        assert!(serde_json::from_str::<Schedule>(&document).is_err(), "{document}");
    }
}

#[test]
fn date_that_does_not_exist_is_refused_with_one_that_would_be_right() {
    for text in ["1970-01-01", "9999-12-31", "2024-02-29", "2000-02-29", " 2026-03-31 "] {
        assert_eq!(Date::parse(text).map(|date| date.to_string()).as_deref(), Ok(text.trim()));
    }
    for (typed, right) in [
        ("2026-02-30", "01 to 28"),
        ("2024-02-30", "01 to 29"),
        ("2100-02-29", "01 to 28"),
        ("2026-04-31", "01 to 30"),
        ("2026-01-00", "01 to 31"),
        ("2026-01-32", "01 to 31"),
        ("2026-13-01", "month from 01 to 12"),
        ("2026-00-01", "month from 01 to 12"),
        ("10000-01-01", "year from 1970 to 9999"),
        ("99999999999-01-01", "year from 1970 to 9999"),
        ("1969-12-31", "year from 1970 to 9999"),
        ("0000-01-01", "year from 1970 to 9999"),
        ("", "like 2026-03-31"),
        ("tomorrow", "like 2026-03-31"),
        ("26-03-31", "like 2026-03-31"),
        ("2026-3-31", "like 2026-03-31"),
        ("2026-03-1", "like 2026-03-31"),
        ("31.03.2026", "like 2026-03-31"),
        ("2026-03", "like 2026-03-31"),
        ("2026-03-31-01", "like 2026-03-31"),
        ("-2026-03-31", "like 2026-03-31"),
        ("+2026-03-31", "like 2026-03-31"),
        ("2026-03-31T00:00", "like 2026-03-31"),
        ("２０２６-03-31", "like 2026-03-31"),
    ] {
        let message = Date::parse(typed).expect_err(typed);
        assert!(message.contains(right), "{typed}: {message}");
        let field = refusal(&ScheduleDraft { start_date: typed.into(), ..valid("never") });
        assert_eq!(field, ("start_date".into(), message));
    }
}

#[test]
fn time_that_does_not_exist_is_refused() {
    for text in ["00:00", "07:05", "23:59", " 07:05 "] {
        assert_eq!(Time::parse(text).map(|time| time.to_string()).as_deref(), Ok(text.trim()));
    }
    for typed in ["", "24:00", "23:60", "7:5", "7:05", "07:5", "0705", "07:05:00", "-1:00", "+7:05", "noon", "٠٧:٠٥"]
    {
        let (field, message) = refusal(&ScheduleDraft { start_time: typed.into(), ..valid("years") });
        assert_eq!((field.as_str(), message.contains("like 07:05")), ("start_time", true), "{typed}: {message}");
    }
}

#[test]
fn each_wrong_field_is_refused_with_a_sentence() {
    let of = |unit: &str, change: &dyn Fn(&mut ScheduleDraft)| {
        let mut draft = valid(unit);
        change(&mut draft);
        refusal(&draft)
    };
    let empty = |draft: &mut ScheduleDraft| {
        (draft.all_day, draft.window_from, draft.window_to) = (String::new(), "08:00".into(), "08:00".into());
    };
    let ended = |draft: &mut ScheduleDraft| {
        (draft.never_ends, draft.end_date) = (String::new(), "2026-03-09".into());
    };
    for (refused, field, right) in [
        (of("days", &|draft| draft.name = " ".into()), "name", "1 to 64"),
        (of("days", &|draft| draft.name = "x".repeat(65)), "name", "64 are the most"),
        (of("days", &|draft| draft.description = "x".repeat(1001)), "description", "1000 are the most"),
        (of("fortnights", &|_| ()), "unit", "Choose one of the listed units."),
        (of("", &|_| ()), "unit", "Choose one of the listed units."),
        (of("days", &|draft| uncheck(draft)), "monday", "at least one"),
        (of("months", &|draft| draft.month_day = "31".into()), "month_day", "listed days"),
        (of("minutes", &empty), "window_to", "not its beginning"),
        (of("hours", &empty), "window_to", "not its beginning"),
        (of("weeks", &ended), "end_date", "Enter 2026-03-10 or a later date"),
        (of("weeks", &|draft| draft.never_ends = String::new()), "end_date", "like 2026-03-31"),
    ] {
        assert_eq!((refused.0.as_str(), refused.1.contains(right)), (field, true), "{refused:?}");
    }
    for every in ["", "0", "1001", "-1", "1.5", "two", "99999999999"] {
        for unit in UNITS.iter().filter(|unit| unit.0 != "never") {
            let refused = of(unit.0, &|draft| draft.every = every.into());
            assert_eq!(refused, ("every".to_owned(), "Enter a whole number from 1 to 1000.".to_owned()));
        }
    }
    for wrong in ["", "24:00", "8"] {
        let refused = of("minutes", &|draft| {
            (draft.all_day, draft.window_from, draft.window_to) = (String::new(), wrong.into(), "08:00".into());
        });
        assert_eq!(refused.0, "window_from");
        let refused = of("hours", &|draft| {
            (draft.all_day, draft.window_from, draft.window_to) = (String::new(), "08:00".into(), wrong.into());
        });
        assert_eq!(refused.0, "window_to");
    }
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_form() {
    let nothing = |unit: &str| ScheduleDraft {
        unit: unit.into(),
        every: String::new(),
        month_day: String::new(),
        start_time: String::new(),
        ..ScheduleDraft::default()
    };
    let wrong = |unit: &str| {
        let errors = nothing(unit).parse().expect_err("nothing is typed");
        errors.0.into_iter().map(|error| error.field).collect::<Vec<_>>()
    };
    let times = ["name", "every", "start_date", "start_time", "window_from", "window_to", "end_date"];
    assert_eq!(wrong("minutes"), times);
    assert_eq!(wrong("hours"), times);
    assert_eq!(wrong("days"), ["name", "every", "monday", "start_date", "start_time", "end_date"]);
    assert_eq!(wrong("weeks"), ["name", "every", "start_date", "start_time", "end_date"]);
    assert_eq!(wrong("months"), ["name", "every", "month_day", "start_date", "start_time", "end_date"]);
    assert_eq!(wrong("years"), ["name", "every", "start_date", "start_time", "end_date"]);
    assert_eq!(wrong("never"), ["name", "start_date", "start_time"]);
}

#[test]
fn field_that_the_unit_hides_is_not_checked() {
    for (unit, _) in UNITS {
        let mut draft = ScheduleDraft {
            every: if unit == "never" { "x".into() } else { "7".into() },
            window_from: "x".into(),
            window_to: "x".into(),
            end_date: "x".into(),
            all_day: switch_of(matches!(unit, "minutes" | "hours")),
            never_ends: switch_of(unit != "never"),
            month_day: if unit == "months" { "last".into() } else { "x".into() },
            ..valid(unit)
        };
        if unit != "days" {
            uncheck(&mut draft);
        }
        let schedule = draft.parse().expect("only hidden fields are wrong");
        assert_eq!((schedule.repeat.unit(), schedule.ends), (unit, None));
    }
}

fn uncheck(draft: &mut ScheduleDraft) {
    for pill in [
        &mut draft.monday,
        &mut draft.tuesday,
        &mut draft.wednesday,
        &mut draft.thursday,
        &mut draft.friday,
        &mut draft.saturday,
        &mut draft.sunday,
    ] {
        pill.clear();
    }
}

fn switch_of(is_on: bool) -> String {
    crate::draft::switch(is_on)
}

#[test]
fn weekday_of_a_date_is_that_of_the_calendar() {
    for (text, weekday) in
        [("1970-01-01", "Thursday"), ("2024-02-29", "Thursday"), ("2026-03-02", "Monday"), ("9999-12-31", "Friday")]
    {
        assert_eq!(WEEKDAYS[date(text).weekday()].1, weekday, "{text}");
    }
}

#[test]
fn pills_are_the_bits_of_their_weekdays() {
    for bits in 1..=127 {
        let schedule = schedule(Repeat::Days { every: 1, weekdays: weekdays(bits) });
        let draft = ScheduleDraft::of(&schedule, 1);
        assert_eq!(draft.monday == "true", bits & 1 == 1);
        assert_eq!(draft.sunday == "true", bits & 64 == 64);
        assert_eq!(draft.parse(), Ok(schedule));
    }
    assert_eq!((Weekdays::from_bits(0), Weekdays::from_bits(128)), (None, None));
}

#[test]
fn summary_says_the_rule_in_words() {
    let words = each_kind().iter().map(summary).collect::<Vec<_>>();
    assert_eq!(
        words,
        [
            "Every 15 minutes, counted from 2026-01-31 at 07:05.",
            "Every minute from 08:00 to 18:30, counted from 2026-01-31 at 07:05.",
            "Every 1000 hours from 22:00 to 06:00 of the next day, counted from 2026-01-31 at 07:05.",
            "Every day at 07:05, from 2026-01-31.",
            "Every 2 days, but only on Monday, Friday and Sunday, at 07:05, from 2026-01-31.",
            "Every 2 weeks on Saturday at 07:05, from 2026-01-31.",
            "Every 3 months on day 31 (the last day of shorter months) at 07:05, from 2026-01-31.",
            "Every month on the first day at 07:05, from 2026-01-31.",
            "Every month on day 15 at 07:05, from 2026-01-31.",
            "Every month on the last day at 07:05, from 2026-01-31.",
            "Every year on January 31 at 07:05, from 2026-01-31.",
            "Once, on 2026-01-31 at 07:05.",
        ]
    );
    let leap = Schedule {
        start: Moment { date: date("2024-02-29"), at: Time::MIDNIGHT },
        ends: Some(date("2040-12-31")),
        ..schedule(Repeat::Years { every: 4 })
    };
    let words = "Every 4 years on February 29 (February 28 in other years) at 00:00, from 2024-02-29 until 2040-12-31.";
    assert_eq!(summary(&leap), words);
    let two = schedule(Repeat::Days { every: 1, weekdays: weekdays(0b11) });
    assert_eq!(summary(&two), "Every Monday and Tuesday at 07:05, from 2026-01-31.");
    let one = schedule(Repeat::Days { every: 1, weekdays: weekdays(0b10) });
    assert_eq!(summary(&one), "Every Tuesday at 07:05, from 2026-01-31.");
}
