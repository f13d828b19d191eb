//! Use cases of events.

mod form;
mod scope;

pub(super) use scope::Scopes;

use super::choice::{OFFERED, found, named};
use super::{Services, revision};
use crate::store::{catalog, choice, event, task};
use app::backend::Events;
use app::error::{AppError, Link};
use app::view::FoundChoices;
use app::view::event::{EventForm, EventMatches, EventRow};
use async_trait::async_trait;
use form::{check_references, resolve_object, stale_event};
use model::event::EventDraft;
use model::id::{EventId, TaskId};
use sea_orm::ConnectionTrait;
use std::collections::HashMap;

/// Returns events as links, for a refusal to delete something that they refer to.
pub(super) async fn links(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<Vec<Link>, AppError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let catalog = catalog::load(db).await?;
    let rows = event::find_many(db, ids).await?;
    let link = |row: event::Row| {
        let type_label = catalog.type_label(&row.event.type_id);
        let event_label = catalog.event_label(&row.event.type_id, &row.event.event_id);
        Link { label: format!("the event {type_label}: {event_label}"), href: format!("/events/{}", row.id) }
    };
    Ok(rows.into_iter().map(link).collect())
}

#[async_trait]
impl Events for Services {
    async fn list(&self) -> Result<Vec<EventRow>, AppError> {
        let db = self.store.pages();
        let tasks: HashMap<_, _> = task::list(db).await?.into_iter().map(|row| (row.id, row.task.name)).collect();
        let catalog = catalog::load(db).await?;
        let rows = event::list(db).await?;
        let scopes = Scopes::load(db, rows.iter().map(|row| row.event.scope)).await?;
        let row = |row: event::Row| EventRow {
            id: row.id,
            type_label: catalog.type_label(&row.event.type_id).to_owned(),
            event_label: catalog.event_label(&row.event.type_id, &row.event.event_id).to_owned(),
            scope: scopes.label(row.event.scope),
            task_id: row.event.task_id,
            task_name: tasks.get(&row.event.task_id).cloned().unwrap_or_default(),
            is_enabled: row.event.is_enabled,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn load_form(&self, id: Option<EventId>, task: Option<TaskId>) -> Result<EventForm, AppError> {
        self.event_form(id, task).await
    }

    async fn find_tasks(&self, text: String) -> Result<FoundChoices, AppError> {
        choice::tasks(self.store.pages(), &text, OFFERED + 1).await.map(found).map_err(AppError::from)
    }

    async fn find_objects(&self, type_id: String, text: String) -> Result<FoundChoices, AppError> {
        self.object_choices(&type_id, &text).await
    }

    async fn save(&self, id: Option<EventId>, mut draft: EventDraft) -> Result<EventId, AppError> {
        let txn = self.store.begin_change().await?;
        let catalog = catalog::load(&txn).await?;
        resolve_object(&txn, &mut draft, &catalog).await?;
        if let Some(id) = named(&draft.task, async |name| choice::task_named(&txn, name).await).await? {
            draft.task = id;
        }
        let checked = draft.parse(&catalog)?;
        check_references(&txn, &checked, &catalog).await?;
        let now = self.clock.now();
        let saved = match id {
            None => event::insert(&txn, &checked, now).await?,
            Some(id) => {
                let row = event::find(&txn, id).await?.ok_or_else(|| AppError::not_found("event"))?;
                let opened_on = revision(&draft.revision)?;
                if !event::update(&txn, id, opened_on, &checked, now).await? {
                    return Err(stale_event(&txn, draft, &row).await?);
                }
                id
            }
        };
        self.commit(txn).await?;
        Ok(saved)
    }

    async fn set_enabled(&self, ids: Vec<EventId>, is_enabled: bool) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        for id in ids {
            if !event::set_enabled(&txn, id, is_enabled, self.clock.now()).await? {
                return Err(AppError::not_found("event"));
            }
        }
        self.commit(txn).await
    }

    async fn matches(&self, draft: EventDraft) -> Result<EventMatches, AppError> {
        self.matched_by(&draft).await
    }

    async fn delete(&self, ids: Vec<EventId>) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        for id in ids {
            if !event::delete(&txn, id, self.clock.now()).await? {
                return Err(AppError::not_found("event"));
            }
        }
        self.commit(txn).await
    }
}
