//! The numbers of held deliveries by destination, for the limit of a hold.

use crate::store::{self, hold};
use model::hold::HELD_MAX;
use model::id::DestinationId;
use sea_orm::ConnectionTrait;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The numbers of held deliveries: as last counted, plus what was held since. Up to a hundred thousand rows are too many
/// to count for each group.
#[derive(Debug, Default)]
pub struct HeldCounts(Mutex<HashMap<DestinationId, HeldCount>>);

#[derive(Debug, Clone, Copy)]
struct HeldCount {
    held: u64,
    counted_at: Instant,
}

impl HeldCount {
    /// Returns true while the count is good enough. Small numbers are counted again at once, large ones seldom, and those
    /// near the limit each second. A full hold is counted again every two seconds, since other nodes and people release
    /// deliveries.
    fn is_recent(self) -> bool {
        let lasts = match self.held {
            held if held >= HELD_MAX => Duration::from_secs(2),
            held if held > HELD_MAX / 10 * 9 => Duration::from_secs(1),
            held => Duration::from_millis(held / 10),
        };
        self.counted_at.elapsed() < lasts
    }
}

impl HeldCounts {
    /// Returns the number of further deliveries that a destination may hold.
    pub async fn room(&self, db: &impl ConnectionTrait, id: DestinationId) -> Result<u64, store::Error> {
        let recent = self.with(|counts| counts.get(&id).copied()).filter(|count| count.is_recent());
        let held = match recent {
            Some(count) => count.held,
            None => {
                let held = hold::count_held(db, id).await?;
                self.with(|counts| counts.insert(id, HeldCount { held, counted_at: Instant::now() }));
                held
            }
        };
        Ok(HELD_MAX.saturating_sub(held))
    }

    /// Counts deliveries that are held from now on.
    pub fn add(&self, id: DestinationId, held: u64) {
        self.with(|counts| {
            if let Some(count) = counts.get_mut(&id) {
                count.held += held;
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<DestinationId, HeldCount>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
