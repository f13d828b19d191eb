//! Data that pages and forms show, as the server hands it over: one file per domain. Times are already written out.
//!
//! The forms are islands, so their data is known to both halves and can be serialized. Everything else is read once by the
//! server, rendered, and gone.

#[cfg(feature = "ssr")]
pub mod dashboard;
#[cfg(feature = "ssr")]
pub mod delivery;
#[cfg(feature = "ssr")]
pub mod done;
pub mod event;
#[cfg(feature = "ssr")]
pub mod inventory;
#[cfg(feature = "ssr")]
pub mod occurrence;
#[cfg(feature = "ssr")]
pub mod run;
pub mod task;
pub mod webhook;

use serde::{Deserialize, Serialize};

/// An instant, written by the server in the system's time zone.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct When {
    /// `11:38:07`, or with the date when it is not today.
    pub short: String,
    /// The whole instant with its zone.
    pub full: String,
    /// The instant as RFC 3339.
    pub machine: String,
}

/// A choice of a select: value and label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The value that is posted.
    pub value: String,
    /// The text that is read.
    pub label: String,
}

/// A table whose rows a select offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceOf {
    /// The webhooks.
    Webhooks,
    /// The tasks.
    Tasks,
    /// The objects of a type, by the type's id.
    Objects(String),
}

/// The rows of a table that were found, as many as a select offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundChoices {
    /// The rows by name.
    pub choices: Vec<Choice>,
    /// Whether there are others.
    pub has_more: bool,
}

/// A page of a list, and how many rows there are in all.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// The number of rows in all; more than [`COUNTED`] are not counted.
    pub total: u64,
}

/// Up to here the rows that a list finds are counted and shown. A person with more narrows the filters.
#[cfg(feature = "ssr")]
pub const COUNTED: u64 = 10_000;

/// The number of rows on a page of a list.
#[cfg(feature = "ssr")]
pub const PAGE_ROWS: u64 = 50;
