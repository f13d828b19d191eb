//! Writing a staged group: a statement per table, in the order in which the rows refer to each other.

use super::rules::Matched;
use super::stage::{Stage, Staged};
use crate::engine::lane::{Lanes, Taken};
use crate::engine::render::Subject;
use crate::engine::start::{FullHold, Origin, Plain, Setting, Start, Unnamed, start};
use crate::store::delivery::Occurred;
use crate::store::receipt::{self, Identity, Receipt};
use crate::store::{self, occurrence, task};
use jiff::tz::TimeZone;
use model::id::OccurrenceId;
use model::matching::Reason;
use model::number::to_u32;
use model::run::Cause;
use sea_orm::DatabaseTransaction;
use std::collections::BTreeSet;

/// The result of writing a staged group.
#[derive(Default)]
pub(super) struct Started {
    /// The number of tasks that each staged occurrence started.
    pub(super) tasks: Vec<u32>,
    /// The deliveries that their destinations could not hold.
    pub(super) full: Vec<FullHold>,
    /// The deliveries to hand to the dispatcher after the commit.
    pub(super) taken: Option<Taken>,
    /// True when a delivery queues.
    pub(super) has_queued: bool,
}

/// Writes the objects, occurrences, runs, deliveries and receipts of a staged group.
///
/// # Errors
/// [`needs_lock_of_changes`](crate::engine::start::needs_lock_of_changes) recognises the error of a group that has to
/// be written under that lock.
pub(super) async fn write(
    txn: &DatabaseTransaction,
    stage: &mut Stage,
    zone: &TimeZone,
    lanes: &Lanes,
) -> Result<Started, store::Error> {
    if stage.staged.is_empty() {
        return Ok(Started::default());
    }
    claim_one_time_tasks(txn, stage).await?;
    stage.objects.write(txn, stage.now).await?;
    let (tasks, rows) = occurrence_rows(stage);
    let occurrences = occurrence::insert_many(txn, rows).await?;
    let started = start(txn, &plan(stage, &occurrences), setting(stage, zone, lanes)).await?;
    write_receipts(txn, stage, &tasks).await?;
    Ok(Started { tasks, full: started.full, taken: started.taken, has_queued: started.has_queued })
}

/// Returns the rows of a plain group, and its leases. `None` where the deliveries need a transaction around them.
pub(super) fn prepare(stage: &Stage, zone: &TimeZone, lanes: &Lanes) -> Option<(Occurred, Option<Unnamed>)> {
    let (tasks, occurrences) = occurrence_rows(stage);
    let places: Vec<_> = (1..).map(OccurrenceId).take(occurrences.len()).collect();
    let mut plain = Plain::render(&plan(stage, &places), setting(stage, zone, lanes))?;
    let leased = plain.take();
    let receipts = receipts(stage, &tasks);
    let (new, has_queued) = (plain.new, plain.has_queued);
    Some((Occurred { occurrences, receipts, new, has_queued, unchanged: None }, leased))
}

/// Writes the receipts of the occurrences that carry an id.
///
/// Takes lock 9 of 9, by identity.
///
/// # Errors
/// Fails when another node has just stored one of the occurrences: another try then finds its receipt.
async fn write_receipts(txn: &DatabaseTransaction, stage: &Stage, tasks: &[u32]) -> Result<(), store::Error> {
    let receipts = receipts(stage, tasks);
    if !receipts.is_empty() && !receipt::insert(txn, receipts, stage.now).await? {
        return Err(store::Error::Conflict { constraint: "receipt_identity".to_owned() });
    }
    Ok(())
}

/// Returns the receipts of the occurrences that carry an id, by identity.
fn receipts(stage: &Stage, tasks: &[u32]) -> Vec<(Identity, Receipt)> {
    let receipt = |(staged, tasks): (&Staged, &u32)| {
        let (identity, content_hash) = staged.identity.clone()?;
        Some((identity, Receipt { content_hash, occurrence: staged.uuid, tasks_started: *tasks }))
    };
    let mut receipts: Vec<_> = stage.staged.iter().zip(tasks).filter_map(receipt).collect();
    receipts.sort_by(|(one, _), (other, _)| one.cmp(other));
    receipts
}

/// Claims each task that is deleted after running for the first occurrence that starts it. Further occurrences do not
/// start the task.
///
/// Takes lock 7 of 9, by id.
async fn claim_one_time_tasks(txn: &DatabaseTransaction, stage: &mut Stage) -> Result<(), store::Error> {
    let fired = stage.staged.iter().flat_map(|staged| &staged.matched.fired).map(|(id, _)| *id);
    let one_time: BTreeSet<_> = fired.filter(|id| stage.rules.is_one_time(*id)).collect();
    if one_time.is_empty() {
        return Ok(());
    }
    let mut claimed = BTreeSet::new();
    for id in &one_time {
        if task::claim(txn, *id, true, stage.now).await? {
            claimed.insert(*id);
        }
    }
    for staged in &mut stage.staged {
        let Matched { fired, reasons } = &mut staged.matched;
        fired.retain(|(id, events)| {
            let starts = !one_time.contains(id) || claimed.remove(id);
            if !starts {
                *reasons.entry(Reason::AlreadyRun).or_default() += to_u32(events.len());
            }
            starts
        });
    }
    Ok(())
}

/// Returns the circumstances of a staged group's starts.
fn setting<'a>(stage: &'a Stage, zone: &'a TimeZone, lanes: &'a Lanes) -> Setting<'a> {
    Setting {
        now: stage.now,
        zone,
        held: stage.rules.held(),
        has_lock_of_changes: stage.has_lock_of_changes,
        lanes: Some(lanes),
    }
}

/// Returns the number of tasks that each staged occurrence starts, and the occurrences as rows.
fn occurrence_rows(stage: &Stage) -> (Vec<u32>, Vec<occurrence::Row>) {
    let tasks: Vec<_> = stage.staged.iter().map(|staged| to_u32(staged.matched.fired.len())).collect();
    let mark = stage.rules.mark;
    let rows = stage.staged.iter().zip(&tasks).map(|(staged, tasks)| occurrence_row(stage, staged, *tasks, mark));
    let rows = rows.collect();
    (tasks, rows)
}

fn occurrence_row(stage: &Stage, staged: &Staged, tasks_started: u32, revision_mark: i64) -> occurrence::Row {
    let label = staged.label.as_ref();
    occurrence::Row {
        uuid: staged.uuid,
        type_id: staged.occurrence.type_id.clone(),
        event_id: staged.occurrence.event_id.clone(),
        object_id: staged.object.and_then(|index| stage.objects.id(index)),
        object_external_id: label.and_then(|label| label.external_id.clone()),
        object_name: label.map(|label| label.name.clone()),
        external_id: staged.occurrence.external_id.clone(),
        source: staged.source.clone(),
        occurred_at: staged.occurrence.time,
        received_at: stage.now,
        data: staged.occurrence.data.as_ref().map(ToString::to_string),
        tasks_started,
        object_tags: staged.tags.clone(),
        reasons: staged.matched.reasons.clone(),
        depth: staged.depth,
        revision_mark,
        about_destination: staged.about_destination,
    }
}

/// Returns the starts of a staged group: one for each task that an occurrence starts.
fn plan<'a>(stage: &'a Stage, occurrences: &[OccurrenceId]) -> Vec<Start<'a>> {
    let mut starts = Vec::new();
    for (staged, occurrence_id) in stage.staged.iter().zip(occurrences) {
        let label = staged.label.as_ref();
        let subject = Subject {
            type_id: &staged.occurrence.type_id,
            event_id: &staged.occurrence.event_id,
            object_id: staged.object.and_then(|index| stage.objects.id(index)),
            object_name: label.map(|label| label.name.as_str()),
            object_external_id: label.and_then(|label| label.external_id.as_deref()),
            data: staged.occurrence.data.as_ref(),
            depth: staged.depth,
        };
        for (task_id, event_ids) in &staged.matched.fired {
            let Some((row, destination)) = stage.rules.task(*task_id) else { continue };
            starts.push(Start {
                task: Origin::Task(row),
                destination,
                cause: Cause::Occurrence(Some(*occurrence_id)),
                event_ids: event_ids.clone(),
                subject,
            });
        }
    }
    starts
}
