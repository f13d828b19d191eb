//! The transaction of a group: all that is read, decided and written for it, in order.

use super::alarm::{self, Alarms};
use super::commit::Shared;
use super::known::Known;
use super::objects::Objects;
use super::prepared::{Preparation, Prepared};
use super::rules::{RuleCache, Rules, with_objects};
use super::stage::{Slot, Stage, Staged, identity};
use super::{Accepted, Error, Job, Reporter, Response, write};
use crate::engine::lane::Taken;
use crate::store::current::{Current, Unchanged};
use crate::store::delivery::Occurred;
use crate::store::{self, access, catalog, destination, internal, listen, receipt, revision};
use model::id::ApiKeyId;
use model::occurrence::ObjectReference;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Writes groups into transactions.
pub(super) struct GroupWriter {
    shared: Shared,
    cache: RuleCache,
    known: Known,
}

/// A group that is written into its transaction. Nothing of it is stored until the commit.
pub(super) struct Written {
    /// The response to each job.
    pub(super) responses: Vec<Response>,
    /// The first new occurrence. Where it is stored, the whole group is.
    pub(super) first: Option<Uuid>,
    /// The changes of the alarms.
    pub(super) alarms: Alarms,
    /// The deliveries to hand to the dispatcher.
    pub(super) taken: Option<Taken>,
    /// True when a delivery queues.
    pub(super) has_queued: bool,
}

impl GroupWriter {
    /// Returns a writer without cached rules.
    pub(super) fn new(shared: Shared) -> Self {
        Self { cache: RuleCache::new(shared.held.clone()), known: Known::default(), shared }
    }

    /// Writes a group.
    ///
    /// Takes lock 1 of 9 with `has_lock_of_changes`.
    ///
    /// # Errors
    /// [`needs_lock_of_changes`](crate::engine::start::needs_lock_of_changes) recognises the error of a group that has
    /// to be written under that lock.
    pub(super) async fn write(
        &mut self,
        txn: &DatabaseTransaction,
        group: &[Job],
        has_lock_of_changes: bool,
    ) -> Result<Written, store::Error> {
        if has_lock_of_changes {
            revision::lock_changes(txn).await?;
        }
        let is_due = take_internal_events(txn, group).await?;
        let mut types = self.types(txn, group).await?;
        let (mut stage, slots, current) = loop {
            let limits = Some((&*self.shared.full, self.shared.clock.now()));
            let objects = Objects::load(txn, references(group), types.clone(), limits).await?;
            let (stage, slots, current) = self.stage(txn, group, objects, &is_due).await?;
            // Loading the objects may have waited for a lock, and the catalogue may have changed meanwhile.
            match self.cache.types(references(group)) {
                Some(now) if now != types => types = now,
                _ => break (stage, slots, current),
            }
        };
        self.known.note(&keys_of(group), current, &stage.objects);
        stage.has_lock_of_changes = has_lock_of_changes;
        let started = write::write(txn, &mut stage, &self.shared.zone.get(), &self.shared.lanes).await?;
        receipt::count_repeats(txn, &stage.repeats, stage.now).await?;
        let alarms = alarm::raise(txn, &stage, &self.shared.alarmed, &started.full).await?;
        note_unknown_kinds(txn, unknown_kinds(&stage), stage.now).await?;
        if started.has_queued {
            listen::notify(txn).await?;
        }
        Ok(Written {
            responses: responses(&stage, slots, &started.tasks),
            first: stage.staged.first().map(|staged| staged.uuid),
            alarms,
            taken: started.taken,
            has_queued: started.has_queued,
        })
    }

    /// Reads the state for a group that is written alone, and prepares the group (PostgreSQL). `None` for a group that
    /// needs a transaction: it repeats occurrences, changes objects, claims tasks, has a delivery that is held or
    /// fails, or has an event type that is in no catalogue.
    pub(super) async fn prepare(
        &mut self,
        db: &impl ConnectionTrait,
        group: &[Job],
    ) -> Result<Option<Prepared>, store::Error> {
        let types = self.types(db, group).await?;
        let Some(objects) = Objects::load_known(db, references(group), types.clone()).await? else { return Ok(None) };
        let (stage, slots, current) = self.stage(db, group, objects, &vec![true; group.len()]).await?;
        if self.cache.types(references(group)).is_some_and(|now| now != types) {
            return Ok(None);
        }
        self.known.note(&keys_of(group), current, &stage.objects);
        Ok(self.prepared(&stage, slots, None))
    }

    /// Prepares a group like [`prepare`](Self::prepare), by the known state. The group is written only if that state is
    /// unchanged.
    pub(super) fn prepare_by_known(&self, group: &[Job]) -> Preparation {
        let stage = || {
            let occurrences = || group.iter().flat_map(|job| &job.batch.occurrences);
            let rules = Rules::cached(&self.cache, occurrences())?;
            let types = self.cache.types(references(group))?;
            let objects = self.known.objects(references(group), &types)?;
            let unchanged = self.known.unchanged(group, keys_of(group), &rules, objects.clone())?;
            let objects = Objects::known(objects, types);
            Some((Stage::new(self.shared.clock.now(), objects, rules, HashMap::new()), unchanged))
        };
        let Some((mut stage, unchanged)) = stage() else { return Preparation::Unknown };
        let slots = group.iter().map(|job| stage.add_job(job)).collect();
        match self.prepared(&stage, slots, Some(unchanged)) {
            Some(prepared) => Preparation::Plain(Box::new(prepared)),
            None => Preparation::NotPlain,
        }
    }

    /// Renders and leases the deliveries of a staged group. `None` for a group that needs a transaction.
    fn prepared(&self, stage: &Stage, slots: Vec<Slots>, unchanged: Option<Unchanged>) -> Option<Prepared> {
        if !stage.is_plain() || !unknown_kinds(stage).is_empty() {
            return None;
        }
        let (occurred, leased) = write::prepare(stage, &self.shared.zone.get(), &self.shared.lanes)?;
        let tasks: Vec<_> = occurred.occurrences.iter().map(|row| row.tasks_started).collect();
        let written = Written {
            responses: responses(stage, slots, &tasks),
            first: stage.staged.first().map(|staged| staged.uuid),
            alarms: alarm::over(stage, &self.shared.alarmed),
            taken: None,
            has_queued: occurred.has_queued,
        };
        Some(Prepared { written, occurred: Occurred { unchanged, ..occurred }, leased, now: stage.now })
    }

    /// Returns the types of a group that have objects, from the cached catalogue, or from the database if none is
    /// cached.
    async fn types(&self, db: &impl ConnectionTrait, group: &[Job]) -> Result<BTreeSet<String>, store::Error> {
        match self.cache.types(references(group)) {
            Some(types) => Ok(types),
            None => Ok(with_objects(&catalog::load(db).await?, references(group))),
        }
    }

    /// Stages a group. Returns the stage, the slots of each job, and the state that was read.
    async fn stage(
        &mut self,
        db: &impl ConnectionTrait,
        group: &[Job],
        objects: Objects,
        is_due: &[bool],
    ) -> Result<(Stage, Vec<Slots>, Current), store::Error> {
        let occurrences = || group.iter().flat_map(|job| &job.batch.occurrences);
        let identities =
            |job: &Job| job.batch.occurrences.iter().filter_map(|one| identity(&job.reporter, one)).collect::<Vec<_>>();
        let identities: Vec<_> = group.iter().flat_map(identities).collect();
        // The clock is read here, since loading the objects may have waited for other transactions.
        let now = self.shared.clock.now();
        let keys = keys_of(group);
        let (rules, current) = Rules::load(db, &mut self.cache, occurrences(), &keys).await?;
        let invalid_keys =
            if current.has_valid_keys { Vec::new() } else { access::find_invalid_keys(db, &keys).await? };
        let receipts = receipt::find_many(db, &identities, now).await?;
        let mut stage = Stage::new(now, objects, rules, receipts);
        let slots = group.iter().zip(is_due).map(|(job, is_due)| match &job.reporter {
            Reporter::Key(key) if invalid_keys.contains(&key.id) => Err(Error::Revoked),
            _ if *is_due => stage.add_job(job),
            _ => Ok(Vec::new()),
        });
        let slots = slots.collect();
        Ok((stage, slots, current))
    }
}

/// The results of a job's occurrences, or the reason why the job is refused.
type Slots = Result<Vec<Slot>, Error>;

/// Returns the response to each job.
fn responses(stage: &Stage, slots: Vec<Slots>, tasks: &[u32]) -> Vec<Response> {
    let accepted = |slot: Slot| match slot {
        Slot::Repeat(first) => first,
        Slot::New(index, notes) => Accepted { id: stage.staged[index].uuid, tasks_started: tasks[index], notes },
    };
    slots.into_iter().map(|job| job.map(|slots| slots.into_iter().map(accepted).collect())).collect()
}

/// Returns the objects that a group names, each with its type.
fn references(group: &[Job]) -> impl Iterator<Item = (&str, &ObjectReference)> + Clone {
    let occurrences = group.iter().flat_map(|job| &job.batch.occurrences);
    occurrences.filter_map(|one| Some((one.type_id.as_str(), one.object.as_ref()?)))
}

/// Takes the internal events of a group out of their table. Returns for each job whether it is to be stored: another
/// node may have stored an internal event already, and an event about a destination that was deleted meanwhile is
/// dropped.
///
/// Takes lock 2 of 9.
async fn take_internal_events(txn: &DatabaseTransaction, group: &[Job]) -> Result<Vec<bool>, store::Error> {
    let mut is_due = Vec::with_capacity(group.len());
    for job in group {
        is_due.push(match &job.reporter {
            Reporter::Internal { id, about_destination, .. } => {
                internal::take(txn, *id).await?
                    && match about_destination {
                        Some(destination) => destination::is_there(txn, *destination).await?,
                        None => true,
                    }
            }
            Reporter::Key(_) | Reporter::Console => true,
        });
    }
    Ok(is_due)
}

/// Returns the keys of the senders, each with the instant at which it was made.
fn keys_of(group: &[Job]) -> Vec<(ApiKeyId, Timestamp)> {
    let key = |job: &Job| match &job.reporter {
        Reporter::Key(key) => Some((key.id, key.created_at)),
        Reporter::Console | Reporter::Internal { .. } => None,
    };
    group.iter().filter_map(key).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the kinds that are in no catalogue, each with the number of its occurrences.
fn unknown_kinds(stage: &Stage) -> BTreeMap<(String, String), i64> {
    let mut unknown: BTreeMap<(String, String), i64> = BTreeMap::new();
    for Staged { occurrence, .. } in &stage.staged {
        let (type_id, event_id) = (&occurrence.type_id, &occurrence.event_id);
        if !stage.rules.is_known(type_id, event_id) {
            *unknown.entry((type_id.clone(), event_id.clone())).or_default() += 1;
        }
    }
    unknown
}

/// Notes the kinds that are in no catalogue, so that an admin can add them.
async fn note_unknown_kinds(
    txn: &DatabaseTransaction,
    unknown: BTreeMap<(String, String), i64>,
    now: Timestamp,
) -> Result<(), store::Error> {
    if unknown.is_empty() {
        return Ok(());
    }
    for ((type_id, event_id), seen) in unknown {
        catalog::note_unknown(txn, (&type_id, &event_id), seen, now).await?;
    }
    catalog::forget_oldest_unknown(txn).await
}
