//! The secrets of a webhook in clear text, for one attempt. They are never stored, logged or shown.

use crate::store::webhook::{self, Row};
use crate::vault::{Error, Vault};
use model::header::HeaderList;
use secrecy::{ExposeSecret, SecretString};

/// The opened secrets of a webhook.
#[derive(Debug, Default)]
pub struct Secrets {
    /// The token, password or API key.
    pub authorization: Option<SecretString>,
    /// The key that signs messages.
    pub signing: Option<SecretString>,
    /// The values of the secret headers: a `HeaderList` as JSON.
    pub headers: Option<SecretString>,
}

impl Secrets {
    /// Returns the secret headers with their values, or none where the JSON cannot be read.
    pub fn headers(&self) -> HeaderList {
        let text = self.headers.as_ref().map(ExposeSecret::expose_secret);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// Opens the secrets of a webhook.
///
/// # Errors
/// Fails when a secret was sealed with another master key.
pub fn open(vault: &Vault, webhook: &Row) -> Result<Secrets, Error> {
    let open = |sealed: &Option<Vec<u8>>, associated_data: String| {
        sealed.as_deref().map(|sealed| vault.open(sealed, &associated_data)).transpose()
    };
    Ok(Secrets {
        authorization: open(&webhook.secrets.authorization, webhook::secret_associated_data(webhook.uuid))?,
        signing: open(&webhook.secrets.signing, webhook::signing_associated_data(webhook.uuid))?,
        headers: open(&webhook.secrets.headers, webhook::headers_associated_data(webhook.uuid))?,
    })
}
