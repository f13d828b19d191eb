//! A schedule as typed, and the rules of its form. A field that the chosen unit or switch hides is not checked.

use super::{Date, EVERY_MAX, Moment, MonthDay, NAME_MAX, Repeat, Schedule, Time, UNITS, WEEKDAYS, Weekdays, Window};
use crate::draft::{draft, switch};
use crate::field_error::FieldErrors;
use crate::task::DESCRIPTION_MAX;
use crate::text;

draft! {
    /// A schedule as typed. Field names are those of the form and of the plain post.
    pub struct ScheduleDraft {
        name,
        description,
        enabled,
        every = "1",
        unit = "days",
        monday,
        tuesday,
        wednesday,
        thursday,
        friday,
        saturday,
        sunday,
        month_day = "start",
        start_date,
        start_time = "00:00",
        /// `true`: no window.
        all_day,
        window_from,
        window_to,
        /// `true`: no end date.
        never_ends,
        end_date,
        /// The revision the form was opened on; empty for a new schedule.
        revision,
    }
}

impl ScheduleDraft {
    /// Returns a new schedule as the empty form shows it: daily at midnight from today on. `today` is the date in the
    /// console's time zone.
    pub fn new_form(today: Date) -> Self {
        let mut draft = Self {
            enabled: switch(true),
            start_date: today.to_string(),
            all_day: switch(true),
            never_ends: switch(true),
            ..Self::default()
        };
        draft.set_weekdays(Weekdays::ALL);
        draft
    }

    /// Returns the draft of a stored schedule, as its form shows it. Fields of other units have the texts of a new form.
    pub fn of(schedule: &Schedule, revision: i64) -> Self {
        let (window, weekdays, month_day) = match schedule.repeat {
            Repeat::Minutes { window, .. } | Repeat::Hours { window, .. } => (window, Weekdays::ALL, MonthDay::Start),
            Repeat::Days { weekdays, .. } => (None, weekdays, MonthDay::Start),
            Repeat::Months { day, .. } => (None, Weekdays::ALL, day),
            Repeat::Weeks { .. } | Repeat::Years { .. } | Repeat::Never => (None, Weekdays::ALL, MonthDay::Start),
        };
        let mut draft = Self {
            name: schedule.name.clone(),
            description: schedule.description.clone(),
            enabled: switch(schedule.is_enabled),
            every: schedule.repeat.every().to_string(),
            unit: schedule.repeat.unit().to_owned(),
            month_day: month_day.as_str().to_owned(),
            start_date: schedule.start.date.to_string(),
            start_time: schedule.start.at.to_string(),
            all_day: switch(window.is_none()),
            window_from: window.map(|window| window.from.to_string()).unwrap_or_default(),
            window_to: window.map(|window| window.to.to_string()).unwrap_or_default(),
            never_ends: switch(schedule.ends.is_none()),
            end_date: schedule.ends.map(|date| date.to_string()).unwrap_or_default(),
            revision: revision.to_string(),
            ..Self::default()
        };
        draft.set_weekdays(weekdays);
        draft
    }

    fn set_weekdays(&mut self, weekdays: Weekdays) {
        let pills = [
            &mut self.monday,
            &mut self.tuesday,
            &mut self.wednesday,
            &mut self.thursday,
            &mut self.friday,
            &mut self.saturday,
            &mut self.sunday,
        ];
        for (index, pill) in pills.into_iter().enumerate() {
            *pill = switch(weekdays.contains(index));
        }
    }

    /// Checks every field that the chosen unit has. A schedule that never runs passes, since finding that out needs the
    /// time zone.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form. The error of the weekdays is that of Monday, the first of them.
    pub fn parse(&self) -> Result<Schedule, FieldErrors> {
        let mut errors = FieldErrors::default();
        let unit = self.unit.as_str();
        let name = errors.check("name", text::parse_name(&self.name, NAME_MAX));
        let description =
            errors.check("description", text::parse_text(&self.description, "description", DESCRIPTION_MAX));
        let repeats = unit != "never";
        let every =
            repeats.then(|| errors.check("every", text::parse_number(&self.every, 1..=EVERY_MAX, ""))).flatten();
        if !UNITS.iter().any(|(known, _)| *known == unit) {
            errors.add("unit", "Choose one of the listed units.");
        }
        let weekdays = self.weekdays();
        if unit == "days" && weekdays.is_none() {
            errors.add(WEEKDAYS[0].0, "Check at least one weekday.");
        }
        let month_day = MonthDay::find(&self.month_day);
        if unit == "months" && month_day.is_none() {
            errors.add("month_day", "Choose one of the listed days.");
        }
        let date = errors.check("start_date", Date::parse(&self.start_date));
        let at = errors.check("start_time", Time::parse(&self.start_time));
        let has_window = matches!(unit, "minutes" | "hours") && self.all_day != "true";
        let window = has_window.then(|| self.parse_window(&mut errors)).flatten();
        let has_end = repeats && self.never_ends != "true";
        let ends = has_end.then(|| self.parse_end(date, &mut errors)).flatten();

        // A wrong field gets a stand-in, which is never used: the draft is refused with its errors.
        let every = every.unwrap_or(1);
        let repeat = match unit {
            "minutes" => Repeat::Minutes { every, window },
            "hours" => Repeat::Hours { every, window },
            "days" => Repeat::Days { every, weekdays: weekdays.unwrap_or(Weekdays::ALL) },
            "weeks" => Repeat::Weeks { every },
            "months" => Repeat::Months { every, day: month_day.unwrap_or(MonthDay::Start) },
            "years" => Repeat::Years { every },
            _ => Repeat::Never,
        };
        match (name, description, date, at) {
            (Some(name), Some(description), Some(date), Some(at)) if errors.is_empty() => Ok(Schedule {
                name,
                description,
                is_enabled: self.enabled == "true",
                repeat,
                start: Moment { date, at },
                ends,
            }),
            _ => Err(errors),
        }
    }

    fn weekdays(&self) -> Option<Weekdays> {
        let pills =
            [&self.sunday, &self.saturday, &self.friday, &self.thursday, &self.wednesday, &self.tuesday, &self.monday];
        Weekdays::from_bits(pills.into_iter().fold(0, |bits, pill| bits << 1 | u8::from(pill == "true")))
    }

    fn parse_window(&self, errors: &mut FieldErrors) -> Option<Window> {
        let from = errors.check("window_from", Time::parse(&self.window_from));
        let to = errors.check("window_to", Time::parse(&self.window_to));
        let window = Window { from: from?, to: to? };
        if window.from == window.to {
            errors.add("window_to", "This window is empty. Enter a time that is not its beginning, or choose All Day.");
        }
        Some(window)
    }

    fn parse_end(&self, start: Option<Date>, errors: &mut FieldErrors) -> Option<Date> {
        let end = errors.check("end_date", Date::parse(&self.end_date))?;
        if let Some(start) = start.filter(|start| end < *start) {
            errors.add(
                "end_date",
                format!("This is before the start date. Enter {start} or a later date, or choose Never Ends."),
            );
        }
        Some(end)
    }
}
