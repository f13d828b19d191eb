//! The outcome of an attempt to send an e-mail, from what the server said about each recipient.

use super::{Recipient, RecipientState};
use crate::delivery::{ErrorCode, Outcome};
use crate::text::{shown, visible};

/// The most recipients whose replies an error repeats.
const NAMED_MAX: usize = 10;

/// A failure of the session as a whole: the recipients that it left undecided stay pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub code: ErrorCode,
    /// The server's reply code, if a reply was the reason.
    pub status_code: Option<u16>,
    /// The reason as a sentence for the operator.
    pub sentence: String,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The outcome.
    pub outcome: Outcome,
    /// The reply code that decided.
    pub status_code: Option<u16>,
    /// The error, as sentences for the operator.
    pub error: Option<String>,
}

/// Judges an attempt by its recipients, and by the failure that ended its session early, if one did. `status_code` is
/// the code of the last reply.
///
/// * Nobody is pending, nobody was refused: sent.
/// * Nobody is pending: an error that names the refused recipients. Another attempt could not help.
/// * Otherwise an error after which the pending recipients are tried again.
pub fn judge(recipients: &[Recipient], failure: Option<Failure>, status_code: Option<u16>) -> Judged {
    let of = |state| recipients.iter().filter(move |one| one.state == state);
    let (pending, refused) = (of(RecipientState::Pending).count(), of(RecipientState::Refused).count());
    if pending == 0 && refused == 0 {
        return Judged { outcome: Outcome::Sent, status_code, error: None };
    }
    let mut sentences = Vec::new();
    let (code, decided) = match failure {
        Some(failure) if pending > 0 => {
            sentences.push(failure.sentence);
            (failure.code, failure.status_code)
        }
        _ if pending > 0 => (ErrorCode::Deferred, reply_code(of(RecipientState::Pending))),
        _ => (ErrorCode::RefusedRecipient, reply_code(of(RecipientState::Refused))),
    };
    let accepted = recipients.len() - pending - refused;
    if accepted > 0 || refused > 0 {
        sentences.push(format!("{accepted} of {} recipients accepted.", recipients.len()));
    }
    let silent = |one: &&Recipient| one.state != RecipientState::Accepted && !one.reply.is_empty();
    let (named, more) = (recipients.iter().filter(silent), recipients.iter().filter(silent).count());
    for one in named.take(NAMED_MAX) {
        let word = if one.state == RecipientState::Refused { "refused" } else { "deferred" };
        sentences.push(format!("{} was {word}: {}", shown(&one.address), visible(&one.reply)));
    }
    if more > NAMED_MAX {
        sentences.push(format!("And {} more.", more - NAMED_MAX));
    }
    let outcome = Outcome::Failed { code, status_code: decided, retry_after: None };
    Judged { outcome, status_code: decided.or(status_code), error: Some(sentences.join("\n")) }
}

/// Returns the code at the start of the first reply.
fn reply_code<'a>(mut recipients: impl Iterator<Item = &'a Recipient>) -> Option<u16> {
    recipients.find_map(|one| one.reply.get(..3)?.parse().ok())
}
