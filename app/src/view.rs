//! What pages show: rows and forms as the server hands them to the browser. Times are already written out.

use model::catalog::Catalog;
use model::event::EventDraft;
use model::id::WebhookId;
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
    /// A person paused it.
    pub is_paused: bool,
    /// Its breaker is open.
    pub is_failing: bool,
    /// How many deliveries are held for it.
    pub held: u64,
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
    /// Whether it signs what it sends.
    pub is_signing: bool,
}

impl WebhookForm {
    /// What the parser needs to decide whether the stored secret may stay.
    pub fn stored(&self) -> StoredWebhook {
        StoredWebhook {
            origin: self.origin.clone(),
            allows_insecure_tls: self.allows_insecure_tls,
            authorization: self.authorization.clone(),
            is_signing: self.is_signing,
        }
    }
}

/// A webhook that was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWebhook {
    /// Its id.
    pub id: WebhookId,
    /// Its host's name does not resolve at the moment.
    pub is_unresolved: bool,
}

impl SavedWebhook {
    /// Where it is seen, with the warning if there is one.
    pub fn path(self) -> String {
        format!("/webhooks/{}{}", self.id, if self.is_unresolved { "?done=unresolved" } else { "" })
    }
}

/// What happens to held deliveries when a webhook is resumed or its target confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// All go on.
    All,
    /// Of each object the newest goes on, the others are given up.
    Newest,
    /// None goes on.
    None,
}

/// How a hold is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseChoice {
    /// Which go on.
    pub held: Held,
    /// How many a second; `None`: as fast as it goes.
    pub per_second: Option<u32>,
}

/// A message to be previewed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRequest {
    /// The task's name as typed.
    pub task: String,
    /// The webhook's id as chosen; its content type decides how values are escaped.
    pub webhook: String,
    /// The message as typed.
    pub message: String,
    /// The public id of a past occurrence; empty: a sample.
    pub occurrence: String,
}

/// A test message for a webhook as typed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TestRequest {
    /// The webhook as typed.
    pub draft: WebhookDraft,
    /// The message, as typed; its variables are filled in with a sample.
    pub message: String,
}

/// What a test came to: the exact request, and the whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestAnswer {
    /// Method and URL.
    pub target: String,
    /// Each header in its order: name, value, and whether the value is masked.
    pub headers: Vec<(String, String, bool)>,
    /// What was sent.
    pub body: String,
    /// The status line's code.
    pub http_status: Option<u16>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// The answer's headers, one a line.
    pub answer_headers: String,
    /// The answer as text.
    pub answer_body: String,
    /// How long it took.
    pub duration_ms: u32,
    /// How long connecting took, if a connection was made.
    pub connect_ms: Option<u32>,
}

/// What an event as typed matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMatches {
    /// How many objects it is about now; `None` for types without objects.
    pub objects: Option<u64>,
    /// How many occurrences of the last 7 days would have fired it; counted up to 10,000.
    pub occurrences: u32,
    /// The newest of those: when, object, public id.
    pub newest: Vec<(When, String, String)>,
}

/// What became of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Its public id.
    pub id: String,
    /// Its type's id.
    pub type_id: String,
    /// "Virtual Machines".
    pub type_label: String,
    /// Its event's id.
    pub event_id: String,
    /// "Power On".
    pub event_label: String,
    /// Whether the catalogue knows the kind.
    pub is_known: bool,
    /// The object's name as it was.
    pub object: Option<String>,
    /// The object's external id as it was.
    pub object_id: Option<String>,
    /// The tags it carried, `Environment/production`.
    pub tags: Vec<String>,
    /// Where it came from.
    pub source: String,
    /// When it was received.
    pub received: When,
    /// When it happened, by the sender's clock.
    pub occurred: Option<When>,
    /// Its data, as JSON.
    pub data: Option<String>,
    /// How often it was repeated; repeats start nothing.
    pub repeats: u32,
    /// Every event of its type and event, and what came of it.
    pub considered: Vec<Considered>,
}

/// An event that was considered for an occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// The event's id.
    pub event_id: i64,
    /// "Any", "web-01", "tag Environment/production".
    pub scope: String,
    /// The task's id.
    pub task_id: i64,
    /// The task's name as it was.
    pub task: String,
    /// Why it did not fire; `None`: it fired.
    pub reason: Option<model::matching::Reason>,
    /// The same in words.
    pub words: String,
    /// What was sent because of it.
    pub deliveries: Vec<SentBecause>,
}

/// A delivery that an event caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentBecause {
    /// Its public id.
    pub id: String,
    /// Where it stands.
    pub status: model::delivery::Status,
    /// Through which webhook.
    pub webhook: String,
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
    /// Past occurrences to preview with: their public ids and what happened.
    pub occurrences: Vec<Choice>,
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

/// The objects of a type that were found, as many as a select offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundObjects {
    /// By name.
    pub choices: Vec<Choice>,
    /// Whether there are others.
    pub has_more: bool,
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
    /// The object that is chosen.
    pub object: Option<Choice>,
    /// How that object is typed where there is nothing to choose from: its id, or its name.
    pub object_named: String,
    /// The tags, as `Category - Tag`.
    pub tags: Vec<TagChoice>,
    /// The types and their events.
    pub catalog: Catalog,
}

/// A tag to choose, and which types carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChoice {
    /// Its id.
    pub value: String,
    /// `Environment - production`.
    pub label: String,
    /// The types that may carry it.
    pub type_ids: Vec<String>,
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
