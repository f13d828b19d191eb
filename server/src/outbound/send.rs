//! One attempt to deliver a message, by the kind of its destination: an HTTP exchange or an SMTP session.

use super::client::Clients;
use super::secrets::Opened;
use super::{http, smtp};
use crate::clock::Clock;
use crate::store::delivery::Attempted;
use model::delivery::{ErrorCode, Outcome};
use model::email::Recipient;
use model::time::Timestamp;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

impl Attempted {
    /// Returns an attempt that failed without a response.
    pub fn failed(started_at: Timestamp, duration: Duration, code: ErrorCode, sentence: String) -> Self {
        Self {
            outcome: Outcome::Failed { code, status_code: None, retry_after: None },
            status_code: None,
            error: Some(sentence),
            started_at,
            duration,
            connect: None,
            first_byte: None,
            response_headers: String::new(),
            response_body: Vec::new(),
            response_note: None,
            has_timed_out: code == ErrorCode::Timeout,
            recipients: None,
        }
    }
}

/// A message to send, with its public id.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The value of `webhook-id`, which is the same for all attempts.
    pub id: Uuid,
    /// The message, byte for byte.
    pub body: &'a [u8],
    /// The recipients of an e-mail.
    pub recipients: &'a [Recipient],
}

/// The reasons why [`send`] ends without an attempt that says something about the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The server stopped before the receiver replied. The receiver may have acted.
    Stopped,
    /// This machine lacks the named resource; nothing was sent.
    Shortage(&'static str),
}

/// Makes one attempt, which ends at the destination's timeout at the latest, or when a stopping server cancels `cut`. A
/// reply that has arrived by then counts.
pub async fn send(
    clock: &Clock,
    clients: &Clients,
    destination: &Opened<'_>,
    outgoing: Outgoing<'_>,
    cut: &CancellationToken,
) -> Result<Attempted, NotSent> {
    match destination {
        Opened::Webhook(webhook, secrets) => http::send(clock, clients, webhook, secrets, outgoing, cut).await,
        Opened::Mailer(mailer, password) => {
            let session = smtp::Session { settings: &mailer.settings, password: password.as_ref() };
            let letter = smtp::Letter { recipients: outgoing.recipients, message: outgoing.body };
            smtp::send(clock, clients.guard(), session, letter, cut).await
        }
    }
}
