//! Pages about deliveries.

pub(crate) mod list;
mod mail;
pub(crate) mod show;
