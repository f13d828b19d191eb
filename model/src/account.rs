//! Accounts: the drafts of signing in and of a new account, and the rules for names and passwords.

use crate::field_error::FieldErrors;
use crate::text;
use serde::{Deserialize, Serialize};

/// A sign-in as typed.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SignInDraft {
    /// The account's name.
    pub name: String,
    /// The password. Never sent back to a browser.
    pub password: String,
    /// The path to go to after signing in.
    pub next: String,
}

/// A new account as typed.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountDraft {
    /// The account's name.
    pub name: String,
    /// The password. Never sent back to a browser.
    pub password: String,
    /// The same password again.
    pub repeat: String,
    /// The one-time token of the setup link.
    pub token: String,
}

/// The fewest characters a password may have. NIST SP 800-63B-4 asks for 15 without a second factor; 12 is the minimum
/// here.
pub const PASSWORD_MIN: usize = 12;
/// The most bytes a password may have, so that the time to hash it stays bounded.
pub const PASSWORD_MAX_BYTES: usize = 1024;

/// Checks an account name: 1 to 64 letters, digits, `.`, `_`, `-` or `@`.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn parse_account_name(typed: &str) -> Result<String, String> {
    let name = text::parse_name(typed, 64)?;
    if name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@')) {
        Ok(name)
    } else {
        Err("An account name has only letters, digits and . _ - @".to_owned())
    }
}

/// Checks a new password's length.
///
/// # Errors
/// A sentence that never contains the password.
pub fn check_password(typed: &str) -> Result<(), String> {
    if typed.chars().count() < PASSWORD_MIN {
        Err(format!("A password has at least {PASSWORD_MIN} characters."))
    } else if typed.len() > PASSWORD_MAX_BYTES {
        Err(format!("This password is too long; {PASSWORD_MAX_BYTES} bytes are the most."))
    } else {
        Ok(())
    }
}

impl AccountDraft {
    /// Checks every field. Returns the name of the new account.
    ///
    /// # Errors
    /// Each wrong field.
    pub fn parse(&self) -> Result<String, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.check("name", parse_account_name(&self.name));
        errors.check("password", check_password(&self.password));
        if self.repeat != self.password {
            errors.add("repeat", "The two passwords differ. Type the same one twice.");
        }
        match name {
            Some(name) if errors.is_empty() => Ok(name),
            _ => Err(errors),
        }
    }
}
