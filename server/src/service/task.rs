//! Use cases of tasks.

mod form;
pub(super) mod preview;
mod show;

use super::choice::{OFFERED, found, named};
use super::run::start_run;
use super::{Services, revision};
use crate::clock::new_uuid;
use crate::render::{self, Subject};
use crate::store::run::NewRun;
use crate::store::{self, choice, event, task, webhook};
use app::backend::Tasks;
use app::error::{AppError, Code, Link};
use app::view::task::{PreviewRequest, TaskDetail, TaskForm, TaskRow};
use app::view::{Choice, FoundChoices};
use async_trait::async_trait;
use form::stale_task;
use model::field_error::FieldErrors;
use model::id::{TaskId, WebhookId};
use model::preview::Preview;
use model::run::Cause;
use model::task::TaskDraft;
use std::collections::HashMap;

/// Returns a task as a link, for a refusal to delete something that the task refers to.
pub(super) fn link(row: &task::Row) -> Link {
    Link { label: format!("the task {}", row.task.name), href: format!("/tasks/{}", row.id) }
}

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

#[async_trait]
impl Tasks for Services {
    async fn list(&self) -> Result<Vec<TaskRow>, AppError> {
        let db = self.store.pages();
        let webhooks = webhook::list(db).await?;
        let names: HashMap<_, _> = webhooks.into_iter().map(|webhook| (webhook.id, webhook.settings.name)).collect();
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
        self.task_form(id, webhook).await
    }

    async fn find_webhooks(&self, text: String) -> Result<FoundChoices, AppError> {
        choice::webhooks(self.store.pages(), &text, OFFERED + 1).await.map(found).map_err(AppError::from)
    }

    async fn variables(&self, occurrence: String) -> Result<Vec<Choice>, AppError> {
        self.variables_of(&occurrence).await
    }

    async fn save(&self, id: Option<TaskId>, mut draft: TaskDraft) -> Result<TaskId, AppError> {
        let txn = self.store.begin_change().await?;
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
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        let row = task::find(&txn, id).await?.ok_or_else(|| AppError::not_found("task"))?;
        if row.task.deletes_after_running && !task::claim(&txn, id, false, now).await? {
            let message = "This task is deleted after running, and is running already.";
            return Err(AppError::new(Code::Conflict, message));
        }
        let webhook = webhook::find(&txn, row.task.webhook_id).await?;
        let webhook = webhook.ok_or_else(|| AppError::not_found("webhook"))?;
        let run = NewRun {
            uuid: new_uuid(now),
            task_id: Some(id),
            task_name: row.task.name.clone(),
            cause: Cause::Person(by),
            event_ids: Vec::new(),
        };
        let run_id = start_run(&txn, run, now).await?;
        let date = render::date(now, &self.zone);
        let new = render::delivery(now, &date, run_id, &row.task, &webhook, &Subject::NOTHING);
        self.queue(txn, new, now).await
    }

    async fn preview(&self, request: PreviewRequest) -> Result<Preview, AppError> {
        self.preview_message(request).await
    }
}
