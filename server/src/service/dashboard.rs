//! The Tasks Dashboard. Its figures are cached for all viewers, so that many viewers cost no more than one.

mod cached;
pub mod settled;

pub(crate) use cached::LONGEST as CACHED_FOR;

use super::Services;
use super::delivery::NEWEST;
use super::demo;
use crate::store::{catalog, delivery, event, figures, schedule, task, webhook};
use app::error::AppError;
use app::view::dashboard::{Counts, Dashboard, Hour};
use cached::Cached;
use model::number::to_u64;
use model::time::Timestamp;
use settled::{HOURS, Settled, SettledCounts};
use std::time::Duration;
use tokio::sync::Mutex;

const HOUR_MS: i64 = 3_600_000;
/// The number of sent deliveries, newest first, that the times of receipt are taken from.
const RECEIPTS: i64 = 5000;
/// The number of failures that are shown.
const FAILURES: u64 = 5;

/// The figures that all viewers share. The history is cached separately, since it may stay valid for longer.
#[derive(Debug, Default)]
pub struct Figures {
    now: Cached<Dashboard>,
    history: Cached<History>,
    settled: Mutex<SettledCounts>,
}

/// The figures of the last day.
#[derive(Debug, Clone)]
struct History {
    hours: Vec<Hour>,
    failed_tasks: usize,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
}

impl Services {
    /// Returns the content of the Tasks Dashboard.
    pub(super) async fn load_dashboard(&self) -> Result<Dashboard, AppError> {
        let (now, history) = (self.clone(), self.clone());
        let history = self.figures.history.get(async move { history.load_history().await }).await?;
        let now = self.figures.now.get(async move { now.load_now().await }).await?;
        let History { hours, failed_tasks, p50_ms, p95_ms } = history;
        Ok(Dashboard { hours, failed_tasks, p50_ms, p95_ms, ..now })
    }

    async fn load_now(&self) -> Result<Dashboard, AppError> {
        let db = self.store.pages();
        let now = self.clock.now();
        let catalog = catalog::load(db).await?;
        let tasks = task::list(db).await?;
        let events = event::list(db).await?;
        let schedules = schedule::list(db).await?;
        let webhooks = webhook::list(db).await?;
        let queue = figures::queue(db).await?;
        let failures = figures::failures(db, FAILURES).await?;
        let recent = delivery::list_newest(db, None, NEWEST).await?;
        Ok(Dashboard {
            tasks: Counts { all: tasks.len(), enabled: tasks.iter().filter(|row| row.task.is_enabled).count() },
            events: Counts { all: events.len(), enabled: events.iter().filter(|row| row.event.is_enabled).count() },
            schedules: Counts {
                all: schedules.len(),
                enabled: schedules.iter().filter(|row| row.schedule.is_enabled).count(),
            },
            webhooks: webhooks.len(),
            paused: webhooks.iter().filter(|row| row.hold.paused_at.is_some()).count(),
            failing: webhooks.iter().filter(|row| row.hold.breaker.open.is_some()).count(),
            queued: queue.queued,
            running: queue.running,
            held: queue.held,
            oldest: queue.oldest.map(|at| age_text(now.since(Timestamp(at)))),
            failures: failures.into_iter().map(|row| self.delivery_line(row, &catalog)).collect(),
            recent: recent.into_iter().map(|row| self.delivery_line(row, &catalog)).collect(),
            is_demo: demo::is_there(db).await?,
            ..Dashboard::default()
        })
    }

    async fn load_history(&self) -> Result<History, AppError> {
        let db = self.store.pages();
        let now = self.clock.now();
        let sorted = figures::receipt_times(db, (Timestamp(now.0 - HOUR_MS), now), RECEIPTS).await?;
        let percentile =
            |per_cent: usize| sorted.get((sorted.len() * per_cent / 100).min(sorted.len().saturating_sub(1))).copied();
        let failed_tasks = figures::failed_tasks(db, Timestamp(now.0 - 24 * HOUR_MS)).await?;
        Ok(History {
            hours: self.hours(now).await?,
            failed_tasks: usize::try_from(failed_tasks).unwrap_or_default(),
            p50_ms: percentile(50),
            p95_ms: percentile(95),
        })
    }

    /// Returns the deliveries of this hour and the 23 before it, by hour.
    async fn hours(&self, now: Timestamp) -> Result<Vec<Hour>, AppError> {
        let db = self.store.pages();
        let settled = self.figures.settled.lock().await.count(db, now).await?;
        let first = settled::first_hour(now);
        let mut waiting = [0; HOURS];
        for count in figures::waiting_by_hour(db, Timestamp(first * HOUR_MS)).await? {
            if let Some(number) = usize::try_from(count.hour - first).ok().and_then(|hour| waiting.get_mut(hour)) {
                *number += to_u64(count.deliveries);
            }
        }
        let zone = self.zone.get();
        let hour = |(hour, (settled, waiting)): (i64, (Settled, u64))| {
            let label = crate::engine::render::zoned(Timestamp(hour * HOUR_MS), &zone).strftime("%H:%M").to_string();
            Hour { label, sent: settled.sent, failed: settled.failed, waiting }
        };
        Ok((first..).zip(settled.into_iter().zip(waiting)).map(hour).collect())
    }
}

fn age_text(age: Duration) -> String {
    match age.as_secs() {
        0..=119 => format!("{} s", age.as_secs()),
        120..=7199 => format!("{} min", age.as_secs() / 60),
        7200..=172_799 => format!("{} h", age.as_secs() / 3600),
        _ => format!("{} days", age.as_secs() / 86_400),
    }
}
