//! Typed row ids, so that a task's id is never passed where a webhook's is meant.
//!
//! Ids are 64-bit integers because the compatible API's `$key` is one. The public, stable ids of deliveries and
//! occurrences are UUIDs and live with their rows.

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
    /// A person who can sign in.
    UserId;
    /// A key of another system.
    ApiKeyId;
    /// Where and how to send.
    WebhookId;
    /// What to do.
    TaskId;
    /// When to start a task.
    EventId;
    /// One thing of the managed system.
    ObjectId;
    /// A label on objects.
    TagId;
    /// What tags have in common: which types may carry them, and whether only one.
    CategoryId;
    /// One thing that happened.
    OccurrenceId;
    /// One execution of a task.
    RunId;
    /// One message for one webhook.
    DeliveryId;
}
