//! One attempt to deliver an e-mail: an SMTP session (RFC 5321) within the mailer's timeout.
//!
//! ```text
//! dial           connects to an address that the guard permits, never through the egress proxy
//! tls            encrypts, and verifies certificates by the rules for webhooks
//! wire           the stream below lettre: replies up to their limits, and the record of the dialogue
//! reply          one reply, and its words for the operator
//! dialogue       the recorded lines, without secrets
//! extensions     the abilities of the server
//! session        greeting, EHLO, STARTTLS, AUTH
//! transaction    MAIL, RCPT and DATA for up to 100 recipients
//! failure        the reason why a session ended early
//! ```
//!
//! A recipient is accepted when the server has said yes to the recipient and to the message. Each attempt addresses only
//! the recipients that no earlier one has settled. This module reads no row, and shows no text of a library.

mod dial;
mod dialogue;
mod extensions;
mod failure;
mod reply;
mod session;
mod tls;
mod transaction;
mod wire;

use super::guard::Guard;
use super::send::NotSent;
use crate::clock::Clock;
use crate::store::delivery::Attempted;
use failure::{Trouble, judge};
use model::email::{Recipient, RecipientState};
use model::mailer;
use secrecy::SecretString;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::Wire;

/// The longest wait for the reply to QUIT. Nothing depends on that reply.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The server, and how to sign in.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// The SMTP settings.
    pub settings: &'a mailer::Settings,
    /// The password, if the settings have a user name.
    pub password: Option<&'a SecretString>,
}

/// A message with its envelope.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// All recipients. Only those that are still pending are addressed.
    pub recipients: &'a [Recipient],
    /// The message as [`mail::build`](super::mail::build) has made it.
    pub message: &'a [u8],
}

/// The state of an attempt. It survives a session that the deadline ends.
struct Progress {
    recipients: Vec<Recipient>,
    /// The code of the last reply that settled recipients.
    status_code: Option<u16>,
    wire: Option<Wire>,
    connect: Option<Duration>,
}

impl Progress {
    fn new(recipients: &[Recipient]) -> Self {
        let mut recipients = recipients.to_vec();
        for recipient in recipients.iter_mut().filter(|recipient| recipient.state == RecipientState::Pending) {
            recipient.reply.clear();
        }
        Self { recipients, status_code: None, wire: None, connect: None }
    }

    fn is_settled(&self) -> bool {
        self.recipients.iter().all(|recipient| recipient.state != RecipientState::Pending)
    }

    /// Returns true when the attempt has settled a recipient.
    fn has_settled_any(&self, before: &[Recipient]) -> bool {
        self.recipients.iter().zip(before).any(|(after, before)| after.state != before.state)
    }
}

/// Makes one attempt, which ends at the mailer's timeout at the latest, or when a stopping server cancels `cut`.
/// Recipients that the mail server has accepted or refused by then count. The response's body is the dialogue, up to 64
/// KiB.
///
/// # Errors
/// Fails when nothing was learnt about the server or a recipient.
pub async fn send(
    clock: &Clock,
    guard: &Guard,
    session: Session<'_>,
    letter: Letter<'_>,
    cut: &CancellationToken,
) -> Result<Attempted, NotSent> {
    let started_at = clock.now();
    let start = Instant::now();
    let deadline = start + session.settings.timeout;
    let mut progress = Progress::new(letter.recipients);
    // `biased`: a session that ends together with the cut counts.
    let end = tokio::select! {
        biased;
        end = tokio::time::timeout_at(deadline, Box::pin(session::run(guard, session, letter, deadline, &mut progress))) => {
            end.unwrap_or(Err(Trouble::TimedOut))
        }
        () = cut.cancelled() => Err(Trouble::Cut),
    };
    let duration = start.elapsed();
    let trouble = match end {
        Ok(connection) => {
            let farewell = tokio::time::timeout(QUIT_TIMEOUT, session::quit(connection));
            tokio::select! {
                _ = farewell => {}
                () = cut.cancelled() => {}
            }
            None
        }
        Err(Trouble::Shortage(resource)) => return Err(NotSent::Shortage(resource)),
        Err(Trouble::Cut) if !progress.has_settled_any(letter.recipients) => return Err(NotSent::Stopped),
        Err(trouble) => Some(trouble),
    };
    let has_timed_out = matches!(trouble, Some(Trouble::TimedOut)) && !progress.is_settled();
    let judged = judge(session.settings, &progress, trouble);
    let (response_body, response_note) = progress.wire.as_ref().map(Wire::dialogue).unwrap_or_default();
    Ok(Attempted {
        outcome: judged.outcome,
        status_code: judged.status_code,
        error: judged.error,
        started_at,
        duration,
        connect: progress.connect,
        first_byte: progress.wire.as_ref().and_then(Wire::greeted_at).map(|at| at.duration_since(start)),
        response_headers: String::new(),
        response_body,
        response_note,
        has_timed_out,
        recipients: Some(progress.recipients),
    })
}
