//! The interactive parts of pages: the four forms, rendered by the server and hydrated in the browser.
//!
//! The properties of an island are plain data. An island has no context, no router and no resources; it calls the
//! server by server functions.

pub(crate) mod event_form;
pub(crate) mod form;
pub(crate) mod header_editor;
pub(crate) mod hydrated;
pub(crate) mod lookup_field;
pub(crate) mod schedule_form;
pub(crate) mod send_test;
pub(crate) mod task_form;
pub(crate) mod webhook_form;
