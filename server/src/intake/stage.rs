//! Staging a group in memory, before anything is written: each occurrence is compared with earlier ones, its object
//! resolved, and its events judged.

use super::objects::{Label, Objects};
use super::rules::{Matched, Rules};
use super::{Accepted, Error, Job, Reporter};
use crate::store::receipt::{Identity, Receipt};
use model::catalog::is_internal;
use model::field_error::FieldErrors;
use model::id::{DestinationId, TagId};
use model::matching::Facts;
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// The note for tags from a key without the scope `inventory`.
const TAGS_IGNORED: &str = "object.tags were ignored: this key does not have the scope inventory.";

/// The note for a new object of a type that has too many.
const OBJECT_NOT_STORED: &str =
    "The object was not stored: there are 100,000 of its type already. Only an inventory adds more.";

/// An occurrence ready to be written.
pub(super) struct Staged {
    pub(super) uuid: Uuid,
    pub(super) occurrence: Occurrence,
    pub(super) source: String,
    /// The index of its object in [`Objects`].
    pub(super) object: Option<usize>,
    /// The label of its object at this point of the group. A later occurrence may rename the object.
    pub(super) label: Option<Label>,
    /// The tags of its object at this point of the group.
    pub(super) tags: Vec<TagId>,
    /// The tasks it starts, and the reasons of the events that do not fire.
    pub(super) matched: Matched,
    pub(super) about_destination: Option<DestinationId>,
    pub(super) depth: u32,
    /// The identity by which repeats are recognised, and the hash of its content.
    pub(super) identity: Option<(Identity, Vec<u8>)>,
}

/// The result of one item of a batch.
pub(super) enum Slot {
    /// A repeat of a stored occurrence: the first result.
    Repeat(Accepted),
    /// The index of a staged occurrence, with the notes for this item.
    New(usize, Vec<&'static str>),
}

/// A group that is being staged.
pub(super) struct Stage {
    pub(super) now: Timestamp,
    pub(super) objects: Objects,
    pub(super) rules: Rules,
    pub(super) receipts: HashMap<Identity, Receipt>,
    pub(super) staged: Vec<Staged>,
    /// The number of repeats in this group, by occurrence.
    pub(super) repeats: BTreeMap<Identity, i64>,
    /// The index of the first staged occurrence of each identity.
    pub(super) fresh: HashMap<Identity, usize>,
    /// True when the transaction holds the lock of changes, lock 1 of 9.
    pub(super) has_lock_of_changes: bool,
}

/// Returns the identity by which repeats of this occurrence are recognised. `None` for an occurrence without an id.
pub(super) fn identity(reporter: &Reporter, occurrence: &Occurrence) -> Option<Identity> {
    let Reporter::Key(key) = reporter else { return None };
    let id = occurrence.external_id.clone()?;
    let source = occurrence.source.clone().unwrap_or_else(|| key.name.clone());
    Some(Identity { key: key.id, source, external_id: id })
}

/// The parts of a stage that a refused batch restores.
struct Snapshot {
    staged: usize,
    fresh: HashMap<Identity, usize>,
    objects: Objects,
    repeats: BTreeMap<Identity, i64>,
}

impl Stage {
    /// Returns an empty stage.
    pub(super) fn new(now: Timestamp, objects: Objects, rules: Rules, receipts: HashMap<Identity, Receipt>) -> Self {
        Self {
            now,
            objects,
            rules,
            receipts,
            staged: Vec::new(),
            repeats: BTreeMap::new(),
            fresh: HashMap::new(),
            has_lock_of_changes: false,
        }
    }

    /// Stages all occurrences of a batch. On an error the stage is as before.
    pub(super) fn add_job(&mut self, job: &Job) -> Result<Vec<Slot>, Error> {
        // A single occurrence is refused before it changes anything, so it needs no snapshot.
        let before = (job.batch.occurrences.len() > 1).then(|| self.snapshot());
        let mut slots = Vec::with_capacity(job.batch.occurrences.len());
        for (index, (occurrence, uuid)) in job.batch.occurrences.iter().zip(&job.uuids).enumerate() {
            let path = if job.batch.is_array { format!("[{index}].") } else { String::new() };
            match self.add((&job.reporter, job.batch.is_lenient), occurrence, *uuid, &path) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    if let Some(before) = before {
                        self.restore(before);
                    }
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    /// Returns true when only new occurrences and their runs have to be written, and no task is claimed.
    pub(super) fn is_plain(&self) -> bool {
        let mut fired = self.staged.iter().flat_map(|staged| &staged.matched.fired);
        self.repeats.is_empty() && !self.objects.has_changes() && !fired.any(|(id, _)| self.rules.is_one_time(*id))
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            staged: self.staged.len(),
            fresh: self.fresh.clone(),
            objects: self.objects.clone(),
            repeats: self.repeats.clone(),
        }
    }

    fn restore(&mut self, before: Snapshot) {
        self.staged.truncate(before.staged);
        self.fresh = before.fresh;
        self.objects = before.objects;
        self.repeats = before.repeats;
    }

    fn add(
        &mut self,
        (reporter, is_lenient): (&Reporter, bool),
        occurrence: &Occurrence,
        uuid: Uuid,
        path: &str,
    ) -> Result<Slot, Error> {
        if is_internal(&occurrence.type_id) && matches!(reporter, Reporter::Key(_)) {
            let message =
                "Occurrences about users, webhooks and mailers come from the console itself, not from outside.";
            return Err(Error::Invalid(FieldErrors::one(format!("{path}type"), message)));
        }
        let has_tags = occurrence.object.as_ref().is_some_and(|reference| reference.tags.is_some());
        let mut notes = if has_tags && !reporter.may_tag() { vec![TAGS_IGNORED] } else { Vec::new() };
        let identity = identity(reporter, occurrence)
            .map(|identity| (identity, if is_lenient { Vec::new() } else { content_hash(occurrence) }));
        if let Some((identity, hash)) = &identity
            && let Some(slot) = self.find_repeat(identity, hash, &notes, path)?
        {
            return Ok(slot);
        }
        if occurrence.object.as_ref().is_some_and(|object| self.objects.is_over_limit(&occurrence.type_id, object)) {
            notes.push(OBJECT_NOT_STORED);
        }
        let (object, label) = match &occurrence.object {
            Some(reference) => self.resolve_object(&occurrence.type_id, reference, reporter.may_tag(), path)?,
            None => (None, None),
        };
        let (about_destination, depth) = match reporter {
            Reporter::Internal { about_destination, depth, .. } => (*about_destination, *depth),
            Reporter::Key(_) | Reporter::Console => (None, 0),
        };
        let source = occurrence.source.clone().unwrap_or_else(|| reporter.name().to_owned());
        let tags = object.map(|index| self.objects.tags(index).to_vec()).unwrap_or_default();
        let matched = self.rules.matched(&Facts {
            type_id: &occurrence.type_id,
            event_id: &occurrence.event_id,
            object: object.and_then(|index| self.objects.id(index)),
            tags: &tags,
            level: occurrence.level(),
            source: occurrence.data_source().unwrap_or(&source),
            about_destination,
            depth,
        });
        let index = self.staged.len();
        if let Some((identity, _)) = &identity {
            self.fresh.insert(identity.clone(), index);
        }
        self.staged.push(Staged {
            uuid,
            occurrence: occurrence.clone(),
            source,
            object,
            label,
            tags,
            matched,
            about_destination,
            depth,
            identity,
        });
        Ok(Slot::New(index, notes))
    }

    /// Resolves an occurrence's object to its index and label. Where the type has no objects, or too many for a new
    /// one, returns only the label, as reported.
    fn resolve_object(
        &mut self,
        type_id: &str,
        reference: &ObjectReference,
        may_tag: bool,
        path: &str,
    ) -> Result<(Option<usize>, Option<Label>), Error> {
        let path = format!("{path}object.");
        if !self.objects.has_objects(type_id) || self.objects.is_over_limit(type_id, reference) {
            self.objects.tags_of(type_id, reference, may_tag, &path).map_err(Error::Invalid)?;
            let external_id = reference.external_id.clone();
            let name = reference.name.clone().or_else(|| external_id.clone()).unwrap_or_default();
            return Ok((None, Some(Label { name, external_id })));
        }
        let index = self.objects.resolve(type_id, reference, may_tag, &path).map_err(Error::Invalid)?;
        Ok((Some(index), Some(self.objects.label(index))))
    }

    /// Returns the first result of an occurrence that repeats a stored or a staged one, and counts the repeat.
    ///
    /// # Errors
    /// Fails when the id was used for other content.
    fn find_repeat(
        &mut self,
        identity: &Identity,
        hash: &[u8],
        notes: &[&'static str],
        path: &str,
    ) -> Result<Option<Slot>, Error> {
        let (first_hash, slot) = if let Some(receipt) = self.receipts.get(identity) {
            let first =
                Accepted { id: receipt.occurrence, tasks_started: receipt.tasks_started, notes: notes.to_vec() };
            (&receipt.content_hash, Slot::Repeat(first))
        } else if let Some(index) = self.fresh.get(identity)
            && let Some((_, first_hash)) = &self.staged[*index].identity
        {
            (first_hash, Slot::New(*index, notes.to_vec()))
        } else {
            return Ok(None);
        };
        if first_hash == hash {
            *self.repeats.entry(identity.clone()).or_default() += 1;
            return Ok(Some(slot));
        }
        let message = "This id was used before for an occurrence with another content.";
        Err(Error::Reused(FieldErrors::one(format!("{path}id"), message)))
    }
}

/// Returns the SHA-256 of an occurrence as read, without the parts of its identity. White space and the order of
/// members in the report do not matter.
fn content_hash(occurrence: &Occurrence) -> Vec<u8> {
    let content = Occurrence { source: None, external_id: None, ..occurrence.clone() };
    Sha256::digest(serde_json::to_vec(&content).unwrap_or_default()).to_vec()
}
