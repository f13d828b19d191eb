//! The pages, one file each.

pub(crate) mod delivery_list;
pub(crate) mod event_form;
pub(crate) mod event_list;
pub(crate) mod not_found;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod task_form;
pub(crate) mod task_list;
pub(crate) mod webhook_form;
pub(crate) mod webhook_list;
