//! Runs as lines of lists.

use crate::service::{Services, page_part};
use crate::store::search::{self, RunFilter};
use crate::store::{catalog, delivery, occurrence, run, task};
use app::error::AppError;
use app::view::Listed;
use app::view::run::{RunDelivery, RunLine, RunQuery};
use model::catalog::Catalog;
use model::id::{RunId, TaskId};
use model::run::Cause;
use model::text::shown;
use std::collections::HashMap;

impl Services {
    pub(in crate::service) async fn list_runs(&self, query: RunQuery) -> Result<Listed<RunLine>, AppError> {
        let db = self.store.pages();
        let part = page_part(query.page);
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let filter = RunFilter {
            // A text that is no id finds nothing: no task has the id 0.
            task_id: given(query.of_task).map(|id| id.parse().unwrap_or(TaskId(0))),
            name: given(query.task),
            status: given(query.status),
            beyond: query.beyond,
        };
        let found = if filter.is_search() {
            self.store.search(search::runs(self.store.searches(), &filter, part)).await?
        } else {
            search::runs(db, &filter, part).await?
        };
        let of_name = match filter.task_id {
            Some(id) => task::find(db, id).await?.map(|row| row.task.name),
            None => None,
        };
        let catalog = catalog::load(db).await?;
        let rows = self.run_lines(found.rows, &catalog).await?;
        Ok(Listed { rows, total: found.total, further: found.further, of_name })
    }

    /// Adds to each run its deliveries and its cause.
    pub(in crate::service) async fn run_lines(
        &self,
        rows: Vec<run::Row>,
        catalog: &Catalog,
    ) -> Result<Vec<RunLine>, AppError> {
        let db = self.store.pages();
        let ids: Vec<_> = rows.iter().map(|run| run.id).collect();
        let mut deliveries: HashMap<RunId, Vec<RunDelivery>> = HashMap::new();
        for row in delivery::list_of_runs(db, &ids).await? {
            let delivery = RunDelivery { uuid: row.uuid.to_string(), status: row.status, error: row.error };
            deliveries.entry(row.run_id).or_default().push(delivery);
        }
        let existing = task::list_existing(db, rows.iter().filter_map(|run| run.task_id)).await?;
        let caused_by = |run: &run::Row| match run.cause {
            Some(Cause::Occurrence(id)) => id,
            _ => None,
        };
        let occurrences = occurrence::find_many(db, rows.iter().filter_map(caused_by)).await?;
        let mut lines = Vec::with_capacity(rows.len());
        for run in rows {
            // One occurrence may have started several of the runs.
            let occurrence = caused_by(&run).and_then(|id| occurrences.get(&id));
            lines.push(RunLine {
                id: run.id,
                task_id: run.task_id.filter(|id| existing.contains(id)),
                cause: cause_text(run.cause.as_ref(), occurrence, catalog),
                occurrence: occurrence.map(|row| row.uuid.to_string()),
                started: self.when(run.started_at),
                ended: run.ended_at.map(|at| self.when(at)),
                deliveries: deliveries.remove(&run.id).unwrap_or_default(),
                note: run.note,
                task: run.task_name,
                status: run.status,
            });
        }
        Ok(lines)
    }
}

/// Returns the cause of a run as a phrase: "Executed by maria", "Started by the schedule Hourly", or the occurrence with its object.
pub(in crate::service) fn cause_text(
    cause: Option<&Cause>,
    row: Option<&occurrence::Row>,
    catalog: &Catalog,
) -> String {
    match (cause, row) {
        (Some(Cause::Schedule(name)), _) => format!("Started by the schedule {name}"),
        (Some(Cause::Person(name)), _) => format!("Executed by {name}"),
        (Some(Cause::Replay(name)), _) => format!("Replayed by {name}"),
        (Some(Cause::Occurrence(_)), Some(row)) => {
            let object = row.object_name.as_ref().map(|name| format!(", {}", shown(name))).unwrap_or_default();
            let kind = catalog.event_label(&row.type_id, &row.event_id);
            format!("{}: {kind}{object}", catalog.type_label(&row.type_id))
        }
        (Some(Cause::Occurrence(_)), None) => "An occurrence that is no longer retained".to_owned(),
        (None, _) => "A cause that cannot be read".to_owned(),
    }
}
