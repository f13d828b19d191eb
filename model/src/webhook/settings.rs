//! The configuration of a webhook: checked and stored ([`Settings`]), as typed ([`WebhookDraft`]), and the conversions
//! between them.

use super::secret_header::{self, Line};
use super::{Authorization, DEFAULT_KEY_HEADER, Method, NAME_MAX, StoredWebhook, TIMEOUT_MAX_SECONDS, Webhook, secret};
use crate::draft::{draft, switch};
use crate::field_error::FieldErrors;
use crate::header::{HeaderList, MASK};
use crate::text;
use crate::url::TargetUrl;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The settings of a webhook: the whole configuration without secrets.
///
/// Serialised, they are the document of a webhook's revision. Documents of any age must be readable, so a field that
/// older ones lack is `#[serde(default)]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Unique, 1 to 128 characters.
    pub name: String,
    /// The target. The URL of a document that is no longer valid is read as [`TargetUrl::unreadable`].
    #[serde(with = "url_text")]
    pub url: TargetUrl,
    /// The HTTP method.
    pub method: Method,
    /// The way in which a request proves the caller's identity.
    pub authorization: Authorization,
    /// The configured headers, in order. A secret one has the mask as its value.
    pub headers: HeaderList,
    /// True if a certificate that does not verify is accepted.
    pub allows_insecure_tls: bool,
    /// True if the webhook bypasses the egress proxy.
    #[serde(default)]
    pub is_direct: bool,
    /// The deadline of the whole exchange, 3 to 120 s.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    /// Attempts after the first, 0 to 100.
    pub retries: u32,
    /// A free text of at most 500 characters; may be empty.
    #[serde(default)]
    pub note: String,
}

impl Settings {
    /// Returns the settings for viewers who cannot edit webhooks: URL, user name and header values may be secrets.
    #[must_use]
    pub fn discreet(self) -> Self {
        let authorization = match self.authorization {
            // Some systems take a token as the user name.
            Authorization::Basic { .. } => Authorization::Basic { username: MASK.to_owned() },
            other => other,
        };
        Self { url: self.url.discreet(), headers: self.headers.discreet(), authorization, ..self }
    }
}

/// A URL in a document, as its text.
mod url_text {
    use crate::url::TargetUrl;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(url: &TargetUrl, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(url.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TargetUrl, D::Error> {
        let text = String::deserialize(from)?;
        Ok(TargetUrl::parse(&text).unwrap_or_else(|_| TargetUrl::unreadable()))
    }
}

/// A duration in a document, in milliseconds.
mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// The only type of a webhook.
const KIND: &str = "custom";

draft! {
    /// A webhook as typed. Field names are those of the form and of the plain post.
    pub struct WebhookDraft {
        name,
        kind = KIND,
        url,
        auth_type = "none",
        token,
        api_key,
        api_key_header = DEFAULT_KEY_HEADER,
        api_key_prefix,
        username,
        password,
        /// `true`: every attempt is signed (Standard Webhooks).
        sign,
        signing_secret,
        /// `Name: Value` lines; a secret header has the mask as its value.
        headers = "Content-Type: application/json",
        /// The values of secret headers, as `Name: Value` lines: see `webhook::secret_header`.
        secret_headers,
        allow_insecure,
        /// `true`: not through the egress proxy.
        direct,
        timeout = "5",
        retries = "3",
        method = "POST",
        note,
        /// The revision the form was opened on; empty for a new webhook.
        revision,
        /// The names of the secrets that were typed into a form that was refused. No page carries a secret back, so the
        /// fields are empty now although the person did not mean them to be.
        retype,
        /// `true`: for the secrets that [`retype`](Self::retype) names, the stored values are kept after all.
        keep_secrets,
    }
}

impl WebhookDraft {
    /// Returns the draft of a stored webhook as its form shows it, without secrets.
    pub fn of(settings: &Settings, is_signing: bool, revision: i64) -> Self {
        let (username, api_key_header, api_key_prefix) = match &settings.authorization {
            Authorization::None | Authorization::Bearer => ("", DEFAULT_KEY_HEADER, ""),
            Authorization::Basic { username } => (username.as_str(), DEFAULT_KEY_HEADER, ""),
            Authorization::ApiKey { header, prefix } => ("", header.as_str(), prefix.as_str()),
        };
        Self {
            name: settings.name.clone(),
            kind: KIND.to_owned(),
            url: settings.url.as_str().to_owned(),
            auth_type: settings.authorization.id().to_owned(),
            token: String::new(),
            api_key: String::new(),
            api_key_header: api_key_header.to_owned(),
            api_key_prefix: api_key_prefix.to_owned(),
            username: username.to_owned(),
            password: String::new(),
            sign: switch(is_signing),
            signing_secret: String::new(),
            headers: settings.headers.to_text(),
            secret_headers: String::new(),
            allow_insecure: switch(settings.allows_insecure_tls),
            direct: switch(settings.is_direct),
            timeout: settings.timeout.as_secs().to_string(),
            retries: settings.retries.to_string(),
            method: settings.method.as_str().to_owned(),
            note: settings.note.clone(),
            revision: revision.to_string(),
            retype: String::new(),
            keep_secrets: String::new(),
        }
    }

    /// Checks every field. `stored` is the webhook being edited, `None` for a new one.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self, stored: Option<&StoredWebhook>) -> Result<Webhook, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.check("name", text::parse_name(&self.name, NAME_MAX));
        if self.kind != KIND {
            errors.add("kind", "The only type is Custom.");
        }
        let url = errors.check("url", TargetUrl::parse(&self.url));
        let allows_insecure_tls = self.allow_insecure == "true";
        let authorization = self.parse_authorization(&mut errors);
        let secret = authorization.as_ref().and_then(|authorization| {
            // A URL that cannot be read is an error of its own, and does not affect the secret.
            let keeps = |stored| {
                url.as_ref().map_or(Ok(()), |url| secret::keeps_secret(stored, url, authorization, allows_insecure_tls))
            };
            let is_other = |stored: &StoredWebhook| stored.authorization.id() != authorization.id();
            self.parse_secret(authorization, (stored.map(keeps), stored.is_none_or(is_other)), &mut errors)
        });
        let changed = stored
            .zip(url.as_ref())
            .zip(authorization.as_ref())
            .and_then(|((stored, url), authorization)| stored.target_change(url, authorization, allows_insecure_tls));
        let signing = self.parse_signing(stored.is_some_and(|stored| stored.is_signing), changed, &mut errors);
        let headers = self.parse_headers(authorization.as_ref(), &mut errors);
        let lines = self.parse_secret_lines(&mut errors);
        if let (Some(authorization), Some(lines)) = (&authorization, &lines) {
            refuse_generated(lines.iter().filter_map(Line::new_name), authorization, secret_header::FIELD, &mut errors);
        }
        let moved = stored.zip(url.as_ref()).and_then(|(stored, url)| stored.origin_change(url, allows_insecure_tls));
        let headers = headers
            .zip(lines)
            .and_then(|(headers, lines)| secret_header::merge(headers, lines, (stored, moved), &mut errors));
        let (headers, secret_values) = headers.unwrap_or_default();
        // A wrong field gets a stand-in, which is never shown: the draft is refused with its errors.
        let settings = Settings {
            name: name.unwrap_or_default(),
            url: url.unwrap_or_else(TargetUrl::unreadable),
            authorization: authorization.unwrap_or(Authorization::None),
            headers,
            allows_insecure_tls,
            is_direct: self.direct == "true",
            timeout: errors
                .check("timeout", text::parse_number(&self.timeout, 3..=TIMEOUT_MAX_SECONDS, "seconds"))
                .map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds.into())),
            retries: errors.check("retries", text::parse_number(&self.retries, 0..=100, "")).unwrap_or_default(),
            method: errors
                .check("method", Method::find(&self.method).ok_or("Choose one of the listed methods.".to_owned()))
                .unwrap_or(Method::Post),
            note: errors.check("note", text::parse_text(&self.note, "note", 500)).unwrap_or_default(),
        };
        match (secret, signing) {
            (Some(secret), Some(signing)) if errors.is_empty() => {
                Ok(Webhook { settings, secret, signing, secret_values })
            }
            _ => Err(errors),
        }
    }

    fn parse_headers(&self, authorization: Option<&Authorization>, errors: &mut FieldErrors) -> Option<HeaderList> {
        match HeaderList::parse(&self.headers, "headers") {
            Ok(headers) => {
                if let Some(authorization) = authorization {
                    refuse_generated(headers.0.iter().map(|row| row.name.as_str()), authorization, "headers", errors);
                }
                Some(headers)
            }
            Err(wrong) => {
                errors.append(wrong);
                None
            }
        }
    }
}

fn refuse_generated<'a>(
    mut names: impl Iterator<Item = &'a str>,
    authorization: &Authorization,
    field: &str,
    errors: &mut FieldErrors,
) {
    if let Some(generated) = authorization.header_name()
        && names.any(|name| name.eq_ignore_ascii_case(generated))
    {
        errors.add(
            field,
            format!(
                "{generated} is already set by the authorization. Remove it here, or choose another authorization type."
            ),
        );
    }
}
