//! A test message through the stored mailer. A test is no delivery, so holds do not apply to it.

use crate::clock::new_uuid;
use crate::outbound::client::Clients;
use crate::outbound::mail;
use crate::outbound::secrets;
use crate::outbound::send::{self, Outgoing};
use crate::service::Services;
use crate::store::destination::{Destination, unreadable};
use crate::store::mailer::Row;
use app::error::{AppError, Code};
use app::view::mailer::MailTest;
use model::destination::Kind;
use model::email::{Email, Mailbox, RenderedEmail, parse_address};
use model::field_error::FieldErrors;
use model::number::to_u32;
use model::text::{capitalised, visible};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SUBJECT: &str = "Test message from Hookwright";
const BODY: &str = "This is a test message from Hookwright. Its SMTP settings work.\n";

impl Services {
    /// Sends a short text to one address, and returns the dialogue.
    pub(super) async fn test_mailer(&self, to: &str) -> Result<MailTest, AppError> {
        let row = self.find_mailer().await?;
        let address = parse_address(to.trim()).map_err(|reason| FieldErrors::one("to", capitalised(&reason)))?;
        mail::check_address(&address).map_err(|reason| FieldErrors::one("to", reason))?;
        let email = Email {
            from_address: String::new(),
            from_name: String::new(),
            to: vec![Mailbox { name: String::new(), address }],
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: SUBJECT.to_owned(),
            body: BODY.to_owned(),
        };
        let rendered = RenderedEmail {
            from_name: String::new(),
            subject: SUBJECT.to_owned(),
            body: BODY.to_owned(),
            notes: Vec::new(),
        };
        self.send_once(row, &email, &rendered).await
    }

    /// Sends an e-mail to its only recipient, and returns the dialogue.
    pub(in crate::service) async fn send_once(
        &self,
        row: Row,
        email: &Email,
        rendered: &RenderedEmail,
    ) -> Result<MailTest, AppError> {
        if !row.is_readable {
            return Err(AppError::new(Code::Conflict, unreadable(Kind::Mailer)));
        }
        let uuid = new_uuid(self.clock.now());
        let body = mail::build(email, rendered, &row.settings, uuid, self.clock.now())
            .map_err(|reason| FieldErrors::one("to", reason))?;
        let recipients = email.recipients();
        let to = recipients.first().map(|one| one.address.clone()).unwrap_or_default();
        let destination = Destination::Mailer(row);
        let opened = secrets::open(&self.vault, &destination).map_err(|error| {
            tracing::error!(%error, "the password of the mail server does not open");
            AppError::new(Code::Internal, "The stored password cannot be opened. Enter it again.")
        })?;
        let clients = Clients::new(self.guard.clone(), Duration::ZERO, 1);
        let outgoing = Outgoing { id: uuid, body: &body, recipients: &recipients };
        let never = CancellationToken::new();
        let attempted = Box::pin(send::send(&self.clock, &clients, &opened, outgoing, &never)).await;
        let attempted = attempted.map_err(|_| {
            AppError::new(Code::Unavailable, "This machine has no open files or memory left. Try again soon.")
        })?;
        let reply = attempted.recipients.and_then(|mut all| all.pop()).map(|one| visible(&one.reply));
        let to_millis = |took: Duration| to_u32(took.as_millis());
        Ok(MailTest {
            to,
            status_code: attempted.status_code,
            reply: reply.unwrap_or_default(),
            error: attempted.error,
            dialogue: visible(&String::from_utf8_lossy(&attempted.response_body)),
            note: attempted.response_note,
            duration_ms: to_millis(attempted.duration),
            connect_ms: attempted.connect.map(to_millis),
        })
    }
}
