//! Pages about what events are about: objects, tags, and event types.

pub(crate) mod object;
pub(crate) mod objects;
pub(crate) mod tags;
pub(crate) mod types;
