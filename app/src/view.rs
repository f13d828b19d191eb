//! What pages show: rows and forms as the server hands them to the browser. Times are already written out.

use model::event::EventDraft;
use model::task::TaskDraft;
use model::webhook::{Authorization, StoredWebhook, WebhookDraft};
use serde::{Deserialize, Serialize};

/// An instant, written by the server in the system's time zone, so that both halves render the same text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// `11:38:07`, or with the date when it is not today.
    pub short: String,
    /// The whole instant with its zone.
    pub full: String,
    /// RFC 3339.
    pub machine: String,
}

/// A choice of a select: value and label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What is posted.
    pub value: String,
    /// What is read.
    pub label: String,
}

/// A row of the webhook list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRow {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The method and where it sends.
    pub method: String,
    /// The URL.
    pub url: String,
    /// "Bearer".
    pub authorization: String,
    /// How many tasks use it.
    pub tasks: u32,
}

/// The webhook form of a stored webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookForm {
    /// The name as stored, for crumbs.
    pub name: String,
    /// The fields, without secrets.
    pub draft: WebhookDraft,
    /// Scheme, host and port that the stored secret belongs to.
    pub origin: String,
    /// Whether it accepts certificates that do not verify.
    pub allows_insecure_tls: bool,
    /// Its authorization.
    pub authorization: Authorization,
}

impl WebhookForm {
    /// What the parser needs to decide whether the stored secret may stay.
    pub fn stored(&self) -> StoredWebhook {
        StoredWebhook {
            origin: self.origin.clone(),
            allows_insecure_tls: self.allows_insecure_tls,
            authorization: self.authorization.clone(),
        }
    }
}

/// A row of the task list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Whether events may start it.
    pub is_enabled: bool,
    /// The webhook it sends through.
    pub webhook_id: i64,
    /// That webhook's name.
    pub webhook_name: String,
    /// How many events start it.
    pub events: u32,
}

/// The task form: of a stored task, or of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskForm {
    /// The name as stored, for crumbs; empty for a new one.
    pub name: String,
    /// The fields.
    pub draft: TaskDraft,
    /// The webhooks to choose from.
    pub webhooks: Vec<Choice>,
}

/// A row of the event list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its id.
    pub id: i64,
    /// "Virtual Machines".
    pub type_label: String,
    /// "Power On".
    pub event_label: String,
    /// "Any", or the object's name.
    pub scope: String,
    /// The task it starts.
    pub task_id: i64,
    /// That task's name.
    pub task_name: String,
    /// Whether it fires.
    pub is_enabled: bool,
}

/// The objects of one type to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectGroup {
    /// The type's id.
    pub type_id: String,
    /// "Virtual Machines".
    pub label: String,
    /// Its objects.
    pub objects: Vec<Choice>,
}

/// The event form: of a stored event, or of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventForm {
    /// "Power On", for crumbs; empty for a new one.
    pub name: String,
    /// The fields.
    pub draft: EventDraft,
    /// The tasks to choose from.
    pub tasks: Vec<Choice>,
    /// The known objects, by type.
    pub objects: Vec<ObjectGroup>,
}

/// A row of the delivery list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// The public id, `webhook-id` on the wire.
    pub uuid: String,
    /// `sent`, `error`, …
    pub status: model::delivery::Status,
    /// When it was queued.
    pub created: When,
    /// The webhook's id.
    pub webhook_id: i64,
    /// The webhook's name, as it was.
    pub webhook: String,
    /// The task's name, as it was.
    pub task: String,
    /// "Power On".
    pub event: String,
    /// The object's name.
    pub object: String,
    /// Attempts made.
    pub attempts: u32,
    /// The last answer's status.
    pub http_status: Option<u16>,
    /// The last attempt's duration.
    pub duration_ms: Option<u32>,
    /// When the next attempt is due.
    pub next: Option<When>,
    /// What went wrong last, in words.
    pub error: Option<String>,
}
