//! Webhooks: where and how to send.

use crate::draft::{Texts, read_from_texts};
use crate::field_error::FieldErrors;
use crate::header::{self, HeaderList};
use crate::url::TargetUrl;
use crate::{signature, text};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
    /// Unique, 1 to 128 characters.
    pub name: String,
    /// Where to send.
    pub url: TargetUrl,
    /// How to send.
    pub method: Method,
    /// How to prove who is calling.
    pub authorization: Authorization,
    /// What happens to the secret.
    pub secret: SecretChange,
    /// What happens to the signing secret.
    pub signing: SecretChange,
    /// The configured headers, in order.
    pub headers: HeaderList,
    /// Whether a certificate that does not verify is accepted.
    pub allows_insecure_tls: bool,
    /// Whether it is called directly where the others go through the egress proxy.
    pub is_direct: bool,
    /// One deadline over the whole exchange, 3 to 120 s.
    pub timeout: Duration,
    /// Attempts after the first, 0 to 100.
    pub retries: u32,
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
        if self.origin != url.origin() {
            return Some("the scheme, host or port of the URL has changed, and a secret belongs to one target");
        }
        (self.allows_insecure_tls != allows_insecure_tls).then_some("Allow Insecure Certificates has changed")
    }
}

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
    pub headers: String,
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
        signing_secret headers allow_insecure direct timeout retries method revision retype keep_secrets
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
        for (name, secret) in [
            ("token", &mut self.token),
            ("api_key", &mut self.api_key),
            ("password", &mut self.password),
            ("signing_secret", &mut self.signing_secret),
        ] {
            has_new |= !secret.is_empty();
            if !secret.is_empty() || self.retype.split(' ').any(|lost| lost == name) {
                typed.push(name);
            }
            secret.clear();
        }
        if has_new {
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
                url.as_ref().map_or(Ok(()), |url| keeps_secret(stored, url, authorization, allows_insecure_tls))
            };
            let is_other = |stored: &StoredWebhook| stored.authorization.id() != authorization.id();
            self.parse_secret(authorization, (stored.map(keeps), stored.is_none_or(is_other)), &mut errors)
        });
        let changed = stored
            .zip(url.as_ref())
            .zip(authorization.as_ref())
            .and_then(|((stored, url), authorization)| stored.target_change(url, authorization, allows_insecure_tls));
        let signing = self.parse_signing(stored.is_some_and(|stored| stored.is_signing), changed, &mut errors);
        let headers = match HeaderList::parse(&self.headers, "headers") {
            Ok(headers) => {
                if let Some(authorization) = &authorization {
                    refuse_generated(&headers, authorization, &mut errors);
                }
                Some(headers)
            }
            Err(wrong) => {
                errors.0.extend(wrong.0);
                None
            }
        };
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
                Some(headers),
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
                allows_insecure_tls,
                is_direct: self.direct == "true",
                timeout: Duration::from_secs(timeout.into()),
                retries,
            }),
            _ => Err(errors),
        }
    }

    fn parse_authorization(&self, errors: &mut FieldErrors) -> Option<Authorization> {
        match self.auth_type.as_str() {
            "none" => Some(Authorization::None),
            "bearer" => Some(Authorization::Bearer),
            "basic" => {
                let username = errors.check("username", parse_username(&self.username))?;
                Some(Authorization::Basic { username })
            }
            "api_key" => {
                let header = self.api_key_header.trim();
                let checked = header::check_name(header).map_err(|clause| sentence(&clause));
                let prefix = errors.check("api_key_prefix", parse_prefix(&self.api_key_prefix));
                errors.check("api_key_header", checked)?;
                Some(Authorization::ApiKey { header: header.to_owned(), prefix: prefix? })
            }
            _ => {
                errors.add("auth_type", "Choose one of the listed authorization types.");
                None
            }
        }
    }

    fn parse_signing(
        &self,
        is_stored: bool,
        changed: Option<&'static str>,
        errors: &mut FieldErrors,
    ) -> Option<SecretChange> {
        if self.sign != "true" {
            return Some(SecretChange::Clear);
        }
        if self.signing_secret.trim().is_empty() {
            match changed {
                _ if self.is_lost("signing_secret") => errors.add("signing_secret", lost("signing secret")),
                None if is_stored => return Some(SecretChange::Keep),
                Some(reason) if is_stored => {
                    errors.add("signing_secret", format!("Enter the signing secret again: {reason}."));
                }
                _ => errors.add("signing_secret", "A signing secret is required to sign."),
            }
            return None;
        }
        let secret = errors.check("signing_secret", signature::parse_secret(&self.signing_secret))?;
        Some(SecretChange::Set(SecretString::from(secret)))
    }

    /// `kept` is `None` for a new webhook, else whether the stored secret may stay, or why not. `is_new`: this type of
    /// authorization had no secret before.
    fn parse_secret(
        &self,
        authorization: &Authorization,
        (kept, is_new): (Option<Result<(), &'static str>>, bool),
        errors: &mut FieldErrors,
    ) -> Option<SecretChange> {
        let (field, typed, word) = match authorization {
            Authorization::None => return Some(SecretChange::Clear),
            Authorization::Bearer => ("token", &self.token, "token"),
            Authorization::Basic { .. } => ("password", &self.password, "password"),
            Authorization::ApiKey { .. } => ("api_key", &self.api_key, "API key"),
        };
        // A password may begin or end with a blank; a token or key that does was pasted badly.
        let typed = if field == "password" { typed.as_str() } else { typed.trim() };
        if typed.is_empty() && self.is_lost(field) {
            errors.add(field, lost(word));
            return None;
        }
        if typed.is_empty() {
            // Either half may be empty (RFC 7617): some receivers take a token as the name.
            let was_typed = self.retype.split(' ').any(|typed| typed == field);
            if is_new
                && !was_typed
                && matches!(authorization, Authorization::Basic { username } if !username.is_empty())
            {
                return Some(SecretChange::Set(SecretString::from(String::new())));
            }
            return match kept {
                Some(Ok(())) => Some(SecretChange::Keep),
                Some(Err(reason)) => {
                    errors.add(field, format!("Enter the {word} again: {reason}."));
                    None
                }
                None if field == "password" => {
                    errors.add(field, "Enter a user name, a password, or both.");
                    None
                }
                None => {
                    errors.add(field, format!("A {word} is required.").replace("A API", "An API"));
                    None
                }
            };
        }
        let secret = errors.check(field, check_secret(field, typed))?;
        Some(SecretChange::Set(secret))
    }
}

fn lost(word: &str) -> String {
    format!("Enter the new {word} again: the form was refused, and a page never carries a secret back.")
}

/// Whether the stored secret may be used with the edited target, or what changed.
fn keeps_secret(
    stored: &StoredWebhook,
    url: &TargetUrl,
    authorization: &Authorization,
    allows_insecure_tls: bool,
) -> Result<(), &'static str> {
    if stored.authorization.id() != authorization.id() {
        return Err("the authorization type has changed");
    }
    stored.target_change(url, authorization, allows_insecure_tls).map_or(Ok(()), Err)
}

fn refuse_generated(headers: &HeaderList, authorization: &Authorization, errors: &mut FieldErrors) {
    if let Some(name) = authorization.header_name()
        && headers.find(name).is_some()
    {
        errors.add(
            "headers",
            format!(
                "{name} is already set by the authorization. Remove it here, or choose another authorization type."
            ),
        );
    }
}

fn parse_username(typed: &str) -> Result<String, String> {
    if typed.len() > 255 {
        return Err("This user name is too long; 255 bytes are the most.".to_owned());
    }
    if typed.contains(':') {
        return Err("A user name for Basic authorization cannot contain a colon (RFC 7617).".to_owned());
    }
    if typed.chars().any(char::is_control) {
        return Err("This user name contains a control character.".to_owned());
    }
    Ok(typed.to_owned())
}

fn parse_prefix(typed: &str) -> Result<String, String> {
    let prefix = typed.trim();
    if prefix.len() > 64 || !prefix.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err("A prefix has at most 64 visible ASCII characters.".to_owned());
    }
    Ok(prefix.to_owned())
}

fn check_secret(field: &str, typed: &str) -> Result<SecretString, String> {
    if typed.len() > SECRET_MAX_BYTES {
        return Err(format!("This is too long; {SECRET_MAX_BYTES} bytes are the most."));
    }
    let scheme = typed.split_whitespace().next().unwrap_or_default();
    if field == "token" && scheme.eq_ignore_ascii_case("bearer") && scheme.len() < typed.len() {
        return Err("Enter the token only, without the word Bearer; it is added when the request is sent.".to_owned());
    }
    if typed.chars().any(char::is_control) {
        return Err("This contains a control character, for example a line break. Paste it again without.".to_owned());
    }
    if field != "password" && !typed.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("This contains a blank or a character outside ASCII, which cannot stand in a header.".to_owned());
    }
    Ok(SecretString::from(typed.to_owned()))
}

fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
