//! Passwords: Argon2id, on a blocking thread, a few at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// Hashing takes 19 MiB and a core: more at once would let anybody who can reach the sign-in page exhaust both.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// The hash of a random password nobody kept; empty (and then quickly refused) only if hashing itself fails.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash: Result<PasswordHash, _> = Argon2::default().hash_password(&rand::random::<[u8; 32]>());
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

/// Hashing could not be done.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash a password")]
pub struct Error;

/// The hash of a new password, in PHC form (Argon2id, m = 19 MiB, t = 2, p = 1, as OWASP advises).
pub async fn hash(password: SecretString) -> Result<String, Error> {
    blocking(move || {
        let hash: PasswordHash =
            Argon2::default().hash_password(password.expose_secret().as_bytes()).map_err(|_| Error)?;
        Ok(hash.to_string())
    })
    .await?
}

/// Whether the password belongs to the hash. Without a hash (no such account) it takes as long and is never true.
pub async fn verify(password: SecretString, hash: Option<String>) -> Result<bool, Error> {
    blocking(move || {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let parsed = PasswordHash::new(&hash).map_err(|_| Error)?;
        let is_right = Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
        Ok(is_right && is_known)
    })
    .await?
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let _slot = SLOTS.acquire().await.map_err(|_| Error)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn verifies_only_the_right_password_of_a_known_account() {
        let hash = hash("correct horse".to_owned().into()).await.expect("hashed");
        assert!(verify("correct horse".to_owned().into(), Some(hash.clone())).await.expect("verified"));
        assert!(!verify("wrong horse".to_owned().into(), Some(hash)).await.expect("verified"));
        assert!(!verify("correct horse".to_owned().into(), None).await.expect("verified"));
    }
}
