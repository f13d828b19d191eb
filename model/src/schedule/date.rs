//! Dates and times of a wall clock, and their texts as date and time fields of browsers post them. The texts are read
//! by hand, since the parsers of a date library would be a large part of the browser half.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A date that exists in the Gregorian calendar, from 1970-01-01 to 9999-12-31. Serialised as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: i16,
    month: u8,
    day: u8,
}

/// A time of the day, in whole minutes: 00:00 to 23:59. Serialised as `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time {
    hour: u8,
    minute: u8,
}

/// A date with a time, on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// The date.
    pub date: Date,
    /// The time of the day.
    pub at: Time,
}

impl Date {
    /// Returns the date, or `None` if no such date exists from 1970 to 9999.
    pub fn new(year: i16, month: u8, day: u8) -> Option<Self> {
        let exists = (1970..=9999).contains(&year) && (1..=days_in(year, month)).contains(&day);
        exists.then_some(Self { year, month, day })
    }

    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn parse(typed: &str) -> Result<Self, String> {
        let parts: Vec<_> = typed.trim().split('-').collect();
        let &[year, month, day] = &parts[..] else { return Err(SHAPE.to_owned()) };
        let (Some(month), Some(day)) = (two_digits(month), two_digits(day)) else { return Err(SHAPE.to_owned()) };
        if year.len() < 4 || !year.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SHAPE.to_owned());
        }
        let Some(year) = year.parse().ok().filter(|year| (1970..=9999).contains(year)) else {
            return Err("Enter a date with a year from 1970 to 9999.".to_owned());
        };
        match days_in(year, month) {
            0 => Err("This month does not exist. Enter a date with a month from 01 to 12.".to_owned()),
            days => Self::new(year, month, day)
                .ok_or_else(|| format!("This day does not exist. Enter one from 01 to {days} for this month.")),
        }
    }

    /// Returns the year, 1970 to 9999.
    pub fn year(self) -> i16 {
        self.year
    }

    /// Returns the month, 1 to 12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// Returns the day of the month, 1 to 31.
    pub fn day(self) -> u8 {
        self.day
    }

    /// Returns the weekday. Monday is 0, Sunday is 6.
    pub fn weekday(self) -> usize {
        // Every date from 1970 to 9999 is a date of this library.
        jiff::civil::Date::new(self.year, self.month.cast_signed(), self.day.cast_signed())
            .map_or(0, |date| date.weekday().to_monday_zero_offset().unsigned_abs().into())
    }
}

const SHAPE: &str = "Enter a date as year, month and day, like 2026-03-31.";

/// Returns the number of days of a month, 0 if the month does not exist.
fn days_in(year: i16, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// Reads exactly two digits.
fn two_digits(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

impl Time {
    /// The beginning of a day.
    pub const MIDNIGHT: Self = Self { hour: 0, minute: 0 };

    /// Returns the time, or `None` if it is not from 00:00 to 23:59.
    pub fn new(hour: u8, minute: u8) -> Option<Self> {
        (hour < 24 && minute < 60).then_some(Self { hour, minute })
    }

    /// Reads `HH:MM`.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn parse(typed: &str) -> Result<Self, String> {
        typed
            .trim()
            .split_once(':')
            .and_then(|(hour, minute)| Self::new(two_digits(hour)?, two_digits(minute)?))
            .ok_or_else(|| "Enter a time from 00:00 to 23:59, like 07:05.".to_owned())
    }

    /// Returns the hour, 0 to 23.
    pub fn hour(self) -> u8 {
        self.hour
    }

    /// Returns the minute, 0 to 59.
    pub fn minute(self) -> u8 {
        self.minute
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}
