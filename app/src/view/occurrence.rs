//! Occurrences: the events that were considered for one, and the deliveries that it caused. The API returns the same data
//! as JSON.

use crate::view::When;
use model::delivery::Status;
use model::id::{EventId, TaskId};
use model::matching::Reason;
use serde::Serialize;

/// An occurrence with all its effects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The occurrence's public id.
    pub id: String,
    /// The type's id.
    pub type_id: String,
    /// "Virtual Machines".
    pub type_label: String,
    /// The id of the event in the catalogue, `poweron`.
    pub event_id: String,
    /// "Power On".
    pub event_label: String,
    /// The event is in the catalogue.
    pub is_known: bool,
    /// The object's name at that time.
    pub object: Option<String>,
    /// The object's external id at that time.
    pub object_id: Option<String>,
    /// The tags that the object carried, `Environment/production`.
    pub tags: Vec<String>,
    /// The system that reported the occurrence.
    pub source: String,
    /// The instant at which it was received.
    pub received: When,
    /// The instant at which it happened, by the sender's clock.
    pub occurred: Option<When>,
    /// The data as JSON.
    pub data: Option<String>,
    /// The number of repeats; repeats start nothing.
    pub repeats: u32,
    /// Every stored event about this type and event, each with its outcome.
    pub considered: Vec<Considered>,
}

/// An event that was considered for an occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// The event's id.
    pub event_id: EventId,
    /// "Any", "web-01", "Environment - production".
    pub scope: String,
    /// The task's id.
    pub task_id: TaskId,
    /// The task's name as of its revision.
    pub task: String,
    /// The reason why the event did not fire; `None` when it fired.
    pub reason: Option<Reason>,
    /// The outcome as a sentence.
    pub words: String,
    /// The deliveries that the event caused.
    pub deliveries: Vec<SentBecause>,
}

/// A delivery that an event caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentBecause {
    /// The delivery's public id.
    pub id: String,
    /// The delivery's status.
    pub status: Option<Status>,
    /// The destination's name when the delivery was queued.
    pub destination: String,
}
