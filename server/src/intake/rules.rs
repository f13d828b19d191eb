//! The rules for a group: the events about its types, their tasks, and the webhooks of these tasks.

use crate::store::{self, event, hold, revision, task, webhook};
use model::hold::{HELD_MAX, HoldReason};
use model::id::{EventId, TaskId, WebhookId};
use model::matching::{Facts, Reason, TaskFacts, judge};
use model::occurrence::Occurrence;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// An object type and an event of it.
type Kind = (String, String);

/// The number of cached kinds. Senders may report any kind, also one that is in no catalogue.
const KINDS_CACHED: usize = 1000;

/// The events and tasks that were loaded for earlier groups. A newer revision discards them.
#[derive(Default)]
pub(super) struct RuleCache {
    /// The newest revision when they were loaded.
    mark: i64,
    events: HashMap<Kind, Arc<[event::Row]>>,
    tasks: HashMap<TaskId, Arc<task::Row>>,
    held: Arc<Mutex<HeldCounts>>,
}

/// The numbers of held deliveries by webhook: as last counted, plus what was held since. Up to a hundred thousand rows
/// are too many to count for each group.
#[derive(Default)]
struct HeldCounts(HashMap<WebhookId, HeldCount>);

#[derive(Clone, Copy)]
struct HeldCount {
    held: u64,
    counted_at: Instant,
}

impl HeldCounts {
    /// Returns the last count while it is good enough. Small numbers are counted again at once, large ones seldom, and
    /// those near the limit each second. A full hold is counted again every two seconds, since other nodes and people
    /// release deliveries.
    fn recent(&self, id: WebhookId) -> Option<u64> {
        let HeldCount { held, counted_at } = *self.0.get(&id)?;
        let lasts = match held {
            _ if held >= HELD_MAX => Duration::from_secs(2),
            _ if held > HELD_MAX / 10 * 9 => Duration::from_secs(1),
            _ => Duration::from_millis(held / 10),
        };
        (counted_at.elapsed() < lasts).then_some(held)
    }

    fn set(&mut self, id: WebhookId, held: u64) {
        self.0.insert(id, HeldCount { held, counted_at: Instant::now() });
    }

    fn add_one(&mut self, id: WebhookId) {
        if let Some(count) = self.0.get_mut(&id) {
            count.held += 1;
        }
    }
}

impl RuleCache {
    /// Loads the events and tasks of these kinds that are not cached.
    async fn load(&mut self, txn: &DatabaseTransaction, kinds: &BTreeSet<Kind>) -> Result<(), store::Error> {
        loop {
            let mark = revision::newest(txn).await?;
            if mark != self.mark || self.events.len() > KINDS_CACHED {
                *self = Self { mark, held: self.held.clone(), ..Self::default() };
            }
            if kinds.iter().all(|kind| self.events.contains_key(kind)) {
                return Ok(());
            }
            // A change may commit while the rules load (PostgreSQL). Load again until the newest revision is stable.
            self.load_missing(txn, kinds).await?;
        }
    }

    async fn load_missing(&mut self, txn: &DatabaseTransaction, kinds: &BTreeSet<Kind>) -> Result<(), store::Error> {
        let missing: BTreeSet<_> = kinds.iter().filter(|kind| !self.events.contains_key(*kind)).collect();
        let types: BTreeSet<_> = missing.iter().map(|(type_id, _)| type_id.clone()).collect();
        let events: BTreeSet<_> = missing.iter().map(|(_, event_id)| event_id.clone()).collect();
        let mut found: HashMap<Kind, Vec<event::Row>> =
            missing.iter().map(|kind| ((*kind).clone(), Vec::new())).collect();
        let mut ids = BTreeSet::new();
        for row in event::list_about(txn, types.into_iter().collect(), events.into_iter().collect()).await? {
            let kind = (row.event.type_id.clone(), row.event.event_id.clone());
            let Some(rows) = found.get_mut(&kind) else { continue };
            if !self.tasks.contains_key(&row.event.task_id) {
                ids.insert(row.event.task_id.0);
            }
            rows.push(row);
        }
        if !ids.is_empty() {
            let tasks = task::find_many(txn, ids.into_iter().collect()).await?;
            self.tasks.extend(tasks.into_iter().map(|(id, row)| (id, Arc::new(row))));
        }
        // Last: a kind is cached with its tasks, or not at all.
        self.events.extend(found.into_iter().map(|(kind, rows)| (kind, rows.into())));
        Ok(())
    }
}

/// The rules that are loaded for one group.
pub(super) struct Rules {
    /// The newest revision when they were loaded.
    pub(super) mark: i64,
    events: HashMap<Kind, Arc<[event::Row]>>,
    tasks: HashMap<TaskId, Arc<task::Row>>,
    webhooks: HashMap<WebhookId, webhook::Row>,
    /// The number of further deliveries that each webhook may hold which holds new deliveries.
    capacity: HashMap<WebhookId, u64>,
    held: Arc<Mutex<HeldCounts>>,
}

/// The result of matching an occurrence.
#[derive(Default)]
pub(super) struct Matched {
    /// The tasks that the occurrence starts, each once, with the events that fired.
    pub(super) fired: Vec<(TaskId, Vec<EventId>)>,
    /// The number of events that did not fire, by reason.
    pub(super) reasons: BTreeMap<Reason, u32>,
}

impl Rules {
    /// Loads the rules for these occurrences.
    pub(super) async fn load(
        txn: &DatabaseTransaction,
        cache: &mut RuleCache,
        occurrences: impl Iterator<Item = &Occurrence>,
    ) -> Result<Self, store::Error> {
        let kinds: BTreeSet<_> = occurrences.map(|one| (one.type_id.clone(), one.event_id.clone())).collect();
        cache.load(txn, &kinds).await?;
        let events: HashMap<_, _> =
            kinds.into_iter().filter_map(|kind| cache.events.get(&kind).cloned().map(|rows| (kind, rows))).collect();
        let ids: BTreeSet<_> = events.values().flat_map(|rows| rows.iter().map(|row| row.event.task_id)).collect();
        let tasks: HashMap<_, _> =
            ids.into_iter().filter_map(|id| cache.tasks.get(&id).cloned().map(|row| (id, row))).collect();
        let ids: BTreeSet<_> = tasks.values().map(|row| row.task.webhook_id.0).collect();
        // Webhooks are never cached: a pause and the breaker change them without a new revision.
        let webhooks =
            if ids.is_empty() { HashMap::new() } else { webhook::find_many(txn, ids.into_iter().collect()).await? };
        Ok(Self { mark: cache.mark, events, tasks, webhooks, capacity: HashMap::new(), held: cache.held.clone() })
    }

    /// Counts how many further deliveries the webhooks of these tasks may hold, of those that hold new deliveries.
    pub(super) async fn count_capacity(
        &mut self,
        txn: &DatabaseTransaction,
        tasks: impl Iterator<Item = TaskId>,
    ) -> Result<(), store::Error> {
        let ids: BTreeSet<_> = tasks.filter_map(|id| self.task(id).map(|(_, webhook)| webhook.id)).collect();
        for id in ids {
            if self.is_holding(id) != Some(true) {
                continue;
            }
            let recent = self.counts().recent(id);
            let held = match recent {
                Some(held) => held,
                None => hold::count_held(txn, id).await?,
            };
            if recent.is_none() {
                self.counts().set(id, held);
            }
            self.capacity.insert(id, HELD_MAX.saturating_sub(held));
        }
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, HeldCounts> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges every event about the occurrence's type and event.
    pub(super) fn matched(&self, facts: &Facts<'_>) -> Matched {
        let mut fired: BTreeMap<TaskId, Vec<EventId>> = BTreeMap::new();
        let mut reasons: BTreeMap<Reason, u32> = BTreeMap::new();
        let kind = (facts.type_id.to_owned(), facts.event_id.to_owned());
        for row in self.events.get(&kind).map(AsRef::as_ref).unwrap_or_default() {
            let Some(task) = self.tasks.get(&row.event.task_id) else { continue };
            let task = TaskFacts { is_enabled: task.task.is_enabled, webhook_id: task.task.webhook_id };
            match judge(&row.event, task, facts) {
                Ok(()) => fired.entry(row.event.task_id).or_default().push(row.id),
                Err(reason) => *reasons.entry(reason).or_default() += 1,
            }
        }
        Matched { fired: fired.into_iter().collect(), reasons }
    }

    /// Returns a task with its webhook.
    pub(super) fn task(&self, id: TaskId) -> Option<(&task::Row, &webhook::Row)> {
        let row = self.tasks.get(&id)?.as_ref();
        Some((row, self.webhooks.get(&row.task.webhook_id)?))
    }

    /// Returns true for a task that is deleted after running.
    pub(super) fn is_one_time(&self, id: TaskId) -> bool {
        self.task(id).is_some_and(|(row, _)| row.task.deletes_after_running)
    }

    /// Reports whether a webhook holds new deliveries. `None` for a webhook that is not loaded.
    pub(super) fn is_holding(&self, id: WebhookId) -> Option<bool> {
        self.webhooks.get(&id).map(|row| row.hold.reason().is_some())
    }

    /// Returns why a new delivery of this webhook is held, if it is, and counts it.
    ///
    /// # Errors
    /// Fails when the webhook may hold no more.
    pub(super) fn hold(&mut self, id: WebhookId) -> Result<Option<HoldReason>, HoldFull> {
        let Some(reason) = self.webhooks.get(&id).and_then(|row| row.hold.reason()) else { return Ok(None) };
        match self.capacity.get_mut(&id) {
            Some(capacity) if *capacity > 0 => {
                *capacity -= 1;
                self.counts().add_one(id);
                Ok(Some(reason))
            }
            _ => Err(HoldFull),
        }
    }
}

/// The error of a webhook that holds as many deliveries as it may.
pub(super) struct HoldFull;
