//! Runs: the causes that start them, and their states.

use crate::id::OccurrenceId;

/// The cause of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An occurrence for which an event fired. `None` when the occurrence is no longer retained.
    Occurrence(Option<OccurrenceId>),
    /// A schedule, by its name, that was due.
    Schedule(String),
    /// A person, by the account's name, who executes the task.
    Person(String),
    /// A person, by the account's name, who replays an earlier delivery.
    Replay(String),
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The delivery is not settled.
    Running,
    /// The delivery was sent.
    Succeeded,
    /// The delivery is settled, and was not sent.
    Failed,
    /// The run was due while nothing could start it. It has no delivery, but a note that says which runs it stands for.
    Missed,
}

impl Status {
    /// All states, in the order in which a list offers them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Succeeded, Self::Failed, Self::Missed];

    /// Returns the word in rows and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Missed => "missed",
        }
    }

    /// Returns the status with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_status_is_found_by_its_name() {
        for status in Status::ALL {
            assert_eq!(Status::find(status.as_str()), Some(status));
        }
        assert_eq!(Status::find("lost"), None);
    }
}
