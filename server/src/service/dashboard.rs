//! The dashboard's figures: shared by all who look, so that no number of viewers costs more than one.

use super::Services;
use super::report::{DEMO, HOUR_MS, SHORT};
use super::shared::Shared;
use crate::store::{catalog, delivery, event, figures, setting, task, webhook};
use app::error::AppError;
use app::view::dashboard::{Counts, Dashboard, Hour};
use model::delivery::Status;
use model::time::Timestamp;
use std::time::Duration;

/// How many of the newest sent deliveries the times of receipt are taken from.
const RECEIPTS: i64 = 5000;
/// How many failures are shown.
const FAILURES: u64 = 5;

/// What all viewers share. Apart, since what is taken from a day of history may be good for longer.
#[derive(Debug, Default)]
pub struct Figures {
    now: Shared<Dashboard>,
    history: Shared<History>,
}

/// What is taken from a day of history.
#[derive(Debug, Clone)]
struct History {
    hours: Vec<Hour>,
    failed_tasks: usize,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
}

impl Services {
    pub(super) async fn load_dashboard(&self) -> Result<Dashboard, AppError> {
        let history = self.figures.history.get(self.load_history()).await?;
        let now = self.figures.now.get(self.load_now()).await?;
        let History { hours, failed_tasks, p50_ms, p95_ms } = history;
        Ok(Dashboard { hours, failed_tasks, p50_ms, p95_ms, ..now })
    }

    async fn load_now(&self) -> Result<Dashboard, AppError> {
        let db = self.store.pages();
        let now = self.clock.now();
        let catalog = catalog::load(db).await?;
        let tasks = task::list(db).await?;
        let events = event::list(db).await?;
        let webhooks = webhook::list(db).await?;
        let queue = figures::queue(db).await?;
        let failures = figures::failures(db, FAILURES).await?;
        let recent = delivery::list_newest(db, None, SHORT).await?;
        Ok(Dashboard {
            tasks: Counts { all: tasks.len(), enabled: tasks.iter().filter(|row| row.task.is_enabled).count() },
            events: Counts { all: events.len(), enabled: events.iter().filter(|row| row.event.is_enabled).count() },
            webhooks: webhooks.len(),
            paused: webhooks.iter().filter(|row| row.hold.paused_at.is_some()).count(),
            failing: webhooks.iter().filter(|row| row.hold.breaker.open.is_some()).count(),
            queued: queue.queued,
            running: queue.running,
            held: queue.held,
            oldest: queue.oldest.map(|at| age(now.since(Timestamp(at)))),
            failures: failures.into_iter().map(|row| self.line(row, &catalog)).collect(),
            recent: recent.into_iter().map(|row| self.line(row, &catalog)).collect(),
            is_demo: setting::find(db, DEMO).await?.is_some(),
            ..Dashboard::default()
        })
    }

    async fn load_history(&self) -> Result<History, AppError> {
        let db = self.store.pages();
        let now = self.clock.now();
        let took = figures::receipt_times(db, Timestamp(now.0 - HOUR_MS), RECEIPTS).await?;
        let part = |per_cent: usize| took.get((took.len() * per_cent / 100).min(took.len().saturating_sub(1))).copied();
        let failed_tasks = figures::failed_tasks(db, Timestamp(now.0 - 24 * HOUR_MS)).await?;
        Ok(History {
            hours: self.hours(now).await?,
            failed_tasks: usize::try_from(failed_tasks).unwrap_or_default(),
            p50_ms: part(50),
            p95_ms: part(95),
        })
    }

    async fn hours(&self, now: Timestamp) -> Result<Vec<Hour>, AppError> {
        let this = now.0.div_euclid(HOUR_MS);
        let first = this - 23;
        let counts = figures::by_hour(self.store.pages(), Timestamp(first * HOUR_MS)).await?;
        let mut hours: Vec<_> = (first..=this)
            .map(|hour| {
                let label = crate::render::zoned(Timestamp(hour * HOUR_MS), &self.zone).strftime("%H:%M").to_string();
                Hour { label, ..Hour::default() }
            })
            .collect();
        for count in counts {
            let place = usize::try_from(count.hour - first).ok();
            let Some(hour) = place.and_then(|place| hours.get_mut(place)) else { continue };
            let number = u64::try_from(count.deliveries).unwrap_or_default();
            match Status::find(&count.status) {
                Some(Status::Sent) => hour.sent += number,
                Some(Status::Error | Status::Discarded) => hour.failed += number,
                _ => hour.waiting += number,
            }
        }
        Ok(hours)
    }
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        0..=119 => format!("{} s", age.as_secs()),
        120..=7199 => format!("{} min", age.as_secs() / 60),
        7200..=172_799 => format!("{} h", age.as_secs() / 3600),
        _ => format!("{} days", age.as_secs() / 86_400),
    }
}
