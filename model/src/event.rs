//! Events: the occurrences that start a task.

use crate::catalog::{Catalog, LEVELS, ObjectType};
use crate::draft::{draft, switch};
use crate::field_error::FieldErrors;
use crate::id::{ObjectId, TagId, TaskId};
use crate::text;
use serde::{Deserialize, Serialize};

/// The objects that an event is about. The kind is explicit, so that nothing turns one kind into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum EventScope {
    /// Any object of the type. Types without objects have this scope too.
    Any,
    /// One object.
    Object(ObjectId),
    /// Objects that carry this tag at the time of the occurrence.
    Tag(TagId),
}

/// Filters for events of types without objects. An absent filter passes every occurrence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilters {
    /// The occurrence's `data.level` has to equal this level of [`LEVELS`].
    pub level: Option<String>,
    /// The occurrence's `data.source` has to equal this text. Without one, its `source` has to.
    pub source: Option<String>,
}

/// A checked event, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The object type's id.
    pub type_id: String,
    /// The event's id within the type.
    pub event_id: String,
    /// The objects it is about.
    pub scope: EventScope,
    /// Further conditions.
    pub filters: EventFilters,
    /// The task it starts.
    pub task_id: TaskId,
    /// False while the event is switched off.
    pub is_enabled: bool,
}

draft! {
    /// An event as typed. Field names are those of the form and of the plain post.
    pub struct EventDraft {
        /// `vms.poweron`: type and event in one value, so that one grouped select works without WASM.
        event,
        /// `true`: the scope is `tag`, otherwise `object`.
        use_tag,
        /// [`ANY`], or an object's id. Empty is refused, so that a lost value does not become "any".
        object,
        /// The name or id of an object as typed, in the form without WASM, which has no list to choose from. Takes
        /// precedence over `object`.
        object_named,
        tag,
        /// Empty for every level.
        level,
        /// Empty for every source.
        source,
        task,
        enabled,
        /// The revision the form was opened on; empty for a new event.
        revision,
    }
}

/// The value of `object` for any object.
pub const ANY: &str = "any";

impl EventDraft {
    /// Returns a new event as the empty form shows it.
    pub fn new_form() -> Self {
        Self { enabled: "true".into(), object: ANY.into(), ..Self::default() }
    }

    /// Returns the chosen type if it is in the catalogue.
    pub fn object_type<'a>(&self, catalog: &'a Catalog) -> Option<&'a ObjectType> {
        catalog.find(self.event.rsplit_once('.')?.0)
    }

    /// Returns the draft of a stored event, as its form shows it.
    pub fn of(event: &Event, revision: i64) -> Self {
        let (object, tag) = match event.scope {
            EventScope::Any => (ANY.to_owned(), String::new()),
            EventScope::Object(id) => (id.to_string(), String::new()),
            EventScope::Tag(id) => (ANY.to_owned(), id.to_string()),
        };
        Self {
            event: format!("{}.{}", event.type_id, event.event_id),
            use_tag: switch(!tag.is_empty()),
            object,
            object_named: String::new(),
            tag,
            level: event.filters.level.clone().unwrap_or_default(),
            source: event.filters.source.clone().unwrap_or_default(),
            task: event.task_id.to_string(),
            enabled: switch(event.is_enabled),
            revision: revision.to_string(),
        }
    }

    /// Checks every field. The service checks that the task, the object and the tag exist.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self, catalog: &Catalog) -> Result<Event, FieldErrors> {
        let mut errors = FieldErrors::default();
        let object_type = self.object_type(catalog);
        let event_id = self.event.rsplit_once('.').map(|(_, event_id)| event_id);
        let event = object_type.zip(event_id).and_then(|(object_type, id)| object_type.find_event(id));
        if event.is_none() {
            errors.add("event", "Choose what should start the task.");
        }
        let scope = self.parse_scope(object_type, &mut errors);
        let filters = self.parse_filters(object_type, &mut errors);
        let task_id = errors.check("task", self.task.parse().map_err(|_| "Choose a task.".to_owned()));
        match (object_type, event, scope, task_id) {
            (Some(object_type), Some(event), Some(scope), Some(task_id)) if errors.is_empty() => Ok(Event {
                type_id: object_type.id.clone(),
                event_id: event.id.clone(),
                scope,
                filters,
                task_id,
                is_enabled: self.enabled == "true",
            }),
            _ => Err(errors),
        }
    }

    fn parse_scope(&self, object_type: Option<&ObjectType>, errors: &mut FieldErrors) -> Option<EventScope> {
        if self.use_tag == "true" {
            if let Some(object_type) = object_type.filter(|object_type| !object_type.has_tags) {
                errors.add("use_tag", format!("{} carry no tags. Turn Use Tag off.", object_type.plural));
                return None;
            }
            return errors.check("tag", self.tag.parse().map(EventScope::Tag).map_err(|_| "Choose a tag.".to_owned()));
        }
        if !self.object_named.trim().is_empty() {
            errors.add("object_named", "This object has not been looked up yet. Submit to look it up.");
            return None;
        }
        if self.object == ANY {
            return Some(EventScope::Any);
        }
        if let Some(object_type) = object_type.filter(|object_type| !object_type.has_objects) {
            errors.add("object", format!("{} have no objects to choose from. Choose Any.", object_type.plural));
            return None;
        }
        let chosen = self.object.parse().map(EventScope::Object);
        errors.check("object", chosen.map_err(|_| "Choose one of the listed objects, or Any.".to_owned()))
    }

    fn parse_filters(&self, object_type: Option<&ObjectType>, errors: &mut FieldErrors) -> EventFilters {
        let mut filters = EventFilters::default();
        if !self.level.is_empty() {
            if !LEVELS.contains(&self.level.as_str()) {
                errors.add("level", "Choose one of the listed levels, or every level.");
            } else if object_type.is_some_and(|object_type| !object_type.has_level) {
                errors.add("level", "This type has no levels. Choose every level.");
            }
            filters.level = Some(self.level.clone());
        }
        if !self.source.trim().is_empty() {
            if object_type.is_some_and(|object_type| !object_type.has_source) {
                errors.add("source", "This type has no sources. Leave it empty.");
            }
            filters.source = errors.check("source", text::parse_name(&self.source, 255));
        }
        filters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_fields(draft: &EventDraft) -> Vec<String> {
        match draft.parse(&Catalog::default()) {
            Ok(event) => panic!("accepted {event:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn edit_without_a_change_saves_the_stored_event() {
        let filters = EventFilters { level: Some("error".into()), source: Some("kernel".into()) };
        for (type_id, event_id, scope, filters) in [
            ("vms", "poweron", EventScope::Any, EventFilters::default()),
            ("vms", "poweron", EventScope::Object(ObjectId(101)), EventFilters::default()),
            ("vms", "poweron", EventScope::Tag(TagId(4)), EventFilters::default()),
            ("logs", "created", EventScope::Any, filters),
        ] {
            let (type_id, event_id) = (type_id.to_owned(), event_id.to_owned());
            let event = Event { type_id, event_id, scope, filters, task_id: TaskId(3), is_enabled: true };
            assert_eq!(EventDraft::of(&event, 3).parse(&Catalog::default()), Ok(event));
        }
    }

    #[test]
    fn each_wrong_field_is_refused() {
        let valid = EventDraft { event: "vms.poweron".into(), task: "3".into(), ..EventDraft::new_form() };
        assert_eq!(valid.parse(&Catalog::default()).map(|event| event.scope), Ok(EventScope::Any));
        assert_eq!(wrong_fields(&EventDraft::default()), ["event", "object", "task"]);
        let change = |change: fn(&mut EventDraft)| {
            let mut draft = valid.clone();
            change(&mut draft);
            draft
        };
        for (draft, field) in [
            (change(|draft| draft.event = "vms.explode".into()), "event"),
            (change(|draft| draft.event = "vms".into()), "event"),
            (change(|draft| draft.object = "web-01".into()), "object"),
            (change(|draft| draft.object = String::new()), "object"),
            (change(|draft| (draft.event, draft.object) = ("logs.created".into(), "1".into())), "object"),
            (change(|draft| draft.use_tag = "true".into()), "tag"),
            (change(|draft| (draft.event, draft.use_tag) = ("alarms.raised".into(), "true".into())), "use_tag"),
            (change(|draft| draft.level = "error".into()), "level"),
            (change(|draft| (draft.event, draft.level) = ("alarms.raised".into(), "loud".into())), "level"),
            (change(|draft| draft.source = "kernel".into()), "source"),
            (change(|draft| draft.task = "-".into()), "task"),
        ] {
            assert_eq!(wrong_fields(&draft), [field], "{draft:?}");
        }
    }

    #[test]
    fn scope_of_a_tag_is_never_widened_to_any() {
        let draft = EventDraft {
            event: "vms.poweron".into(),
            use_tag: "true".into(),
            tag: "4".into(),
            task: "3".into(),
            ..EventDraft::new_form()
        };
        assert_eq!(draft.parse(&Catalog::default()).map(|event| event.scope), Ok(EventScope::Tag(TagId(4))));
    }

    #[test]
    fn logs_are_filtered_by_level_and_source() {
        let draft = EventDraft {
            event: "logs.created".into(),
            level: "error".into(),
            source: " kernel ".into(),
            task: "3".into(),
            ..EventDraft::new_form()
        };
        let filters = draft.parse(&Catalog::default()).map(|event| event.filters);
        assert_eq!(filters, Ok(EventFilters { level: Some("error".into()), source: Some("kernel".into()) }));
    }
}
