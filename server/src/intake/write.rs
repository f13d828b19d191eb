//! Writing a staged group: a statement per table, in the order of what refers to what.

use super::{Stage, Staged};
use crate::clock::new_uuid;
use crate::render;
use crate::store::delivery::{self, NewDelivery};
use crate::store::occurrence::{self, NewOccurrence, NewRun};
use crate::store::receipt::{self, Receipt};
use crate::store::{self, task, webhook};
use jiff::tz::TimeZone;
use model::delivery::ErrorCode;
use model::id::TaskId;
use model::message::{TooLarge, Variables};
use sea_orm::DatabaseTransaction;
use std::collections::HashMap;
use uuid::Uuid;

/// Writes everything. Answers how many tasks each staged occurrence started.
pub(super) async fn write(
    txn: &DatabaseTransaction,
    stage: &mut Stage,
    zone: &TimeZone,
) -> Result<Vec<u32>, store::Error> {
    if stage.staged.is_empty() {
        return Ok(Vec::new());
    }
    claim_one_time(txn, stage).await?;
    stage.known.write(txn, stage.now).await?;
    let started: Vec<_> =
        stage.staged.iter().map(|staged| u32::try_from(staged.fired.len()).unwrap_or(u32::MAX)).collect();
    let rows = stage.staged.iter().zip(&started).map(|(staged, started)| occurrence_row(stage, staged, *started));
    let occurrences = occurrence::insert_many(txn, rows.collect()).await?;
    start_runs(txn, stage, &occurrences, zone).await?;
    let receipts: Vec<_> = stage
        .staged
        .iter()
        .zip(&started)
        .filter_map(|(staged, started)| {
            let (identity, content_hash) = staged.identity.clone()?;
            Some((identity, Receipt { content_hash, occurrence: staged.uuid, tasks_started: *started }))
        })
        .collect();
    if !receipts.is_empty() && !receipt::insert(txn, receipts, stage.now).await? {
        return Err(store::Error::Conflict { constraint: "receipt_identity".to_owned() });
    }
    Ok(started)
}

/// Claims tasks that are deleted after running for the first occurrence that fires them; the others start nothing.
async fn claim_one_time(txn: &DatabaseTransaction, stage: &mut Stage) -> Result<(), store::Error> {
    for staged in &mut stage.staged {
        let mut kept = Vec::with_capacity(staged.fired.len());
        for (id, events) in std::mem::take(&mut staged.fired) {
            let is_one_time = stage.rules.task(id).is_some_and(|(row, _)| row.task.deletes_after_running);
            if !is_one_time || task::claim(txn, id, stage.now).await? {
                kept.push((id, events));
            }
        }
        staged.fired = kept;
    }
    Ok(())
}

fn occurrence_row(stage: &Stage, staged: &Staged, started: u32) -> NewOccurrence {
    let words = staged.object.map(|place| stage.known.words(place));
    NewOccurrence {
        uuid: staged.uuid,
        type_id: staged.occurrence.type_id.clone(),
        event_id: staged.occurrence.event_id.clone(),
        object_id: staged.object.and_then(|place| stage.known.id(place)),
        object_external_id: words.and_then(|(_, id)| id.map(str::to_owned)),
        object_name: words.map(|(name, _)| name.to_owned()),
        external_id: staged.occurrence.external_id.clone(),
        source: staged.source.clone(),
        occurred_at: staged.occurrence.time,
        received_at: stage.now,
        data: staged.occurrence.data.as_ref().map(ToString::to_string),
        tasks_started: started,
    }
}

/// A run, and the staged occurrence and task it is of.
struct Planned<'a> {
    run: NewRun,
    staged: &'a Staged,
    task_id: TaskId,
}

async fn start_runs(
    txn: &DatabaseTransaction,
    stage: &Stage,
    occurrences: &HashMap<Uuid, model::id::OccurrenceId>,
    zone: &TimeZone,
) -> Result<(), store::Error> {
    let mut planned = Vec::new();
    for staged in &stage.staged {
        let Some(occurrence_id) = occurrences.get(&staged.uuid) else { continue };
        for (task_id, event_ids) in &staged.fired {
            let Some((row, _)) = stage.rules.task(*task_id) else { continue };
            let run = NewRun {
                uuid: new_uuid(stage.now),
                task_id: *task_id,
                task_name: row.task.name.clone(),
                occurrence_id: *occurrence_id,
                event_ids: event_ids.clone(),
            };
            planned.push(Planned { run, staged, task_id: *task_id });
        }
    }
    if planned.is_empty() {
        return Ok(());
    }
    let runs = occurrence::insert_runs(txn, planned.iter().map(|one| one.run.clone()).collect(), stage.now).await?;
    let date = render::date(stage.now, zone);
    let mut deliveries = Vec::with_capacity(planned.len());
    for one in planned {
        let (Some(run_id), Some((task, webhook))) = (runs.get(&one.run.uuid), stage.rules.task(one.task_id)) else {
            continue;
        };
        let uuid = new_uuid(stage.now);
        let (body, failed) = match rendered(stage, one.staged, &task.task, webhook, uuid, &date) {
            Ok(body) => (body.into_bytes(), None),
            Err(error) => (Vec::new(), Some((ErrorCode::TooLarge, error.to_string()))),
        };
        deliveries.push(NewDelivery {
            uuid,
            run_id: *run_id,
            webhook_id: webhook.id,
            webhook_name: webhook.name.clone(),
            task_name: task.task.name.clone(),
            type_id: one.staged.occurrence.type_id.clone(),
            event_id: one.staged.occurrence.event_id.clone(),
            object_name: one.staged.object.map(|place| stage.known.words(place).0.to_owned()),
            body,
            failed,
        });
    }
    let failed_runs: Vec<_> =
        deliveries.iter().filter(|delivery| delivery.failed.is_some()).map(|delivery| delivery.run_id).collect();
    delivery::insert_many(txn, deliveries, stage.now).await?;
    occurrence::end_settled_runs(txn, &failed_runs, stage.now).await?;
    Ok(())
}

fn rendered(
    stage: &Stage,
    staged: &Staged,
    task: &model::task::Task,
    webhook: &webhook::Row,
    id: Uuid,
    date: &str,
) -> Result<String, TooLarge> {
    let words = staged.object.map(|place| stage.known.words(place));
    let variables = Variables {
        date,
        timestamp: stage.now.as_seconds(),
        name: words.map_or(task.name.as_str(), |(name, _)| name),
        type_id: &staged.occurrence.type_id,
        event_id: &staged.occurrence.event_id,
        object_id: words.and_then(|(_, id)| id).unwrap_or_default(),
        task: &task.name,
        id: &id.to_string(),
        data: staged.occurrence.data.as_ref(),
    };
    render::message(&task.message, webhook.headers.find("content-type"), &variables).map(|rendered| rendered.body)
}
