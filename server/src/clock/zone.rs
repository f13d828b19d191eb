//! The time zone of the console: one setting of the database, equal on all nodes.

use crate::store::{Result, Store, setting};
use jiff::tz::TimeZone;
use sea_orm::ConnectionTrait;
use std::sync::{Arc, PoisonError, RwLock};

/// The setting with the name of the time zone.
pub const TIME_ZONE: &str = "time_zone";
/// The name of the zone that is used when there is no other.
const UTC: &str = "UTC";

/// The time zone, shared by all parts of the process. Clones share one value, which changes while the server runs.
#[derive(Clone, Debug)]
pub struct Zone(Arc<RwLock<Current>>);

#[derive(Debug)]
struct Current {
    zone: TimeZone,
    /// The value of the setting by which the zone was found.
    stored: String,
}

impl Zone {
    /// Returns a handle of this zone.
    pub fn new(zone: TimeZone) -> Self {
        let stored = name_of(&zone).to_owned();
        Self(Arc::new(RwLock::new(Current { zone, stored })))
    }

    /// Returns the zone of the database. A new database gets the configured zone, or else the system's.
    pub async fn open(store: &Store, configured: Option<&TimeZone>) -> Result<Self> {
        let system = TimeZone::system();
        let wanted = configured.unwrap_or(&system);
        let is_new = setting::find(store.read(), TIME_ZONE).await?.is_none();
        let stored = setting::insert_once(store.write(), TIME_ZONE, name_of(wanted)).await?;
        if is_new && wanted.iana_name().is_none() {
            tracing::warn!("the system's time zone has no name, so UTC is used; choose another one in the console");
        }
        if let Some(wanted) = configured.map(name_of).filter(|wanted| *wanted != stored) {
            tracing::warn!(
                "the option time-zone, {wanted}, has no effect: {stored} is stored, and is changed in the console"
            );
        }
        let zone = Self::new(TimeZone::UTC);
        zone.adopt(&stored);
        Ok(zone)
    }

    /// Returns the zone.
    pub fn get(&self) -> TimeZone {
        self.0.read().unwrap_or_else(PoisonError::into_inner).zone.clone()
    }

    /// Returns the name of the zone: `Europe/Berlin`.
    pub fn name(&self) -> String {
        name_of(&self.get()).to_owned()
    }

    /// Reads the setting, and adopts the zone that it names. Without a setting the zone stays.
    pub async fn follow(&self, db: &impl ConnectionTrait) -> Result<()> {
        if let Some(stored) = setting::find(db, TIME_ZONE).await? {
            self.adopt(&stored);
        }
        Ok(())
    }

    /// Adopts the zone of this name, or UTC if there is none.
    pub fn adopt(&self, stored: &str) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if current.stored == stored {
            return;
        }
        let zone = find(stored).unwrap_or_else(|| {
            // A newer version or a person has written this name.
            tracing::error!(stored, "the stored time zone is not known, so UTC is used; choose another one");
            TimeZone::UTC
        });
        *current = Current { zone, stored: stored.to_owned() };
    }
}

/// Returns the time zone of a name, in any case: `Europe/Berlin`.
pub fn find(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// Returns the name of a time zone. A zone without one, such as that of a copied file, counts as UTC.
pub fn name_of(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or(UTC)
}
