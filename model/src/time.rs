//! Instants as the database stores them.

use crate::number::{millis, to_u64};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Both databases store it as a 64-bit integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since 1970, rounded down: what `${TIMESTAMP}` and `webhook-timestamp` carry.
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The instant `duration` later, saturating at the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(to_u64(self.0.saturating_sub(earlier.0)))
    }

    /// Reads an RFC 3339 instant (`2025-10-16T15:38:07Z`), as occurrences carry it.
    ///
    /// # Errors
    /// A sentence for the sender.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        let wrong = || "This is not an RFC 3339 time. Write it like 2025-10-16T15:38:07Z.".to_owned();
        let (whole, fraction, offset) = rfc3339_parts(text).ok_or_else(wrong)?;
        // Nanoseconds are read, and milliseconds kept; what is finer may have any number of digits.
        let fraction = &fraction[..fraction.len().min(10)];
        let instant = match format!("{whole}{fraction}{offset}").parse::<jiff::Timestamp>() {
            Ok(instant) => instant,
            // The last day of the calendar, which stands for "never ends" where it comes from.
            Err(_) if whole.starts_with("9999-12-3") && is_time(whole, offset) => jiff::Timestamp::MAX,
            Err(_) => return Err(wrong()),
        };
        Ok(Self(instant.as_millisecond()))
    }

    /// The instant as RFC 3339 in UTC with milliseconds, for APIs and `<time datetime>`.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |instant| format!("{instant:.3}"))
    }
}

/// Whether there is such a day, such a time, and such an offset.
fn is_time(whole: &str, offset: &str) -> bool {
    let is_offset = offset.len() == 1 || (offset[1..3] <= *"23" && offset[4..6] <= *"59");
    is_offset && whole.replace(' ', "T").to_ascii_uppercase().parse::<jiff::civil::DateTime>().is_ok()
}

/// Date and time, the fraction of a second with its dot, and the offset of an RFC 3339 time, by its shape alone (§5.6).
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
