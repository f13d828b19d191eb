//! Sessions of people, stored in the database through tower-sessions.
//!
//! The cookie carries a random 128-bit id. The database stores only its SHA-256, so that no session can be
//! taken over with a copy of the database. The account's id has a column of its own, for listing and revoking.

use crate::clock::Clock;
use crate::store::{Store, access};
use async_trait::async_trait;
use model::id::UserId;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result, SessionStore};

/// Lifetime of a session that is not used.
pub const IDLE_MAX: Duration = Duration::from_hours(12);
/// Lifetime of a session, however much it is used.
pub const LASTS: Duration = Duration::from_hours(24 * 30);
/// A use prolongs a session only if it adds at least this time, so that not every request writes.
const PROLONGED_AFTER: Duration = Duration::from_mins(10);

/// The key of the account's id in a session's data.
pub const ACCOUNT: &str = "account";
/// The key of the stamp of the password in a session's data. A session that began with an earlier password is not
/// valid: a sign-in may finish after another request has changed the password and ended the sessions.
pub const PASSWORD: &str = "password";

/// Returns the stamp of a password, which differs each time a password is set.
pub fn password_stamp(hash: &str) -> String {
    Sha256::digest(hash).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The session store.
#[derive(Debug, Clone)]
pub struct Sessions {
    store: Store,
    clock: Clock,
}

impl Sessions {
    /// Returns the sessions of this store, by this clock.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Returns the sessions among these that are still valid. The check does not prolong them.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub async fn list_valid(&self, ids: &[Id]) -> std::result::Result<HashSet<Id>, crate::store::Error> {
        let hashes: HashMap<_, _> = ids.iter().map(|id| (id_hash(*id), *id)).collect();
        let wanted = hashes.keys().cloned().collect();
        let valid = access::list_sessions(self.store.pages(), wanted, self.clock.now()).await?;
        Ok(valid.iter().filter_map(|hash| hashes.get(hash).copied()).collect())
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
        // An id of 128 random bits exists already only if the random numbers are faulty. The existing session must not
        // be taken over.
        while self.load(&record.id).await?.is_some() {
            record.id = Id::default();
        }
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let account = record.data.get(ACCOUNT).and_then(serde_json::Value::as_i64).map(UserId);
        let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        // Uses the clock of the server, by which the session is looked up, instead of the machine's clock in the
        // record.
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
            // If the write fails, the session keeps its expiry.
            match access::prolong_session(self.store.write(), id_hash(*id), prolonged).await {
                Ok(()) => expires_at = prolonged,
                Err(error) => tracing::warn!(%error, "a session could not be extended"),
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
