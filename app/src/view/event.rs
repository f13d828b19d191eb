//! Events: their list, their form, and the occurrences that an event as typed matches.

#[cfg(feature = "ssr")]
use crate::view::When;
use crate::view::{Choice, FoundChoices};
use model::catalog::Catalog;
use model::event::EventDraft;
#[cfg(feature = "ssr")]
use model::id::{EventId, TaskId};
use serde::{Deserialize, Serialize};

/// A row of the event list.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The event's id.
    pub id: EventId,
    /// "Virtual Machines".
    pub type_label: String,
    /// "Power On".
    pub event_label: String,
    /// "Any", or the object's name.
    pub scope: String,
    /// The task that the event starts.
    pub task_id: TaskId,
    /// Name of that task.
    pub task_name: String,
    /// The event may fire.
    pub is_enabled: bool,
}

/// An event as a line of a list.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct EventLine {
    pub id: EventId,
    pub label: String,
    pub type_label: String,
    pub scope: String,
    pub is_enabled: bool,
}

/// An event that another page leads to.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
pub struct EventLink {
    /// The event's id.
    pub id: EventId,
    /// "Power On".
    pub label: String,
}

/// The event form: of a stored event, or of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventForm {
    /// "Power On", for the breadcrumbs; empty for a new event.
    pub name: String,
    /// The fields.
    pub draft: EventDraft,
    /// The first tasks to choose from.
    pub tasks: FoundChoices,
    /// The task that is chosen.
    pub task: Option<Choice>,
    /// The object that is chosen.
    pub object: Option<Choice>,
    /// The first objects of the event's type.
    pub objects: FoundChoices,
    /// The external id or the name of the chosen object, for the text field that is shown without WASM.
    pub object_named: String,
    /// The tags to choose from.
    pub tags: Vec<TagChoice>,
    /// The types and their events.
    pub catalog: Catalog,
}

/// A tag to choose, and the types that carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagChoice {
    /// The tag's id.
    pub value: String,
    /// `Environment - production`.
    pub label: String,
    /// The ids of the types that may carry the tag.
    pub type_ids: Vec<String>,
}

/// The objects and occurrences that an event as typed matches.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventMatches {
    /// The number of objects that the event is about now, counted up to one more than [`COUNTED`](super::COUNTED);
    /// `None` for types without objects.
    pub objects: Option<u64>,
    /// The number of occurrences of the last 7 days that would have fired the event.
    pub occurrences: u32,
    /// The number of newest occurrences that were looked at, if the last 7 days had more.
    pub among: Option<u64>,
    /// The newest of those occurrences, newest first.
    pub newest: Vec<MatchedOccurrence>,
}

/// An occurrence that would have fired an event.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedOccurrence {
    /// The occurrence's public id.
    pub id: String,
    /// The instant at which the occurrence was received.
    pub received: When,
    /// The object's name; empty without one.
    pub object: String,
}
