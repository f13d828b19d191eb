//! The mailer: the mail server that e-mails are sent through.

use crate::draft::{draft, switch};
use crate::email::parse_address;
use crate::field_error::FieldErrors;
use crate::text::{self, capitalised, parse_number};
use crate::webhook::{SecretChange, TIMEOUT_MAX_SECONDS};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The name of the mailer as an object and as a destination.
pub const NAME: &str = "SMTP";
/// The most bytes of a password.
const PASSWORD_MAX_BYTES: usize = 4096;

/// The encryption of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// The session begins in clear and is encrypted before anything is sent (RFC 3207). Without STARTTLS it ends.
    Starttls,
    /// Encrypted from the first byte (RFC 8314).
    Tls,
    /// In clear.
    None,
}

impl Encryption {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Starttls, Self::Tls, Self::None];

    /// Returns the word in rows, drafts and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }

    /// Returns the encryption with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// The configuration of a mailer, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// A name or an IP address, in lower case.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// The encryption.
    pub encryption: Encryption,
    /// The name to sign in with. Empty: no authentication.
    pub username: String,
    /// The sender's address where a task names none, and the address that errors return to.
    pub from_address: String,
    /// The sender's name where a task names none. May be empty.
    pub from_name: String,
    /// The server's certificate is not checked.
    pub allows_insecure_tls: bool,
    /// The time limit of one attempt: 3 to 120 s.
    pub timeout: Duration,
    /// The number of attempts after the first one: 0 to 100.
    pub retries: u32,
}

impl Settings {
    /// Returns true if the password and the waiting e-mails of these settings are not meant for the server of `other`.
    pub fn is_moved_by(&self, other: &Self) -> bool {
        self.target_change(other).is_some()
    }

    /// Returns the part of the target that differs, as a clause.
    fn target_change(&self, other: &Self) -> Option<&'static str> {
        if self.host != other.host {
            Some("the server has changed")
        } else if self.port != other.port {
            Some("the port has changed")
        } else if self.encryption != other.encryption {
            Some("the encryption has changed")
        } else if self.allows_insecure_tls != other.allows_insecure_tls {
            Some("the setting for insecure certificates has changed")
        } else {
            None
        }
    }
}

/// What the parser must know of the stored mailer.
#[derive(Debug, Clone)]
pub struct StoredMailer {
    /// The stored settings.
    pub settings: Settings,
    /// A password is stored.
    pub has_password: bool,
}

/// A checked mailer, ready to be stored.
#[derive(Debug)]
pub struct Mailer {
    /// The settings.
    pub settings: Settings,
    /// What happens to the password.
    pub password: SecretChange,
}

draft! {
    /// A mailer as typed. Field names are those of the form and of the plain post.
    pub struct MailerDraft {
        server,
        port = "587",
        encryption = "starttls",
        username,
        password,
        from_address,
        from_name,
        allow_insecure,
        timeout = "30",
        retries = "10",
        /// The revision the form was opened on; empty for the first settings.
        revision,
    }
}

impl MailerDraft {
    /// Returns the draft of a stored mailer, as its form shows it: without its password.
    pub fn of(settings: &Settings, revision: i64) -> Self {
        Self {
            server: settings.host.clone(),
            port: settings.port.to_string(),
            encryption: settings.encryption.as_str().to_owned(),
            username: settings.username.clone(),
            password: String::new(),
            from_address: settings.from_address.clone(),
            from_name: settings.from_name.clone(),
            allow_insecure: switch(settings.allows_insecure_tls),
            timeout: settings.timeout.as_secs().to_string(),
            retries: settings.retries.to_string(),
            revision: revision.to_string(),
        }
    }

    /// Returns the draft without its password, as it may travel back to the browser after a refused save.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.password.clear();
        self
    }

    /// Checks every field. A password that was not typed is the stored one, unless the target has changed.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self, stored: Option<&StoredMailer>) -> Result<Mailer, FieldErrors> {
        let mut errors = FieldErrors::default();
        let host = errors.check("server", parse_host(&self.server));
        let port = errors.check("port", parse_number(&self.port, 1..=65535, ""));
        let encryption = Encryption::find(&self.encryption);
        if encryption.is_none() {
            errors.add("encryption", "Choose one of the listed encryptions.");
        }
        let username = errors.check("username", parse_username(&self.username));
        let from_address =
            errors.check("from_address", parse_address(&self.from_address).map_err(|clause| capitalised(&clause)));
        let from_name = errors.check("from_name", parse_from_name(&self.from_name));
        let timeout = errors.check("timeout", parse_number(&self.timeout, 3..=TIMEOUT_MAX_SECONDS, "seconds"));
        let retries = errors.check("retries", parse_number(&self.retries, 0..=100, ""));
        let settings = (|| {
            Some(Settings {
                host: host?,
                port: u16::try_from(port?).ok()?,
                encryption: encryption?,
                username: username?,
                from_address: from_address?,
                from_name: from_name?,
                allows_insecure_tls: self.allow_insecure == "true",
                timeout: Duration::from_secs(timeout?.into()),
                retries: retries?,
            })
        })();
        let Some(settings) = settings else { return Err(errors) };
        if !settings.username.is_empty() && settings.encryption == Encryption::None && !is_loopback(&settings.host) {
            errors.add("username", "A password would be sent in clear. Choose STARTTLS or TLS, or leave this empty.");
        }
        let password = self.parse_password(&settings, stored, &mut errors);
        match password {
            Some(password) if errors.is_empty() => Ok(Mailer { settings, password }),
            _ => Err(errors),
        }
    }

    fn parse_password(
        &self,
        settings: &Settings,
        stored: Option<&StoredMailer>,
        errors: &mut FieldErrors,
    ) -> Option<SecretChange> {
        if settings.username.is_empty() {
            if !self.password.is_empty() {
                errors.add("password", "A password needs a user name. Enter the name, or remove the password.");
                return None;
            }
            return Some(SecretChange::Clear);
        }
        if !self.password.is_empty() {
            let is_fine = self.password.len() <= PASSWORD_MAX_BYTES && !self.password.contains(['\0', '\r', '\n']);
            if !is_fine {
                errors.add("password", "A password has at most 4096 bytes and no line ends.");
                return None;
            }
            return Some(SecretChange::Set(SecretString::from(self.password.clone())));
        }
        match stored.filter(|stored| stored.has_password) {
            None => errors.add("password", "A password is required to sign in. Leave both empty for none."),
            Some(stored) => match stored.settings.target_change(settings) {
                None => return Some(SecretChange::Keep),
                Some(reason) => errors.add("password", format!("Enter the password again: {reason}.")),
            },
        }
        None
    }
}

fn parse_host(typed: &str) -> Result<String, String> {
    let host = typed.trim().trim_end_matches('.').to_lowercase();
    if host.is_empty() {
        return Err("A server is required, like mail.example.com.".to_owned());
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(&host);
    if address.parse::<std::net::IpAddr>().is_ok() {
        return Ok(address.to_owned());
    }
    // The rules of a domain in an address are those of a host name.
    if parse_address(&format!("x@{host}")).is_err() || host.starts_with('[') {
        return Err("This is no server. Enter its name or its IP address alone, like mail.example.com.".to_owned());
    }
    Ok(host)
}

fn parse_username(typed: &str) -> Result<String, String> {
    let name = typed.trim();
    if name.len() > 255 || name.chars().any(text::is_invisible) {
        return Err("A user name has at most 255 bytes and no invisible characters.".to_owned());
    }
    Ok(name.to_owned())
}

fn parse_from_name(typed: &str) -> Result<String, String> {
    let name = typed.trim();
    if name.chars().count() > 128 || name.chars().any(text::is_invisible) {
        return Err("A name has at most 128 characters and no invisible ones.".to_owned());
    }
    Ok(name.to_owned())
}

/// Returns true for this machine itself, which no network lies in front of.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> MailerDraft {
        MailerDraft {
            server: "mail.example.com".into(),
            from_address: "ops@example.com".into(),
            ..MailerDraft::default()
        }
    }

    fn signed_in() -> MailerDraft {
        MailerDraft { username: "ops".into(), password: "secret".into(), ..draft() }
    }

    fn stored(draft: &MailerDraft) -> StoredMailer {
        let settings = draft.parse(None).expect("valid").settings;
        StoredMailer { settings, has_password: true }
    }

    #[test]
    fn each_wrong_field_is_refused() {
        assert!(draft().parse(None).is_ok());
        let wrong = |change: &dyn Fn(&mut MailerDraft)| {
            let mut draft = draft();
            change(&mut draft);
            let errors = draft.parse(None).expect_err("refused");
            errors.0.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        for server in ["", "http://mail.example.com", "mail example.com", "mail.example.com:25", "a/b", "[::1", "x@y"] {
            assert_eq!(wrong(&|draft| draft.server = server.into()), ["server"], "{server}");
        }
        for port in ["", "0", "65536", "x", "-1"] {
            assert_eq!(wrong(&|draft| draft.port = port.into()), ["port"], "{port}");
        }
        assert_eq!(wrong(&|draft| draft.encryption = "ssl".into()), ["encryption"]);
        assert_eq!(wrong(&|draft| draft.username = "x".into()), ["password"], "no password");
        assert_eq!(wrong(&|draft| draft.password = "x".into()), ["password"], "no user name");
        assert_eq!(wrong(&|draft| draft.from_address = String::new()), ["from_address"]);
        assert_eq!(wrong(&|draft| draft.from_address = "A <a@b.example>".into()), ["from_address"]);
        assert_eq!(wrong(&|draft| draft.from_name = "a\u{202e}b".into()), ["from_name"]);
        assert_eq!(wrong(&|draft| draft.timeout = "2".into()), ["timeout"]);
        assert_eq!(wrong(&|draft| draft.retries = "101".into()), ["retries"]);
    }

    #[test]
    fn password_is_never_sent_in_clear_over_a_network() {
        let clear = MailerDraft { encryption: "none".into(), ..signed_in() };
        assert_eq!(clear.parse(None).expect_err("refused").0[0].field, "username");
        let local = MailerDraft { server: "127.0.0.1".into(), ..clear };
        assert!(local.parse(None).is_ok());
    }

    #[test]
    fn password_is_demanded_again_when_the_target_changes() {
        let before = stored(&signed_in());
        let untyped = MailerDraft { password: String::new(), ..signed_in() };
        assert!(matches!(untyped.parse(Some(&before)).expect("kept").password, SecretChange::Keep));
        for change in [
            MailerDraft { server: "other.example.com".into(), ..untyped.clone() },
            MailerDraft { port: "25".into(), ..untyped.clone() },
            MailerDraft { encryption: "tls".into(), ..untyped.clone() },
            MailerDraft { allow_insecure: "true".into(), ..untyped.clone() },
        ] {
            let errors = change.parse(Some(&before)).expect_err("demanded");
            assert_eq!(errors.0[0].field, "password");
            assert!(errors.0[0].message.starts_with("Enter the password again: "), "{errors:?}");
        }
    }

    #[test]
    fn password_is_dropped_with_the_user_name() {
        let before = stored(&signed_in());
        assert!(matches!(draft().parse(Some(&before)).expect("valid").password, SecretChange::Clear));
    }

    #[test]
    fn edit_without_a_change_saves_the_stored_settings() {
        let settings = stored(&signed_in()).settings;
        let again = MailerDraft::of(&settings, 3);
        let stored = StoredMailer { settings: settings.clone(), has_password: true };
        assert_eq!(again.parse(Some(&stored)).expect("valid").settings, settings);
    }

    #[test]
    fn server_may_be_an_address() {
        for (typed, host) in
            [("192.0.2.1", "192.0.2.1"), ("[2001:db8::1]", "2001:db8::1"), ("MAIL.Example.", "mail.example")]
        {
            let draft = MailerDraft { server: typed.into(), ..draft() };
            assert_eq!(draft.parse(None).expect("valid").settings.host, host);
        }
    }
}
