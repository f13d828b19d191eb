//! The numbers of settled deliveries of the last hours. A delivery is counted about once, however many people look: the
//! counts are kept, and a look counts only the deliveries that were settled since. A look must not read the deliveries
//! of a whole day.
//!
//! All deliveries are counted anew in each new hour. So rows that were removed, or were added to the past by hand, are
//! noticed within the hour.

use super::HOUR_MS;
use crate::store::{Result, figures};
use model::delivery::Status;
use model::number::{to_i64, to_u64};
use model::time::Timestamp;
use sea_orm::ConnectionTrait;

/// The number of hours that are shown, the current one included.
pub const HOURS: usize = 24;
/// The age at which the count of an instant is final. No delivery is settled with an older instant: a commit and a
/// sweep take less time, and the clocks of nodes differ by less.
const COMPLETE_AFTER_MS: i64 = 60_000;

/// The numbers of deliveries that were settled in one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// The number of sent deliveries.
    pub sent: u64,
    /// The number of failed and discarded deliveries.
    pub failed: u64,
}

/// The counts so far, oldest hour first.
#[derive(Debug)]
pub struct SettledCounts {
    first_hour: i64,
    /// All deliveries that were settled before this instant are counted.
    until: Timestamp,
    hours: [Settled; HOURS],
}

/// Returns the first of the hours that are shown, in hours since 1970.
pub(super) fn first_hour(now: Timestamp) -> i64 {
    now.0.div_euclid(HOUR_MS) - (to_i64(HOURS) - 1)
}

impl Default for SettledCounts {
    fn default() -> Self {
        Self::since(0)
    }
}

impl SettledCounts {
    fn since(first_hour: i64) -> Self {
        Self { first_hour, until: Timestamp(first_hour * HOUR_MS), hours: Default::default() }
    }

    /// Returns the numbers of this hour and of the hours before it. If a count is interrupted, the complete hours are
    /// kept, and the next count continues there.
    pub async fn count(&mut self, db: &impl ConnectionTrait, now: Timestamp) -> Result<[Settled; HOURS]> {
        let (first_hour, complete) = (first_hour(now), Timestamp(now.0 - COMPLETE_AFTER_MS));
        // If `until` is later than `complete`, the clock was set back.
        if self.first_hour != first_hour || self.until > complete {
            *self = Self::since(first_hour);
        }
        while self.until < complete {
            let to = complete.min(Timestamp(self.until.0 + HOUR_MS));
            let counts = figures::settled_by_hour(db, self.until, to).await?;
            add(&mut self.hours, first_hour, counts);
            self.until = to;
        }
        let mut hours = self.hours;
        add(&mut hours, first_hour, figures::settled_by_hour(db, self.until, Timestamp(i64::MAX)).await?);
        Ok(hours)
    }
}

fn add(hours: &mut [Settled; HOURS], first_hour: i64, counts: Vec<figures::HourCount>) {
    for count in counts {
        let hour = usize::try_from(count.hour - first_hour).ok().and_then(|hour| hours.get_mut(hour));
        let (Some(hour), Some(status)) = (hour, Status::find(&count.status)) else { continue };
        let number = if status == Status::Sent { &mut hour.sent } else { &mut hour.failed };
        *number += to_u64(count.deliveries);
    }
}
