//! Pages about events.

pub(crate) mod form;
pub(crate) mod list;
