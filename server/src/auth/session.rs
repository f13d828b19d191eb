//! Sessions of people, kept in our database behind tower-sessions.
//!
//! The cookie carries a random 128-bit id; the database only its SHA-256, so that a copy of the database signs nobody
//! in. The account's id stands in a column of its own, for listing and revoking.

use crate::clock::Clock;
use crate::store::{Store, access};
use async_trait::async_trait;
use model::id::UserId;
use sha2::{Digest, Sha256};
use std::time::Duration;
use time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result, SessionStore};

/// How long a session lasts that nobody uses.
pub const IDLE_MAX: Duration = Duration::from_hours(12);
/// How long a session lasts, however much it is used.
pub const LASTS: Duration = Duration::from_hours(24 * 30);
/// From how much idle time on a use prolongs a session: not each request writes.
const PROLONGED_AFTER: Duration = Duration::from_mins(10);

/// Where a session keeps whose it is.
pub const ACCOUNT: &str = "account";

/// The database behind the sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    store: Store,
    clock: Clock,
}

impl Sessions {
    /// Sessions in this store, by this clock.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Whether a session goes on. Asking is no use of it.
    pub async fn goes_on(&self, id: Id) -> bool {
        access::find_session(self.store.read(), id_hash(id), self.clock.now()).await.is_ok_and(|found| found.is_some())
    }
}

fn id_hash(id: Id) -> Vec<u8> {
    Sha256::digest(id.0.to_be_bytes()).to_vec()
}

fn backend(error: impl std::fmt::Display) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // 128 random bits: one that is there already is a fault of the random numbers, and must not be taken over.
        while self.load(&record.id).await?.is_some() {
            record.id = Id::default();
        }
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let account = record.data.get(ACCOUNT).and_then(serde_json::Value::as_i64).map(UserId);
        let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        // By our clock, with which it is looked up, and not by this machine's as the record has it.
        let now = self.clock.now();
        access::save_session(self.store.write(), id_hash(record.id), account, data, now, now.after(IDLE_MAX))
            .await
            .map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let now = self.clock.now();
        let found = access::find_session(self.store.read(), id_hash(*id), now).await.map_err(backend)?;
        let Some(access::SessionRow { data, created_at, mut expires_at }) = found else { return Ok(None) };
        let prolonged = now.after(IDLE_MAX).min(created_at.after(LASTS));
        if prolonged.since(expires_at) >= PROLONGED_AFTER {
            // It goes on as it is if that cannot be written now.
            match access::prolong_session(self.store.write(), id_hash(*id), prolonged).await {
                Ok(()) => expires_at = prolonged,
                Err(error) => tracing::warn!(%error, "a session could not be prolonged"),
            }
        }
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(expires_at.as_seconds()).map_err(backend)?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        access::delete_session(self.store.write(), id_hash(*id)).await.map_err(backend)
    }
}
