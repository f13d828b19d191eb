//! Instants as the database stores them.

use crate::number::{millis, to_u64};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Both databases store it as a 64-bit integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns whole seconds since 1970, rounded down, as in `${TIMESTAMP}` and `webhook-timestamp`.
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the instant `duration` later, or the last one.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Returns the duration since `earlier`. Zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(to_u64(self.0.saturating_sub(earlier.0)))
    }

    /// Reads an RFC 3339 time (`2025-10-16T15:38:07Z`) of an occurrence.
    ///
    /// # Errors
    /// A sentence for the sender.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        let wrong = || "This is not an RFC 3339 time. Write it like 2025-10-16T15:38:07Z.".to_owned();
        let (whole, fraction, offset) = rfc3339_parts(text).ok_or_else(wrong)?;
        // Only milliseconds are used, so digits below nanoseconds are cut off: there may be any number of them.
        let fraction = &fraction[..fraction.len().min(10)];
        let instant = match format!("{whole}{fraction}{offset}").parse::<jiff::Timestamp>() {
            Ok(instant) => instant,
            // The last days of the calendar stand for "never ends" in some systems.
            Err(_) if whole.starts_with("9999-12-3") && is_time(whole, offset) => jiff::Timestamp::MAX,
            Err(_) => return Err(wrong()),
        };
        Ok(Self(instant.as_millisecond()))
    }

    /// Returns the instant as RFC 3339 in UTC with milliseconds, for APIs and `<time datetime>`.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |instant| format!("{instant:.3}"))
    }
}

/// Returns true if the date, the time and the offset exist.
fn is_time(whole: &str, offset: &str) -> bool {
    let is_offset = offset.len() == 1 || (offset[1..3] <= *"23" && offset[4..6] <= *"59");
    is_offset && whole.replace(' ', "T").to_ascii_uppercase().parse::<jiff::civil::DateTime>().is_ok()
}

/// Splits an RFC 3339 time by its shape (§5.6): date and time, the fraction of a second with its dot, and the offset.
fn rfc3339_parts(text: &str) -> Option<(&str, &str, &str)> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let (whole, rest) = text.split_at_checked(SHAPE.len())?;
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        other => byte == *other,
    };
    if !whole.bytes().zip(SHAPE).all(fits) {
        return None;
    }
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if rest.starts_with('.') && digits == 0 {
        return None;
    }
    let (fraction, offset) = rest.split_at(if digits == 0 { 0 } else { digits + 1 });
    let is_offset = matches!(offset, "Z" | "z")
        || offset.len() == 6
            && offset.bytes().zip(b"+00:00").all(|(byte, shape)| match shape {
                b'+' => matches!(byte, b'+' | b'-'),
                b'0' => byte.is_ascii_digit(),
                other => byte == *other,
            });
    is_offset.then_some((whole, fraction, offset))
}
