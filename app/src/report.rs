//! What pages of the server alone show: read once, rendered, and gone. Times are already written out.

use crate::view::{When, Why};
use model::delivery::{HoldReason, Status};
use model::webhook::Authorization;

/// A webhook with its state, for its dashboard.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct WebhookDetail {
    pub id: i64,
    pub revision: i64,
    pub name: String,
    pub url: String,
    pub method: String,
    pub authorization: Authorization,
    pub is_signing: bool,
    pub headers: Vec<(String, String)>,
    pub allows_insecure_tls: bool,
    pub timeout_s: u64,
    pub retries: u32,
    pub state: WebhookState,
    /// The tasks that send through it: id, name, whether enabled.
    pub tasks: Vec<(i64, String, bool)>,
    pub deliveries: Vec<DeliveryLine>,
}

/// What holds a webhook, if anything.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct WebhookState {
    pub paused: Option<When>,
    /// Since when its breaker is open, and when the next probe goes.
    pub failing: Option<(When, When)>,
    pub releasing_per_second: Option<u32>,
    /// Held deliveries by reason.
    pub held: Vec<(HoldReason, u64)>,
}

impl WebhookState {
    /// How many are held for this reason.
    pub fn count(&self, reason: HoldReason) -> u64 {
        self.held.iter().filter(|(found, _)| *found == reason).map(|(_, count)| count).sum()
    }
}

/// A delivery as a line of a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct DeliveryLine {
    pub uuid: String,
    pub status: Status,
    pub hold: Option<HoldReason>,
    pub created: When,
    pub webhook_id: i64,
    pub webhook: String,
    pub task: String,
    pub event: String,
    pub object: String,
    pub attempts: u32,
    pub http_status: Option<u16>,
    pub duration_ms: Option<u32>,
    pub next: Option<When>,
    pub error: Option<String>,
}

/// Which deliveries a list shows, as typed into its filters.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the filter of that name")]
pub struct DeliveryQuery {
    pub status: String,
    /// `1h`, `24h`, `7d`.
    pub since: String,
    pub webhook: String,
    pub task: String,
    pub event: String,
    pub object: String,
    /// A status code or an error code.
    pub result: String,
    /// `time`, `attempts` or `duration`, with `-` in front for descending.
    pub sort: String,
    /// From 1.
    pub page: u64,
}

/// A page of a list, and how many there are in all.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// How many there are in all; more than [`COUNTED`] are not counted.
    pub total: u64,
}

/// Up to here what a list finds is counted and shown. Whoever has more narrows the filters.
pub const COUNTED: u64 = 10_000;

/// How many rows a page of a list has.
pub const PAGE_ROWS: u64 = 50;

/// A delivery whole.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct DeliveryDetail {
    pub line: DeliveryLine,
    /// The request as it is sent: method, URL, headers with secrets masked.
    pub request: Request,
    pub body: String,
    /// Doubts about the message that its receiver may stumble over, each a sentence.
    pub notes: Vec<String>,
    pub attempts: Vec<AttemptLine>,
    /// How many attempts there are at most.
    pub attempts_max: u32,
    pub timeout_ms: u32,
    pub occurrence: Option<String>,
    /// The events that started its run, by id and label.
    pub events: Vec<(i64, String)>,
    pub task_id: Option<i64>,
    /// Who caused it, if a person did: `executed by maria`.
    pub caused_by: Option<String>,
    /// The delivery it repeats.
    pub replay_of: Option<String>,
    pub is_webhook_deleted: bool,
    pub code: Option<String>,
}

/// A request as a person may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Request {
    pub method: String,
    pub url: String,
    /// Name, value, and whether the value is masked.
    pub headers: Vec<(String, String, bool)>,
}

/// One attempt.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct AttemptLine {
    pub number: u32,
    pub started: When,
    pub duration_ms: u32,
    /// `None`: a kept connection, or none was made.
    pub connect_ms: Option<u32>,
    pub first_byte_ms: Option<u32>,
    pub http_status: Option<u16>,
    pub code: Option<String>,
    pub error: Option<String>,
    pub answer_headers: String,
    /// As text; what is not UTF-8 is replaced.
    pub answer_body: String,
    pub answer_bytes: usize,
    pub note: Option<String>,
}

/// A task with its triggers and history, for its dashboard.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct TaskDetail {
    pub id: i64,
    pub name: String,
    pub description: String,
    pub is_enabled: bool,
    pub deletes_after_running: bool,
    pub is_running: bool,
    pub webhook_id: i64,
    pub webhook: String,
    pub message: String,
    pub events: Vec<EventLine>,
    pub runs: Vec<RunLine>,
    pub run_count: u64,
}

impl TaskDetail {
    /// What went wrong with the newest run, if it failed.
    pub fn failure(&self) -> Option<&RunDelivery> {
        let newest = self.runs.first().filter(|run| run.status == "failed")?;
        newest.deliveries.iter().find(|delivery| delivery.error.is_some())
    }
}

/// An event as a line of a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct EventLine {
    pub id: i64,
    pub label: String,
    pub type_label: String,
    pub scope: String,
    pub is_enabled: bool,
}

/// A run as a line of a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct RunLine {
    pub id: i64,
    pub task_id: Option<i64>,
    pub task: String,
    /// `running`, `succeeded` or `failed`.
    pub status: String,
    pub started: When,
    pub ended: Option<When>,
    /// "Virtual Machines: Power On, web-01", "executed by maria".
    pub cause: String,
    pub occurrence: Option<String>,
    pub deliveries: Vec<RunDelivery>,
}

/// A delivery of a run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct RunDelivery {
    pub uuid: String,
    pub status: Status,
    pub error: Option<String>,
}

/// What the Tasks Dashboard shows.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Dashboard {
    pub tasks: (usize, usize),
    pub events: (usize, usize),
    pub webhooks: usize,
    pub paused: usize,
    pub failing: usize,
    pub failed_tasks: usize,
    /// The last 24 hours, oldest first: label, sent, failed, waiting.
    pub hours: Vec<(String, u64, u64, u64)>,
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub queued: i64,
    pub running: i64,
    pub held: i64,
    /// How old the oldest undelivered is, in words.
    pub oldest: Option<String>,
    pub failures: Vec<DeliveryLine>,
    pub recent: Vec<DeliveryLine>,
    /// Whether the demo's content is there, and something can be made to happen.
    pub is_demo: bool,
}

/// An object as a line of a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct ObjectLine {
    pub id: i64,
    pub type_id: String,
    pub type_label: String,
    pub name: String,
    pub external_id: String,
    /// `Environment - production`, with the ids for the form.
    pub tags: Vec<(i64, String)>,
    pub is_gone: bool,
}

/// A category with its tags, and how many objects carry each.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct CategoryLine {
    pub id: i64,
    pub name: String,
    pub description: String,
    pub is_single: bool,
    pub type_ids: Vec<String>,
    pub revision: i64,
    /// Id, name, and how many objects carry it.
    pub tags: Vec<(i64, String, u64)>,
}

/// A kind that was reported and is in no catalogue.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct UnknownLine {
    pub type_id: String,
    pub event_id: String,
    pub seen: u64,
    pub last: When,
    pub is_type_known: bool,
}

/// An occurrence's explanation, for its page.
pub type Explained = Why;
