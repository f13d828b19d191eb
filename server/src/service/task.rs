//! Use cases of tasks.

use super::choice::{OFFERED, found, named};
use super::{Services, revision, stale};
use crate::store::{self, choice, event, task, webhook};
use app::backend::Tasks;
use app::error::{AppError, Link};
use app::view::task::{PreviewRequest, TaskDetail, TaskForm, TaskRow};
use app::view::{Choice, FoundChoices};
use async_trait::async_trait;
use model::field_error::FieldErrors;
use model::id::{TaskId, WebhookId};
use model::preview::Preview;
use model::task::TaskDraft;
use sea_orm::ConnectionTrait;
use std::collections::HashMap;

fn refused(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => {
            FieldErrors::one("name", "There is already a task with this name. Choose another.").into()
        }
        store::Error::InUse => {
            FieldErrors::one("webhook", "This webhook does not exist any more. Choose another.").into()
        }
        other => other.into(),
    }
}

fn draft_of(row: &task::Row) -> TaskDraft {
    let word = |is_on: bool| if is_on { "true".to_owned() } else { String::new() };
    TaskDraft {
        name: row.task.name.clone(),
        description: row.task.description.clone(),
        enabled: word(row.task.is_enabled),
        delete_after_running: word(row.task.deletes_after_running),
        webhook: row.task.webhook_id.to_string(),
        message: row.task.message.clone(),
        revision: row.revision.to_string(),
        ..TaskDraft::default()
    }
}

/// Somebody else changed the task: both versions, with the webhooks by name.
async fn stale_task(db: &impl ConnectionTrait, typed: TaskDraft, saved: &task::Row) -> Result<AppError, AppError> {
    let mut drafts = [typed, draft_of(saved)];
    let names = webhook::find_many(db, drafts.iter().filter_map(|draft| draft.webhook.parse().ok()).collect());
    let names = names.await?;
    for draft in &mut drafts {
        let id = draft.webhook.parse().map(WebhookId);
        if let Some(row) = id.ok().and_then(|id| names.get(&id)) {
            draft.webhook.clone_from(&row.name);
        }
    }
    Ok(stale("task", &drafts[0], &drafts[1]))
}

#[async_trait]
impl Tasks for Services {
    async fn list(&self) -> Result<Vec<TaskRow>, AppError> {
        let db = self.store.pages();
        let webhooks = webhook::list(db).await?;
        let names: HashMap<_, _> = webhooks.into_iter().map(|webhook| (webhook.id, webhook.name)).collect();
        let events = task::count_events(db).await?;
        let rows = task::list(db).await?;
        let row = |row: task::Row| TaskRow {
            id: row.id,
            name: row.task.name,
            description: row.task.description,
            is_enabled: row.task.is_enabled,
            webhook_id: row.task.webhook_id,
            webhook_name: names.get(&row.task.webhook_id).cloned().unwrap_or_default(),
            events: events.get(&row.id).copied().unwrap_or_default(),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn load_form(&self, id: Option<TaskId>, webhook: Option<WebhookId>) -> Result<TaskForm, AppError> {
        let db = self.store.pages();
        let webhooks = self.find_webhooks(String::new()).await?;
        let occurrences = self.past_occurrences().await?;
        let mut form =
            TaskForm { name: String::new(), draft: TaskDraft::new_form(), webhooks, webhook: None, occurrences };
        if let Some(id) = id {
            let row = task::find(db, id).await?.ok_or_else(|| AppError::not_found("task"))?;
            (form.name, form.draft) = (row.task.name.clone(), draft_of(&row));
        }
        if let Some(webhook) = webhook {
            form.draft.webhook = webhook.to_string();
        }
        if let Ok(id) = form.draft.webhook.parse()
            && let Some(row) = webhook::find(db, id).await?
        {
            form.webhook = Some(Choice { value: row.id.to_string(), label: row.name });
        }
        Ok(form)
    }

    async fn find_webhooks(&self, text: String) -> Result<FoundChoices, AppError> {
        choice::webhooks(self.store.pages(), &text, OFFERED + 1).await.map(found).map_err(AppError::from)
    }

    async fn variables(&self, occurrence: String) -> Result<Vec<Choice>, AppError> {
        self.variables_of(&occurrence).await
    }

    async fn save(&self, id: Option<TaskId>, mut draft: TaskDraft) -> Result<TaskId, AppError> {
        let txn = self.store.begin_change().await?;
        // Without WASM a long list is a text field for a name.
        if let Some(id) = named(&draft.webhook, async |name| choice::webhook_named(&txn, name).await).await? {
            draft.webhook = id;
        }
        let checked = draft.parse()?;
        if webhook::find(&txn, checked.webhook_id).await?.is_none() {
            return Err(refused(store::Error::InUse));
        }
        let now = self.clock.now();
        let saved = match id {
            None => task::insert(&txn, &checked, now).await.map_err(refused)?,
            Some(id) => {
                let row = task::find(&txn, id).await?.ok_or_else(|| AppError::not_found("task"))?;
                let opened_on = revision(&draft.revision)?;
                if !task::update(&txn, id, opened_on, &checked, now).await.map_err(refused)? {
                    return Err(stale_task(&txn, draft, &row).await?);
                }
                id
            }
        };
        self.commit(txn).await?;
        Ok(saved)
    }

    async fn delete(&self, ids: Vec<TaskId>) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        for id in ids {
            let row = task::find(&txn, id).await?.ok_or_else(|| AppError::not_found("task"))?;
            let events = event::list_starting(&txn, id).await?;
            if !events.is_empty() {
                let links = super::event::links(&txn, events.into_iter().map(|row| row.id.0).collect()).await?;
                return Err(AppError::in_use(&format!("The task {}", row.task.name), links));
            }
            task::delete(&txn, id, self.clock.now()).await?;
        }
        self.commit(txn).await
    }

    async fn set_enabled(&self, ids: Vec<TaskId>, is_enabled: bool) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        for id in ids {
            if !task::set_enabled(&txn, id, is_enabled, self.clock.now()).await? {
                return Err(AppError::not_found("task"));
            }
        }
        self.commit(txn).await
    }

    async fn detail(&self, id: TaskId) -> Result<TaskDetail, AppError> {
        self.task_detail(id).await
    }

    async fn execute(&self, id: TaskId, by: String) -> Result<String, AppError> {
        self.execute_task(id, by).await
    }

    async fn preview(&self, request: PreviewRequest) -> Result<Preview, AppError> {
        self.preview_message(request).await
    }
}

/// A task as what stands in the way of something.
pub(super) fn link(row: &task::Row) -> Link {
    Link { label: format!("the task {}", row.task.name), href: format!("/tasks/{}", row.id) }
}
