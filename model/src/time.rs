//! Instants as the database stores them.

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
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads an RFC 3339 instant (`2025-10-16T15:38:07Z`), as occurrences carry it.
    ///
    /// # Errors
    /// A sentence for the sender.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|instant| Self(instant.as_millisecond()))
            .map_err(|_| "This is not an RFC 3339 time. Write it like 2025-10-16T15:38:07Z.".to_owned())
    }

    /// The instant as RFC 3339 in UTC with milliseconds, for APIs and `<time datetime>`.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |instant| format!("{instant:.3}"))
    }
}
