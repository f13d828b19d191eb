//! Runs as lines of lists.

use crate::service::{Services, page_part};
use crate::store::search::{self, RunFilter, RunRow};
use crate::store::{catalog, delivery, occurrence};
use app::error::AppError;
use app::view::Listed;
use app::view::run::{RunDelivery, RunLine};
use model::catalog::Catalog;
use model::delivery::Status;
use model::id::{OccurrenceId, RunId, TaskId};
use model::run;
use model::text::shown;
use model::time::Timestamp;
use std::collections::HashMap;

impl Services {
    pub(in crate::service) async fn list_runs(
        &self,
        name: &str,
        status: &str,
        page: u64,
    ) -> Result<Listed<RunLine>, AppError> {
        let db = self.store.pages();
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let filter = RunFilter { task: None, name: given(name), status: given(status) };
        let found = if filter.name.is_none() && filter.status.is_none() {
            search::runs(db, &filter, page_part(page)).await?
        } else {
            self.store.search(search::runs(self.store.searches(), &filter, page_part(page))).await?
        };
        let catalog = catalog::load(db).await?;
        Ok(Listed { rows: self.run_lines(found.rows, &catalog).await?, total: found.total })
    }

    /// Adds to each run its deliveries and its cause.
    pub(in crate::service) async fn run_lines(
        &self,
        rows: Vec<RunRow>,
        catalog: &Catalog,
    ) -> Result<Vec<RunLine>, AppError> {
        let db = self.store.pages();
        let ids: Vec<_> = rows.iter().map(|run| RunId(run.id)).collect();
        let mut deliveries: HashMap<i64, Vec<RunDelivery>> = HashMap::new();
        for row in delivery::list_of_runs(db, &ids).await? {
            let status = Status::find(&row.status).unwrap_or(Status::Error);
            let delivery = RunDelivery { uuid: row.uuid.to_string(), status, error: row.error };
            deliveries.entry(row.run_id).or_default().push(delivery);
        }
        let mut lines = Vec::with_capacity(rows.len());
        for run in rows {
            let occurrence = match run.occurrence_id {
                Some(id) => occurrence::find_by_id(db, OccurrenceId(id)).await?,
                None => None,
            };
            lines.push(RunLine {
                id: RunId(run.id),
                task_id: run.task_id.map(TaskId),
                cause: cause_text(&run.cause, run.caused_by.as_deref(), occurrence.as_ref(), catalog),
                occurrence: occurrence.map(|row| row.uuid.to_string()),
                started: self.when(Timestamp(run.started_at)),
                ended: run.ended_at.map(|at| self.when(Timestamp(at))),
                deliveries: deliveries.remove(&run.id).unwrap_or_default(),
                task: run.task_name,
                status: run::Status::find(&run.status).unwrap_or(run::Status::Running),
            });
        }
        Ok(lines)
    }
}

/// Returns the cause of a run as a phrase: "Executed by maria", or the occurrence with its object.
pub(in crate::service) fn cause_text(
    cause: &str,
    by: Option<&str>,
    row: Option<&occurrence::Row>,
    catalog: &Catalog,
) -> String {
    let by = by.unwrap_or("somebody");
    match (cause, row) {
        ("person", _) => format!("Executed by {by}"),
        ("replay", _) => format!("Replayed by {by}"),
        (_, Some(row)) => {
            let object = row.object_name.as_ref().map(|name| format!(", {}", shown(name))).unwrap_or_default();
            let kind = catalog.event_label(&row.type_id, &row.event_id);
            format!("{}: {kind}{object}", catalog.type_label(&row.type_id))
        }
        _ => "An occurrence that is no longer retained".to_owned(),
    }
}
