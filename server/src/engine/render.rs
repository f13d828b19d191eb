//! Renders the message of a task into the bytes of a delivery, with the time in the system's zone and real randomness.

use super::mail;
use crate::store::destination::{Destination, unreadable};
use crate::store::{delivery, webhook};
use jiff::tz::TimeZone;
use model::delivery::ErrorCode;
use model::email::Recipient;
use model::id::ObjectId;
use model::message::{Escape, Note, Rendered, TooLarge, Variables, render};
use model::task::{Action, Task};
use model::time::Timestamp;
use model::webhook::Method;
use uuid::Uuid;

/// Formats an instant as `Thu, 16 Oct 2025 11:38:07 EDT`.
pub fn date(now: Timestamp, zone: &TimeZone) -> String {
    zoned(now, zone).strftime("%a, %d %b %Y %H:%M:%S %Z").to_string()
}

/// Returns the instant in the zone. An instant out of range becomes the beginning of 1970.
pub fn zoned(at: Timestamp, zone: &TimeZone) -> jiff::Zoned {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(zone.clone())
}

/// The subject of a message: the occurrence that caused it, and its object.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are those of the occurrence")]
pub struct Subject<'a> {
    pub type_id: &'a str,
    pub event_id: &'a str,
    pub object_id: Option<ObjectId>,
    /// `None`: the name of the task is used.
    pub object_name: Option<&'a str>,
    pub object_external_id: Option<&'a str>,
    pub data: Option<&'a serde_json::Value>,
    pub depth: u32,
}

impl Subject<'_> {
    /// The subject of a run without an occurrence: a schedule starts the task, or a person executes it.
    pub const NOTHING: Subject<'static> = Subject {
        type_id: "",
        event_id: "",
        object_id: None,
        object_name: None,
        object_external_id: None,
        data: None,
        depth: 0,
    };

    /// Returns the values of the variables in a task's message about this subject.
    pub fn variables<'a>(&'a self, now: Timestamp, date: &'a str, task: &'a Task, id: &'a str) -> Variables<'a> {
        Variables {
            date,
            timestamp: now.as_seconds(),
            name: self.object_name.unwrap_or(&task.name),
            type_id: self.type_id,
            event_id: self.event_id,
            object_id: self.object_external_id.unwrap_or_default(),
            task: &task.name,
            id,
            data: self.data,
        }
    }
}

/// A rendered message, as a delivery stores it.
#[derive(Debug, Default)]
pub struct Message {
    /// The body of a request, or a whole e-mail.
    pub body: Vec<u8>,
    /// Notes on the message.
    pub notes: Vec<Note>,
    /// The recipients of an e-mail.
    pub recipients: Vec<Recipient>,
    /// Set for a message that cannot be sent.
    pub failed: Option<(ErrorCode, String)>,
}

impl Message {
    pub(super) fn failed(code: ErrorCode, sentence: String) -> Self {
        Self { failed: Some((code, sentence)), ..Self::default() }
    }
}

/// Renders the message of a task about a subject, once: all attempts send the same message.
pub fn message(
    now: Timestamp,
    date: &str,
    uuid: Uuid,
    task: &Task,
    destination: &Destination,
    subject: &Subject<'_>,
) -> Message {
    let id = uuid.to_string();
    let variables = subject.variables(now, date, task, &id);
    let mut message = match (&task.action, destination) {
        (Action::Webhook(send), Destination::Webhook(row)) => request_body(&send.message, row, &variables),
        (Action::Email(email), Destination::Mailer(row)) => mail::message(email, row, &variables, uuid, now),
        _ => Message::failed(
            ErrorCode::Internal,
            "This task's action does not fit its object. Save it again.".to_owned(),
        ),
    };
    if !destination.is_readable() {
        message.failed.get_or_insert_with(|| (ErrorCode::Internal, unreadable(destination.kind())));
    }
    message
}

fn request_body(template: &str, webhook: &webhook::Row, variables: &Variables<'_>) -> Message {
    // Headers that cannot be read may have set a content type. Most receivers expect JSON.
    let content_type =
        if webhook.is_readable { webhook.settings.headers.find("content-type") } else { Some("application/json") };
    match body(template, content_type, variables) {
        Ok(rendered) => {
            // GET sends no message, so there is nothing to note about the message.
            let notes = if webhook.settings.method == Method::Get { Vec::new() } else { rendered.notes() };
            Message { body: rendered.body.into_bytes(), notes, ..Message::default() }
        }
        Err(error) => Message::failed(ErrorCode::TooLarge, error.to_string()),
    }
}

/// Returns the message of an earlier delivery, to be sent again to all of its recipients.
pub fn again(old: &delivery::Row) -> Message {
    let recipients = old.recipients.iter().map(Recipient::again).collect();
    Message { body: old.body.clone(), notes: old.notes.clone(), recipients, failed: None }
}

/// Renders the body of a request, with real randomness for `${RANDOM}`.
pub fn body(template: &str, content_type: Option<&str>, variables: &Variables<'_>) -> Result<Rendered, TooLarge> {
    render(template, Escape::for_content_type(content_type), variables, &mut rand::random::<u32>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_formatted_as_specified() {
        let zone = TimeZone::get("America/New_York").expect("a zone");
        assert_eq!(date(Timestamp(1_760_629_087_000), &zone), "Thu, 16 Oct 2025 11:38:07 EDT");
    }
}
