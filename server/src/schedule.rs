//! Schedules: the clock as a cause of runs. The rules and their words are [`model::schedule`]; here is what needs time
//! zone data, and the worker.

pub mod due;
pub mod never;
pub mod next;
pub mod tasks;
pub mod worker;
