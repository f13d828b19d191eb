//! Pages that only show: rendered by the server alone, and put into the frame as they are.
//!
//! They cost the browser half nothing, work without it, and keep their whole state in the URL. With WASM a link fetches
//! the next one without a reload (`part::server_page`); commands are plain forms. A page here is an async function from
//! a [`Request`] to a [`Page`]: it asks the backend, and renders. It has no signals and no resources.

use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
mod dashboard;
#[cfg(feature = "ssr")]
mod delivery;
#[cfg(feature = "ssr")]
mod delivery_list;
#[cfg(feature = "ssr")]
mod event_list;
#[cfg(feature = "ssr")]
mod field;
#[cfg(feature = "ssr")]
pub(crate) mod fragment;
#[cfg(feature = "ssr")]
mod object_form;
#[cfg(feature = "ssr")]
mod object_list;
#[cfg(feature = "ssr")]
mod occurrence;
#[cfg(feature = "ssr")]
mod part;
#[cfg(feature = "ssr")]
mod query;
#[cfg(feature = "ssr")]
mod render;
#[cfg(feature = "ssr")]
mod run_list;
#[cfg(feature = "ssr")]
mod table;
#[cfg(feature = "ssr")]
mod tag_list;
#[cfg(feature = "ssr")]
mod task;
#[cfg(feature = "ssr")]
mod task_list;
#[cfg(feature = "ssr")]
mod type_list;
#[cfg(feature = "ssr")]
mod webhook;
#[cfg(feature = "ssr")]
mod webhook_list;
#[cfg(feature = "ssr")]
mod webhook_test;

#[cfg(feature = "ssr")]
pub use render::{Request, render};

/// A rendered page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The document's title, without the product's name.
    pub title: String,
    /// The content, as HTML.
    pub main: String,
    /// The page's own commands, for the menu, as HTML.
    pub menu: String,
    /// The HTTP status.
    pub status: u16,
    /// Whether it is fetched again when something changes.
    pub is_live: bool,
}
