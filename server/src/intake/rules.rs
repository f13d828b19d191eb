//! What may fire: the events of a group's types, their tasks, and the tasks' webhooks.

use crate::store::{self, event, hold, revision, task, webhook};
use model::delivery::{HELD_MAX, HoldReason};
use model::id::{EventId, TaskId, WebhookId};
use model::matching::{Facts, Reason, TaskFacts, judge};
use model::occurrence::Occurrence;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Type and event.
type Kind = (String, String);

/// How many kinds are kept: what is reported may be of any kind, in no catalogue too.
const KINDS_KEPT: usize = 1000;

/// The events and tasks that were loaded for earlier groups: they are what they were as long as no newer revision is.
#[derive(Default)]
pub(super) struct Kept {
    mark: i64,
    events: HashMap<Kind, Arc<[event::Row]>>,
    tasks: HashMap<TaskId, Arc<task::Row>>,
    held: Arc<Mutex<HeldCounts>>,
}

/// How many deliveries webhooks held when they were last counted, with what was held since. A hundred thousand are not
/// counted for each group.
#[derive(Default)]
struct HeldCounts(HashMap<WebhookId, (u64, Instant)>);

impl HeldCounts {
    /// The last count, if it is good enough still: few are counted again at once, many seldom, and those near the limit
    /// each second. A full one is counted again now and then: other nodes and people make room.
    fn recent(&self, id: WebhookId) -> Option<u64> {
        let (held, at) = *self.0.get(&id)?;
        let lasts = match held {
            _ if held >= HELD_MAX => Duration::from_secs(2),
            _ if held > HELD_MAX / 10 * 9 => Duration::from_secs(1),
            _ => Duration::from_millis(held / 10),
        };
        (at.elapsed() < lasts).then_some(held)
    }

    fn counted(&mut self, id: WebhookId, held: u64) {
        self.0.insert(id, (held, Instant::now()));
    }

    fn add_one(&mut self, id: WebhookId) {
        if let Some((held, _)) = self.0.get_mut(&id) {
            *held += 1;
        }
    }
}

impl Kept {
    /// Has what these kinds may fire.
    async fn load(&mut self, txn: &DatabaseTransaction, kinds: &BTreeSet<Kind>) -> Result<(), store::Error> {
        loop {
            let mark = revision::newest(txn).await?;
            if mark != self.mark || self.events.len() > KINDS_KEPT {
                *self = Self { mark, held: self.held.clone(), ..Self::default() };
            }
            if kinds.iter().all(|kind| self.events.contains_key(kind)) {
                return Ok(());
            }
            // On PostgreSQL somebody's change may be committed meanwhile: then again, so that the mark is theirs.
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
        // Last: a kind is there with its tasks, or not at all.
        self.events.extend(found.into_iter().map(|(kind, rows)| (kind, rows.into())));
        Ok(())
    }
}

/// Loaded once for a group.
pub(super) struct Rules {
    /// The newest revision there was.
    pub(super) mark: i64,
    events: HashMap<Kind, Arc<[event::Row]>>,
    tasks: HashMap<TaskId, Arc<task::Row>>,
    webhooks: HashMap<WebhookId, webhook::Row>,
    /// How many more deliveries each webhook may hold that holds what is queued.
    room: HashMap<WebhookId, u64>,
    held: Arc<Mutex<HeldCounts>>,
}

/// What matching an occurrence came to.
#[derive(Default)]
pub(super) struct Matched {
    /// The tasks it starts, each once, with the events that named it.
    pub(super) fired: Vec<(TaskId, Vec<EventId>)>,
    /// How many events did not fire, by reason.
    pub(super) reasons: BTreeMap<Reason, u32>,
}

impl Rules {
    /// Loads what these occurrences may fire.
    pub(super) async fn load(
        txn: &DatabaseTransaction,
        kept: &mut Kept,
        occurrences: impl Iterator<Item = &Occurrence>,
    ) -> Result<Self, store::Error> {
        let kinds: BTreeSet<_> = occurrences.map(|one| (one.type_id.clone(), one.event_id.clone())).collect();
        kept.load(txn, &kinds).await?;
        let events: HashMap<_, _> =
            kinds.into_iter().filter_map(|kind| kept.events.get(&kind).cloned().map(|rows| (kind, rows))).collect();
        let ids: BTreeSet<_> = events.values().flat_map(|rows| rows.iter().map(|row| row.event.task_id)).collect();
        let tasks: HashMap<_, _> =
            ids.into_iter().filter_map(|id| kept.tasks.get(&id).cloned().map(|row| (id, row))).collect();
        let ids: BTreeSet<_> = tasks.values().map(|row| row.task.webhook_id.0).collect();
        // Always anew: a webhook is paused and resumed, and its breaker moves, without a revision.
        let webhooks =
            if ids.is_empty() { HashMap::new() } else { webhook::find_many(txn, ids.into_iter().collect()).await? };
        Ok(Self { mark: kept.mark, events, tasks, webhooks, room: HashMap::new(), held: kept.held.clone() })
    }

    /// Counts how many more deliveries of these tasks can be held, where their webhooks hold what is queued.
    pub(super) async fn count_room(
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
                self.counts().counted(id, held);
            }
            self.room.insert(id, HELD_MAX.saturating_sub(held));
        }
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, HeldCounts> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges every event of the occurrence's type and event.
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

    /// A task that fired, with its webhook.
    pub(super) fn task(&self, id: TaskId) -> Option<(&task::Row, &webhook::Row)> {
        let row = self.tasks.get(&id)?.as_ref();
        Some((row, self.webhooks.get(&row.task.webhook_id)?))
    }

    /// Whether a webhook of the group holds what is queued.
    pub(super) fn is_holding(&self, id: WebhookId) -> Option<bool> {
        self.webhooks.get(&id).map(|row| row.hold.reason().is_some())
    }

    /// Whether a new delivery of this webhook is held, and why; an error when no more can be.
    pub(super) fn hold(&mut self, id: WebhookId) -> Result<Option<HoldReason>, HoldFull> {
        let Some(reason) = self.webhooks.get(&id).and_then(|row| row.hold.reason()) else { return Ok(None) };
        match self.room.get_mut(&id) {
            Some(room) if *room > 0 => {
                *room -= 1;
                self.counts().add_one(id);
                Ok(Some(reason))
            }
            _ => Err(HoldFull),
        }
    }
}

/// A webhook holds as many deliveries as it may.
pub(super) struct HoldFull;
