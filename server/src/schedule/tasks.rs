//! The tasks of a schedule, and their start: by the worker, or by a person at once. The caller commits.

use crate::engine::render::Subject;
use crate::engine::start::{FullHold, Origin, Setting, Start, start};
use crate::store::{self, destination, task, trigger};
use model::id::{DestinationId, ScheduleId};
use model::run::Cause;
use sea_orm::DatabaseTransaction;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The result of starting tasks.
#[derive(Debug, Default)]
pub struct Started {
    /// The number of tasks that were started.
    pub count: usize,
    /// The destinations of the tasks.
    pub destinations: HashSet<DestinationId>,
    /// The deliveries that their destinations could not hold.
    pub full: Vec<FullHold>,
}

/// Returns the enabled tasks of the enabled triggers of a schedule, in the order of the triggers, oldest first.
pub async fn enabled(txn: &DatabaseTransaction, id: ScheduleId) -> store::Result<Vec<task::Row>> {
    let triggers = trigger::list_of(txn, id).await?;
    let ids: Vec<_> = triggers.iter().filter(|row| row.trigger.is_enabled).map(|row| row.trigger.task_id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = task::find_many(txn, ids.iter().map(|id| id.0).collect()).await?;
    Ok(ids.into_iter().filter_map(|id| rows.remove(&id)).filter(|row| row.task.is_enabled).collect())
}

/// Starts each of these tasks once, except tasks that are deleted after running and have been started already.
///
/// Takes locks 5 to 7 of 9. The caller holds lock 1.
pub async fn start_all(
    txn: &DatabaseTransaction,
    tasks: &[task::Row],
    cause: &Cause,
    setting: Setting<'_>,
) -> store::Result<Started> {
    if tasks.is_empty() {
        return Ok(Started::default());
    }
    let ids = tasks.iter().map(|row| row.task.destination_id.0).collect();
    let destinations = destination::find_many(txn, ids).await?;
    let destinations: HashMap<_, _> = destinations.into_iter().map(|(id, row)| (id, Arc::new(row))).collect();
    let mut starts = Vec::new();
    for row in tasks {
        let Some(destination) = destinations.get(&row.task.destination_id) else { continue };
        if row.task.deletes_after_running && !task::claim(txn, row.id, true, setting.now).await? {
            continue;
        }
        starts.push(Start {
            task: Origin::Task(row),
            destination,
            cause: cause.clone(),
            event_ids: Vec::new(),
            subject: Subject::NOTHING,
        });
    }
    let full = start(txn, &starts, setting).await?.full;
    Ok(Started { count: starts.len(), destinations: destinations.keys().copied().collect(), full })
}
