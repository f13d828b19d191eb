//! Webhooks: the target of messages, and the way of sending.

use crate::url::TargetUrl;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

mod secret;
mod secret_header;
mod settings;
pub(crate) use secret::lost;
pub use secret_header::SecretHeader;
pub use settings::{Settings, WebhookDraft};

/// The most characters a webhook's name may have.
pub const NAME_MAX: usize = 128;
/// The most bytes a secret may have.
pub const SECRET_MAX_BYTES: usize = 4096;
/// The longest timeout of a webhook.
pub const TIMEOUT_MAX_SECONDS: u32 = 120;
/// The header of a new API key webhook.
pub const DEFAULT_KEY_HEADER: &str = "X-API-Key";

/// The HTTP methods a webhook can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The default.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
    /// Carries no body.
    Get,
}

impl Method {
    /// All methods, in the order of the form.
    pub const ALL: [Self; 5] = [Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Get];

    /// Returns the name in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Get => "GET",
        }
    }

    /// Returns the method with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// The authorization types: the value in the form and its label.
pub const AUTH_TYPES: [(&str, &str); 4] =
    [("none", "None"), ("basic", "Basic"), ("bearer", "Bearer"), ("api_key", "API Key")];

/// The way in which a webhook proves who is calling, without the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Authorization {
    /// Nothing is added.
    None,
    /// `Authorization: Basic base64(username:password)` (RFC 7617).
    Basic {
        /// The part before the colon.
        username: String,
    },
    /// `Authorization: Bearer TOKEN` (RFC 6750).
    Bearer,
    /// `HEADER: PREFIX KEY`, by default `X-API-Key: KEY`.
    ApiKey {
        /// The header's name.
        header: String,
        /// The word before the key, with a space between; may be empty.
        prefix: String,
    },
}

impl Authorization {
    /// Returns the id in forms, rows and the API.
    pub fn id(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer => "bearer",
            Self::ApiKey { .. } => "api_key",
        }
    }

    /// Returns the header that it generates, if any.
    pub fn header_name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Basic { .. } | Self::Bearer => Some("Authorization"),
            Self::ApiKey { header, .. } => Some(header),
        }
    }
}

/// The change of a stored secret by a save.
#[derive(Debug, Clone)]
pub enum SecretChange {
    /// No secret is stored any more.
    Clear,
    /// The stored secret stays.
    Keep,
    /// A new secret was typed.
    Set(SecretString),
}

/// A checked webhook, ready to be stored.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The configuration without secrets.
    pub settings: Settings,
    /// The change of the authorization's secret.
    pub secret: SecretChange,
    /// The change of the signing secret.
    pub signing: SecretChange,
    /// The changes of the secret headers' values: one for each mask, in order.
    pub secret_values: Vec<SecretHeader>,
}

/// The facts about the stored webhook that the parser needs for an edit.
#[derive(Debug, Clone)]
pub struct StoredWebhook {
    /// The URL's scheme, host and port.
    pub origin: String,
    /// True if a certificate that does not verify is accepted.
    pub allows_insecure_tls: bool,
    /// The authorization.
    pub authorization: Authorization,
    /// True if every attempt is signed.
    pub is_signing: bool,
    /// The names of the secret headers, in order.
    pub secret_headers: Vec<String>,
}

impl StoredWebhook {
    /// Returns the change, as a clause, by which secrets and waiting deliveries would go to another target than they
    /// were meant for: another scheme, host or port, another TLS setting, another header for the key.
    pub fn target_change(
        &self,
        url: &TargetUrl,
        authorization: &Authorization,
        allows_insecure_tls: bool,
    ) -> Option<&'static str> {
        if let (Authorization::ApiKey { header: old, .. }, Authorization::ApiKey { header: new, .. }) =
            (&self.authorization, authorization)
            && !old.eq_ignore_ascii_case(new)
        {
            return Some("the header that carries it has changed");
        }
        self.origin_change(url, allows_insecure_tls)
    }

    /// Returns the change, as a clause, by which other secrets than the authorization's key, such as secret headers,
    /// would go to another target.
    pub fn origin_change(&self, url: &TargetUrl, allows_insecure_tls: bool) -> Option<&'static str> {
        if self.origin != url.origin() {
            return Some("the scheme, host or port of the URL has changed, and a secret belongs to one target");
        }
        (self.allows_insecure_tls != allows_insecure_tls).then_some("Allow Insecure Certificates has changed")
    }
}

#[cfg(test)]
mod tests;
