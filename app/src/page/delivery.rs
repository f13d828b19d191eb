//! Pages about deliveries.

pub(crate) mod list;
pub(crate) mod show;
