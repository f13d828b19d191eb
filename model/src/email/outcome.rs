//! The outcome of an attempt to send an e-mail, from the server's word about each recipient.

use super::{Recipient, RecipientState};
use crate::delivery::{ErrorCode, Outcome};
use crate::text::{shown, visible};

/// The most recipients that an error names for one reply.
const NAMED_MAX: usize = 10;
/// The most replies that an error repeats.
const REPLIES_MAX: usize = 10;

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
/// the code of the last reply. The reply of a pending recipient is that of this attempt, or empty.
///
/// * Every recipient is accepted: sent.
/// * Nobody is pending: an error that names the refused recipients. Another attempt could not help.
/// * Otherwise an error after which the pending recipients are tried again.
///
/// An e-mail without recipients is never sent: it has the failure, or else an internal one.
pub fn judge(recipients: &[Recipient], failure: Option<Failure>, status_code: Option<u16>) -> Judged {
    let of = |state| recipients.iter().filter(move |one| one.state == state);
    let (pending, refused) = (of(RecipientState::Pending).count(), of(RecipientState::Refused).count());
    let accepted = recipients.len() - pending - refused;
    if accepted > 0 && accepted == recipients.len() {
        return Judged { outcome: Outcome::Sent, status_code, error: None };
    }
    let mut sentences = Vec::new();
    if recipients.len() > 1 && pending < recipients.len() {
        sentences.push(format!("{accepted} of {} recipients accepted.", recipients.len()));
    }
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
    let reasons = reasons(recipients);
    if !reasons.is_empty() {
        sentences.push(reasons);
    }
    let outcome = Outcome::Failed { code, status_code: decided, retry_after: None };
    Judged { outcome, status_code: decided.or(status_code), error: Some(sentences.join(" ")) }
}

/// Names the refused recipients, and those that the server answered without accepting them, each with the server's
/// words: `a@x, b@x: 550 No such user; c@x: 450 Later`.
fn reasons(recipients: &[Recipient]) -> String {
    let is_named = |one: &&Recipient| match one.state {
        RecipientState::Accepted => false,
        RecipientState::Refused => true,
        RecipientState::Pending => !one.reply.is_empty(),
    };
    // Each reply with its recipients: the first ones by address, the others as a number.
    let mut replies: Vec<(&str, Vec<String>, usize)> = Vec::new();
    let mut unlisted = 0;
    for one in recipients.iter().filter(is_named) {
        let has_room = replies.len() < REPLIES_MAX;
        match replies.iter_mut().find(|(reply, ..)| *reply == one.reply) {
            Some((_, named, _)) if named.len() < NAMED_MAX => named.push(shown(&one.address)),
            Some((.., more)) => *more += 1,
            None if has_room => replies.push((&one.reply, vec![shown(&one.address)], 0)),
            None => unlisted += 1,
        }
    }
    let clause = |(reply, named, more): &(&str, Vec<String>, usize)| {
        let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
        let reply = if reply.is_empty() { "refused without a reason" } else { reply };
        format!("{}{more}: {}", named.join(", "), visible(reply))
    };
    let mut clauses: Vec<_> = replies.iter().map(clause).collect();
    if unlisted > 0 {
        clauses.push(format!("and {unlisted} more with other replies"));
    }
    clauses.join("; ")
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

    fn failure(code: ErrorCode, status_code: Option<u16>) -> Option<Failure> {
        Some(Failure { code, status_code, sentence: "It ended.".into() })
    }

    #[test]
    fn attempt_is_judged_by_its_recipients_and_its_failure() {
        let accepted = recipient("a@x", Accepted, "250 OK");
        let refused = recipient("b@x", Refused, "550 No such user");
        let deferred = recipient("c@x", Pending, "450 Greylisted");
        let untold = recipient("d@x", Pending, "");
        let reset = failure(ErrorCode::Reset, None);
        let closed = failure(ErrorCode::Status, Some(421));
        let (deferring, refusing) =
            (failed(ErrorCode::Deferred, Some(450)), failed(ErrorCode::RefusedRecipient, Some(550)));
        for (recipients, failure, outcome, error) in [
            (vec![&accepted], None, Outcome::Sent, ""),
            (vec![&accepted, &accepted], reset.clone(), Outcome::Sent, ""),
            (vec![&refused], None, refusing.clone(), "b@x: 550 No such user"),
            (vec![&refused], reset.clone(), refusing.clone(), "b@x: 550 No such user"),
            (vec![&accepted, &refused], None, refusing.clone(), "1 of 2 recipients accepted. b@x: 550 No such user"),
            (vec![&deferred], None, deferring.clone(), "c@x: 450 Greylisted"),
            (
                vec![&accepted, &refused, &deferred],
                None,
                deferring,
                "1 of 3 recipients accepted. b@x: 550 No such user; c@x: 450 Greylisted",
            ),
            (vec![&untold, &untold], reset.clone(), failed(ErrorCode::Reset, None), "It ended."),
            (
                vec![&accepted, &deferred, &untold],
                closed,
                failed(ErrorCode::Status, Some(421)),
                "1 of 3 recipients accepted. It ended. c@x: 450 Greylisted",
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
    fn error_names_each_reply_once_with_its_first_recipients() {
        let mut all: Vec<_> = (0..500).map(|n| recipient(&format!("u{n}@x"), Refused, "550 No")).collect();
        all.push(recipient("late@x", Refused, ""));
        let error = judge(&all, None, None).error.expect("refused");
        let named: Vec<_> = (0..10).map(|n| format!("u{n}@x")).collect();
        let reasons = format!("{} and 490 more: 550 No; late@x: refused without a reason", named.join(", "));
        assert_eq!(error, format!("0 of 501 recipients accepted. {reasons}"));
        let varied: Vec<_> = (0..30).map(|n| recipient("a@x", Refused, &format!("550 No {n}"))).collect();
        let error = judge(&varied, None, None).error.expect("refused");
        assert!(error.ends_with("a@x: 550 No 9; and 20 more with other replies"), "{error}");
    }

    #[test]
    fn reply_reorders_no_text_around_it() {
        let error = judge(&[recipient("a\u{202e}@x", Refused, "550 \u{202e}\u{1b}[2J")], None, None).error;
        assert_eq!(error.as_deref(), Some("a\u{fffd}@x: 550 \u{fffd}\u{fffd}[2J"));
    }
}
