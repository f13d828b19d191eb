//! The task form: its content, and both versions of a conflict.

use crate::service::Services;
use crate::service::conflict::stale;
use crate::store::{destination, task, webhook};
use app::backend::Tasks;
use app::error::AppError;
use app::view::Choice;
use app::view::task::TaskForm;
use model::id::{DestinationId, TaskId, WebhookId};
use model::task::TaskDraft;
use sea_orm::ConnectionTrait;

impl Services {
    pub(super) async fn task_form(&self, id: Option<TaskId>, webhook: Option<WebhookId>) -> Result<TaskForm, AppError> {
        let db = self.store.pages();
        let webhooks = self.find_webhooks(String::new()).await?;
        let occurrences = self.past_occurrences().await?;
        let mut form =
            TaskForm { name: String::new(), draft: TaskDraft::new_form(), webhooks, webhook: None, occurrences };
        if let Some(id) = id {
            let row = task::find(db, id).await?.ok_or_else(|| AppError::not_found("task"))?;
            (form.name, form.draft) = (row.task.name.clone(), TaskDraft::of(&row.task, row.revision));
        }
        if let Some(webhook) = webhook {
            form.draft.object = webhook.to_string();
        }
        if let Ok(id) = form.draft.object.parse()
            && let Some(row) = webhook::find(db, id).await?
        {
            form.webhook = Some(Choice { value: row.id.to_string(), label: row.settings.name });
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
