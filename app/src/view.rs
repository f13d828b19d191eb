//! The data that pages and forms show, one file for each domain. The server formats the times.
//!
//! The forms are islands, so their data is compiled into both halves and can be serialized. All other data is rendered by
//! the server alone.

#[cfg(feature = "ssr")]
pub mod dashboard;
#[cfg(feature = "ssr")]
pub mod delivery;
#[cfg(feature = "ssr")]
pub mod destination;
#[cfg(feature = "ssr")]
pub mod done;
pub mod event;
#[cfg(feature = "ssr")]
pub mod inventory;
#[cfg(feature = "ssr")]
pub mod label;
#[cfg(feature = "ssr")]
pub mod mailer;
#[cfg(feature = "ssr")]
pub mod occurrence;
#[cfg(feature = "ssr")]
pub mod run;
pub mod schedule;
pub mod task;
pub mod webhook;

use serde::{Deserialize, Serialize};

/// An instant, formatted by the server in the system's time zone.
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

/// An option of a select.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The value that is posted.
    pub value: String,
    /// The text that is shown.
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

/// The rows of a table that a select offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundChoices {
    /// The rows by name.
    pub choices: Vec<Choice>,
    /// The table has more rows that match.
    pub has_more: bool,
}

/// A page of a list.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// The number of rows in all, counted up to one more than [`COUNTED`].
    pub total: u64,
    /// The id from which the search continues, if only a part of the table was searched.
    pub further: Option<i64>,
    /// The name of the one thing whose rows the list has, if it has only such rows.
    pub of_name: Option<String>,
}

/// The most rows of a list that are counted and shown. A person with more rows narrows the filters.
#[cfg(feature = "ssr")]
pub const COUNTED: u64 = 10_000;

/// The number of newest rows that a search of a large table looks at first, where no index finds or sorts the wanted
/// rows. PostgreSQL writes new rows wherever there is room, so each row may be in another block on the disk.
#[cfg(feature = "ssr")]
pub const SEARCHED: u64 = 5000;
/// The number of rows that a search looks at when a person continues it.
#[cfg(feature = "ssr")]
pub const SEARCHED_FURTHER: u64 = 1_000_000;

/// The number of rows on a page of a list.
#[cfg(feature = "ssr")]
pub const PAGE_ROWS: u64 = 50;
