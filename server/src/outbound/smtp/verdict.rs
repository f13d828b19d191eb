//! The outcome of an attempt, by the states of its recipients.

use super::{Progress, Trouble};
use model::delivery::{ErrorCode, Outcome};
use model::email::{Recipient, RecipientState};
use model::mailer::{Encryption, Settings};

/// The most addresses that a sentence names for one reason.
const NAMED_MAX: usize = 10;
/// The most reasons in one text.
const REASONS_MAX: usize = 20;

/// Returns the outcome, and sentences for the operator unless every recipient is accepted.
pub(super) fn judge(settings: &Settings, progress: &Progress, trouble: Option<Trouble>) -> (Outcome, Option<String>) {
    let all = &progress.recipients;
    let (code, text, status_code) = match trouble {
        // This server can never get this message.
        Some(Trouble::Failed { code: code @ (ErrorCode::TooLarge | ErrorCode::Header), text, .. }) => {
            (code, text, None)
        }
        Some(trouble) if !progress.is_settled() => {
            let (code, text, status_code) = explain(settings, progress, trouble);
            (code, so_far(all) + &text, status_code)
        }
        _ if all.iter().all(|recipient| recipient.state == RecipientState::Accepted) => return (Outcome::Sent, None),
        _ => {
            let status_code = unaccepted(all).find_map(|recipient| recipient.reply.get(..3)?.parse().ok());
            (ErrorCode::Status, count(all) + &reasons(all), status_code)
        }
    };
    (Outcome::Failed { code, http_status: status_code, retry_after: None }, Some(text))
}

/// Turns the end of a session into a code, sentences, and the code of the reply.
fn explain(settings: &Settings, progress: &Progress, trouble: Trouble) -> (ErrorCode, String, Option<u16>) {
    match trouble {
        Trouble::Failed { code, text, status_code } => (code, text, status_code),
        Trouble::Shortage(resource) => (ErrorCode::Internal, format!("This machine lacks {resource}."), None),
        Trouble::Cut => (ErrorCode::Internal, "Hookwright was stopped during the session.".to_owned(), None),
        Trouble::TimedOut => {
            let seconds = settings.timeout.as_secs();
            let text = match &progress.wire {
                None => format!("No connection within {seconds} s."),
                Some(wire) => {
                    let awaited = wire.awaited();
                    let may_be_encrypted = wire.greeted_at().is_none() && settings.encryption != Encryption::Tls;
                    let hint = if may_be_encrypted {
                        " A port that is encrypted from the beginning, such as 465, needs TLS."
                    } else {
                        ""
                    };
                    format!("The SMTP server took too long: {awaited} had not come after {seconds} s.{hint}")
                }
            };
            (ErrorCode::Timeout, text, None)
        }
    }
}

fn unaccepted(all: &[Recipient]) -> impl Iterator<Item = &Recipient> {
    all.iter().filter(|recipient| recipient.state != RecipientState::Accepted)
}

/// Returns the number of accepted recipients as a sentence, unless there is only one recipient.
fn count(all: &[Recipient]) -> String {
    match (all.len() - unaccepted(all).count(), all.len()) {
        (_, 0 | 1) => String::new(),
        (accepted, len) => format!("{accepted} of {len} recipients accepted. "),
    }
}

/// Returns the same if a recipient is settled already.
fn so_far(all: &[Recipient]) -> String {
    if all.iter().all(|recipient| recipient.state == RecipientState::Pending) { String::new() } else { count(all) }
}

/// Names the recipients that are not accepted, each with the server's words. Those with the same words share a clause.
fn reasons(all: &[Recipient]) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for recipient in unaccepted(all) {
        match reasons.iter_mut().find(|(reply, _)| *reply == recipient.reply) {
            Some((_, addresses)) => addresses.push(&recipient.address),
            None => reasons.push((&recipient.reply, vec![&recipient.address])),
        }
    }
    let clause = |(reply, addresses): &(&str, Vec<&str>)| {
        let more = addresses.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named: Vec<_> = addresses.iter().take(NAMED_MAX).copied().collect();
        let reply = if reply.is_empty() { "not addressed yet" } else { reply };
        format!("{}{more}: {reply}", named.join(", "))
    };
    let more = reasons.len().saturating_sub(REASONS_MAX);
    let more = if more > 0 { format!("; and {more} more replies") } else { String::new() };
    reasons.iter().take(REASONS_MAX).map(clause).collect::<Vec<_>>().join("; ") + &more
}
