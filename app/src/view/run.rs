//! Runs of tasks, with their deliveries.

use crate::view::When;
use model::delivery::Status;
use model::id::{RunId, TaskId};
use model::run;

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
