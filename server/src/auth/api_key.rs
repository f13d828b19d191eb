//! API keys of other systems: `hwk_` and 32 random bytes. Only the SHA-256 of a key is stored: 256 random bits need no
//! slow hash.

use crate::store::access::{self, ApiKey};
use crate::store::{self, Store};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PREFIX: &str = "hwk_";
/// Time for which a found key is not looked up again, in milliseconds. A revoked key may be accepted for that long.
const FRESH_MS: i64 = 1000;

/// Returns a new key. It is shown once.
pub fn generate() -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// Returns the hash of a key, which is stored and looked up. Comparing hashes leaks nothing by its timing.
pub fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

/// A cache of the keys in use, by hash, with the time of the look-up. A sender that posts a thousand times a second
/// costs one look-up a second. Only found keys are cached, so there are never more entries than keys.
#[derive(Default)]
pub struct Keys {
    found: Mutex<Found>,
}

type Found = HashMap<Vec<u8>, (Arc<ApiKey>, Timestamp)>;

impl Keys {
    /// Returns the key with this text. The result may be one second old.
    pub async fn find(&self, store: &Store, text: &str, now: Timestamp) -> store::Result<Option<Arc<ApiKey>>> {
        let hash = hash(text);
        if let Some((key, at)) = self.lock().get(&hash)
            && (0..FRESH_MS).contains(&now.0.saturating_sub(at.0))
        {
            return Ok(Some(key.clone()));
        }
        let found = Self::look_up(store, text).await?;
        match &found {
            Some(key) => self.lock().insert(hash, (key.clone(), now)),
            None => self.lock().remove(&hash),
        };
        Ok(found)
    }

    /// Returns the key with this text, read from the database.
    pub async fn look_up(store: &Store, text: &str) -> store::Result<Option<Arc<ApiKey>>> {
        Ok(access::find_key(store.read(), hash(text)).await?.map(Arc::new))
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
