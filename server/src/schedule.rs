//! Schedules: the clock as a cause of runs. The rules and their words are [`model::schedule`]; here is what needs time
//! zone data.

pub mod next;
