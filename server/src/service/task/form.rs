//! The task form: its content, and both versions of a conflict.

use crate::service::Services;
use crate::service::choice::{OFFERED, found};
use crate::service::conflict::stale;
use crate::store::{choice, destination, task};
use app::backend::Tasks;
use app::error::AppError;
use app::view::Choice;
use app::view::task::TaskForm;
use model::destination::Kind;
use model::id::{DestinationId, TaskId};
use model::task::{Action, TaskDraft};
use sea_orm::ConnectionTrait;

impl Services {
    pub(super) async fn task_form(
        &self,
        id: Option<TaskId>,
        object: Option<DestinationId>,
    ) -> Result<TaskForm, AppError> {
        let db = self.store.pages();
        let mut form = TaskForm {
            name: String::new(),
            draft: TaskDraft::new_form(),
            webhooks: self.find_webhooks(String::new()).await?,
            mailers: found(choice::destinations(db, Kind::Mailer, "", OFFERED).await?),
            object: None,
            occurrences: self.past_occurrences().await?,
        };
        if let Some(id) = id {
            let row = task::find(db, id).await?.ok_or_else(|| AppError::not_found("task"))?;
            (form.name, form.draft) = (row.task.name.clone(), TaskDraft::of(&row.task, row.revision));
        }
        let asked = object.or_else(|| form.draft.object.parse().ok());
        if let Some(id) = asked
            && let Some(row) = destination::find(db, id).await?
        {
            let (value, label) = (id.to_string(), row.name().to_owned());
            Action::object_type_of(row.kind()).clone_into(&mut form.draft.object_type);
            form.draft.object.clone_from(&value);
            form.object = Some(Choice { value, label });
        }
        Ok(form)
    }
}

/// Returns the refusal of an outdated form. Both versions show the object by name instead of by id.
pub(super) async fn stale_task(
    db: &impl ConnectionTrait,
    typed: TaskDraft,
    saved: &task::Row,
) -> Result<AppError, AppError> {
    let mut drafts = [typed, TaskDraft::of(&saved.task, saved.revision)];
    let ids = drafts.iter().filter_map(|draft| draft.object.parse().ok()).collect();
    let names = destination::names(db, ids).await?;
    for draft in &mut drafts {
        let id = draft.object.parse().map(DestinationId);
        if let Some((name, _)) = id.ok().and_then(|id| names.get(&id)) {
            draft.object.clone_from(name);
        }
    }
    Ok(stale("task", &drafts[0], &drafts[1]))
}
