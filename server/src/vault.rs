//! Secrets at rest: XChaCha20-Poly1305 under one master key.
//!
//! A sealed value is `version (1) || nonce (24) || ciphertext`. The associated data names the row it belongs to, so
//! that a value copied to another row does not open. Only this module sees a stored secret in clear.

use crate::file::write_private;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// An error of the vault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key file cannot be read or written.
    #[error("cannot use the key file {path}")]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The key is not 32 bytes in base64.
    #[error("the master key in {0} is not 32 bytes written in base64")]
    Key(String),
    /// A value does not open: another key, another row, or damaged data.
    #[error("a stored secret does not open with this master key")]
    Sealed,
}

/// Seals and opens secrets.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    fingerprint: String,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.fingerprint)
    }
}

impl Vault {
    /// Reads a key in base64, as the environment contains it. `origin` names its source in errors.
    pub fn from_base64(text: &SecretString, origin: &str) -> Result<Self, Error> {
        let bytes = STANDARD.decode(text.expose_secret().trim()).map_err(|_| Error::Key(origin.to_owned()))?;
        let bytes: SecretSlice<u8> = bytes.into();
        let key = Key::try_from(bytes.expose_secret()).map_err(|_| Error::Key(origin.to_owned()))?;
        let digest = Sha256::new_with_prefix(b"hookwright master key fingerprint").chain_update(key).finalize();
        Ok(Self { cipher: XChaCha20Poly1305::new(&key), fingerprint: STANDARD.encode(&digest[..12]) })
    }

    /// Reads the key from a file.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Self::from_base64(&text.into(), &path.display().to_string())
    }

    /// Reads the key from a file. Creates the file first if there is none, readable only by its owner.
    pub fn from_file_or_new(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.to_owned(), source };
        if !path.try_exists().map_err(failed)? {
            let key: SecretString = STANDARD.encode(rand::random::<[u8; 32]>()).into();
            write_private(path, key.expose_secret().as_bytes()).map_err(failed)?;
        }
        Self::from_file(path)
    }

    /// Returns the fingerprint of the key, which is stored in the database and does not reveal the key.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Seals a secret for one row. `associated_data` is `table|column|row uuid`.
    pub fn seal(&self, secret: &SecretString, associated_data: &str) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: associated_data.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::Sealed)?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens a value that [`Vault::seal`] sealed for the same row.
    pub fn open(&self, sealed: &[u8], associated_data: &str) -> Result<SecretString, Error> {
        let (version, rest) = sealed.split_first().ok_or(Error::Sealed)?;
        let (nonce, text) = rest.split_at_checked(NONCE_BYTES).ok_or(Error::Sealed)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| Error::Sealed)?;
        if *version != VERSION {
            return Err(Error::Sealed);
        }
        let payload = Payload { msg: text, aad: associated_data.as_bytes() };
        let clear = self.cipher.decrypt(&nonce, payload).map_err(|_| Error::Sealed)?;
        String::from_utf8(clear).map(SecretString::from).map_err(|_| Error::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::from_base64(&STANDARD.encode([byte; 32]).into(), "test").expect("a key")
    }

    #[test]
    fn open_requires_the_key_and_the_row_of_the_seal() {
        let sealed = vault(1).seal(&"canary".to_owned().into(), "webhook|secret|a").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        let opened = vault(1).open(&sealed, "webhook|secret|a").expect("opens");
        assert_eq!(opened.expose_secret(), "canary");
        assert!(vault(2).open(&sealed, "webhook|secret|a").is_err());
        assert!(vault(1).open(&sealed, "webhook|secret|b").is_err());
        assert!(vault(1).open(&sealed[..20], "webhook|secret|a").is_err());
        assert!(vault(1).open(&[], "webhook|secret|a").is_err());
    }

    #[test]
    fn from_base64_refuses_a_key_of_another_length() {
        assert!(Vault::from_base64(&"c2hvcnQ=".to_owned().into(), "test").is_err());
    }

    #[test]
    fn from_file_or_new_creates_the_key_once_and_reads_it_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("master.key");
        let first = Vault::from_file_or_new(&path).expect("made");
        let again = Vault::from_file_or_new(&path).expect("read");
        assert_eq!(first.fingerprint(), again.fingerprint());
    }
}
