//! The e-mail of a task's draft: its fields, and their rules.

use super::{MESSAGE_MAX_BYTES, TaskDraft};
use crate::email::{Email, Mailbox, list_text, parse_address, parse_list};
use crate::field_error::FieldErrors;
use crate::text;

/// The most recipients of an e-mail.
const RECIPIENTS_MAX: usize = 1000;
/// The most characters that a subject or a name may have before its variables are filled in.
const SUBJECT_MAX: usize = 500;

/// Checks the fields of an e-mail.
pub(super) fn parse(draft: &TaskDraft, errors: &mut FieldErrors) -> Option<Email> {
    let from_address = match draft.from_address.trim() {
        "" => Some(String::new()),
        typed => errors.check("from_address", parse_address(typed)),
    };
    let from_name = errors.check("from_name", parse_line(&draft.from_name, "name"));
    let to = errors.check("to", parse_list(&draft.to).and_then(required));
    let cc = errors.check("cc", parse_list(&draft.cc));
    let bcc = errors.check("bcc", parse_list(&draft.bcc));
    if [&to, &cc, &bcc].into_iter().flatten().map(Vec::len).sum::<usize>() > RECIPIENTS_MAX {
        errors.add("to", format!("An e-mail has at most {RECIPIENTS_MAX} recipients in its three lists."));
    }
    let subject = errors.check("subject", parse_line(&draft.subject, "subject").and_then(not_empty));
    let body = errors.check("body", parse_body(&draft.body));
    Some(Email {
        from_address: from_address?,
        from_name: from_name?,
        to: to?,
        cc: cc?,
        bcc: bcc?,
        subject: subject?,
        body: body?,
    })
}

/// Fills the fields of an e-mail in a task's draft, as its form shows them.
pub(super) fn fill(email: &Email, draft: &mut TaskDraft) {
    draft.from_address.clone_from(&email.from_address);
    draft.from_name.clone_from(&email.from_name);
    draft.to = list_text(&email.to);
    draft.cc = list_text(&email.cc);
    draft.bcc = list_text(&email.bcc);
    draft.subject.clone_from(&email.subject);
    draft.body.clone_from(&email.body);
}

fn required(list: Vec<Mailbox>) -> Result<Vec<Mailbox>, String> {
    if list.is_empty() {
        return Err("A recipient is required, like ops@example.com.".to_owned());
    }
    Ok(list)
}

fn not_empty(line: String) -> Result<String, String> {
    if line.is_empty() { Err("A subject is required.".to_owned()) } else { Ok(line) }
}

/// Checks a text of one line that may be empty.
fn parse_line(typed: &str, what: &str) -> Result<String, String> {
    let line = typed.trim();
    if line.chars().count() > SUBJECT_MAX {
        return Err(format!("This {what} is longer than {SUBJECT_MAX} characters."));
    }
    if text::has_hidden(line) {
        return Err(format!("This {what} has a line end or an invisible character. Type it again without."));
    }
    Ok(line.to_owned())
}

fn parse_body(typed: &str) -> Result<String, String> {
    text::refuse_nul(typed)?;
    let body = text::with_line_ends(typed);
    if body.trim().is_empty() {
        return Err("A body is required.".to_owned());
    }
    if body.len() > MESSAGE_MAX_BYTES {
        return Err(format!("This body has {} bytes; {MESSAGE_MAX_BYTES} are the most.", body.len()));
    }
    Ok(body)
}
