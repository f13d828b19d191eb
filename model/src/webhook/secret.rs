//! The authorization of a webhook as typed, its secret, and the signing secret.

use super::{Authorization, SECRET_MAX_BYTES, SecretChange, StoredWebhook, WebhookDraft, secret_header};
use crate::field_error::FieldErrors;
use crate::text::capitalised;
use crate::url::TargetUrl;
use crate::{header, signature};
use secrecy::SecretString;

impl WebhookDraft {
    /// Returns the draft without its secrets, as it may be sent back to the browser after a refused save. `retype` then
    /// names the secrets that were typed.
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
            // The switch was set before this secret was typed.
            self.keep_secrets.clear();
        }
        self.retype = typed.join(" ");
        self
    }

    /// Returns true if this secret was typed before the form was refused, and has to be typed again.
    pub fn is_lost(&self, field: &str) -> bool {
        self.keep_secrets != "true" && self.retype.split(' ').any(|lost| lost == field)
    }

    pub(super) fn parse_authorization(&self, errors: &mut FieldErrors) -> Option<Authorization> {
        match self.auth_type.as_str() {
            "none" => Some(Authorization::None),
            "bearer" => Some(Authorization::Bearer),
            "basic" => {
                let username = errors.check("username", parse_username(&self.username))?;
                Some(Authorization::Basic { username })
            }
            "api_key" => {
                let header = self.api_key_header.trim();
                let checked = header::check_name(header).map_err(|clause| capitalised(&clause));
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

    pub(super) fn parse_signing(
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

    /// Checks the authorization's secret. `stored` is `None` for a new webhook, and `Err` with the reason if the stored
    /// secret may not be kept. `is_new` is true if this type of authorization had no secret before.
    pub(super) fn parse_secret(
        &self,
        authorization: &Authorization,
        (stored, is_new): (Option<Result<(), &'static str>>, bool),
        errors: &mut FieldErrors,
    ) -> Option<SecretChange> {
        let (field, typed, word) = match authorization {
            Authorization::None => return Some(SecretChange::Clear),
            Authorization::Bearer => ("token", &self.token, "token"),
            Authorization::Basic { .. } => ("password", &self.password, "password"),
            Authorization::ApiKey { .. } => ("api_key", &self.api_key, "API key"),
        };
        // A password may begin or end with a blank. In a token or key, such a blank was pasted by mistake.
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
            return match stored {
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

/// Returns the error for a new secret that a refused form has lost.
pub(crate) fn lost(word: &str) -> String {
    format!("Enter the new {word} again: the form was refused, and a page never carries a secret back.")
}

/// Fails when the stored secret may not be used with the edited target. The error says what has changed.
pub(super) fn keeps_secret(
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
        return Err("This contains a blank or a character outside ASCII, which a header cannot contain.".to_owned());
    }
    Ok(SecretString::from(typed.to_owned()))
}
