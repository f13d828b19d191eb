//! Passwords: Argon2id, on blocking threads, a few at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// Limits concurrent hashing. A hash takes 19 MiB and a core. Without a limit, any visitor of the sign-in page could
/// exhaust both.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// The hash of a random password, used for accounts that do not exist. If hashing fails, this hash is empty, and is
/// refused at once.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash: Result<PasswordHash, _> = Argon2::default().hash_password(&rand::random::<[u8; 32]>());
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

/// Hashing failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash a password")]
pub struct Error;

/// Hashes a new password. Returns the PHC form (Argon2id, m = 19 MiB, t = 2, p = 1, as OWASP advises).
pub async fn hash(password: SecretString) -> Result<String, Error> {
    blocking(move || {
        let hash: PasswordHash =
            Argon2::default().hash_password(password.expose_secret().as_bytes()).map_err(|_| Error)?;
        Ok(hash.to_string())
    })
    .await?
}

/// Reports whether the password belongs to the hash. Without a hash (no such account) takes the same time and returns
/// false.
pub async fn verify(password: SecretString, hash: Option<String>) -> Result<bool, Error> {
    blocking(move || {
        let has_account = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let parsed = PasswordHash::new(&hash).map_err(|_| Error)?;
        let is_right = Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
        Ok(is_right && has_account)
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
    async fn verify_accepts_only_the_right_password_of_an_existing_account() {
        let hash = hash("correct horse".to_owned().into()).await.expect("hashed");
        assert!(verify("correct horse".to_owned().into(), Some(hash.clone())).await.expect("verified"));
        assert!(!verify("wrong horse".to_owned().into(), Some(hash)).await.expect("verified"));
        assert!(!verify("correct horse".to_owned().into(), None).await.expect("verified"));
    }
}
