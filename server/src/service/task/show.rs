//! One task with its events, its schedule triggers and its newest runs.

use crate::service::Services;
use crate::service::event::Scopes;
use crate::store::search::{self, Part, RunFilter};
use crate::store::{catalog, destination, event, task};
use app::error::AppError;
use app::view::event::EventLine;
use app::view::task::TaskDetail;
use model::id::TaskId;
use model::run;

/// The number of newest runs that are shown.
const RUNS: u64 = 10;

impl Services {
    pub(super) async fn task_detail(&self, id: TaskId) -> Result<TaskDetail, AppError> {
        let db = self.store.pages();
        let row = task::find(db, id).await?.ok_or_else(|| AppError::not_found("task"))?;
        let to = row.task.destination_id;
        let names = destination::names(db, vec![to.0]).await?;
        let catalog = catalog::load(db).await?;
        let events = event::list_starting(db, id).await?;
        let scopes = Scopes::load(db, events.iter().map(|row| row.event.scope)).await?;
        let line = |row: event::Row| EventLine {
            id: row.id,
            label: catalog.event_label(&row.event.type_id, &row.event.event_id).to_owned(),
            type_label: catalog.type_label(&row.event.type_id).to_owned(),
            scope: scopes.label(row.event.scope),
            is_enabled: row.event.is_enabled,
        };
        let filter = RunFilter { task_id: Some(id), ..RunFilter::default() };
        let found = search::runs(db, &filter, Part { offset: 0, limit: RUNS }).await?;
        let runs = self.run_lines(found.rows, &catalog).await?;
        Ok(TaskDetail {
            id,
            is_enabled: row.task.is_enabled,
            deletes_after_running: row.task.deletes_after_running,
            is_running: runs.iter().any(|run| run.status == Some(run::Status::Running)),
            destination: names.contains_key(&to).then(|| super::destination_link(to, &names)),
            events: events.into_iter().map(line).collect(),
            schedules: self.triggers_of_task(&row).await?,
            runs,
            run_count: found.total,
            name: row.task.name,
            description: row.task.description,
            action: row.task.action,
        })
    }
}
