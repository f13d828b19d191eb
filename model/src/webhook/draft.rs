//! A webhook as typed, and the way from there to a checked one.

use super::secret_header::{self, Line};
use super::{Authorization, DEFAULT_KEY_HEADER, Method, NAME_MAX, StoredWebhook, TIMEOUT_MAX_SECONDS, Webhook, secret};
use crate::draft::{Texts, read_from_texts};
use crate::field_error::FieldErrors;
use crate::header::HeaderList;
use crate::text;
use crate::url::TargetUrl;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A webhook as typed. Field names are those of the form and of the plain post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Texts")]
#[expect(missing_docs, reason = "each field is the form field of that name; the rules stand in `parse`")]
pub struct WebhookDraft {
    pub name: String,
    pub kind: String,
    pub url: String,
    pub auth_type: String,
    pub token: String,
    pub api_key: String,
    pub api_key_header: String,
    pub api_key_prefix: String,
    pub username: String,
    pub password: String,
    /// `true`: every attempt is signed (Standard Webhooks).
    pub sign: String,
    pub signing_secret: String,
    /// `Name: Value` lines; a secret header has the mask as its value.
    pub headers: String,
    /// The values of secret headers, as `Name: Value` lines: see `webhook::secret_header`.
    pub secret_headers: String,
    pub allow_insecure: String,
    /// `true`: not through the egress proxy.
    pub direct: String,
    pub timeout: String,
    pub retries: String,
    pub method: String,
    /// The revision the form was opened on; empty for a new webhook.
    pub revision: String,
    /// The secrets that were typed into a form that was refused, by field: no page carries them back, so that they are
    /// empty now without being meant so.
    pub retype: String,
    /// `true`: what [`retype`](Self::retype) names is left as it was before, after all.
    pub keep_secrets: String,
}

read_from_texts! {
    WebhookDraft: name kind url auth_type token api_key api_key_header api_key_prefix username password sign
        signing_secret headers secret_headers allow_insecure direct timeout retries method revision retype keep_secrets
}

impl Default for WebhookDraft {
    /// A new webhook, as the form shows it first.
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: "custom".into(),
            url: String::new(),
            auth_type: "none".into(),
            token: String::new(),
            api_key: String::new(),
            api_key_header: DEFAULT_KEY_HEADER.into(),
            api_key_prefix: String::new(),
            username: String::new(),
            password: String::new(),
            sign: String::new(),
            signing_secret: String::new(),
            headers: "Content-Type: application/json".into(),
            secret_headers: String::new(),
            allow_insecure: String::new(),
            direct: String::new(),
            timeout: "5".into(),
            retries: "3".into(),
            method: "POST".into(),
            revision: String::new(),
            retype: String::new(),
            keep_secrets: String::new(),
        }
    }
}

impl WebhookDraft {
    /// The draft without its secrets: what may travel back to the browser after a refused save. Remembers which there
    /// were.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        let (mut typed, mut has_new) = (Vec::new(), false);
        let retypes = |field: &str| self.retype.split(' ').any(|lost| lost == field);
        for (name, secret) in [
            ("token", &mut self.token),
            ("api_key", &mut self.api_key),
            ("password", &mut self.password),
            ("signing_secret", &mut self.signing_secret),
        ] {
            has_new |= !secret.is_empty();
            if !secret.is_empty() || retypes(name) {
                typed.push(name);
            }
            secret.clear();
        }
        let (blanked, has_new_header) = secret_header::without_values(&self.secret_headers);
        self.secret_headers = blanked;
        if has_new_header || retypes(secret_header::FIELD) {
            typed.push(secret_header::FIELD);
        }
        if has_new || has_new_header {
            // The choice was made before this secret was typed.
            self.keep_secrets.clear();
        }
        self.retype = typed.join(" ");
        self
    }

    /// Whether this secret was typed before the form was refused, and has to be typed again.
    pub fn is_lost(&self, field: &str) -> bool {
        self.keep_secrets != "true" && self.retype.split(' ').any(|lost| lost == field)
    }

    /// Checks every field. `stored` is the webhook being edited, `None` for a new one.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self, stored: Option<&StoredWebhook>) -> Result<Webhook, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.check("name", text::parse_name(&self.name, NAME_MAX));
        if self.kind != "custom" {
            errors.add("kind", "The only type is Custom.");
        }
        let url = errors.check("url", TargetUrl::parse(&self.url));
        let allows_insecure_tls = self.allow_insecure == "true";
        let authorization = self.parse_authorization(&mut errors);
        let secret = authorization.as_ref().and_then(|authorization| {
            // A URL that cannot be read is an error of its own, and says nothing about the secret.
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
        let timeout = errors.check("timeout", text::parse_number(&self.timeout, 3..=TIMEOUT_MAX_SECONDS, "seconds"));
        let retries = errors.check("retries", text::parse_number(&self.retries, 0..=100, ""));
        let method =
            errors.check("method", Method::find(&self.method).ok_or("Choose one of the listed methods.".to_owned()));
        match (name, url, authorization, secret.zip(signing), headers, timeout, retries, method) {
            (
                Some(name),
                Some(url),
                Some(authorization),
                Some((secret, signing)),
                Some((headers, secret_values)),
                Some(timeout),
                Some(retries),
                Some(method),
            ) if errors.is_empty() => Ok(Webhook {
                name,
                url,
                method,
                authorization,
                secret,
                signing,
                headers,
                secret_values,
                allows_insecure_tls,
                is_direct: self.direct == "true",
                timeout: Duration::from_secs(timeout.into()),
                retries,
            }),
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
                errors.0.extend(wrong.0);
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
