//! The rules for a group: the events about its types, their tasks, and the destinations of these tasks.

use crate::engine::held::HeldCounts;
use crate::store::current::{self, Current};
use crate::store::destination::{self, Destination};
use crate::store::{self, catalog, event, task};
use model::catalog::{Catalog, is_built_in, is_built_in_event};
use model::id::{ApiKeyId, DestinationId, EventId, TaskId};
use model::matching::{Facts, Reason, TaskFacts, judge};
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sea_orm::ConnectionTrait;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// An object type and an event of it.
type Kind = (String, String);

/// The number of cached kinds. Senders may report any kind, also one that is in no catalogue.
const KINDS_CACHED: usize = 1000;

/// The events, tasks and destinations that were loaded for earlier groups. A newer revision discards them.
pub(super) struct RuleCache {
    /// The newest revision when they were loaded.
    mark: i64,
    events: HashMap<Kind, Arc<[event::Row]>>,
    tasks: HashMap<TaskId, Arc<task::Row>>,
    /// The catalogue. It is loaded only when a kind is not built in.
    catalog: Option<Arc<Catalog>>,
    /// A pause and the breaker change the hold of a destination without a new revision. Most groups check that the hold
    /// is unchanged as they are written (`store::current::Unchanged`), and the others read it.
    destinations: HashMap<DestinationId, Arc<Destination>>,
    held: Arc<HeldCounts>,
}

impl RuleCache {
    /// Returns an empty cache, with the shared numbers of held deliveries.
    pub(super) fn new(held: Arc<HeldCounts>) -> Self {
        Self {
            mark: 0,
            events: HashMap::new(),
            tasks: HashMap::new(),
            catalog: None,
            destinations: HashMap::new(),
            held,
        }
    }

    /// Loads the events, tasks and destinations of these kinds that are not cached. Returns the current state.
    async fn load(
        &mut self,
        db: &impl ConnectionTrait,
        kinds: &BTreeSet<Kind>,
        keys: &[(ApiKeyId, Timestamp)],
    ) -> Result<Current, store::Error> {
        loop {
            let ids = self.destinations_of(kinds);
            let current = current::read(db, keys, &ids).await?;
            if current.mark != self.mark || self.events.len() > KINDS_CACHED {
                *self = Self { mark: current.mark, ..Self::new(self.held.clone()) };
            }
            if self.has(kinds) {
                self.load_destinations(db, &ids, &current).await?;
                return Ok(current);
            }
            // A change may commit while the rules load (PostgreSQL). Load again until the newest revision is stable.
            self.load_missing(db, kinds).await?;
        }
    }

    /// Returns true when the events and tasks of these kinds are cached, and the catalogue if it is needed.
    fn has(&self, kinds: &BTreeSet<Kind>) -> bool {
        kinds.iter().all(|kind| self.events.contains_key(kind)) && (self.catalog.is_some() || are_built_in(kinds))
    }

    /// Returns the types of these references that have objects, by the cached catalogue. `None` where it is needed and
    /// not cached.
    pub(super) fn types<'a>(
        &self,
        references: impl Iterator<Item = (&'a str, &'a ObjectReference)> + Clone,
    ) -> Option<BTreeSet<String>> {
        match self.catalog.as_deref() {
            Some(catalog) => Some(with_objects(catalog, references)),
            None if references.clone().all(|(type_id, _)| is_built_in(type_id)) => {
                Some(with_objects(Catalog::built_in(), references))
            }
            None => None,
        }
    }

    /// Returns the destinations of the cached tasks that these kinds may start.
    fn destinations_of(&self, kinds: &BTreeSet<Kind>) -> Vec<DestinationId> {
        let events = kinds.iter().filter_map(|kind| self.events.get(kind)).flat_map(|rows| rows.iter());
        let tasks = events.filter_map(|row| self.tasks.get(&row.event.task_id));
        tasks.map(|row| row.task.destination_id).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Brings the cached destinations up to date.
    async fn load_destinations(
        &mut self,
        db: &impl ConnectionTrait,
        ids: &[DestinationId],
        current: &Current,
    ) -> Result<(), store::Error> {
        let mut missing = Vec::new();
        for id in ids {
            let Some(now) = current.destinations.get(id) else {
                self.destinations.remove(id);
                continue;
            };
            match self.destinations.get_mut(id).filter(|row| row.revision() == now.revision) {
                Some(row) if *row.hold() == now.hold => {}
                Some(row) => *row = Arc::new(row.as_ref().clone().with_hold(now.hold)),
                None => missing.push(id.0),
            }
        }
        if !missing.is_empty() {
            let read = destination::find_many(db, missing).await?;
            self.destinations.extend(read.into_iter().map(|(id, row)| (id, Arc::new(row))));
        }
        Ok(())
    }

    async fn load_missing(&mut self, db: &impl ConnectionTrait, kinds: &BTreeSet<Kind>) -> Result<(), store::Error> {
        if self.catalog.is_none() && !are_built_in(kinds) {
            self.catalog = Some(Arc::new(catalog::load(db).await?));
        }
        let missing: BTreeSet<_> = kinds.iter().filter(|kind| !self.events.contains_key(*kind)).collect();
        let types: BTreeSet<_> = missing.iter().map(|(type_id, _)| type_id.clone()).collect();
        let events: BTreeSet<_> = missing.iter().map(|(_, event_id)| event_id.clone()).collect();
        let mut found: HashMap<Kind, Vec<event::Row>> =
            missing.iter().map(|kind| ((*kind).clone(), Vec::new())).collect();
        let mut ids = BTreeSet::new();
        for row in event::list_about(db, types.into_iter().collect(), events.into_iter().collect()).await? {
            let kind = (row.event.type_id.clone(), row.event.event_id.clone());
            let Some(rows) = found.get_mut(&kind) else { continue };
            if !self.tasks.contains_key(&row.event.task_id) {
                ids.insert(row.event.task_id.0);
            }
            rows.push(row);
        }
        if !ids.is_empty() {
            let tasks = task::find_many(db, ids.into_iter().collect()).await?;
            self.tasks.extend(tasks.into_iter().map(|(id, row)| (id, Arc::new(row))));
        }
        // The events are cached last, so that a kind is cached with its tasks or not at all.
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
    destinations: HashMap<DestinationId, Arc<Destination>>,
    catalog: Option<Arc<Catalog>>,
    held: Arc<HeldCounts>,
}

/// Returns the types of these references that have objects.
pub(super) fn with_objects<'a>(
    catalog: &Catalog,
    references: impl Iterator<Item = (&'a str, &'a ObjectReference)>,
) -> BTreeSet<String> {
    let has_objects = |type_id: &str| catalog.find(type_id).is_some_and(|of| of.has_objects);
    references.filter(|(type_id, _)| has_objects(type_id)).map(|(type_id, _)| type_id.to_owned()).collect()
}

fn are_built_in(kinds: &BTreeSet<Kind>) -> bool {
    kinds.iter().all(|(type_id, event_id)| is_built_in_event(type_id, event_id))
}

fn kinds_of<'a>(occurrences: impl Iterator<Item = &'a Occurrence>) -> BTreeSet<Kind> {
    occurrences.map(|one| (one.type_id.clone(), one.event_id.clone())).collect()
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
    /// Loads the rules for these occurrences. Returns with them the current state of the senders' keys.
    pub(super) async fn load(
        db: &impl ConnectionTrait,
        cache: &mut RuleCache,
        occurrences: impl Iterator<Item = &Occurrence>,
        keys: &[(ApiKeyId, Timestamp)],
    ) -> Result<(Self, Current), store::Error> {
        let kinds = kinds_of(occurrences);
        let current = cache.load(db, &kinds, keys).await?;
        Ok((Self::of(cache, kinds), current))
    }

    /// Returns the rules for these occurrences as they were loaded for earlier groups. `None` where some are missing.
    /// When the database fails, the events and tasks of a kind may be cached without their destinations.
    pub(super) fn cached<'a>(cache: &RuleCache, occurrences: impl Iterator<Item = &'a Occurrence>) -> Option<Self> {
        let kinds = kinds_of(occurrences);
        let has_destinations = || cache.destinations_of(&kinds).iter().all(|id| cache.destinations.contains_key(id));
        (cache.has(&kinds) && has_destinations()).then(|| Self::of(cache, kinds))
    }

    fn of(cache: &RuleCache, kinds: BTreeSet<Kind>) -> Self {
        let events: HashMap<_, _> =
            kinds.into_iter().filter_map(|kind| cache.events.get(&kind).cloned().map(|rows| (kind, rows))).collect();
        let ids: BTreeSet<_> = events.values().flat_map(|rows| rows.iter().map(|row| row.event.task_id)).collect();
        let tasks: HashMap<_, _> =
            ids.into_iter().filter_map(|id| cache.tasks.get(&id).cloned().map(|row| (id, row))).collect();
        let ids: BTreeSet<_> = tasks.values().map(|row| row.task.destination_id).collect();
        let destinations =
            ids.into_iter().filter_map(|id| cache.destinations.get(&id).cloned().map(|row| (id, row))).collect();
        Self { mark: cache.mark, events, tasks, destinations, catalog: cache.catalog.clone(), held: cache.held.clone() }
    }

    /// Returns the destinations that are loaded.
    pub(super) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.values().map(AsRef::as_ref)
    }

    /// Returns true for a kind that the catalogue has.
    pub(super) fn is_known(&self, type_id: &str, event_id: &str) -> bool {
        let catalog = self.catalog.as_deref().unwrap_or_else(|| Catalog::built_in());
        catalog.find(type_id).is_some_and(|of| of.find_event(event_id).is_some())
    }

    /// Returns the numbers of held deliveries.
    pub(super) fn held(&self) -> &HeldCounts {
        &self.held
    }

    /// Judges every event about the occurrence's type and event.
    pub(super) fn matched(&self, facts: &Facts<'_>) -> Matched {
        let mut fired: BTreeMap<TaskId, Vec<EventId>> = BTreeMap::new();
        let mut reasons: BTreeMap<Reason, u32> = BTreeMap::new();
        let kind = (facts.type_id.to_owned(), facts.event_id.to_owned());
        for row in self.events.get(&kind).map(AsRef::as_ref).unwrap_or_default() {
            let Some(task) = self.tasks.get(&row.event.task_id) else { continue };
            let task = TaskFacts { is_enabled: task.task.is_enabled, destination_id: task.task.destination_id };
            match judge(&row.event, task, facts) {
                Ok(()) => fired.entry(row.event.task_id).or_default().push(row.id),
                Err(reason) => *reasons.entry(reason).or_default() += 1,
            }
        }
        Matched { fired: fired.into_iter().collect(), reasons }
    }

    /// Returns a task with its destination.
    pub(super) fn task(&self, id: TaskId) -> Option<(&task::Row, &Arc<Destination>)> {
        let row = self.tasks.get(&id)?.as_ref();
        Some((row, self.destinations.get(&row.task.destination_id)?))
    }

    /// Returns true for a task that is deleted after running.
    pub(super) fn is_one_time(&self, id: TaskId) -> bool {
        self.task(id).is_some_and(|(row, _)| row.task.deletes_after_running)
    }

    /// Reports whether a destination holds new deliveries. `None` for a destination that is not loaded.
    pub(super) fn is_holding(&self, id: DestinationId) -> Option<bool> {
        self.destinations.get(&id).map(|row| row.hold().reason().is_some())
    }
}

#[cfg(test)]
mod tests;
