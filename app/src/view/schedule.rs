//! Schedules and their triggers: lists, forms, dashboards, and the runs that a form as typed would have.

#[cfg(feature = "ssr")]
use crate::view::{Choice, FoundChoices, When};
#[cfg(feature = "ssr")]
use model::id::{ScheduleId, TaskId, TriggerId};
use model::schedule::ScheduleDraft;
use serde::{Deserialize, Serialize};

/// A row of the schedule list.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// The schedule's id.
    pub id: ScheduleId,
    /// The schedule's name.
    pub name: String,
    /// The schedule's description.
    pub description: String,
    /// The schedule starts its tasks.
    pub is_enabled: bool,
    /// The rule in words.
    pub summary: String,
    /// The next run; `None` while the schedule is disabled, and after its last run.
    pub next: Option<When>,
    /// The number of triggers.
    pub triggers: u32,
}

/// The schedule form: of a stored schedule, or of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleForm {
    /// The stored name, for the breadcrumbs; empty for a new schedule.
    pub name: String,
    /// The fields.
    pub draft: ScheduleDraft,
    /// The name of the time zone of the dates and times.
    pub zone: String,
}

/// The runs that a schedule as typed would have.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulePreview {
    /// The rule in words.
    pub summary: String,
    /// The next runs, at most five, never none.
    pub runs: Vec<When>,
    /// The name of the time zone.
    pub zone: String,
}

/// A schedule with its next runs and its triggers, for its dashboard.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
pub struct ScheduleDetail {
    /// The schedule's id.
    pub id: ScheduleId,
    /// The schedule's name.
    pub name: String,
    /// The schedule's description.
    pub description: String,
    /// The schedule starts its tasks.
    pub is_enabled: bool,
    /// The rule in words.
    pub summary: String,
    /// The name of the time zone.
    pub zone: String,
    /// The next runs, at most five. None while the schedule is disabled, and after its last run.
    pub runs: Vec<When>,
    /// The triggers, by the names of their tasks.
    pub triggers: Vec<TriggerLine>,
}

/// A trigger as a line of a list: of a schedule's, or of a task's.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
pub struct TriggerLine {
    /// The trigger's id.
    pub id: TriggerId,
    /// The schedule's id.
    pub schedule_id: ScheduleId,
    /// The schedule's name.
    pub schedule: String,
    /// The schedule starts its tasks.
    pub is_schedule_enabled: bool,
    /// The schedule's rule in words.
    pub summary: String,
    /// The id of the task that the trigger starts.
    pub task_id: TaskId,
    /// The name of that task.
    pub task: String,
    /// The task may be started.
    pub is_task_enabled: bool,
    /// The trigger starts its task.
    pub is_enabled: bool,
    /// The next run of the schedule; `None` while the schedule is disabled, and after its last run.
    pub next: Option<When>,
}

/// The form of a new trigger.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default)]
pub struct TriggerForm {
    /// All schedules, by name.
    pub schedules: Vec<Choice>,
    /// The first tasks to choose from.
    pub tasks: FoundChoices,
    /// The schedule that is chosen.
    pub schedule: Option<Choice>,
    /// The task that is chosen.
    pub task: Option<Choice>,
}

/// The form of the console's time zone.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default)]
pub struct ZoneForm {
    /// The name of the time zone, `Europe/Berlin`.
    pub zone: String,
    /// The present time in that zone.
    pub now: When,
    /// The names of all time zones.
    pub zones: Vec<String>,
    /// The name that was stored when the form was opened.
    pub revision: String,
}
