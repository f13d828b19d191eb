//! Use cases of occurrences, such as the reasons why events fired or did not.
//!
//! The explanation is computed on demand, from the facts that the occurrence stores and from the tasks and events as of
//! its revision, by the same function with which the intake decides.

use super::Services;
use super::event::Scopes;
use crate::store::revision::{self, Kind};
use crate::store::{catalog, delivery, occurrence, receipt, run, tag};
use app::backend::Occurrences;
use app::error::AppError;
use app::view::occurrence::{Considered, SentBecause, Why};
use async_trait::async_trait;
use model::event::Event;
use model::id::{DestinationId, EventId, RunId};
use model::matching::{Facts, Reason, TaskFacts, judge};
use model::number::to_u32;
use model::task::Task;
use model::text::{shown, visible};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// A run that an occurrence started, with its deliveries.
struct Started {
    event_ids: Vec<EventId>,
    deliveries: Vec<SentBecause>,
}

impl Services {
    async fn started_by(&self, occurrence: Uuid) -> Result<Vec<Started>, AppError> {
        let db = self.store.pages();
        let runs = run::list_started_by(db, occurrence).await?;
        let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
        let mut deliveries: HashMap<RunId, Vec<SentBecause>> = HashMap::new();
        for row in delivery::list_of_runs(db, &ids).await? {
            deliveries.entry(row.run_id).or_default().push(SentBecause {
                id: row.uuid.to_string(),
                status: row.status,
                destination: row.destination_name,
            });
        }
        let started = |run: run::Row| Started {
            deliveries: deliveries.remove(&run.id).unwrap_or_default(),
            event_ids: run.event_ids,
        };
        Ok(runs.into_iter().map(started).collect())
    }

    /// Returns every event that was considered for the occurrence, as of its revision.
    async fn considered(&self, row: &occurrence::Row) -> Result<Vec<Considered>, AppError> {
        let db = self.store.pages();
        let mut events: Vec<(i64, Event)> =
            revision::list_at(db, Kind::Event, row.revision_mark).await?.into_iter().collect();
        events.retain(|(_, event)| event.type_id == row.type_id && event.event_id == row.event_id);
        events.sort_by_key(|(id, _)| *id);
        let tasks: HashMap<i64, Task> = revision::list_at(db, Kind::Task, row.revision_mark).await?;
        let started = self.started_by(row.uuid).await?;
        let scopes = Scopes::load(db, events.iter().map(|(_, event)| event.scope)).await?;
        let data = row.parse_data();
        let facts = facts(row, data.as_ref());
        let mut considered = Vec::with_capacity(events.len());
        for (id, event) in events {
            let task = tasks.get(&event.task_id.0);
            let of_task = TaskFacts {
                is_enabled: task.is_some_and(|task| task.is_enabled),
                destination_id: task.map_or(DestinationId(0), |task| task.destination_id),
            };
            let run = started.iter().find(|run| run.event_ids.contains(&EventId(id)));
            // An event that fired has a run, unless its task runs only once and had run already, or retention deleted
            // the run.
            let may_have_run =
                row.reasons.contains_key(&Reason::AlreadyRun) && task.is_some_and(|task| task.deletes_after_running);
            let reason = match judge(&event, of_task, &facts) {
                Err(reason) => Some(reason),
                Ok(()) if run.is_none() && may_have_run => Some(Reason::AlreadyRun),
                Ok(()) => None,
            };
            let fired = if run.is_some() { "Fired." } else { "Fired. Its run is no longer retained." };
            considered.push(Considered {
                event_id: EventId(id),
                scope: scopes.label(event.scope),
                task_id: event.task_id,
                task: task.map(|task| task.name.clone()).unwrap_or_default(),
                reason,
                words: reason.map_or(fired, Reason::words).to_owned(),
                deliveries: run.filter(|_| reason.is_none()).map(|run| run.deliveries.clone()).unwrap_or_default(),
            });
        }
        Ok(considered)
    }
}

#[async_trait]
impl Occurrences for Services {
    async fn why(&self, uuid: String) -> Result<Why, AppError> {
        let not_there = || AppError::not_found("occurrence");
        let db = self.store.pages();
        let uuid = uuid.parse().map_err(|_| not_there())?;
        let row = occurrence::find(db, uuid).await?.ok_or_else(not_there)?;
        let considered = self.considered(&row).await?;
        let catalog = catalog::load(db).await?;
        let tags = tag::list(db).await?;
        let repeats = match &row.external_id {
            Some(id) => receipt::repeats_of(db, uuid, id, &row.source).await?,
            None => 0,
        };
        Ok(Why {
            id: uuid.to_string(),
            type_label: catalog.type_label(&row.type_id).to_owned(),
            event_label: catalog.event_label(&row.type_id, &row.event_id).to_owned(),
            is_known: catalog.find(&row.type_id).is_some_and(|known| known.find_event(&row.event_id).is_some()),
            type_id: row.type_id,
            event_id: row.event_id,
            object: row.object_name.as_deref().map(shown),
            object_id: row.object_external_id.as_deref().map(shown),
            tags: tags.iter().filter(|tag| row.object_tags.contains(&tag.id)).map(tag::TagRow::path).collect(),
            source: shown(&row.source),
            received: self.when(row.received_at),
            occurred: row.occurred_at.map(|at| self.when(at)),
            data: row.data.as_deref().map(visible),
            repeats: to_u32(repeats),
            considered,
        })
    }
}

/// Returns the facts by which the intake has decided. `data` is the occurrence's parsed data.
pub(super) fn facts<'a>(row: &'a occurrence::Row, data: Option<&'a Value>) -> Facts<'a> {
    let of_data = |name: &str| data?.get(name)?.as_str();
    Facts {
        type_id: &row.type_id,
        event_id: &row.event_id,
        object: row.object_id,
        tags: &row.object_tags,
        level: of_data("level"),
        source: of_data("source").unwrap_or(&row.source),
        about_destination: row.about_destination,
        depth: row.depth,
    }
}
