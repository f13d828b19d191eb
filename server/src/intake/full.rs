//! The object types that have as many objects as occurrences may make.
//!
//! The check reads an index of as many entries, so its result is cached for a second, and for longer where the check
//! took long. Meanwhile occurrences may make a few objects more than the limit, or none where there is room again.

use crate::store::{self, object};
use model::object::MADE_BY_OCCURRENCES_MAX;
use model::time::Timestamp;
use sea_orm::ConnectionTrait;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time for which a result is cached.
const KEPT: Duration = Duration::from_secs(1);
/// The part of the time that may be spent on checking a type: a hundredth.
const REST: u32 = 100;

/// The last results, each with its instant and the time for which it is cached. All workers share them.
#[derive(Debug, Default)]
pub struct FullTypes(Mutex<HashMap<String, (Timestamp, Duration, bool)>>);

impl FullTypes {
    /// Returns true when a type has as many objects as occurrences may make.
    pub(super) async fn contains(
        &self,
        db: &impl ConnectionTrait,
        type_id: &str,
        now: Timestamp,
    ) -> Result<bool, store::Error> {
        let kept = self.with(|answers| answers.get(type_id).copied());
        if let Some((at, lasts, is_full)) = kept
            && (at..at.after(lasts)).contains(&now)
        {
            return Ok(is_full);
        }
        let since = Instant::now();
        let is_full = object::has_at_least(db, type_id, MADE_BY_OCCURRENCES_MAX).await?;
        self.with(|answers| answers.insert(type_id.to_owned(), (now, KEPT.max(since.elapsed() * REST), is_full)));
        Ok(is_full)
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, (Timestamp, Duration, bool)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
