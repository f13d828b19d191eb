//! The event form: its content, and the checks of what was typed.

use crate::service::conflict::stale;
use crate::service::{Services, choice};
use crate::store::object::{self, Wanted};
use crate::store::tag::{self, TagRow};
use crate::store::{catalog, event, task};
use app::backend::Events;
use app::error::AppError;
use app::view::event::{EventForm, TagChoice};
use app::view::{Choice, FoundChoices};
use model::catalog::Catalog;
use model::event::{Event, EventDraft, EventScope};
use model::field_error::FieldErrors;
use model::id::{EventId, ObjectId, TaskId};
use model::text::shown;
use sea_orm::ConnectionTrait;
use std::collections::BTreeSet;

/// The number of objects of one name whose ids a refusal names.
const NAMESAKES: usize = 5;

impl Services {
    pub(super) async fn event_form(&self, id: Option<EventId>, task: Option<TaskId>) -> Result<EventForm, AppError> {
        let db = self.store.pages();
        let tasks = self.find_tasks(String::new()).await?;
        let catalog = catalog::load(db).await?;
        let choice = |tag: TagRow| TagChoice {
            value: tag.id.to_string(),
            label: format!("{} - {}", tag.category.name, tag.name),
            type_ids: tag.category.type_ids,
        };
        let tags = tag::list(db).await?.into_iter().map(choice).collect();
        let draft = EventDraft::new_form();
        let (name, object_named) = (String::new(), String::new());
        let objects = FoundChoices::default();
        let mut form = EventForm { name, draft, tasks, task: None, object: None, objects, object_named, tags, catalog };
        if let Some(id) = id {
            let row = event::find(db, id).await?.ok_or_else(|| AppError::not_found("event"))?;
            form.catalog.event_label(&row.event.type_id, &row.event.event_id).clone_into(&mut form.name);
            form.draft = EventDraft::of(&row.event, row.revision);
            form.objects = self.object_choices(&row.event.type_id, "").await?;
            if let EventScope::Object(id) = row.event.scope
                && let Some(object) = object::find(db, id).await?
            {
                form.object = Some(object_choice(&object));
                form.object_named = object.external_id.unwrap_or(object.name);
            }
        }
        if let Some(task) = task {
            form.draft.task = task.to_string();
        }
        if let Ok(id) = form.draft.task.parse()
            && let Some(row) = task::find(db, id).await?
        {
            form.task = Some(Choice { value: row.id.to_string(), label: row.task.name });
        }
        Ok(form)
    }

    /// Returns the first objects of a type whose name or id contains a text.
    pub(super) async fn object_choices(&self, type_id: &str, text: &str) -> Result<FoundChoices, AppError> {
        let most = choice::OFFERED + 1;
        let mut rows = if text.trim().is_empty() {
            object::search(self.store.pages(), type_id, text, most).await?
        } else {
            // A rare text is found by reading all objects of the type.
            self.store.search(object::search(self.store.searches(), type_id, text, most)).await?
        };
        let has_more = rows.len() > choice::OFFERED;
        rows.truncate(choice::OFFERED);
        Ok(FoundChoices { choices: rows.iter().map(object_choice).collect(), has_more })
    }
}

/// Returns the refusal of an outdated form. Both versions show event, task, object and tag by name instead of by id.
pub(super) async fn stale_event(
    db: &impl ConnectionTrait,
    typed: EventDraft,
    saved: &event::Row,
) -> Result<AppError, AppError> {
    let mut drafts = [typed, EventDraft::of(&saved.event, saved.revision)];
    let tags = tag::list(db).await?;
    let catalog = catalog::load(db).await?;
    for draft in &mut drafts {
        if let Some((type_id, event_id)) = draft.event.rsplit_once('.') {
            draft.event = format!("{}: {}", catalog.type_label(type_id), catalog.event_label(type_id, event_id));
        }
        if let Ok(id) = draft.task.parse()
            && let Some(row) = task::find(db, TaskId(id)).await?
        {
            draft.task = row.task.name;
        }
        if let Ok(id) = draft.object.parse()
            && let Some(row) = object::find(db, ObjectId(id)).await?
        {
            draft.object = shown(&row.name);
        }
        if let Some(row) = tags.iter().find(|row| row.id.to_string() == draft.tag) {
            draft.tag.clone_from(&row.name);
        }
    }
    Ok(stale("event", &drafts[0], &drafts[1]))
}

fn object_choice(object: &object::Row) -> Choice {
    let gone = if object.is_gone { " (gone)" } else { "" };
    Choice { value: object.id.to_string(), label: format!("{}{gone}", shown(&object.name)) }
}

/// Replaces an object that was typed, by its external id or its name, with its id as if it had been chosen.
pub(super) async fn resolve_object(
    db: &impl ConnectionTrait,
    draft: &mut EventDraft,
    catalog: &Catalog,
) -> Result<(), AppError> {
    let typed = std::mem::take(&mut draft.object_named).trim().to_owned();
    let Some(object_type) = draft.object_type(catalog).filter(|_| !typed.is_empty() && draft.use_tag != "true") else {
        return Ok(());
    };
    let wrong = |message: String| Err(FieldErrors::one("object_named", message).into());
    if !object_type.has_objects {
        return wrong(format!("{} have no objects. Leave this empty.", object_type.plural));
    }
    let one = BTreeSet::from([typed]);
    let by_id = Wanted { external_ids: one.clone(), ..Wanted::default() };
    let mut found = object::find_wanted(db, &object_type.id, by_id).await?;
    for is_gone in [false, true] {
        if found.is_empty() {
            found = object::find_named(db, &object_type.id, &one, is_gone, NAMESAKES).await?;
        }
    }
    let mut ids = found.keys();
    match (ids.next(), ids.next()) {
        (Some(id), None) => draft.object = id.to_string(),
        (None, _) => return wrong(format!("No object of {} has this name or id.", object_type.plural)),
        (Some(_), Some(_)) => {
            let ids: Vec<_> = found.values().filter_map(|(row, _)| row.external_id.as_deref()).collect();
            return wrong(format!("Several are called so. Enter the id instead: {}.", ids.join(", ")));
        }
    }
    Ok(())
}

/// Fails when the event refers to an object, a tag or a task that does not exist, or that does not fit its type.
pub(super) async fn check_references(
    db: &impl ConnectionTrait,
    checked: &Event,
    catalog: &Catalog,
) -> Result<(), AppError> {
    let mut errors = FieldErrors::default();
    let wanted = catalog.type_label(&checked.type_id);
    match checked.scope {
        EventScope::Any => {}
        EventScope::Object(id) => match object::find(db, id).await? {
            None => errors.add("object", "This object does not exist any more. Choose another."),
            Some(object) if object.type_id != checked.type_id => {
                let is = catalog.type_label(&object.type_id);
                errors.add("object", format!("This object is one of {is}; the event is about {wanted}."));
            }
            Some(_) => {}
        },
        EventScope::Tag(id) => match tag::list(db).await?.into_iter().find(|tag| tag.id == id) {
            None => errors.add("tag", "This tag does not exist any more. Choose another."),
            Some(tag) if !tag.suits(&checked.type_id) => {
                errors.add("tag", format!("{wanted} cannot carry this tag. Choose another, or change its category."));
            }
            Some(_) => {}
        },
    }
    if task::find(db, checked.task_id).await?.is_none() {
        errors.add("task", "This task does not exist any more. Choose another.");
    }
    if errors.is_empty() { Ok(()) } else { Err(errors.into()) }
}
