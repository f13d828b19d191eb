//! Writing a staged group: a statement per table, in the order in which the rows refer to each other.

use super::rules::Matched;
use super::stage::{Stage, Staged};
use crate::clock::new_uuid;
use crate::render::{self, Subject};
use crate::store::delivery;
use crate::store::hold::HOLD_FULL;
use crate::store::receipt::{self, Receipt};
use crate::store::run::{self, NewRun};
use crate::store::{self, occurrence, task};
use jiff::tz::TimeZone;
use model::delivery::ErrorCode;
use model::id::{OccurrenceId, TaskId, WebhookId};
use model::matching::Reason;
use model::number::to_u32;
use model::run::Cause;
use sea_orm::DatabaseTransaction;
use std::collections::BTreeSet;

/// The rendered messages that are in memory before they are written: in number, the size of one statement, and in
/// bytes.
const RENDERED_MAX: usize = 100;
const RENDERED_MAX_BYTES: usize = 4 << 20;

/// The constraint of a group that has to be written again under the lock of changes.
const LOCK_OF_CHANGES: &str = "lock_of_changes";

/// The result of writing a staged group.
#[derive(Default)]
pub(super) struct Started {
    /// The number of tasks that each staged occurrence started.
    pub(super) tasks: Vec<u32>,
    /// The deliveries that their webhooks could not hold.
    pub(super) full: Vec<FullHold>,
}

/// A delivery that its webhook could not hold.
pub(super) struct FullHold {
    pub(super) webhook_id: WebhookId,
    pub(super) webhook_name: String,
    /// The depth of the occurrence.
    pub(super) depth: u32,
}

/// Writes the objects, occurrences, runs, deliveries and receipts of a staged group.
pub(super) async fn write(
    txn: &DatabaseTransaction,
    stage: &mut Stage,
    zone: &TimeZone,
) -> Result<Started, store::Error> {
    if stage.staged.is_empty() {
        return Ok(Started::default());
    }
    claim_one_time_tasks(txn, stage).await?;
    stage.objects.write(txn, stage.now).await?;
    let tasks: Vec<_> = stage.staged.iter().map(|staged| to_u32(staged.matched.fired.len())).collect();
    let mark = stage.rules.mark;
    let rows = stage.staged.iter().zip(&tasks).map(|(staged, tasks)| occurrence_row(stage, staged, *tasks, mark));
    let occurrences = occurrence::insert_many(txn, rows.collect()).await?;
    let full = start_runs(txn, stage, &occurrences, zone).await?;
    write_receipts(txn, stage, &tasks).await?;
    Ok(Started { tasks, full })
}

/// Writes the receipts of the occurrences that carry an id.
///
/// Takes lock 9 of 10, by identity.
///
/// # Errors
/// Fails when another node has just stored one of the occurrences: another try then finds its receipt.
async fn write_receipts(txn: &DatabaseTransaction, stage: &Stage, tasks: &[u32]) -> Result<(), store::Error> {
    let mut receipts: Vec<_> = stage
        .staged
        .iter()
        .zip(tasks)
        .filter_map(|(staged, tasks)| {
            let (identity, content_hash) = staged.identity.clone()?;
            Some((identity, Receipt { content_hash, occurrence: staged.uuid, tasks_started: *tasks }))
        })
        .collect();
    receipts.sort_by(|(one, _), (other, _)| one.cmp(other));
    if !receipts.is_empty() && !receipt::insert(txn, receipts, stage.now).await? {
        return Err(store::Error::Conflict { constraint: "receipt_identity".to_owned() });
    }
    Ok(())
}

/// Returns true for the error of `write` that asks for another try, under the lock of changes.
pub(super) fn needs_lock_of_changes(error: &store::Error) -> bool {
    matches!(error, store::Error::Conflict { constraint } if constraint == LOCK_OF_CHANGES)
}

/// Claims each task that is deleted after running for the first occurrence that fires it. Further occurrences do not
/// start the task.
///
/// Takes lock 7 of 10, by id.
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
        about_webhook: staged.about_webhook,
    }
}

/// A run that is to be started.
struct Planned {
    run: NewRun,
    /// The index of its staged occurrence.
    staged: usize,
    task_id: TaskId,
}

/// Starts the runs with their deliveries. Returns the deliveries that their webhooks could not hold.
///
/// # Errors
/// Fails when a task that is deleted after running fails at once and the lock of changes is not held: ending the run
/// changes the task, and lock 1 comes before the others. [`needs_lock_of_changes`] recognises that.
async fn start_runs(
    txn: &DatabaseTransaction,
    stage: &mut Stage,
    occurrences: &[OccurrenceId],
    zone: &TimeZone,
) -> Result<Vec<FullHold>, store::Error> {
    let planned = plan(stage, occurrences);
    if planned.is_empty() {
        return Ok(Vec::new());
    }
    let runs = run::insert_many(txn, planned.iter().map(|one| one.run.clone()).collect(), stage.now).await?;
    stage.rules.count_capacity(txn, planned.iter().map(|one| one.task_id)).await?;
    let date = render::date(stage.now, zone);
    // Messages are rendered and written a few at a time, since one occurrence may start a thousand tasks.
    let (mut deliveries, mut bytes) = (Vec::new(), 0);
    let mut failed_runs = Vec::new();
    let mut full = Vec::new();
    for (one, run_id) in planned.iter().zip(runs) {
        let Some(webhook_id) = stage.rules.task(one.task_id).map(|(_, webhook)| webhook.id) else { continue };
        let hold = stage.rules.hold(webhook_id);
        let Some((task, webhook)) = stage.rules.task(one.task_id) else { continue };
        let staged = &stage.staged[one.staged];
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
        let mut delivery = render::delivery(stage.now, &date, run_id, &task.task, webhook, &subject);
        match hold {
            Ok(reason) => delivery.hold = reason,
            Err(_) => {
                delivery.failed = Some((ErrorCode::HoldFull, HOLD_FULL.to_owned()));
                full.push(FullHold {
                    webhook_id: webhook.id,
                    webhook_name: webhook.settings.name.clone(),
                    depth: staged.depth,
                });
            }
        }
        if delivery.failed.is_some() {
            if stage.rules.is_one_time(one.task_id) && !stage.has_lock_of_changes {
                return Err(store::Error::Conflict { constraint: LOCK_OF_CHANGES.to_owned() });
            }
            failed_runs.push(delivery.run_id);
        }
        bytes += delivery.body.len();
        deliveries.push(delivery);
        if bytes > RENDERED_MAX_BYTES || deliveries.len() >= RENDERED_MAX {
            delivery::insert_many(txn, std::mem::take(&mut deliveries), stage.now).await?;
            bytes = 0;
        }
    }
    delivery::insert_many(txn, deliveries, stage.now).await?;
    run::end_settled(txn, &failed_runs, stage.now).await?;
    Ok(full)
}

/// Returns the runs of a staged group: one for each task that an occurrence starts.
fn plan(stage: &Stage, occurrences: &[OccurrenceId]) -> Vec<Planned> {
    let mut planned = Vec::new();
    for (index, (staged, occurrence_id)) in stage.staged.iter().zip(occurrences).enumerate() {
        for (task_id, event_ids) in &staged.matched.fired {
            let Some((row, _)) = stage.rules.task(*task_id) else { continue };
            let run = NewRun {
                uuid: new_uuid(stage.now),
                task_id: Some(*task_id),
                task_name: row.task.name.clone(),
                cause: Cause::Occurrence(Some(*occurrence_id)),
                event_ids: event_ids.clone(),
            };
            planned.push(Planned { run, staged: index, task_id: *task_id });
        }
    }
    planned
}
