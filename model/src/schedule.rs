//! Schedules: the rules by which tasks run by the clock. This module has the types. [`ScheduleDraft::parse`] reads a
//! form, and [`summary()`] describes a rule.
//!
//! Dates and times here are those of a wall clock, without a zone. The instants of the runs are computed by the server,
//! which has the time zone data. That data must not be in this crate, since it would be sent to every browser.

mod date;
mod draft;
mod summary;
#[cfg(test)]
mod tests;
mod trigger;
mod zone;

pub use date::{Date, Moment, Time};
pub use draft::ScheduleDraft;
pub use summary::summary;
pub use trigger::{Trigger, TriggerDraft};
pub use zone::ZoneDraft;

use serde::{Deserialize, Serialize};

/// The most characters the name of a schedule may have.
pub const NAME_MAX: usize = 64;
/// The largest number in *Repeat Every*.
pub const EVERY_MAX: u32 = 1000;

/// The units of *Repeat Every*: the value in the form and its label.
pub const UNITS: [(&str, &str); 7] = [
    ("minutes", "Minute(s)"),
    ("hours", "Hour(s)"),
    ("days", "Day(s)"),
    ("weeks", "Week(s)"),
    ("months", "Month(s)"),
    ("years", "Year(s)"),
    ("never", "Does Not Repeat"),
];

/// The choices for the day of a month: the value in the form and its label.
pub const MONTH_DAYS: [(&str, &str); 4] =
    [("start", "The Start Date's Day"), ("first", "First"), ("fifteenth", "15th"), ("last", "Last")];

/// The weekdays in the order of [`Weekdays`]: the name of the form field and its label.
pub const WEEKDAYS: [(&str, &str); 7] = [
    ("monday", "Monday"),
    ("tuesday", "Tuesday"),
    ("wednesday", "Wednesday"),
    ("thursday", "Thursday"),
    ("friday", "Friday"),
    ("saturday", "Saturday"),
    ("sunday", "Sunday"),
];

/// A checked schedule, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Unique, 1 to 64 characters.
    pub name: String,
    /// The purpose. May be empty.
    pub description: String,
    /// The schedule starts its tasks.
    pub is_enabled: bool,
    /// The rhythm, counted from the start.
    pub repeat: Repeat,
    /// The beginning of the rhythm. May be in the past.
    pub start: Moment,
    /// The last date on which the schedule runs. `None` if it never ends.
    pub ends: Option<Date>,
}

/// The rhythm of a schedule. Each `every` is 1 to 1000.
///
/// Minutes and hours are elapsed time. Days and longer units follow the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "unit", rename_all = "lowercase")]
pub enum Repeat {
    /// Every `every` minutes after the start.
    Minutes {
        /// The number of minutes.
        every: u32,
        /// The part of the day in which the schedule runs. `None`: all day.
        window: Option<Window>,
    },
    /// Every `every` hours after the start.
    Hours {
        /// The number of hours.
        every: u32,
        /// The part of the day in which the schedule runs. `None`: all day.
        window: Option<Window>,
    },
    /// Every `every` days from the start date, only on the chosen weekdays.
    Days {
        /// The number of days.
        every: u32,
        /// The weekdays on which the schedule runs.
        weekdays: Weekdays,
    },
    /// Every `every` weeks, on the weekday of the start date.
    Weeks {
        /// The number of weeks.
        every: u32,
    },
    /// Every `every` months, counted from the month of the start date.
    Months {
        /// The number of months.
        every: u32,
        /// The day of the month.
        day: MonthDay,
    },
    /// Every `every` years, on the day of the start date. February 29 becomes February 28 in other years.
    Years {
        /// The number of years.
        every: u32,
    },
    /// Once, at the start.
    Never,
}

impl Repeat {
    /// Returns the value of the form's unit, one of [`UNITS`].
    pub fn unit(&self) -> &'static str {
        let index = match self {
            Self::Minutes { .. } => 0,
            Self::Hours { .. } => 1,
            Self::Days { .. } => 2,
            Self::Weeks { .. } => 3,
            Self::Months { .. } => 4,
            Self::Years { .. } => 5,
            Self::Never => 6,
        };
        UNITS[index].0
    }

    /// Returns the number of units between runs, 1 to 1000. It is 1 for a schedule that does not repeat.
    pub fn every(&self) -> u32 {
        match *self {
            Self::Minutes { every, .. }
            | Self::Hours { every, .. }
            | Self::Days { every, .. }
            | Self::Weeks { every }
            | Self::Months { every, .. }
            | Self::Years { every } => every,
            Self::Never => 1,
        }
    }
}

/// The day of a month on which a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MonthDay {
    /// The day of the start date; the last day of a month that lacks this day.
    Start,
    /// The first day.
    First,
    /// The 15th day.
    Fifteenth,
    /// The last day.
    Last,
}

impl MonthDay {
    /// All of them, in the order of [`MONTH_DAYS`].
    const ALL: [Self; 4] = [Self::Start, Self::First, Self::Fifteenth, Self::Last];

    /// Returns the value in the form, one of [`MONTH_DAYS`].
    pub fn as_str(self) -> &'static str {
        MONTH_DAYS[self as usize].0
    }

    /// Returns the day with this value.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.as_str() == word)
    }
}

/// A part of each day, on the wall clock. It crosses midnight if `to` is before `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first minute.
    pub from: Time,
    /// The first minute after the window. Never equal to `from`.
    pub to: Time,
}

/// A set of weekdays, never empty. Serialised as a number: Monday is bit 0, Sunday is bit 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day of the week.
    pub const ALL: Self = Self(0b111_1111);

    /// Returns the set of these bits. `None` if there is no weekday among them, or more than seven bits.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (1..=Self::ALL.0).contains(&bits).then_some(Self(bits))
    }

    /// Returns true if the set has the weekday with this index. Monday is 0, Sunday is 6.
    pub fn contains(self, weekday: usize) -> bool {
        weekday < 7 && self.0 >> weekday & 1 == 1
    }
}

impl TryFrom<u8> for Weekdays {
    type Error = &'static str;

    fn try_from(bits: u8) -> Result<Self, Self::Error> {
        Self::from_bits(bits).ok_or("a set of weekdays is a number from 1 to 127")
    }
}

impl From<Weekdays> for u8 {
    fn from(weekdays: Weekdays) -> Self {
        weekdays.0
    }
}
