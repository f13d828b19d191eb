//! Use cases of events.

use super::choice::{OFFERED, found, named};
use super::{Services, revision, stale};
use crate::store::object::Wanted;
use crate::store::tag::TagRow;
use crate::store::{catalog, choice, event, object, tag, task};
use app::backend::Events;
use app::error::{AppError, Link};
use app::view::event::{EventForm, EventMatches, EventRow, TagChoice};
use app::view::{Choice, FoundChoices};
use async_trait::async_trait;
use model::catalog::Catalog;
use model::event::{ANY, Event, EventDraft, EventScope};
use model::field_error::FieldErrors;
use model::id::{EventId, ObjectId, TaskId};
use model::text::shown;
use sea_orm::ConnectionTrait;
use std::collections::{BTreeSet, HashMap};

fn draft_of(row: &event::Row) -> EventDraft {
    let word = |is_on: bool| if is_on { "true".to_owned() } else { String::new() };
    let (object, tag) = match row.event.scope {
        EventScope::Any => (ANY.to_owned(), String::new()),
        EventScope::Object(id) => (id.to_string(), String::new()),
        EventScope::Tag(id) => (ANY.to_owned(), id.to_string()),
    };
    EventDraft {
        event: format!("{}.{}", row.event.type_id, row.event.event_id),
        use_tag: word(!tag.is_empty()),
        object,
        object_named: String::new(),
        tag,
        level: row.event.filters.level.clone().unwrap_or_default(),
        source: row.event.filters.source.clone().unwrap_or_default(),
        task: row.event.task_id.to_string(),
        enabled: word(row.event.is_enabled),
        revision: row.revision.to_string(),
    }
}

/// Somebody else changed the event: both versions, with what they refer to by name.
async fn stale_event(db: &impl ConnectionTrait, typed: EventDraft, saved: &event::Row) -> Result<AppError, AppError> {
    let mut drafts = [typed, draft_of(saved)];
    let tags = tag::list(db).await?;
    for draft in &mut drafts {
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

/// Puts the object that was typed, by its id or its name, in the place of one that was chosen.
async fn resolve_object(db: &impl ConnectionTrait, draft: &mut EventDraft, catalog: &Catalog) -> Result<(), AppError> {
    let typed = std::mem::take(&mut draft.object_named).trim().to_owned();
    let Some(object_type) = draft.object_type(catalog).filter(|_| !typed.is_empty() && draft.use_tag != "true") else {
        return Ok(());
    };
    let wrong = |words: String| Err(FieldErrors::one("object_named", words).into());
    if !object_type.has_objects {
        return wrong(format!("{} have no objects. Leave this empty.", object_type.plural));
    }
    let one = BTreeSet::from([typed.clone()]);
    let wanted = Wanted { external_ids: one.clone(), names: one, ..Wanted::default() };
    let found = object::find_wanted(db, &object_type.id, wanted).await?;
    let by_id = found.values().find(|(row, _)| row.external_id.as_deref() == Some(&*typed));
    match (by_id, found.len()) {
        (Some((row, _)), _) => draft.object = row.id.to_string(),
        (None, 1) => draft.object = found.keys().next().map(ToString::to_string).unwrap_or_default(),
        (None, 0) => return wrong(format!("No object of {} has this name or id.", object_type.plural)),
        (None, _) => {
            let ids: Vec<_> = found.values().filter_map(|(row, _)| row.external_id.as_deref()).take(5).collect();
            return wrong(format!("Several are called so. Enter the id instead: {}.", ids.join(", ")));
        }
    }
    Ok(())
}

/// What the event refers to must be there, and fit.
async fn check_references(db: &impl ConnectionTrait, checked: &Event, catalog: &Catalog) -> Result<(), AppError> {
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

/// Scopes in words: what the ids of an event mean now.
pub(super) struct Scopes {
    objects: HashMap<i64, object::Row>,
    tags: Vec<TagRow>,
}

impl Scopes {
    /// Loads what these scopes name.
    pub(super) async fn load(
        db: &impl ConnectionTrait,
        scopes: impl Iterator<Item = EventScope>,
    ) -> Result<Self, AppError> {
        let ids: Vec<_> =
            scopes.filter_map(|scope| if let EventScope::Object(id) = scope { Some(id.0) } else { None }).collect();
        let mut objects = HashMap::new();
        for ids in ids.chunks(1000) {
            let rows = object::find_many(db, ids.to_vec()).await?;
            objects.extend(rows.into_iter().map(|row| (row.id.0, row)));
        }
        Ok(Self { objects, tags: tag::list(db).await? })
    }

    /// "Any", "web-01", "Environment - production".
    pub(super) fn words(&self, scope: EventScope) -> String {
        match scope {
            EventScope::Any => "Any".to_owned(),
            EventScope::Object(id) => match self.objects.get(&id.0) {
                Some(row) if row.is_gone => format!("{} (gone: matches nothing)", shown(&row.name)),
                Some(row) => shown(&row.name),
                None => "an object that was deleted".to_owned(),
            },
            EventScope::Tag(id) => {
                let found = self.tags.iter().find(|tag| tag.id == id);
                found.map_or_else(
                    || "a tag that was deleted".to_owned(),
                    |tag| format!("{} - {}", tag.category.name, tag.name),
                )
            }
        }
    }
}

/// Events as what stands in the way of something.
pub(super) async fn links(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<Vec<Link>, AppError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let catalog = catalog::load(db).await?;
    let rows = event::find_many(db, ids).await?;
    let link = |row: event::Row| {
        let (type_label, event_label) = (
            catalog.type_label(&row.event.type_id).to_owned(),
            catalog.event_label(&row.event.type_id, &row.event.event_id).to_owned(),
        );
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
            scope: scopes.words(row.event.scope),
            task_id: row.event.task_id,
            task_name: tasks.get(&row.event.task_id).cloned().unwrap_or_default(),
            is_enabled: row.event.is_enabled,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn load_form(&self, id: Option<EventId>, task: Option<TaskId>) -> Result<EventForm, AppError> {
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
            form.draft = draft_of(&row);
            form.objects = self.find_objects(row.event.type_id.clone(), String::new()).await?;
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

    async fn find_tasks(&self, text: String) -> Result<FoundChoices, AppError> {
        choice::tasks(self.store.pages(), &text, OFFERED + 1).await.map(found).map_err(AppError::from)
    }

    async fn find_objects(&self, type_id: String, text: String) -> Result<FoundChoices, AppError> {
        let db = self.store.pages();
        let mut rows = object::search(db, &type_id, &text, OFFERED + 1).await?;
        let has_more = rows.len() > OFFERED;
        rows.truncate(OFFERED);
        Ok(FoundChoices { choices: rows.iter().map(object_choice).collect(), has_more })
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
