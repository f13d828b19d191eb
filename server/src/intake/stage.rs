//! Staging a group: each occurrence resolved, matched and recognised if it repeats another, in memory, before anything
//! is written.

use super::known::Known;
use super::rules::{Matched, Rules};
use super::{Accepted, Error, Job, Reporter};
use crate::store::receipt::{Identity, Receipt};
use model::catalog::is_own;
use model::field_error::FieldErrors;
use model::id::{TagId, WebhookId};
use model::matching::Facts;
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Said where a key without the scope `inventory` sends tags.
const TAGS_IGNORED: &str = "object.tags were ignored: this key does not have the scope inventory.";

/// Said where a type has too many objects for another one.
const NOT_KEPT: &str = "The object was not kept: there are 100,000 of its type already. Only an inventory adds more.";

/// What an object is called, and its external id.
type Words = (String, Option<String>);

/// An occurrence ready to be written.
pub(super) struct Staged {
    pub(super) uuid: Uuid,
    pub(super) occurrence: Occurrence,
    pub(super) source: String,
    /// Its object, by its place among the known ones.
    pub(super) object: Option<usize>,
    /// Its name and external id when this happened: what comes later in the group may rename it.
    pub(super) words: Option<Words>,
    /// The tags that object carried when this happened.
    pub(super) tags: Vec<TagId>,
    /// What it starts, and why the rest does not.
    pub(super) matched: Matched,
    pub(super) about_webhook: Option<WebhookId>,
    pub(super) depth: u32,
    /// What repeats are recognised by, and its content's hash.
    pub(super) identity: Option<(Identity, Vec<u8>)>,
}

/// The answer for one item: a repeat's first answer, or a place among the staged.
pub(super) enum Slot {
    Repeat(Accepted),
    New(usize, Vec<&'static str>),
}

/// What staging works on.
pub(super) struct Stage {
    pub(super) now: Timestamp,
    pub(super) known: Known,
    pub(super) rules: Rules,
    pub(super) receipts: HashMap<Identity, Receipt>,
    pub(super) staged: Vec<Staged>,
    /// How often each occurrence was repeated by this group.
    pub(super) repeats: BTreeMap<Identity, i64>,
    /// Where an identity first stands among the staged.
    pub(super) fresh: HashMap<Identity, usize>,
}

/// What repeats of this occurrence are recognised by, if it carries an id.
pub(super) fn identity(reporter: &Reporter, occurrence: &Occurrence) -> Option<Identity> {
    let Reporter::Key(key) = reporter else { return None };
    let id = occurrence.external_id.clone()?;
    Some((key.id, occurrence.source.clone().unwrap_or_else(|| key.name.clone()), id))
}

impl Stage {
    /// Stages all of a batch, or leaves everything as it was.
    pub(super) fn add_job(&mut self, job: &Job) -> Result<Vec<Slot>, Error> {
        // A single item is refused before it changes anything.
        let before = (job.batch.occurrences.len() > 1)
            .then(|| (self.staged.len(), self.fresh.clone(), self.known.clone(), self.repeats.clone()));
        let mut slots = Vec::with_capacity(job.batch.occurrences.len());
        for (place, (occurrence, uuid)) in job.batch.occurrences.iter().zip(&job.uuids).enumerate() {
            let path = if job.batch.is_array { format!("[{place}].") } else { String::new() };
            match self.add((&job.reporter, job.batch.is_lenient), occurrence, *uuid, &path) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    if let Some((count, fresh, known, repeats)) = before {
                        self.staged.truncate(count);
                        (self.fresh, self.known, self.repeats) = (fresh, known, repeats);
                    }
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    fn add(
        &mut self,
        (reporter, is_lenient): (&Reporter, bool),
        occurrence: &Occurrence,
        uuid: Uuid,
        path: &str,
    ) -> Result<Slot, Error> {
        if is_own(&occurrence.type_id) && matches!(reporter, Reporter::Key(_)) {
            let message = "Occurrences about users and webhooks come from the console itself, not from outside.";
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
        if occurrence.object.as_ref().is_some_and(|object| self.known.may_not_be_made(&occurrence.type_id, object)) {
            notes.push(NOT_KEPT);
        }
        let (object, words) = match &occurrence.object {
            Some(reference) => self.find_object(&occurrence.type_id, reference, reporter.may_tag(), path)?,
            None => (None, None),
        };
        let (about_webhook, depth) = match reporter {
            Reporter::Inside { about_webhook, depth, .. } => (*about_webhook, *depth),
            _ => (None, 0),
        };
        let source = occurrence.source.clone().unwrap_or_else(|| reporter.name().to_owned());
        let tags = object.map(|place| self.known.tags(place).to_vec()).unwrap_or_default();
        let matched = self.rules.matched(&Facts {
            type_id: &occurrence.type_id,
            event_id: &occurrence.event_id,
            object: object.and_then(|place| self.known.id(place)),
            tags: &tags,
            level: occurrence.level(),
            source: occurrence.data_source().unwrap_or(&source),
            about_webhook,
            depth,
        });
        let place = self.staged.len();
        if let Some((identity, _)) = &identity {
            self.fresh.insert(identity.clone(), place);
        }
        self.staged.push(Staged {
            uuid,
            occurrence: occurrence.clone(),
            source,
            object,
            words,
            tags,
            matched,
            about_webhook,
            depth,
            identity,
        });
        Ok(Slot::New(place, notes))
    }

    /// The object that is meant, and its words; of a type without objects the words alone, as they were reported.
    fn find_object(
        &mut self,
        type_id: &str,
        reference: &ObjectReference,
        may_tag: bool,
        path: &str,
    ) -> Result<(Option<usize>, Option<Words>), Error> {
        let path = format!("{path}object.");
        if !self.known.has_objects(type_id) || self.known.may_not_be_made(type_id, reference) {
            self.known.tags_of(type_id, reference, may_tag, &path).map_err(Error::Invalid)?;
            let id = reference.external_id.clone();
            let name = reference.name.clone().or_else(|| id.clone()).unwrap_or_default();
            return Ok((None, Some((name, id))));
        }
        let place = self.known.resolve(type_id, reference, may_tag, &path).map_err(Error::Invalid)?;
        let (name, id) = self.known.words(place);
        Ok((Some(place), Some((name.to_owned(), id.map(str::to_owned)))))
    }

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
        } else if let Some(place) = self.fresh.get(identity)
            && let Some((_, first_hash)) = &self.staged[*place].identity
        {
            (first_hash, Slot::New(*place, notes.to_vec()))
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

/// SHA-256 of what was read, so that blanks and the order of members do not matter; without what the identity holds.
fn content_hash(occurrence: &Occurrence) -> Vec<u8> {
    let content = Occurrence { source: None, external_id: None, ..occurrence.clone() };
    Sha256::digest(serde_json::to_vec(&content).unwrap_or_default()).to_vec()
}
