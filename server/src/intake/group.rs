//! The transaction of a group: all that is read, decided and written for it, in order.

use super::alarm::{self, Alarms};
use super::commit::Shared;
use super::objects::Objects;
use super::rules::{RuleCache, Rules};
use super::stage::{Slot, Stage, identity};
use super::{Accepted, Error, Job, Reporter, Response, write};
use crate::engine::lane::Taken;
use crate::store::{self, access, catalog, destination, internal, listen, receipt, revision};
use model::catalog::is_built_in_event;
use model::id::ApiKeyId;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// Writes groups into transactions.
pub(super) struct GroupWriter {
    shared: Shared,
    cache: RuleCache,
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
        Self { cache: RuleCache::new(shared.held.clone()), shared }
    }

    /// Writes a group.
    ///
    /// Takes lock 1 of 9 with `has_lock_of_changes`.
    ///
    /// # Errors
    /// [`needs_lock_of_changes`](crate::engine::start::needs_lock_of_changes) recognises the error of a group that has to be written under that lock.
    pub(super) async fn write(
        &mut self,
        txn: &DatabaseTransaction,
        group: &[Job],
        has_lock_of_changes: bool,
    ) -> Result<Written, store::Error> {
        let all = || group.iter().flat_map(|job| &job.batch.occurrences);
        let identities: Vec<_> = group
            .iter()
            .flat_map(|job| job.batch.occurrences.iter().filter_map(|occurrence| identity(&job.reporter, occurrence)))
            .collect();
        if has_lock_of_changes {
            revision::lock_changes(txn).await?;
        }
        let is_due = take_internal_events(txn, group).await?;
        let invalid_keys = find_invalid_keys(txn, group).await?;
        let references = all().filter_map(|one| Some((one.type_id.as_str(), one.object.as_ref()?)));
        let objects = Objects::load(txn, references, true).await?;
        // Loading the objects may have waited for other transactions.
        let now = self.shared.clock.now();
        let mut stage = Stage {
            now,
            objects,
            rules: Rules::load(txn, &mut self.cache, all()).await?,
            receipts: receipt::find_many(txn, &identities, now).await?,
            staged: Vec::new(),
            repeats: BTreeMap::new(),
            fresh: HashMap::new(),
            has_lock_of_changes,
        };
        let slots: Vec<_> = group
            .iter()
            .zip(is_due)
            .map(|(job, is_due)| match &job.reporter {
                Reporter::Key(key) if invalid_keys.contains(&key.id) => Err(Error::Revoked),
                _ if is_due => stage.add_job(job),
                _ => Ok(Vec::new()),
            })
            .collect();
        let started = write::write(txn, &mut stage, &self.shared.zone.get(), &self.shared.lanes).await?;
        receipt::count_repeats(txn, &stage.repeats, stage.now).await?;
        let alarms = alarm::raise(txn, &stage, &self.shared.alarmed, &started.full).await?;
        note_unknown_kinds(txn, &stage).await?;
        if started.has_queued {
            listen::notify(txn).await?;
        }
        let accepted = |slot: Slot| match slot {
            Slot::Repeat(first) => first,
            Slot::New(index, notes) => {
                Accepted { id: stage.staged[index].uuid, tasks_started: started.tasks[index], notes }
            }
        };
        let responses = slots.into_iter().map(|job| job.map(|slots| slots.into_iter().map(accepted).collect()));
        let (responses, first) = (responses.collect(), stage.staged.first().map(|staged| staged.uuid));
        Ok(Written { responses, first, alarms, taken: started.taken, has_queued: started.has_queued })
    }
}

/// Takes the internal events of a group out of their table. Returns of each job whether it is to be stored: another
/// node may have stored an internal event already, and an event about a destination that was deleted meanwhile is dropped.
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

/// Returns the keys of this group that were revoked or replaced since they were looked up.
async fn find_invalid_keys(txn: &DatabaseTransaction, group: &[Job]) -> Result<Vec<ApiKeyId>, store::Error> {
    let key = |job: &Job| match &job.reporter {
        Reporter::Key(key) => Some((key.id, key.created_at)),
        Reporter::Console | Reporter::Internal { .. } => None,
    };
    let keys: Vec<_> = group.iter().filter_map(key).collect::<HashSet<_>>().into_iter().collect();
    if keys.is_empty() { Ok(Vec::new()) } else { access::find_invalid_keys(txn, &keys).await }
}

/// Notes the kinds that are in no catalogue, so that an admin can add them.
async fn note_unknown_kinds(txn: &DatabaseTransaction, stage: &Stage) -> Result<(), store::Error> {
    let mut unknown: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for staged in &stage.staged {
        let (type_id, event_id) = (staged.occurrence.type_id.as_str(), staged.occurrence.event_id.as_str());
        if !is_built_in_event(type_id, event_id) {
            *unknown.entry((type_id, event_id)).or_default() += 1;
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let catalog = catalog::load(txn).await?;
    unknown.retain(|(type_id, event_id), _| catalog.find(type_id).is_none_or(|of| of.find_event(event_id).is_none()));
    if unknown.is_empty() {
        return Ok(());
    }
    for (kind, seen) in unknown {
        catalog::note_unknown(txn, kind, seen, stage.now).await?;
    }
    catalog::forget_oldest_unknown(txn).await
}
