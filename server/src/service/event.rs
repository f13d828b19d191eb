//! Use cases of events.

use super::{Services, broken, revision, stale};
use crate::store::{event, object, task};
use app::backend::Events;
use app::error::AppError;
use app::view::{Choice, EventForm, EventRow, ObjectGroup};
use async_trait::async_trait;
use model::catalog;
use model::event::{Event, EventDraft, EventScope};
use model::field_error::FieldErrors;
use model::id::EventId;
use sea_orm::DatabaseTransaction;
use std::collections::HashMap;

/// How many objects the form's select offers.
const OBJECTS_SHOWN: u64 = 1000;

fn draft_of(row: &event::Row) -> EventDraft {
    EventDraft {
        event: format!("{}.{}", row.event.type_id, row.event.event_id),
        object: match row.event.scope {
            EventScope::Any => String::new(),
            EventScope::Object(id) => id.to_string(),
        },
        task: row.event.task_id.to_string(),
        enabled: if row.event.is_enabled { "true".to_owned() } else { String::new() },
        revision: row.revision.to_string(),
    }
}

fn group(objects: Vec<object::Row>) -> Vec<ObjectGroup> {
    let mut groups: Vec<ObjectGroup> = Vec::new();
    for object in objects {
        let choice = Choice { value: object.id.to_string(), label: object.name };
        match groups.last_mut().filter(|group| group.type_id == object.type_id) {
            Some(group) => group.objects.push(choice),
            None => groups.push(ObjectGroup {
                label: catalog::type_label(&object.type_id).to_owned(),
                type_id: object.type_id,
                objects: vec![choice],
            }),
        }
    }
    groups
}

/// What the event refers to must be there, and fit.
async fn check_references(txn: &DatabaseTransaction, checked: &Event) -> Result<(), AppError> {
    let mut errors = FieldErrors::default();
    if let EventScope::Object(id) = checked.scope {
        match object::find(txn, id).await.map_err(broken)? {
            None => errors.add("object", "This object does not exist any more. Choose another."),
            Some(object) if object.type_id != checked.type_id => {
                let is = catalog::type_label(&object.type_id);
                let wanted = catalog::type_label(&checked.type_id);
                errors.add("object", format!("This object is one of {is}; the event is about {wanted}."));
            }
            Some(_) => {}
        }
    }
    if task::find(txn, checked.task_id).await.map_err(broken)?.is_none() {
        errors.add("task", "This task does not exist any more. Choose another.");
    }
    if errors.is_empty() { Ok(()) } else { Err(errors.into()) }
}

#[async_trait]
impl Events for Services {
    async fn list(&self) -> Result<Vec<EventRow>, AppError> {
        let db = self.store.read();
        let tasks: HashMap<_, _> =
            task::list(db).await.map_err(broken)?.into_iter().map(|row| (row.id, row.task.name)).collect();
        let mut rows = Vec::new();
        for row in event::list(db).await.map_err(broken)? {
            let scope = match row.event.scope {
                EventScope::Any => "Any".to_owned(),
                EventScope::Object(id) => {
                    object::find(db, id).await.map_err(broken)?.map(|object| object.name).unwrap_or_default()
                }
            };
            rows.push(EventRow {
                id: row.id.0,
                type_label: catalog::type_label(&row.event.type_id).to_owned(),
                event_label: catalog::event_label(&row.event.type_id, &row.event.event_id).to_owned(),
                scope,
                task_id: row.event.task_id.0,
                task_name: tasks.get(&row.event.task_id).cloned().unwrap_or_default(),
                is_enabled: row.event.is_enabled,
            });
        }
        Ok(rows)
    }

    async fn load_form(&self, id: Option<EventId>) -> Result<EventForm, AppError> {
        let db = self.store.read();
        let choice = |row: task::Row| Choice { value: row.id.to_string(), label: row.task.name };
        let tasks = task::list(db).await.map_err(broken)?.into_iter().map(choice).collect();
        let objects = group(object::list(db, OBJECTS_SHOWN).await.map_err(broken)?);
        let Some(id) = id else {
            return Ok(EventForm { name: String::new(), draft: EventDraft::new_form(), tasks, objects });
        };
        let row = event::find(db, id).await.map_err(broken)?.ok_or_else(|| AppError::not_found("event"))?;
        let name = catalog::event_label(&row.event.type_id, &row.event.event_id).to_owned();
        Ok(EventForm { name, draft: draft_of(&row), tasks, objects })
    }

    async fn save(&self, id: Option<EventId>, draft: EventDraft) -> Result<EventId, AppError> {
        let checked = draft.parse()?;
        let txn = self.store.begin().await.map_err(broken)?;
        check_references(&txn, &checked).await?;
        let now = self.clock.now();
        let saved = match id {
            None => event::insert(&txn, &checked, now).await.map_err(broken)?,
            Some(id) => {
                event::find(&txn, id).await.map_err(broken)?.ok_or_else(|| AppError::not_found("event"))?;
                let opened_on = revision(&draft.revision)?;
                if !event::update(&txn, id, opened_on, &checked, now).await.map_err(broken)? {
                    return Err(stale("event"));
                }
                id
            }
        };
        txn.commit().await.map_err(|error| broken(error.into()))?;
        Ok(saved)
    }
}
