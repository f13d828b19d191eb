//! Pages about schedules.

pub(crate) mod form;
pub(crate) mod list;
pub(crate) mod show;
