//! The mailer: the mail server that e-mails are sent through.

use crate::draft::{draft, switch};
use crate::email::parse_address;
use crate::field_error::FieldErrors;
use crate::text::{self, parse_number};
use crate::url::{self, Host};
use crate::webhook::{SECRET_MAX_BYTES, SecretChange, TIMEOUT_MAX_SECONDS, lost};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The name of the mailer as an object and as a destination.
pub const NAME: &str = "SMTP";

/// The encryption of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// The session begins in clear text and is encrypted before anything is sent (RFC 3207). If the server offers no
    /// STARTTLS, the session ends.
    Starttls,
    /// Encrypted from the first byte (RFC 8314).
    Tls,
    /// In clear.
    None,
}

impl Encryption {
    /// All encryptions.
    pub const ALL: [Self; 3] = [Self::Starttls, Self::Tls, Self::None];

    /// Returns the word in rows, drafts and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }

    /// Returns the label in forms and on pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Starttls => "STARTTLS",
            Self::Tls => "TLS",
            Self::None => "None",
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
    /// The name to sign in with. If empty, there is no authentication.
    pub username: String,
    /// The sender's address for tasks that name none, and the address that errors return to.
    pub from_address: String,
    /// The sender's name for tasks that name none. May be empty.
    pub from_name: String,
    /// True if the server's certificate is not checked.
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

/// The facts about the stored mailer that the parser needs.
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
    /// The change of the password by the save.
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
        /// `password` if a password was typed into a form that was refused. No page carries the password back, so the
        /// field is empty now although the person did not mean it to be.
        retype,
        /// `true`: the stored password is kept after all.
        keep_secrets,
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
            retype: String::new(),
            keep_secrets: String::new(),
        }
    }

    /// Returns the draft without its password, as it may travel back to the browser after a refused save. `retype` then
    /// says that one was typed.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if !self.password.is_empty() {
            "password".clone_into(&mut self.retype);
            // The switch was set before this password was typed.
            self.keep_secrets.clear();
        }
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
        let encryption = errors.check(
            "encryption",
            Encryption::find(&self.encryption).ok_or("Choose one of the listed encryptions.".to_owned()),
        );
        let has_target = errors.is_empty();
        let username = errors.check("username", parse_username(&self.username));
        // A wrong field gets a stand-in, which is never shown: the draft is refused with its errors.
        let mut settings = Settings {
            host: host.unwrap_or_default(),
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            encryption: encryption.unwrap_or(Encryption::Starttls),
            username: username.clone().unwrap_or_default(),
            from_address: String::new(),
            from_name: String::new(),
            allows_insecure_tls: self.allow_insecure == "true",
            timeout: Duration::ZERO,
            retries: 0,
        };
        let is_clear = has_target && settings.encryption == Encryption::None && !is_loopback(&settings.host);
        if is_clear && !settings.username.is_empty() {
            errors.add("username", "A password would be sent in clear. Choose STARTTLS or TLS, or leave this empty.");
        }
        let password = username.and_then(|username| {
            // A target that cannot be read is an error of its own, and does not affect the password.
            let keeps = |stored: &StoredMailer| match stored.settings.target_change(&settings) {
                Some(reason) if has_target => Err(reason),
                _ => Ok(()),
            };
            let kept = stored.filter(|stored| stored.has_password).map(keeps);
            errors.check("password", self.parse_password(&username, kept))
        });
        settings.from_address = errors.check("from_address", parse_address(&self.from_address)).unwrap_or_default();
        settings.from_name = errors.check("from_name", parse_from_name(&self.from_name)).unwrap_or_default();
        settings.timeout = errors
            .check("timeout", parse_number(&self.timeout, 3..=TIMEOUT_MAX_SECONDS, "seconds"))
            .map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds.into()));
        settings.retries = errors.check("retries", parse_number(&self.retries, 0..=100, "")).unwrap_or_default();
        match password {
            Some(password) if errors.is_empty() => Ok(Mailer { settings, password }),
            _ => Err(errors),
        }
    }

    /// Returns true if a password was typed before the form was refused, and has to be typed again.
    pub fn is_lost(&self) -> bool {
        self.keep_secrets != "true" && !self.retype.is_empty()
    }

    /// Checks the password. `kept` is `None` without a stored password, and `Err` with the reason if the stored
    /// password may not be kept.
    fn parse_password(&self, username: &str, kept: Option<Result<(), &str>>) -> Result<SecretChange, String> {
        if username.is_empty() {
            return if self.password.is_empty() {
                Ok(SecretChange::Clear)
            } else {
                Err("A password needs a user name. Enter the name, or remove the password.".to_owned())
            };
        }
        if !self.password.is_empty() {
            if self.password.len() > SECRET_MAX_BYTES {
                return Err(format!("This is too long; {SECRET_MAX_BYTES} bytes are the most."));
            }
            if self.password.chars().any(char::is_control) {
                return Err(
                    "This contains a control character, for example a line break. Paste it again without.".to_owned()
                );
            }
            return Ok(SecretChange::Set(SecretString::from(self.password.clone())));
        }
        if self.is_lost() {
            return Err(lost("password"));
        }
        match kept {
            None => Err("A password is required to sign in. Leave both empty for none.".to_owned()),
            Some(Ok(())) => Ok(SecretChange::Keep),
            Some(Err(reason)) => Err(format!("Enter the password again: {reason}.")),
        }
    }
}

/// Checks a server's name by the rules for a URL's host, and an IP address with or without its brackets.
fn parse_host(typed: &str) -> Result<String, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err("A server is required, like mail.example.com.".to_owned());
    }
    if let Ok(address) = typed.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if typed.contains([':', '/', '@']) && !typed.starts_with('[') {
        return Err("Enter the server's name or IP address alone, like mail.example.com.".to_owned());
    }
    if !typed.is_ascii() {
        return Err("Write the server's name in its xn-- form.".to_owned());
    }
    match url::parse_host(typed)? {
        Host::Name(name) => Ok(name.strip_suffix('.').unwrap_or(&name).to_owned()),
        Host::Address(address) => Ok(address.to_string()),
    }
}

fn parse_username(typed: &str) -> Result<String, String> {
    let name = typed.trim();
    if name.len() > 255 || text::has_hidden(name) {
        return Err("A user name has at most 255 bytes and no invisible characters.".to_owned());
    }
    Ok(name.to_owned())
}

fn parse_from_name(typed: &str) -> Result<String, String> {
    let name = typed.trim();
    if name.chars().count() > 128 || text::has_hidden(name) {
        return Err("A name has at most 128 characters and no invisible ones.".to_owned());
    }
    Ok(name.to_owned())
}

/// Returns true for this machine itself, which is reached without a network.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
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
        for server in [
            "",
            "http://mail.example.com",
            "mail example.com",
            "mail.example.com:25",
            "mail.example.com..",
            "a/b",
            "x@y",
            "[::1",
            "[127.0.0.1]",
            "127.1",
            "0x7f000001",
            "bücher.example",
        ] {
            assert_eq!(wrong(&|draft| draft.server = server.into()), ["server"], "{server}");
        }
        for port in ["", "0", "65536", "x", "-1"] {
            assert_eq!(wrong(&|draft| draft.port = port.into()), ["port"], "{port}");
        }
        assert_eq!(wrong(&|draft| draft.encryption = "ssl".into()), ["encryption"]);
        assert_eq!(wrong(&|draft| draft.username = "x".into()), ["password"], "no password");
        assert_eq!(wrong(&|draft| draft.username = "a\nb".into()), ["username"]);
        assert_eq!(wrong(&|draft| draft.password = "x".into()), ["password"], "no user name");
        let signed_in = |password: &str| {
            let password = password.to_owned();
            wrong(&move |draft| (draft.username, draft.password) = ("ops".into(), password.clone()))
        };
        assert_eq!(signed_in("a\nb"), ["password"]);
        assert_eq!(signed_in(&"x".repeat(SECRET_MAX_BYTES + 1)), ["password"]);
        assert_eq!(wrong(&|draft| draft.from_address = String::new()), ["from_address"]);
        assert_eq!(wrong(&|draft| draft.from_address = "A <a@b.example>".into()), ["from_address"]);
        assert_eq!(wrong(&|draft| draft.from_name = "a\u{202e}b".into()), ["from_name"]);
        assert_eq!(wrong(&|draft| draft.timeout = "2".into()), ["timeout"]);
        assert_eq!(wrong(&|draft| draft.timeout = "121".into()), ["timeout"]);
        assert_eq!(wrong(&|draft| draft.retries = "101".into()), ["retries"]);
    }

    #[test]
    fn every_wrong_field_is_refused_at_once_in_the_order_of_the_form() {
        let wrong = MailerDraft {
            port: String::new(),
            encryption: String::new(),
            username: "ops".into(),
            timeout: String::new(),
            retries: String::new(),
            from_name: "\u{202e}".into(),
            ..MailerDraft::default()
        };
        let errors = wrong.parse(None).expect_err("refused").0;
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        let all = ["server", "port", "encryption", "password", "from_address", "from_name", "timeout", "retries"];
        assert_eq!(fields, all);
    }

    #[test]
    fn password_lost_with_a_refused_form_is_demanded_or_the_stored_one_kept() {
        let before = stored(&signed_in());
        let new = MailerDraft { password: "new".into(), keep_secrets: "true".into(), ..signed_in() };
        let refused = new.without_secrets();
        assert_eq!((refused.password.as_str(), refused.is_lost()), ("", true));
        let errors = refused.parse(Some(&before)).expect_err("demanded");
        assert_eq!(errors.0[0].field, "password");
        assert!(errors.0[0].message.starts_with("Enter the new password again: "), "{errors:?}");
        assert!(refused.clone().without_secrets().is_lost(), "refused twice");
        let kept = MailerDraft { keep_secrets: "true".into(), ..refused.clone() };
        assert!(matches!(kept.parse(Some(&before)).expect("kept").password, SecretChange::Keep));
        let typed = MailerDraft { password: "new".into(), ..refused };
        assert!(matches!(typed.parse(Some(&before)).expect("set").password, SecretChange::Set(_)));
        assert!(!signed_in().is_lost());
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
    fn server_is_a_name_or_an_address() {
        for (typed, host) in [
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("2001:db8:0::1", "2001:db8::1"),
            (" MAIL.Example. ", "mail.example"),
            ("my_relay", "my_relay"),
        ] {
            let draft = MailerDraft { server: typed.into(), ..draft() };
            assert_eq!(draft.parse(None).expect("valid").settings.host, host);
        }
    }
}
