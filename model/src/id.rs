//! Typed row ids, so that a task's id is never passed for a webhook's.
//!
//! Ids are 64-bit integers because the compatible API's `$key` is one. The public, stable ids of deliveries and
//! occurrences are UUIDs of their rows.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// An account.
    UserId;
    /// An API key of another system.
    ApiKeyId;
    /// A destination.
    DestinationId;
    /// A webhook. Its destination has the same number.
    WebhookId;
    /// A task.
    TaskId;
    /// An event.
    EventId;
    /// A schedule.
    ScheduleId;
    /// A trigger: the link of a schedule to a task.
    TriggerId;
    /// An object of the managed system.
    ObjectId;
    /// A tag on objects.
    TagId;
    /// A category of tags.
    CategoryId;
    /// An occurrence.
    OccurrenceId;
    /// A run of a task.
    RunId;
    /// A delivery. Its run has the same number.
    DeliveryId;
}

impl From<WebhookId> for DestinationId {
    fn from(id: WebhookId) -> Self {
        Self(id.0)
    }
}

impl From<DestinationId> for WebhookId {
    fn from(id: DestinationId) -> Self {
        Self(id.0)
    }
}

impl From<RunId> for DeliveryId {
    fn from(id: RunId) -> Self {
        Self(id.0)
    }
}

impl From<DeliveryId> for RunId {
    fn from(id: DeliveryId) -> Self {
        Self(id.0)
    }
}
