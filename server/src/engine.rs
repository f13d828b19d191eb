//! The part of the engine that every cause of a run shares: the start of runs, and the messages of their deliveries.
//!
//! The intake, the use cases of people and the schedule worker start runs through [`start`], and through nothing else.

pub mod held;
pub mod lane;
mod mail;
pub mod render;
pub mod start;
