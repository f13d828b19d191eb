//! Use cases of tasks.

mod form;
pub(super) mod preview;
mod show;
mod test;

use super::choice::{OFFERED, found, named};
use super::{Services, revision};
use crate::engine::render::Subject;
use crate::engine::start::{Origin, Start};
use crate::outbound::mail;
use crate::store::destination::Destination;
use crate::store::{self, choice, destination, event, task};
use app::backend::Tasks;
use app::error::{AppError, Code, Link};
use app::view::destination::{DestinationLink, Tested};
use app::view::task::{Previewed, TaskDetail, TaskForm, TaskRow};
use app::view::{Choice, FoundChoices};
use async_trait::async_trait;
use form::stale_task;
use model::destination::Kind;
use model::field_error::FieldErrors;
use model::id::{DestinationId, TaskId};
use model::run::Cause;
use model::task::{Action, Task, TaskDraft};
use sea_orm::ConnectionTrait;
use std::collections::HashMap;
use std::sync::Arc;

/// Returns a task as a link, for a refusal to delete something that the task refers to.
pub(super) fn link(row: &task::Row) -> Link {
    Link { label: format!("the task {}", row.task.name), href: format!("/tasks/{}", row.id) }
}

/// Returns a destination as a link.
fn destination_link(id: DestinationId, names: &HashMap<DestinationId, (String, Kind)>) -> DestinationLink {
    let (name, kind) = names.get(&id).cloned().unwrap_or((String::new(), Kind::Webhook));
    DestinationLink { id, kind, name }
}

fn refused(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => {
            FieldErrors::one("name", "There is already a task with this name. Choose another.").into()
        }
        store::Error::InUse => {
            FieldErrors::one("object", "This object does not exist any more. Choose another.").into()
        }
        other => other.into(),
    }
}

/// Returns the object of a checked task. Fails when the object was deleted, or when its kind does not fit the action.
async fn object_of(db: &impl ConnectionTrait, task: &Task) -> Result<Destination, AppError> {
    let found = destination::find(db, task.destination_id).await?;
    let object = found.ok_or_else(|| refused(store::Error::InUse))?;
    match task.action.destination_kind() {
        kind if object.kind() == kind => Ok(object),
        Kind::Mailer => {
            Err(FieldErrors::one("object", "An e-mail is sent through the mail server. Choose SMTP.").into())
        }
        Kind::Webhook => Err(FieldErrors::one("object", "A message is sent through a webhook. Choose one.").into()),
    }
}

#[async_trait]
impl Tasks for Services {
    async fn list(&self) -> Result<Vec<TaskRow>, AppError> {
        let db = self.store.pages();
        let events = task::count_events(db).await?;
        let rows = task::list(db).await?;
        let names = destination::names(db, rows.iter().map(|row| row.task.destination_id.0).collect()).await?;
        let row = |row: task::Row| TaskRow {
            id: row.id,
            destination: destination_link(row.task.destination_id, &names),
            name: row.task.name,
            description: row.task.description,
            is_enabled: row.task.is_enabled,
            events: events.get(&row.id).copied().unwrap_or_default(),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn load_form(&self, id: Option<TaskId>, object: Option<DestinationId>) -> Result<TaskForm, AppError> {
        self.task_form(id, object).await
    }

    async fn find_webhooks(&self, text: String) -> Result<FoundChoices, AppError> {
        let rows = choice::destinations(self.store.pages(), Kind::Webhook, &text, OFFERED + 1).await?;
        Ok(found(rows))
    }

    async fn variables(&self, occurrence: String) -> Result<Vec<Choice>, AppError> {
        self.variables_of(&occurrence).await
    }

    async fn save(&self, id: Option<TaskId>, mut draft: TaskDraft) -> Result<TaskId, AppError> {
        let txn = self.store.begin_change().await?;
        let kind = if draft.is_email() { Kind::Mailer } else { Kind::Webhook };
        if let Some(id) = named(&draft.object, async |name| choice::destination_named(&txn, kind, name).await).await? {
            draft.object = id;
        }
        let checked = draft.parse()?;
        if let Action::Email(email) = &checked.action {
            mail::check(email)?;
        }
        object_of(&txn, &checked).await?;
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
            let mut links = super::event::links(&txn, events.into_iter().map(|row| row.id.0).collect()).await?;
            links.extend(super::schedule::links(&txn, id).await?);
            if !links.is_empty() {
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
        let destination = destination::find(&txn, row.task.destination_id).await?;
        let destination = destination.ok_or_else(|| AppError::not_found("object"))?;
        let one = Start {
            task: Origin::Task(&row),
            destination: &Arc::new(destination),
            cause: Cause::Person(by),
            event_ids: Vec::new(),
            subject: Subject::NOTHING,
        };
        self.start(txn, one, now).await
    }

    async fn preview(&self, draft: TaskDraft, occurrence: String) -> Result<Previewed, AppError> {
        self.preview_message(&draft, &occurrence).await
    }

    async fn test(&self, draft: TaskDraft, recipient: String) -> Result<Tested, AppError> {
        self.test_message(draft, &recipient).await
    }
}
