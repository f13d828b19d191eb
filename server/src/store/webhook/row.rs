//! A webhook as stored, and the conversions between its columns and its settings.

use crate::store::destination::hold_state;
use crate::store::entity::{destination, webhook};
use crate::store::{Error, Result};
use model::hold::HoldState;
use model::id::WebhookId;
use model::number::from_millis;
use model::url::TargetUrl;
use model::webhook::{Authorization, Method, Settings, StoredWebhook};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::DbErr;
use uuid::Uuid;

/// A webhook as stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// The id.
    pub id: WebhookId,
    /// The name for sealing: the associated data of the secrets.
    pub uuid: Uuid,
    /// The whole configuration without secrets.
    pub settings: Settings,
    /// The secrets, sealed.
    pub secrets: SealedSecrets,
    /// Counts the changes.
    pub revision: i64,
    /// The state that holds deliveries.
    pub hold: HoldState,
    /// True if the webhook was deleted. Its deliveries still refer to it.
    pub is_deleted: bool,
    /// False if a part could not be read, and a stand-in replaces the part.
    pub is_readable: bool,
}

/// The secrets of a webhook, each sealed by the vault.
#[derive(Debug, Clone, Default)]
pub struct SealedSecrets {
    /// Proves who is calling; sealed for [`secret_associated_data`].
    pub authorization: Option<Vec<u8>>,
    /// Signs the messages; sealed for [`signing_associated_data`].
    pub signing: Option<Vec<u8>>,
    /// The values of the secret headers, a `HeaderList` as JSON; sealed for [`headers_associated_data`].
    pub headers: Option<Vec<u8>>,
}

impl Row {
    /// Returns what the parser must know of the webhook when it is edited.
    pub fn stored(&self) -> StoredWebhook {
        StoredWebhook {
            origin: self.settings.url.origin(),
            allows_insecure_tls: self.settings.allows_insecure_tls,
            authorization: self.settings.authorization.clone(),
            is_signing: self.secrets.signing.is_some(),
            secret_headers: self.settings.headers.secret_names().into_iter().map(str::to_owned).collect(),
        }
    }

    /// Returns true if secrets and waiting deliveries of this webhook are not meant for the target of these settings.
    pub fn is_moved_by(&self, settings: &Settings) -> bool {
        let Settings { url, authorization, allows_insecure_tls, .. } = settings;
        self.stored().target_change(url, authorization, *allows_insecure_tls).is_some()
    }

    /// Returns the webhook as of a revision: method, URL, headers, authorization and TLS setting as of the revision,
    /// the rest as it is now. A secret that now belongs to another target is left out.
    pub fn as_of_revision(&self, then: Settings) -> Option<Self> {
        let has_moved = self.is_moved_by(&then);
        // Secret headers belong to scheme, host, port and TLS setting, but not to the name of the API key's header.
        let keeps_headers = self.stored().origin_change(&then.url, then.allows_insecure_tls).is_none();
        let is_ours = !has_moved && self.settings.authorization.id() == then.authorization.id();
        let secrets = SealedSecrets {
            authorization: self.secrets.authorization.clone().filter(|_| is_ours),
            signing: self.secrets.signing.clone().filter(|_| !has_moved),
            headers: self.secrets.headers.clone().filter(|_| keeps_headers),
        };
        let authorization = if is_ours { then.authorization.clone() } else { Authorization::None };
        self.with_target(Settings { authorization, ..then }, secrets)
    }

    /// Returns the webhook as of a revision, to be shown and never sent. A stand-in replaces the secret of the
    /// authorization.
    pub fn shown_as_of_revision(&self, then: Settings) -> Option<Self> {
        let authorization = (then.authorization != Authorization::None).then(Vec::new);
        self.with_target(then, SealedSecrets { authorization, ..self.secrets.clone() })
    }

    /// Returns the webhook with another target; `None` where the target's URL cannot be read.
    fn with_target(&self, target: Settings, secrets: SealedSecrets) -> Option<Self> {
        let Settings { url, method, authorization, headers, allows_insecure_tls, .. } = target;
        if url == TargetUrl::unreadable() {
            return None;
        }
        let settings = Settings { url, method, authorization, headers, allows_insecure_tls, ..self.settings.clone() };
        Some(Self { settings, secrets, ..self.clone() })
    }
}

/// Returns the associated data of a webhook's sealed signing secret.
pub fn signing_associated_data(uuid: Uuid) -> String {
    format!("webhook|signing_secret|{uuid}")
}

/// Returns the associated data of a webhook's sealed headers.
pub fn headers_associated_data(uuid: Uuid) -> String {
    format!("webhook|secret_headers|{uuid}")
}

/// Returns the associated data of a webhook's sealed secret.
pub fn secret_associated_data(uuid: Uuid) -> String {
    format!("webhook|secret|{uuid}")
}

impl Row {
    /// Replaces a part that cannot be read, since a newer version or a person has written it, by a stand-in, and logs
    /// that. Such a webhook is shown and never called, and it does not block other webhooks.
    pub(super) fn of(destination: destination::Model, row: webhook::Model) -> Self {
        let url = TargetUrl::parse(&row.url).ok();
        let method = Method::find(&row.method);
        let authorization = serde_json::from_str(&row.authorization).ok();
        let headers = serde_json::from_str(&row.headers).ok();
        let is_readable = url.is_some() && method.is_some() && authorization.is_some() && headers.is_some();
        if !is_readable {
            tracing::error!(
                webhook = row.id,
                "a webhook cannot be read; nothing is sent to it until it is saved again"
            );
        }
        Self {
            id: WebhookId(row.id),
            uuid: destination.uuid,
            hold: hold_state(&destination),
            settings: Settings {
                name: destination.name,
                url: url.unwrap_or_else(TargetUrl::unreadable),
                method: method.unwrap_or(Method::Post),
                authorization: authorization.unwrap_or(Authorization::None),
                headers: headers.unwrap_or_default(),
                allows_insecure_tls: row.allows_insecure_tls,
                is_direct: row.is_direct,
                timeout: from_millis(destination.timeout_ms),
                retries: u32::try_from(destination.retries).unwrap_or_default(),
                note: row.note,
            },
            secrets: SealedSecrets {
                authorization: row.secret,
                signing: row.signing_secret,
                headers: row.secret_headers,
            },
            revision: destination.revision,
            is_deleted: destination.deleted_at.is_some(),
            is_readable,
        }
    }
}

/// Returns the columns of the target, which a save writes: all but the id.
pub(super) fn columns(settings: &Settings, secrets: SealedSecrets) -> Result<webhook::ActiveModel> {
    let json = |error: serde_json::Error| Error::Other(DbErr::Json(error.to_string()));
    Ok(webhook::ActiveModel {
        id: NotSet,
        url: Set(settings.url.as_str().to_owned()),
        method: Set(settings.method.as_str().to_owned()),
        authorization: Set(serde_json::to_string(&settings.authorization).map_err(json)?),
        secret: Set(secrets.authorization),
        headers: Set(serde_json::to_string(&settings.headers).map_err(json)?),
        allows_insecure_tls: Set(settings.allows_insecure_tls),
        is_direct: Set(settings.is_direct),
        signing_secret: Set(secrets.signing),
        secret_headers: Set(secrets.headers),
        note: Set(settings.note.clone()),
    })
}
