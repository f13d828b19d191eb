//! The mailer: its form, its page, and its test messages.

use crate::view::delivery::DeliveryLine;
use crate::view::destination::DestinationState;
use crate::view::done::Done;
use crate::view::task::TaskLink;
use model::id::DestinationId;
use model::mailer::{MailerDraft, Settings};

/// The form of the mailer.
#[derive(Debug, Clone)]
pub struct MailerForm {
    /// The fields as stored, without the password; those of a new form if nothing is stored.
    pub draft: MailerDraft,
    /// True if settings are stored.
    pub is_stored: bool,
    /// True if a password is stored.
    pub has_password: bool,
}

/// A mailer that was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedMailer {
    /// True if the name of the server does not resolve at the moment.
    pub is_unresolved: bool,
}

impl SavedMailer {
    /// Returns the path of the mailer's page, with the result.
    pub fn path(self) -> String {
        let done = if self.is_unresolved { Done::Unresolved } else { Done::Saved };
        done.at("/smtp")
    }
}

/// The mailer with its state, for its page.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct MailerDetail {
    pub id: DestinationId,
    pub revision: i64,
    pub settings: Settings,
    pub has_password: bool,
    pub state: DestinationState,
    /// The tasks that send e-mails.
    pub tasks: Vec<TaskLink>,
    pub deliveries: Vec<DeliveryLine>,
}

/// The result of a test: whether the server accepted the message, and the dialogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailTest {
    /// The recipient.
    pub to: String,
    /// The code of the reply that decided the outcome, if there was one.
    pub status_code: Option<u16>,
    /// The server's reply about the recipient. May be empty.
    pub reply: String,
    /// The failure in words, if the test failed.
    pub error: Option<String>,
    /// The lines of both sides, without secrets.
    pub dialogue: String,
    /// A clause about a part of the dialogue that is missing.
    pub note: Option<String>,
    /// The duration of the whole test, in milliseconds.
    pub duration_ms: u32,
    /// The time that connecting took, in milliseconds, if a connection was made.
    pub connect_ms: Option<u32>,
}
