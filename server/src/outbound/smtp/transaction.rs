//! The transactions of a session: one message, for all pending recipients.

use super::extensions::Extensions;
use super::failure::Trouble;
use super::reply::Reply;
use super::session::{Connection, misplaced};
use super::{Letter, Progress};
use crate::outbound::mail::ascii_address;
use lettre::transport::smtp::commands::{Data, Rset};
use model::delivery::ErrorCode;
use model::email::{Failure, RecipientState};
use std::collections::{BTreeSet, VecDeque};

/// The most recipients of one transaction, which every server must accept (RFC 5321 §4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;

/// The recipients that are still to be addressed, each with its index, and with its address in the form of the command.
struct Queue {
    waiting: VecDeque<(usize, String)>,
    /// The recipients that were put off since the server had too many. Each is put off only once.
    put_off: BTreeSet<usize>,
}

/// Sends the message to each pending recipient. Errors return to `sender`.
///
/// # Errors
/// Fails when the session ended early, or when this server cannot take this message for any recipient.
pub(super) async fn send_all(
    connection: &mut Connection,
    sender: &str,
    letter: Letter<'_>,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let mail = prepare(connection, sender, letter).map_err(|failure| {
        let all: Vec<_> = (0..progress.recipients.len()).collect();
        progress.settle(&all, RecipientState::Refused, &failure.sentence);
        Trouble::Failed(failure)
    })?;
    let mut queue = Queue { waiting: VecDeque::new(), put_off: BTreeSet::new() };
    let can_smtputf8 = connection.extensions.has_smtputf8 && connection.extensions.has_8bitmime;
    for index in 0..progress.recipients.len() {
        if progress.recipients[index].state != RecipientState::Pending {
            continue;
        }
        match ascii_address(&progress.recipients[index].address) {
            None => progress.settle(&[index], RecipientState::Refused, "This address cannot be sent to."),
            Some(address) if !address.is_ascii() && !can_smtputf8 => {
                progress.settle(&[index], RecipientState::Refused, NO_SMTPUTF8);
            }
            Some(address) => queue.waiting.push_back((index, address)),
        }
    }
    while !queue.waiting.is_empty() {
        if !transact(connection, &mail, letter.message, &mut queue, progress).await? {
            break;
        }
    }
    Ok(())
}

const NO_SMTPUTF8: &str =
    "The mail server offers no SMTPUTF8, which an address with letters outside ASCII before its @ needs.";

/// Returns the command MAIL for this message.
///
/// # Errors
/// Fails when this server cannot take this message at all. Another attempt would not help.
fn prepare(connection: &Connection, sender: &str, letter: Letter<'_>) -> Result<String, Failure> {
    let Extensions { has_8bitmime, has_smtputf8, size, .. } = connection.extensions;
    let message = letter.message;
    let failure = |code, sentence: &str| Failure { code, status_code: None, sentence: sentence.to_owned() };
    if has_bare_line_end(message) {
        return Err(failure(ErrorCode::Header, "The message has line ends that no mail may have."));
    }
    let Some(sender) = ascii_address(sender) else {
        return Err(failure(
            ErrorCode::Header,
            "The sender's address of the SMTP settings cannot be sent from. Edit it.",
        ));
    };
    if let Some(max) = size.filter(|max| message.len() > *max) {
        let text = format!("The message has {} bytes, and the mail server accepts {max}.", message.len());
        return Err(failure(ErrorCode::TooLarge, &text));
    }
    let headers = message.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(message.len());
    let can_smtputf8 = has_smtputf8 && has_8bitmime;
    let needs_smtputf8 = !(sender.is_ascii() && message[..headers].is_ascii());
    if needs_smtputf8 && !can_smtputf8 {
        return Err(failure(ErrorCode::Header, NO_SMTPUTF8));
    }
    if !has_8bitmime && !message.is_ascii() {
        return Err(failure(ErrorCode::Header, "The mail server offers no 8BITMIME, which this message needs."));
    }
    let mut mail = format!("MAIL FROM:<{sender}>");
    if size.is_some() {
        mail += &format!(" SIZE={}", message.len());
    }
    if !message.is_ascii() {
        mail += " BODY=8BITMIME";
    }
    let is_plain = |address: &str| address.rsplit_once('@').is_none_or(|(local, _)| local.is_ascii());
    let are_plain = letter.recipients.iter().all(|recipient| is_plain(&recipient.address));
    if can_smtputf8 && (needs_smtputf8 || !are_plain) {
        mail += " SMTPUTF8";
    }
    Ok(mail + "\r\n")
}

/// Returns true if a CR or LF stands alone: servers disagree on where such a message ends.
fn has_bare_line_end(message: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in message {
        if (byte == b'\n') != (previous == b'\r') {
            return true;
        }
        previous = byte;
    }
    previous == b'\r'
}

/// Makes one transaction with the first recipients of the queue. Returns false when the next one would not help now.
async fn transact(
    connection: &mut Connection,
    mail: &str,
    message: &[u8],
    queue: &mut Queue,
    progress: &mut Progress,
) -> Result<bool, Trouble> {
    let reply = connection.ask(mail).await?;
    if !reply.is_done() {
        let count = queue.waiting.len().min(RECIPIENTS_MAX);
        let addressed: Vec<_> = queue.waiting.drain(..count).map(|(index, _)| index).collect();
        return progress.refuse(&addressed, "MAIL", &reply);
    }
    let accepted = address(connection, queue, progress).await?;
    if accepted.is_empty() {
        reset(connection, queue).await?;
        return Ok(true);
    }
    let reply = connection.ask(Data).await?;
    if reply.code != 354 {
        let goes_on = progress.refuse(&accepted, "DATA", &reply)?;
        reset(connection, queue).await?;
        return Ok(goes_on);
    }
    let reply = connection.send_message(message).await?;
    if reply.is_done() {
        progress.status_code = Some(reply.code);
        progress.settle(&accepted, RecipientState::Accepted, &reply.words());
        return Ok(true);
    }
    progress.refuse(&accepted, "the message", &reply)
}

/// Names recipients to the server. Returns those that it accepted.
async fn address(
    connection: &mut Connection,
    queue: &mut Queue,
    progress: &mut Progress,
) -> Result<Vec<usize>, Trouble> {
    let mut accepted = Vec::new();
    for _ in 0..RECIPIENTS_MAX {
        let Some((index, address)) = queue.waiting.pop_front() else { break };
        let reply = connection.ask(format!("RCPT TO:<{address}>\r\n")).await?;
        if reply.is_done() {
            accepted.push(index);
        } else if matches!(reply.code, 452 | 552) && !accepted.is_empty() && queue.put_off.insert(index) {
            // The server has too many recipients (RFC 5321 §4.5.3.1.10): this recipient begins the next transaction.
            queue.waiting.push_front((index, address));
            break;
        } else {
            progress.refuse(&[index], "RCPT", &reply)?;
        }
    }
    Ok(accepted)
}

/// Ends a transaction without a message, if another one follows.
async fn reset(connection: &mut Connection, queue: &Queue) -> Result<(), Trouble> {
    if !queue.waiting.is_empty() {
        connection.ask(Rset).await?;
    }
    Ok(())
}

impl Progress {
    fn settle(&mut self, indexes: &[usize], state: RecipientState, reply: &str) {
        for index in indexes {
            let recipient = &mut self.recipients[*index];
            if recipient.state == RecipientState::Pending {
                (recipient.state, recipient.reply) = (state, reply.to_owned());
            }
        }
    }

    /// Notes a reply that refuses recipients. Returns false when the refusal is temporary.
    ///
    /// # Errors
    /// Fails for a reply that is no refusal.
    fn refuse(&mut self, indexes: &[usize], request: &str, reply: &Reply) -> Result<bool, Trouble> {
        let state = match reply {
            _ if reply.is_refusal() => RecipientState::Refused,
            _ if reply.is_temporary() => RecipientState::Pending,
            _ => return Err(misplaced(request, reply)),
        };
        self.settle(indexes, state, &reply.words());
        Ok(reply.is_refusal())
    }
}
