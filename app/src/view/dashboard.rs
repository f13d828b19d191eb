//! The figures and lists of the Tasks Dashboard.

use crate::view::delivery::DeliveryLine;

/// The content of the Tasks Dashboard.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Dashboard {
    pub tasks: Counts,
    pub events: Counts,
    pub schedules: Counts,
    pub webhooks: usize,
    pub paused: usize,
    pub failing: usize,
    pub failed_tasks: usize,
    /// The last 24 hours, oldest first.
    pub hours: Vec<Hour>,
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub queued: i64,
    pub running: i64,
    pub held: i64,
    /// The age of the oldest delivery that is not settled, as text: `5 min`.
    pub oldest: Option<String>,
    pub failures: Vec<DeliveryLine>,
    pub recent: Vec<DeliveryLine>,
    /// The demo's content was created, so that the command "Make something happen" is offered.
    pub is_demo: bool,
}

/// The numbers of tasks, events or schedules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// The number in all.
    pub all: usize,
    /// The number that are enabled.
    pub enabled: usize,
}

/// The deliveries of one hour: by the hour in which they were settled, or queued if they still wait.
#[derive(Debug, Clone, Default)]
pub struct Hour {
    /// The hour's beginning in the system's time zone, `14:00`.
    pub label: String,
    /// The number of deliveries that were sent.
    pub sent: u64,
    /// The number of deliveries that failed or were discarded.
    pub failed: u64,
    /// The number of deliveries that wait.
    pub waiting: u64,
}
