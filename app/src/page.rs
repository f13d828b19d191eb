//! The pages, one file each.

pub(crate) mod event_form;
#[cfg(feature = "ssr")]
pub(crate) mod setup;
#[cfg(feature = "ssr")]
pub(crate) mod sign_in;
pub(crate) mod task_form;
pub(crate) mod webhook_form;
