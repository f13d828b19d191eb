//! Renders the message of a task into the bytes of a delivery, with the time in the system's zone and real randomness.

use crate::clock::new_uuid;
use crate::store::delivery::{NewDelivery, Replay};
use crate::store::webhook;
use jiff::tz::TimeZone;
use model::delivery::ErrorCode;
use model::id::{ObjectId, RunId};
use model::message::{Escape, Rendered, TooLarge, Variables, render};
use model::task::Task;
use model::time::Timestamp;
use model::webhook::Method;

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
    /// The subject of a run without an occurrence: a person executes the task.
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

/// Returns a new delivery of a run. Its message is rendered once, and is the same over all attempts.
pub fn delivery(
    now: Timestamp,
    date: &str,
    run_id: RunId,
    task: &Task,
    webhook: &webhook::Row,
    subject: &Subject<'_>,
) -> NewDelivery {
    let uuid = new_uuid(now);
    let id = uuid.to_string();
    // Headers that cannot be read may set a content type. JSON is what most receivers expect.
    let content_type =
        if webhook.is_readable { webhook.settings.headers.find("content-type") } else { Some("application/json") };
    let rendered = message(&task.message, content_type, &subject.variables(now, date, task, &id));
    // GET sends no message, so there is nothing to note about the message.
    let is_sent = webhook.settings.method != Method::Get;
    let notes = rendered.as_ref().ok().filter(|_| is_sent).map(Rendered::notes).unwrap_or_default();
    let (rendered, failed) = match rendered {
        Ok(rendered) => (rendered, None),
        Err(error) => (Rendered::default(), Some((ErrorCode::TooLarge, error.to_string()))),
    };
    let unreadable = || (ErrorCode::Internal, webhook::UNREADABLE.to_owned());
    let failed = failed.or_else(|| (!webhook.is_readable).then(unreadable));
    NewDelivery {
        uuid,
        run_id,
        webhook_id: webhook.id,
        webhook_name: webhook.settings.name.clone(),
        task_name: task.name.clone(),
        type_id: subject.type_id.to_owned(),
        event_id: subject.event_id.to_owned(),
        object_id: subject.object_id,
        object_name: subject.object_name.map(str::to_owned),
        body: rendered.body.into_bytes(),
        notes,
        failed,
        hold: webhook.hold.reason(),
        depth: subject.depth,
        webhook_revision: webhook.revision,
        replay: Replay::default(),
    }
}

/// Renders a message, with real randomness for `${RANDOM}`.
pub fn message(template: &str, content_type: Option<&str>, variables: &Variables<'_>) -> Result<Rendered, TooLarge> {
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
