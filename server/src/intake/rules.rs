//! What may fire: the enabled events of a group's types, their tasks, and the tasks' webhooks.

use crate::store::{self, event, task, webhook};
use model::event::EventScope;
use model::id::{EventId, ObjectId, TaskId, WebhookId};
use model::occurrence::Occurrence;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Loaded once for a group.
pub(super) struct Rules {
    events: Vec<event::Row>,
    tasks: HashMap<TaskId, task::Row>,
    webhooks: HashMap<WebhookId, webhook::Row>,
}

impl Rules {
    /// Loads what these occurrences may fire.
    pub(super) async fn load(
        txn: &DatabaseTransaction,
        occurrences: impl Iterator<Item = &Occurrence>,
    ) -> Result<Self, store::Error> {
        let kinds: BTreeSet<_> = occurrences.map(|one| (one.type_id.as_str(), one.event_id.as_str())).collect();
        let types: BTreeSet<_> = kinds.iter().map(|(type_id, _)| (*type_id).to_owned()).collect();
        let mut events = event::list_enabled(txn, types.into_iter().collect()).await?;
        events.retain(|row| kinds.contains(&(row.event.type_id.as_str(), row.event.event_id.as_str())));
        let ids: BTreeSet<_> = events.iter().map(|row| row.event.task_id.0).collect();
        let mut rules = Self { events, tasks: HashMap::new(), webhooks: HashMap::new() };
        if ids.is_empty() {
            return Ok(rules);
        }
        rules.tasks = task::find_many(txn, ids.into_iter().collect()).await?;
        rules.tasks.retain(|_, row| row.task.is_enabled);
        let ids: BTreeSet<_> = rules.tasks.values().map(|row| row.task.webhook_id.0).collect();
        rules.webhooks = webhook::find_many(txn, ids.into_iter().collect()).await?;
        Ok(rules)
    }

    /// The enabled tasks that an occurrence starts, each once, with the events that named it.
    pub(super) fn fired(&self, type_id: &str, event_id: &str, object: Option<ObjectId>) -> Vec<(TaskId, Vec<EventId>)> {
        let mut fired: BTreeMap<TaskId, Vec<EventId>> = BTreeMap::new();
        for row in &self.events {
            let is_in_scope = match row.event.scope {
                EventScope::Any => true,
                EventScope::Object(id) => object == Some(id),
            };
            let is_about = row.event.type_id == type_id && row.event.event_id == event_id;
            if is_about && is_in_scope && self.tasks.contains_key(&row.event.task_id) {
                fired.entry(row.event.task_id).or_default().push(row.id);
            }
        }
        fired.into_iter().collect()
    }

    /// A task that fired, with its webhook.
    pub(super) fn task(&self, id: TaskId) -> Option<(&task::Row, &webhook::Row)> {
        let row = self.tasks.get(&id)?;
        Some((row, self.webhooks.get(&row.task.webhook_id)?))
    }
}
