//! E-mails: the settings of a task that sends one, their rules, and the rendering of their variables.
//!
//! Addresses are literal. Variables are allowed in the sender's name, the subject and the body. A value can never
//! become a header, since line ends are removed from the first two.

mod address;
mod outcome;

pub use address::{list_text, parse_address, parse_list};
pub use outcome::{Failure, Judged, judge};

use crate::message::{Escape, Note, Rendered, TooLarge, Variables, render as fill};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The most bytes of a rendered subject or name. That is enough for 500 typed characters of up to four bytes, and for
/// values. A header is folded into short lines when it is built.
const SUBJECT_MAX_BYTES: usize = 4096;

/// An address, with the name of its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The name. May be empty.
    pub name: String,
    /// `local@domain`, with the domain in lower case, and in Unicode if it was typed so.
    pub address: String,
}

/// A checked e-mail, ready to be stored: the settings of the action *Send*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// The sender's address. If empty, that of the SMTP settings is used.
    pub from_address: String,
    /// The sender's name, with variables. May be empty.
    pub from_name: String,
    /// The recipients, at least one.
    pub to: Vec<Mailbox>,
    /// The recipients of a copy.
    pub cc: Vec<Mailbox>,
    /// The recipients of a copy whom the others do not see.
    pub bcc: Vec<Mailbox>,
    /// The subject, with variables: one line.
    pub subject: String,
    /// The text, with variables.
    pub body: String,
}

/// The state of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientState {
    /// The server has not decided. A further attempt goes to this recipient.
    Pending,
    /// The server has accepted the message.
    Accepted,
    /// The server has refused the recipient for good.
    Refused,
}

/// A recipient of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// The state.
    pub state: RecipientState,
    /// The server's last reply about this recipient. Empty before the first attempt.
    pub reply: String,
}

impl Recipient {
    /// Returns a recipient before the first attempt.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), state: RecipientState::Pending, reply: String::new() }
    }

    /// Returns the same recipient before the first attempt of a replay.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(&self.address)
    }
}

/// The texts of an e-mail with their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedEmail {
    /// The sender's name: one line.
    pub from_name: String,
    /// The subject: one line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Notes on values that are missing.
    pub notes: Vec<Note>,
}

impl Email {
    /// Returns the recipients, each once, in the order To, CC, BCC.
    pub fn recipients(&self) -> Vec<Recipient> {
        let mut seen = HashSet::new();
        let all = self.to.iter().chain(&self.cc).chain(&self.bcc);
        all.filter(|one| seen.insert(&one.address)).map(|one| Recipient::new(&one.address)).collect()
    }
}

/// The reason why the texts of an e-mail cannot be sent with their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The body is over its limit.
    #[error(transparent)]
    Body(#[from] TooLarge),
    /// The named field of one line is over 4 KiB.
    #[error("{0} is larger than 4 KiB once its values are filled in.")]
    Line(&'static str),
}

/// Fills in the variables of an e-mail. `random` is as for [`message::render`](crate::message::render).
///
/// # Errors
/// [`RenderError`] for a body over 1 MiB, or a subject or a name over 4 KiB.
pub fn render(
    email: &Email,
    variables: &Variables<'_>,
    random: &mut dyn FnMut() -> u32,
) -> Result<RenderedEmail, RenderError> {
    let from_name = fill(&email.from_name, Escape::Plain, variables, random)?;
    let subject = fill(&email.subject, Escape::Plain, variables, random)?;
    let body = fill(&email.body, Escape::Plain, variables, random)?;
    let mut notes = Vec::new();
    for note in [&from_name, &subject, &body].into_iter().flat_map(Rendered::notes) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    let from_name = sent_line("From Name", &from_name.body)?;
    let subject = sent_line("Subject", &subject.body)?;
    Ok(RenderedEmail { from_name, subject, body: body.body, notes })
}

/// Returns a rendered one-line field as it is sent.
pub(crate) fn sent_line(field: &'static str, rendered: &str) -> Result<String, RenderError> {
    let line = one_line(rendered);
    if line.len() > SUBJECT_MAX_BYTES { Err(RenderError::Line(field)) } else { Ok(line) }
}

/// Returns a text as one line: a value with a line end must not begin another header (RFC 5322 §2.2).
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
