//! Matching: decides whether an event fires for an occurrence, with the reason if not.
//!
//! Both the intake and the later explanation from stored rules use this decision, so the explanation always agrees with
//! the intake.

use crate::event::{Event, EventScope};
use crate::id::{DestinationId, ObjectId, TagId};
use serde::{Deserialize, Serialize};

/// The longest chain of occurrences that the console itself reports, such as the failure of a delivery about the
/// failure of a delivery.
pub const DEPTH_MAX: u32 = 3;

/// The facts of an occurrence that events are matched against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Id of the occurrence's type.
    pub type_id: &'a str,
    /// Id of the occurrence's event.
    pub event_id: &'a str,
    /// The object that the occurrence names, if that object existed before.
    pub object: Option<ObjectId>,
    /// The tags of that object at the time.
    pub tags: &'a [TagId],
    /// The level: `data.level`.
    pub level: Option<&'a str>,
    /// The source: `data.source`, or else the source of the occurrence.
    pub source: &'a str,
    /// The destination it is about, for occurrences that the dispatcher reports.
    pub about_destination: Option<DestinationId>,
    /// The number of deliveries that led to it: 0 for occurrences from other systems.
    pub depth: u32,
}

/// The facts of an event's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskFacts {
    /// Events may start it.
    pub is_enabled: bool,
    /// The destination it sends through.
    pub destination_id: DestinationId,
}

/// The reason why an event did not fire. The names are stable, as they are stored with counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The event is switched off.
    EventDisabled,
    /// The event's task is switched off.
    TaskDisabled,
    /// The event is about another object.
    OtherObject,
    /// The object did not carry the tag.
    TagMissing,
    /// The level is another one.
    OtherLevel,
    /// The source is another one.
    OtherSource,
    /// The event's task sends to the destination that the occurrence is about.
    Loop,
    /// The chain of the console's own occurrences is too long.
    TooDeep,
    /// The event's task runs once and was already started.
    AlreadyRun,
}

impl Reason {
    /// Returns the reason as a sentence for the operator.
    pub fn words(self) -> &'static str {
        match self {
            Self::EventDisabled => "The event was disabled.",
            Self::TaskDisabled => "The task was disabled.",
            Self::OtherObject => "The event is about another object.",
            Self::TagMissing => "The object did not carry the tag at that moment.",
            Self::OtherLevel => "The level was another one.",
            Self::OtherSource => "The source was another one.",
            Self::Loop => "The task sends to the destination that this is about.",
            Self::TooDeep => "A chain of occurrences about deliveries stops after the third.",
            Self::AlreadyRun => "The task is deleted after running, and had already been started.",
        }
    }
}

/// Succeeds if `event` fires. Its type and event are those of the occurrence.
///
/// # Errors
/// The first reason why the event does not fire. [`Reason::AlreadyRun`] is not among them: it is found when the task is
/// claimed.
pub fn judge(event: &Event, task: TaskFacts, facts: &Facts<'_>) -> Result<(), Reason> {
    if !event.is_enabled {
        return Err(Reason::EventDisabled);
    }
    match event.scope {
        EventScope::Object(id) if facts.object != Some(id) => return Err(Reason::OtherObject),
        EventScope::Tag(id) if !facts.tags.contains(&id) => return Err(Reason::TagMissing),
        EventScope::Any | EventScope::Object(_) | EventScope::Tag(_) => {}
    }
    if event.filters.level.as_deref().is_some_and(|level| facts.level != Some(level)) {
        return Err(Reason::OtherLevel);
    }
    if event.filters.source.as_deref().is_some_and(|source| facts.source != source) {
        return Err(Reason::OtherSource);
    }
    if !task.is_enabled {
        return Err(Reason::TaskDisabled);
    }
    if facts.about_destination == Some(task.destination_id) {
        return Err(Reason::Loop);
    }
    if facts.depth > DEPTH_MAX {
        return Err(Reason::TooDeep);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventFilters;
    use crate::id::TaskId;

    fn event(change: impl FnOnce(&mut Event)) -> Event {
        let mut event = Event {
            type_id: "vms".into(),
            event_id: "poweron".into(),
            scope: EventScope::Any,
            filters: EventFilters::default(),
            task_id: TaskId(1),
            is_enabled: true,
        };
        change(&mut event);
        event
    }

    #[test]
    fn judge_returns_the_first_reason() {
        let task = TaskFacts { is_enabled: true, destination_id: DestinationId(1) };
        let facts = Facts {
            type_id: "vms",
            event_id: "poweron",
            object: Some(ObjectId(7)),
            tags: &[TagId(3)],
            level: Some("error"),
            source: "dc",
            about_destination: None,
            depth: 0,
        };
        let filter =
            |level: &str, source: &str| EventFilters { level: Some(level.into()), source: Some(source.into()) };
        for (event, expected) in [
            (event(|_| ()), Ok(())),
            (event(|event| event.is_enabled = false), Err(Reason::EventDisabled)),
            (event(|event| event.scope = EventScope::Object(ObjectId(7))), Ok(())),
            (event(|event| event.scope = EventScope::Object(ObjectId(8))), Err(Reason::OtherObject)),
            (event(|event| event.scope = EventScope::Tag(TagId(3))), Ok(())),
            (event(|event| event.scope = EventScope::Tag(TagId(4))), Err(Reason::TagMissing)),
            (event(|event| event.filters = filter("error", "dc")), Ok(())),
            (event(|event| event.filters = filter("debug", "dc")), Err(Reason::OtherLevel)),
            (event(|event| event.filters = filter("error", "kernel")), Err(Reason::OtherSource)),
        ] {
            assert_eq!(judge(&event, task, &facts), expected, "{event:?}");
        }
        let off = TaskFacts { is_enabled: false, ..task };
        assert_eq!(judge(&event(|_| ()), off, &facts), Err(Reason::TaskDisabled));
        let about_itself = Facts { about_destination: Some(DestinationId(1)), ..facts.clone() };
        assert_eq!(judge(&event(|_| ()), task, &about_itself), Err(Reason::Loop));
        let unknown = Facts { object: None, ..facts.clone() };
        assert_eq!(
            judge(&event(|event| event.scope = EventScope::Object(ObjectId(7))), task, &unknown),
            Err(Reason::OtherObject)
        );
        let deep = Facts { depth: DEPTH_MAX + 1, ..facts };
        assert_eq!(judge(&event(|_| ()), task, &deep), Err(Reason::TooDeep));
    }
}
