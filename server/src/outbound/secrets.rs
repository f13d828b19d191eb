//! The secrets of a destination in clear text, for one attempt. They are never stored, logged or shown.

use crate::store::destination::Destination;
use crate::store::mailer;
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

/// A destination with its secrets in clear text.
#[derive(Debug)]
pub enum Opened<'a> {
    /// A webhook.
    Webhook(&'a Row, Secrets),
    /// A mailer with its password, if it has one.
    Mailer(&'a mailer::Row, Option<SecretString>),
}

/// Opens the secrets of a destination.
///
/// # Errors
/// Fails when a secret was sealed with another master key.
pub fn open<'a>(vault: &Vault, destination: &'a Destination) -> Result<Opened<'a>, Error> {
    Ok(match destination {
        Destination::Webhook(row) => Opened::Webhook(row, open_webhook(vault, row)?),
        Destination::Mailer(row) => {
            let password = row.password.as_deref();
            let associated_data = mailer::password_associated_data(row.uuid);
            Opened::Mailer(row, password.map(|sealed| vault.open(sealed, &associated_data)).transpose()?)
        }
    })
}

/// Opens the secrets of a webhook.
///
/// # Errors
/// Fails when a secret was sealed with another master key.
pub fn open_webhook(vault: &Vault, webhook: &Row) -> Result<Secrets, Error> {
    let open = |sealed: &Option<Vec<u8>>, associated_data: String| {
        sealed.as_deref().map(|sealed| vault.open(sealed, &associated_data)).transpose()
    };
    Ok(Secrets {
        authorization: open(&webhook.secrets.authorization, webhook::secret_associated_data(webhook.uuid))?,
        signing: open(&webhook.secrets.signing, webhook::signing_associated_data(webhook.uuid))?,
        headers: open(&webhook.secrets.headers, webhook::headers_associated_data(webhook.uuid))?,
    })
}
