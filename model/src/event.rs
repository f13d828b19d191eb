//! Events: when to start a task.

use crate::catalog;
use crate::field_error::FieldErrors;
use crate::id::{ObjectId, TaskId};
use serde::{Deserialize, Serialize};

/// Which objects an event is about. The kind is explicit: nothing ever turns one into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventScope {
    /// Any object of the type, or a type without objects.
    Any,
    /// This object only.
    Object(ObjectId),
}

/// A checked event, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The object type's id.
    pub type_id: String,
    /// The event's id within the type.
    pub event_id: String,
    /// Which objects it is about.
    pub scope: EventScope,
    /// What it starts.
    pub task_id: TaskId,
    /// Whether it fires.
    pub is_enabled: bool,
}

/// An event as typed. Field names are those of the form and of the plain post.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each field is the form field of that name; the rules stand in `parse`")]
pub struct EventDraft {
    /// `vms.poweron`: type and event in one value, so that one grouped select works without WASM.
    pub event: String,
    /// Empty for any object.
    pub object: String,
    pub task: String,
    pub enabled: String,
    /// The revision the form was opened on; empty for a new event.
    pub revision: String,
}

impl EventDraft {
    /// A new event, as the form shows it first.
    pub fn new_form() -> Self {
        Self { enabled: "true".into(), ..Self::default() }
    }

    /// Checks every field. Whether the task and the object exist is the service's to say.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self) -> Result<Event, FieldErrors> {
        let mut errors = FieldErrors::default();
        let kind = self.event.rsplit_once('.').and_then(|(type_id, event_id)| {
            let object_type = catalog::find_type(type_id)?;
            object_type.find_event(event_id).map(|event| (object_type, event))
        });
        if kind.is_none() {
            errors.add("event", "Choose what should start the task.");
        }
        let scope = errors.check("object", parse_scope(&self.object, kind.map(|(object_type, _)| object_type)));
        let task_id = errors.check("task", self.task.parse().map_err(|_| "Choose a task.".to_owned()));
        match (kind, scope, task_id) {
            (Some((object_type, event)), Some(scope), Some(task_id)) if errors.is_empty() => Ok(Event {
                type_id: object_type.id.to_owned(),
                event_id: event.id.to_owned(),
                scope,
                task_id,
                is_enabled: self.enabled == "true",
            }),
            _ => Err(errors),
        }
    }
}

fn parse_scope(typed: &str, object_type: Option<&catalog::ObjectType>) -> Result<EventScope, String> {
    if typed.is_empty() {
        return Ok(EventScope::Any);
    }
    if let Some(object_type) = object_type.filter(|object_type| !object_type.has_objects) {
        return Err(format!("{} have no objects to choose from. Choose Any.", object_type.plural));
    }
    typed.parse().map(EventScope::Object).map_err(|_| "Choose one of the listed objects, or Any.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_fields(draft: &EventDraft) -> Vec<String> {
        match draft.parse() {
            Ok(event) => panic!("accepted {event:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn each_field_is_refused_by_its_own_rule() {
        let valid = EventDraft { event: "vms.poweron".into(), task: "3".into(), ..EventDraft::new_form() };
        assert_eq!(valid.parse().map(|event| event.scope), Ok(EventScope::Any));
        assert_eq!(wrong_fields(&EventDraft::default()), ["event", "task"]);
        assert_eq!(wrong_fields(&EventDraft { event: "vms.explode".into(), ..valid.clone() }), ["event"]);
        assert_eq!(wrong_fields(&EventDraft { event: "vms".into(), ..valid.clone() }), ["event"]);
        assert_eq!(wrong_fields(&EventDraft { object: "web-01".into(), ..valid.clone() }), ["object"]);
        assert_eq!(
            wrong_fields(&EventDraft { event: "logs.created".into(), object: "1".into(), ..valid.clone() }),
            ["object"]
        );
        assert_eq!(wrong_fields(&EventDraft { task: "-".into(), ..valid }), ["task"]);
    }
}
