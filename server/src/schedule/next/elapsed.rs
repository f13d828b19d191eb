//! Schedules of minutes and hours: elapsed time since the start, within a window of the wall clock.

use super::instant;
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use model::schedule::{Time, Window};

const DAY: i64 = 24 * 60 * 60;

/// Instants at equal distances. All numbers are seconds; instants are seconds since 1970.
pub(super) struct Rhythm {
    start: i64,
    /// The first instant after the end date.
    end: i64,
    every: i64,
}

impl Rhythm {
    /// Returns the rhythm of `every` seconds, at least one, from `start` until the end of the date `ends`. `None` if it
    /// starts after the year 9999.
    pub(super) fn new(start: civil::DateTime, ends: Option<civil::Date>, every: i64, zone: &TimeZone) -> Option<Self> {
        let end = ends
            .and_then(|date| date.tomorrow().ok())
            .and_then(|date| instant(date.to_datetime(civil::Time::midnight()), zone))
            .map_or(i64::MAX, Timestamp::as_second);
        Some(Self { start: instant(start, zone)?.as_second(), end, every: every.max(1) })
    }

    /// Returns the first instant of the rhythm that is later than `after` and in the window.
    pub(super) fn next(&self, window: Option<Window>, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = self.at_or_after(after.as_millisecond().div_euclid(1000) + 1);
        let Some(window) = window else { return self.checked(at) };
        loop {
            let now = self.checked(at)?;
            let change = zone.following(now).next().map(|change| change.timestamp().as_second());
            let shown = at + i64::from(zone.to_offset(now).seconds());
            let found = steps_into(window, shown, self.every).map(|steps| at + steps * self.every);
            match (found, change) {
                // Until the next change of the offset, the wall clock runs evenly.
                (Some(found), change) if change.is_none_or(|change| found < change) => return self.checked(found),
                (_, Some(change)) => at = self.at_or_after(change),
                (_, None) => return None,
            }
        }
    }

    /// Returns the first instant of the rhythm that is not before `from`.
    fn at_or_after(&self, from: i64) -> i64 {
        let passed = (from - self.start).max(0);
        self.start + (passed + self.every - 1) / self.every * self.every
    }

    /// Returns the instant, or `None` if it is after the end or after the year 9999.
    fn checked(&self, at: i64) -> Option<Timestamp> {
        Timestamp::from_second(at).ok().filter(|_| at < self.end)
    }
}

/// Returns the least number of steps of `every` seconds from `shown`, a time of an even wall clock, into the window.
/// `None` if no number of steps leads there.
fn steps_into(window: Window, shown: i64, every: i64) -> Option<i64> {
    let from = seconds(window.from);
    let length = (seconds(window.to) - from).rem_euclid(DAY);
    // The steps always come to the same times of the day, which are `grid` seconds apart.
    let grid = greatest_common_divisor(every, DAY);
    if (shown - from).rem_euclid(grid) >= length {
        return None;
    }
    (0..DAY / grid).find(|steps| (shown + steps * every - from).rem_euclid(DAY) < length)
}

/// Returns the seconds since midnight.
fn seconds(time: Time) -> i64 {
    (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
