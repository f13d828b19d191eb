//! Tasks: their list, their form, their dashboard, and previews of their messages.

#[cfg(feature = "ssr")]
use crate::view::destination::DestinationLink;
#[cfg(feature = "ssr")]
use crate::view::event::EventLine;
#[cfg(feature = "ssr")]
use crate::view::run::{RunDelivery, RunLine};
#[cfg(feature = "ssr")]
use crate::view::schedule::TriggerLine;
use crate::view::{Choice, FoundChoices};
#[cfg(feature = "ssr")]
use model::email::Mailbox;
#[cfg(feature = "ssr")]
use model::id::TaskId;
#[cfg(feature = "ssr")]
use model::preview::{EmailPreview, Preview};
#[cfg(feature = "ssr")]
use model::run;
#[cfg(feature = "ssr")]
use model::task::Action;
use model::task::TaskDraft;
use serde::{Deserialize, Serialize};

/// A row of the task list.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub name: String,
    /// The task's description.
    pub description: String,
    /// Events may start the task.
    pub is_enabled: bool,
    /// The object that the task acts on.
    pub destination: DestinationLink,
    /// The number of events that start the task.
    pub events: u32,
}

/// A task that another page leads to.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
pub struct TaskLink {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub name: String,
    /// Events may start the task.
    pub is_enabled: bool,
}

/// The task form: of a stored task, or of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskForm {
    /// The stored name, for the breadcrumbs; empty for a new task.
    pub name: String,
    /// The fields.
    pub draft: TaskDraft,
    /// The first webhooks to choose from.
    pub webhooks: FoundChoices,
    /// The mail server, if there is one.
    pub mailers: FoundChoices,
    /// The object that is chosen.
    pub object: Option<Choice>,
    /// Past occurrences to preview with: public id and label.
    pub occurrences: Vec<Choice>,
}

/// The message of an unsaved task as it would be sent.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previewed {
    /// The body of a request.
    Request(Preview),
    /// An e-mail.
    Email(Box<PreviewedEmail>),
}

/// An unsaved e-mail as it would be sent.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreviewedEmail {
    /// The sender's address; empty where there is none yet.
    pub from_address: String,
    /// The sender's name where the e-mail has none. May be empty.
    pub default_name: String,
    /// Each list of recipients that is not empty, with its label and its addresses. `None` while the list cannot be read.
    pub recipients: Vec<(&'static str, Option<Vec<Mailbox>>)>,
    /// The texts with their values.
    pub texts: EmailPreview,
}

/// A task with its triggers and history, for its dashboard.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct TaskDetail {
    pub id: TaskId,
    pub name: String,
    pub description: String,
    pub is_enabled: bool,
    pub deletes_after_running: bool,
    pub is_running: bool,
    /// `None` when the object does not exist any more.
    pub destination: Option<DestinationLink>,
    pub action: Action,
    pub events: Vec<EventLine>,
    /// The schedules that start the task, by name.
    pub schedules: Vec<TriggerLine>,
    pub runs: Vec<RunLine>,
    pub run_count: u64,
}

#[cfg(feature = "ssr")]
impl TaskDetail {
    /// Returns the delivery that failed in the newest run, if that run failed. A missed run has no outcome.
    pub fn failure(&self) -> Option<&RunDelivery> {
        let newest = self.runs.iter().find(|run| run.status != Some(run::Status::Missed))?;
        let newest = Some(newest).filter(|run| run.status == Some(run::Status::Failed))?;
        newest.deliveries.iter().find(|delivery| delivery.error.is_some())
    }
}
