//! Schedules: the clock as a cause of runs. Their rules and texts are in [`model::schedule`]. This module has the parts
//! that need time zone data, and the worker.

pub mod due;
pub mod never;
pub mod next;
pub mod tasks;
pub mod worker;
