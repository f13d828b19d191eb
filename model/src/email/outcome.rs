//! The outcome of an attempt to send an e-mail, by the server's reply about each recipient.

use super::{Recipient, RecipientState};
use crate::delivery::{ErrorCode, Outcome};
use crate::text::{shown, visible};

/// The most recipients whose replies an error repeats.
const NAMED_MAX: usize = 10;

/// A failure of the session as a whole. Recipients that the session left undecided stay pending.
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
    /// The reply code that decided the outcome.
    pub status_code: Option<u16>,
    /// The error, as sentences for the operator.
    pub error: Option<String>,
}

/// Judges an attempt by its recipients, and by the failure that ended its session early, if one did. `status_code` is
/// the code of the last reply. The reply of a pending recipient is that of this attempt, or empty.
///
/// * Every recipient is accepted: sent.
/// * No recipient is pending: an error that names the refused recipients. Another attempt would not help.
/// * Otherwise an error after which the pending recipients are tried again.
///
/// An e-mail without recipients is never sent: its error is the failure, or else an internal one.
pub fn judge(recipients: &[Recipient], failure: Option<Failure>, status_code: Option<u16>) -> Judged {
    let of = |state| recipients.iter().filter(move |one| one.state == state);
    let (pending, refused) = (of(RecipientState::Pending).count(), of(RecipientState::Refused).count());
    let accepted = recipients.len() - pending - refused;
    if accepted > 0 && accepted == recipients.len() {
        return Judged { outcome: Outcome::Sent, status_code, error: None };
    }
    let mut sentences = Vec::new();
    let (code, decided) = match failure {
        Some(failure) if refused == 0 || pending > 0 => {
            sentences.push(failure.sentence);
            (failure.code, failure.status_code)
        }
        _ if pending > 0 => (ErrorCode::Deferred, reply_code(of(RecipientState::Pending))),
        _ if refused > 0 => (ErrorCode::RefusedRecipient, reply_code(of(RecipientState::Refused))),
        _ => {
            sentences.push("The e-mail has no recipients.".to_owned());
            (ErrorCode::Internal, None)
        }
    };
    if recipients.len() > 1 && pending < recipients.len() {
        sentences.push(format!("{accepted} of {} recipients accepted.", recipients.len()));
    }
    name_unaccepted(recipients, &mut sentences);
    let outcome = Outcome::Failed { code, status_code: decided, retry_after: None };
    Judged { outcome, status_code: decided.or(status_code), error: Some(sentences.join("\n")) }
}

/// Names the refused recipients, and those that the server asked to try later, each with the server's reply.
fn name_unaccepted(recipients: &[Recipient], sentences: &mut Vec<String>) {
    let is_named = |one: &&Recipient| match one.state {
        RecipientState::Accepted => false,
        RecipientState::Refused => true,
        RecipientState::Pending => !one.reply.is_empty(),
    };
    for one in recipients.iter().filter(is_named).take(NAMED_MAX) {
        let word = if one.state == RecipientState::Refused { "refused" } else { "deferred" };
        let reply = if one.reply.is_empty() { "no reason was given" } else { &one.reply };
        sentences.push(format!("{} was {word}: {}", shown(&one.address), visible(reply)));
    }
    let more = recipients.iter().filter(is_named).skip(NAMED_MAX).count();
    if more > 0 {
        sentences.push(format!("And {more} more."));
    }
}

/// Returns the code at the start of the first reply that has one.
fn reply_code<'a>(mut recipients: impl Iterator<Item = &'a Recipient>) -> Option<u16> {
    recipients.find_map(|one| one.reply.get(..3)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Next, Status, after_attempt};
    use crate::time::Timestamp;
    use RecipientState::{Accepted, Pending, Refused};

    fn recipient(address: &str, state: RecipientState, reply: &str) -> Recipient {
        Recipient { address: address.to_owned(), state, reply: reply.to_owned() }
    }

    fn failed(code: ErrorCode, status_code: Option<u16>) -> Outcome {
        Outcome::Failed { code, status_code, retry_after: None }
    }

    fn failure(code: ErrorCode, status_code: Option<u16>) -> Failure {
        Failure { code, status_code, sentence: "It ended.".into() }
    }

    #[test]
    fn attempt_is_judged_by_its_recipients_and_its_failure() {
        let accepted = recipient("a@x", Accepted, "250 OK");
        let refused = recipient("b@x", Refused, "550 No such user");
        let deferred = recipient("c@x", Pending, "450 Greylisted");
        let untold = recipient("d@x", Pending, "");
        let reset = Some(failure(ErrorCode::Reset, None));
        let closed = Some(failure(ErrorCode::Status, Some(421)));
        let (deferring, refusing) =
            (failed(ErrorCode::Deferred, Some(450)), failed(ErrorCode::RefusedRecipient, Some(550)));
        for (recipients, failure, outcome, error) in [
            (vec![&accepted], None, Outcome::Sent, ""),
            (vec![&accepted, &accepted], reset.clone(), Outcome::Sent, ""),
            (vec![&refused], None, refusing.clone(), "b@x was refused: 550 No such user"),
            (vec![&refused], reset.clone(), refusing.clone(), "b@x was refused: 550 No such user"),
            (
                vec![&accepted, &refused],
                None,
                refusing.clone(),
                "1 of 2 recipients accepted.\nb@x was refused: 550 No such user",
            ),
            (vec![&deferred], None, deferring.clone(), "c@x was deferred: 450 Greylisted"),
            (
                vec![&accepted, &refused, &deferred],
                None,
                deferring,
                "1 of 3 recipients accepted.\nb@x was refused: 550 No such user\nc@x was deferred: 450 Greylisted",
            ),
            (vec![&untold, &untold], reset.clone(), failed(ErrorCode::Reset, None), "It ended."),
            (
                vec![&accepted, &deferred, &untold],
                closed,
                failed(ErrorCode::Status, Some(421)),
                "It ended.\n1 of 3 recipients accepted.\nc@x was deferred: 450 Greylisted",
            ),
            (vec![], None, failed(ErrorCode::Internal, None), "The e-mail has no recipients."),
            (vec![], reset, failed(ErrorCode::Reset, None), "It ended."),
        ] {
            let recipients: Vec<_> = recipients.into_iter().cloned().collect();
            let judged = judge(&recipients, failure, Some(250));
            assert_eq!(judged.outcome, outcome, "{recipients:?}");
            assert_eq!(judged.error.unwrap_or_default(), error, "{recipients:?}");
            let decided = match outcome {
                Outcome::Failed { status_code: Some(code), .. } => code,
                _ => 250,
            };
            assert_eq!(judged.status_code, Some(decided), "{recipients:?}");
        }
    }

    #[test]
    fn pending_recipients_are_retried_and_refused_ones_are_not() {
        let next = |recipient: Recipient, attempt| {
            let judged = judge(&[recipient], None, None);
            after_attempt(&judged.outcome, attempt, 3, Timestamp(0), 0.0)
        };
        let deferred = |reply: &str| recipient("a@x", Pending, reply);
        assert!(matches!(next(deferred("450 Later"), 1), Next::RetryAt(_)));
        assert!(matches!(next(deferred("410 Later"), 1), Next::RetryAt(_)), "410 is final in HTTP only");
        assert_eq!(next(deferred("450 Later"), 4), Next::Settle(Status::Error));
        assert_eq!(next(recipient("a@x", Refused, "550 No"), 1), Next::Settle(Status::Error));
    }

    #[test]
    fn recipient_that_the_server_refuses_says_nothing_against_the_server() {
        let ending = |recipient| judge(&[recipient], None, Some(250)).outcome.ending(Some(250), false, Timestamp(0));
        for told in [recipient("a@x", Refused, "550 No"), recipient("a@x", Pending, "450 Later")] {
            assert!(ending(told).is_some_and(|ending| !ending.has_failed));
        }
    }

    #[test]
    fn error_names_the_first_recipients_and_counts_the_others() {
        let mut all = vec![recipient("late@x", Refused, "")];
        all.extend((0..500).map(|n| recipient(&format!("u{n}@x"), Refused, "550 No")));
        let error = judge(&all, None, None).error.expect("refused");
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines[..2], ["0 of 501 recipients accepted.", "late@x was refused: no reason was given"]);
        assert_eq!((lines.len(), lines[10], lines[11]), (12, "u8@x was refused: 550 No", "And 491 more."));
    }

    #[test]
    fn reply_reorders_no_text_around_it() {
        let error = judge(&[recipient("a\u{202e}@x", Refused, "550 \u{202e}\u{1b}[2J")], None, None).error;
        assert_eq!(error.as_deref(), Some("a\u{fffd}@x was refused: 550 \u{fffd}\u{fffd}[2J"));
    }
}
