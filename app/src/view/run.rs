//! Runs of tasks, with their deliveries.

use crate::view::When;
use model::delivery::Status;
use model::id::{RunId, TaskId};
use model::run;

/// The filters of a list of runs, as typed.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the filter of that name")]
pub struct RunQuery {
    /// The id of a task.
    pub of_task: String,
    /// A text that the task's name contains.
    pub task: String,
    pub status: String,
    /// The number of the page, from 1.
    pub page: u64,
    /// Where an earlier search ended, from which this one goes on.
    pub beyond: Option<i64>,
}

/// A run as a line of a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct RunLine {
    pub id: RunId,
    pub task_id: Option<TaskId>,
    pub task: String,
    /// `None` when the stored status cannot be read.
    pub status: Option<run::Status>,
    pub started: When,
    pub ended: Option<When>,
    /// "Virtual Machines: Power On, web-01", "Executed by maria", "Started by the schedule Hourly".
    pub cause: String,
    /// The runs that a missed run stands for, as a sentence.
    pub note: Option<String>,
    /// The occurrence's public id.
    pub occurrence: Option<String>,
    pub deliveries: Vec<RunDelivery>,
}

/// A delivery of a run.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct RunDelivery {
    pub uuid: String,
    /// `None` when the stored status cannot be read.
    pub status: Option<Status>,
    pub error: Option<String>,
}
