//! Pages about the inventory: objects, tags, and event types.

pub(crate) mod object;
pub(crate) mod objects;
pub(crate) mod tags;
pub(crate) mod types;
