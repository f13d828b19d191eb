//! Webhooks: where and how to send.

use crate::url::TargetUrl;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

mod secret;
mod secret_header;
mod settings;
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
    /// All of them, in the order of the form.
    pub const ALL: [Self; 5] = [Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Get];

    /// The method's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Get => "GET",
        }
    }

    /// The method with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// How a webhook proves who is calling, without the secret itself.
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
        /// What stands before the key, with a space between; may be empty.
        prefix: String,
    },
}

impl Authorization {
    /// The id used in forms, rows and the API.
    pub fn id(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer => "bearer",
            Self::ApiKey { .. } => "api_key",
        }
    }

    /// The header it generates, if any.
    pub fn header_name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Basic { .. } | Self::Bearer => Some("Authorization"),
            Self::ApiKey { header, .. } => Some(header),
        }
    }
}

/// What a save does with the stored secret.
#[derive(Debug, Clone)]
pub enum SecretChange {
    /// The authorization has no secret.
    Clear,
    /// The stored one stays.
    Keep,
    /// A new one was typed.
    Set(SecretString),
}

/// A checked webhook, ready to be stored.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// All that is no secret.
    pub settings: Settings,
    /// The change of the authorization's secret.
    pub secret: SecretChange,
    /// The change of the signing secret.
    pub signing: SecretChange,
    /// The changes of the secret headers' values: one for each mask, in order.
    pub secret_values: Vec<SecretHeader>,
}

/// What the parser must know of the stored webhook when one is edited.
#[derive(Debug, Clone)]
pub struct StoredWebhook {
    /// Its URL's scheme, host and port.
    pub origin: String,
    /// Whether it accepted certificates that do not verify.
    pub allows_insecure_tls: bool,
    /// Its authorization.
    pub authorization: Authorization,
    /// Whether it signs what it sends.
    pub is_signing: bool,
    /// The names of its secret headers, in order.
    pub secret_headers: Vec<String>,
}

impl StoredWebhook {
    /// Whether secrets and waiting deliveries would go somewhere else than they were meant for: another scheme, host or
    /// port, another TLS setting, another header for the key. Says what changed, as a clause.
    pub fn target_change(
        &self,
        url: &TargetUrl,
        authorization: &Authorization,
        allows_insecure_tls: bool,
    ) -> Option<&'static str> {
        if let (Authorization::ApiKey { header: was, .. }, Authorization::ApiKey { header: is, .. }) =
            (&self.authorization, authorization)
            && !was.eq_ignore_ascii_case(is)
        {
            return Some("the header that carries it has changed");
        }
        self.origin_change(url, allows_insecure_tls)
    }

    /// Whether secrets that are no key of the authorization, as secret headers, would go somewhere else. Says what changed,
    /// as a clause.
    pub fn origin_change(&self, url: &TargetUrl, allows_insecure_tls: bool) -> Option<&'static str> {
        if self.origin != url.origin() {
            return Some("the scheme, host or port of the URL has changed, and a secret belongs to one target");
        }
        (self.allows_insecure_tls != allows_insecure_tls).then_some("Allow Insecure Certificates has changed")
    }
}

#[cfg(test)]
mod tests;
