//! Triggers: each links a schedule to a task that it starts.

use crate::draft::draft;
use crate::field_error::FieldErrors;
use crate::id::{ScheduleId, TaskId};

draft! {
    /// A trigger as typed. Field names are those of the form.
    pub struct TriggerDraft {
        /// The id of the schedule.
        schedule,
        /// The id of the task.
        task,
        enabled,
    }
}

/// A checked trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// The schedule that starts the task.
    pub schedule_id: ScheduleId,
    /// The task that is started.
    pub task_id: TaskId,
    /// The trigger starts its task.
    pub is_enabled: bool,
}

impl TriggerDraft {
    /// Checks every field. The service checks that the schedule and the task exist.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self) -> Result<Trigger, FieldErrors> {
        let mut errors = FieldErrors::default();
        let schedule = errors.check("schedule", self.schedule.parse().map_err(|_| "Choose a schedule.".to_owned()));
        let task = errors.check("task", self.task.parse().map_err(|_| "Choose a task.".to_owned()));
        match (schedule, task) {
            (Some(schedule_id), Some(task_id)) => {
                Ok(Trigger { schedule_id, task_id, is_enabled: self.enabled == "true" })
            }
            _ => Err(errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigger_needs_a_schedule_and_a_task() {
        let draft = |schedule: &str, task: &str, enabled: &str| TriggerDraft {
            schedule: schedule.to_owned(),
            task: task.to_owned(),
            enabled: enabled.to_owned(),
        };
        let wrong = |draft: TriggerDraft| match draft.parse() {
            Ok(trigger) => panic!("accepted {trigger:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect::<Vec<_>>(),
        };
        assert_eq!(wrong(draft("", "", "true")), ["schedule", "task"]);
        assert_eq!(wrong(draft("1", "x", "")), ["task"]);
        let trigger = Trigger { schedule_id: ScheduleId(1), task_id: TaskId(2), is_enabled: true };
        assert_eq!(draft("1", "2", "true").parse(), Ok(trigger));
        assert_eq!(draft("1", "2", "").parse(), Ok(Trigger { is_enabled: false, ..trigger }));
    }
}
