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

/// How long a session lasts.
pub const LASTS: Duration = Duration::from_hours(12);

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
}

fn id_hash(id: Id) -> Vec<u8> {
    Sha256::digest(id.0.to_be_bytes()).to_vec()
}

fn backend(error: impl std::fmt::Display) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn save(&self, record: &Record) -> Result<()> {
        let account = record.data.get(ACCOUNT).and_then(serde_json::Value::as_i64).map(UserId);
        let data = serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
        // By our clock, with which it is looked up, and not by this machine's as the record has it.
        let now = self.clock.now();
        access::save_session(self.store.write(), id_hash(record.id), account, data, now, now.after(LASTS))
            .await
            .map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let found = access::find_session(self.store.read(), id_hash(*id), self.clock.now()).await.map_err(backend)?;
        let Some((data, expires_at)) = found else { return Ok(None) };
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(expires_at.as_seconds()).map_err(backend)?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        access::delete_session(self.store.write(), id_hash(*id)).await.map_err(backend)
    }
}
