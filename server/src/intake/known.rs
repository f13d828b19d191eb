//! The state that earlier groups have read. A group that depends on nothing else is written without reading anything:
//! the statements that write the group check that the state is unchanged.
//!
//! Outdated entries are not removed: the check fails, the state is read for the group, and [`Known::note`] replaces the
//! entries.

use super::Job;
use super::objects::Objects;
use super::rules::Rules;
use super::stage::identity;
use crate::store::current::{Current, DestinationNow, Unchanged};
use crate::store::object::Row;
use model::id::{ApiKeyId, DestinationId, TagId};
use model::occurrence::ObjectReference;
use model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most known external ids or keys. Beyond this number everything known is forgotten.
const KNOWN_MAX: usize = 10_000;

/// The known state.
#[derive(Default)]
pub(super) struct Known {
    /// The senders' keys that were valid.
    keys: HashSet<(ApiKeyId, Timestamp)>,
    destinations: HashMap<DestinationId, DestinationNow>,
    /// Objects with their tags, by external id.
    objects: HashMap<String, Vec<(Row, Vec<TagId>)>>,
}

impl Known {
    /// Notes the state that was read for a group.
    pub(super) fn note(&mut self, keys: &[(ApiKeyId, Timestamp)], current: Current, objects: &Objects) {
        if self.objects.len() > KNOWN_MAX || self.keys.len() > KNOWN_MAX {
            *self = Self::default();
        }
        if current.has_valid_keys {
            self.keys.extend(keys);
        }
        self.destinations.extend(current.destinations);
        for (row, tags) in objects.with_id() {
            let known = self.objects.entry(row.external_id.clone().unwrap_or_default()).or_default();
            known.retain(|(other, _)| other.type_id != row.type_id);
            known.push((row.clone(), tags.to_vec()));
        }
    }

    /// Returns the objects that these references name. `types` are those that have objects. `None` where an object is
    /// not known, or where a reference has no external id or names tags.
    pub(super) fn objects<'a>(
        &self,
        references: impl Iterator<Item = (&'a str, &'a ObjectReference)>,
        types: &BTreeSet<String>,
    ) -> Option<Vec<(Row, Vec<TagId>)>> {
        let mut found = BTreeMap::new();
        for (type_id, reference) in references {
            if reference.tags.is_some() {
                return None;
            }
            if !types.contains(type_id) {
                continue;
            }
            let known = self.objects.get(reference.external_id.as_ref()?)?;
            let (row, tags) = known.iter().find(|(row, _)| row.type_id == type_id)?;
            found.entry(row.id).or_insert_with(|| (row.clone(), tags.clone()));
        }
        Some(found.into_values().collect())
    }

    /// Returns the condition under which a group that was staged by `rules` and `objects` may be written. `None` where
    /// the group depends on state that is not known.
    pub(super) fn unchanged(
        &self,
        group: &[Job],
        keys: Vec<(ApiKeyId, Timestamp)>,
        rules: &Rules,
        objects: Vec<(Row, Vec<TagId>)>,
    ) -> Option<Unchanged> {
        let mut destinations = Vec::new();
        for destination in rules.destinations() {
            let now = self.destinations.get(&destination.id())?;
            if (now.revision, &now.hold) != (destination.revision(), destination.hold()) {
                return None;
            }
            destinations.push((destination.id(), now.text.clone()));
        }
        if !keys.iter().all(|key| self.keys.contains(key)) {
            return None;
        }
        let new =
            group.iter().flat_map(|job| job.batch.occurrences.iter().filter_map(|one| identity(&job.reporter, one)));
        Some(Unchanged { mark: rules.mark, keys, destinations, objects, new: new.collect() })
    }
}
