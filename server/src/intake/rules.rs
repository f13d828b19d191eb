//! What may fire: the events of a group's types, their tasks, and the tasks' webhooks.

use crate::store::{self, event, hold, task, webhook};
use model::delivery::{HELD_MAX, HoldReason};
use model::id::{EventId, TaskId, WebhookId};
use model::matching::{Facts, Reason, TaskFacts, judge};
use model::occurrence::Occurrence;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Loaded once for a group.
pub(super) struct Rules {
    /// By type and event.
    events: HashMap<(String, String), Vec<event::Row>>,
    tasks: HashMap<TaskId, task::Row>,
    webhooks: HashMap<WebhookId, webhook::Row>,
    /// How many more deliveries each webhook may hold that holds what is queued.
    room: HashMap<WebhookId, u64>,
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
        occurrences: impl Iterator<Item = &Occurrence>,
    ) -> Result<Self, store::Error> {
        let kinds: BTreeSet<_> = occurrences.map(|one| (one.type_id.as_str(), one.event_id.as_str())).collect();
        let types: BTreeSet<_> = kinds.iter().map(|(type_id, _)| (*type_id).to_owned()).collect();
        let events: BTreeSet<_> = kinds.iter().map(|(_, event_id)| (*event_id).to_owned()).collect();
        let mut rules =
            Self { events: HashMap::new(), tasks: HashMap::new(), webhooks: HashMap::new(), room: HashMap::new() };
        let mut ids = BTreeSet::new();
        for row in event::list_about(txn, types.into_iter().collect(), events.into_iter().collect()).await? {
            if kinds.contains(&(row.event.type_id.as_str(), row.event.event_id.as_str())) {
                ids.insert(row.event.task_id.0);
                let kind = (row.event.type_id.clone(), row.event.event_id.clone());
                rules.events.entry(kind).or_default().push(row);
            }
        }
        if ids.is_empty() {
            return Ok(rules);
        }
        rules.tasks = task::find_many(txn, ids.into_iter().collect()).await?;
        let ids: BTreeSet<_> = rules.tasks.values().map(|row| row.task.webhook_id.0).collect();
        rules.webhooks = webhook::find_many(txn, ids.into_iter().collect()).await?;
        Ok(rules)
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
            let held = hold::count_held(txn, id).await?;
            self.room.insert(id, HELD_MAX.saturating_sub(held));
        }
        Ok(())
    }

    /// Judges every event of the occurrence's type and event.
    pub(super) fn matched(&self, facts: &Facts<'_>) -> Matched {
        let mut fired: BTreeMap<TaskId, Vec<EventId>> = BTreeMap::new();
        let mut reasons: BTreeMap<Reason, u32> = BTreeMap::new();
        let kind = (facts.type_id.to_owned(), facts.event_id.to_owned());
        for row in self.events.get(&kind).into_iter().flatten() {
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
        let row = self.tasks.get(&id)?;
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
                Ok(Some(reason))
            }
            _ => Err(HoldFull),
        }
    }
}

/// A webhook holds as many deliveries as it may.
pub(super) struct HoldFull;
