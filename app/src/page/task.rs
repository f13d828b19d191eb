//! Pages about tasks.

pub(crate) mod form;
pub(crate) mod list;
pub(crate) mod show;
