//! Tasks: the actions that events start. The only action is to send a message through a webhook.

use crate::draft::{draft, switch};
use crate::field_error::FieldErrors;
use crate::id::DestinationId;
use crate::text;
use serde::{Deserialize, Serialize};

/// The most characters a task's name may have.
pub const NAME_MAX: usize = 64;
/// The most characters a description may have.
pub const DESCRIPTION_MAX: usize = 1000;
/// The most bytes a message may have before its variables are filled in.
pub const MESSAGE_MAX_BYTES: usize = 256 * 1024;

/// The only object type that a task acts on, and its only action.
const OBJECT_TYPE: &str = "webhook";
const ACTION: &str = "send";

/// A checked task, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Unique, 1 to 64 characters.
    pub name: String,
    /// The purpose. May be empty.
    pub description: String,
    /// Events may start the task.
    pub is_enabled: bool,
    /// The task is deleted after its first successful run.
    pub deletes_after_running: bool,
    /// Id of the destination.
    pub destination_id: DestinationId,
    /// action
    pub action: Action,
}
/// stub
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// x
    Webhook(WebhookSend),
    /// y
    Email(crate::email::Email),
}
impl Action {
    /// Returns the kind of destination that the action is made through.
    pub fn destination_kind(&self) -> crate::destination::Kind {
        match self { Self::Webhook(_) => crate::destination::Kind::Webhook, Self::Email(_) => crate::destination::Kind::Mailer }
    }
}
/// stub
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSend {
    /// x
    pub message: String,
}


draft! {
    /// A task as typed. Field names are those of the form and of the plain post.
    pub struct TaskDraft {
        name,
        description,
        enabled,
        delete_after_running,
        object_type = OBJECT_TYPE,
        object,
        action = ACTION,
        message,
        /// The revision the form was opened on; empty for a new task.
        revision,
    }
}

impl TaskDraft {
    /// Returns a new task as the empty form shows it.
    pub fn new_form() -> Self {
        Self { enabled: "true".into(), message: "{\"text\": \"Webhook\"}".into(), ..Self::default() }
    }

    /// Returns the draft of a stored task, as its form shows it.
    pub fn of(task: &Task, revision: i64) -> Self {
        Self {
            name: task.name.clone(),
            description: task.description.clone(),
            enabled: switch(task.is_enabled),
            delete_after_running: switch(task.deletes_after_running),
            object_type: OBJECT_TYPE.to_owned(),
            object: task.destination_id.to_string(),
            action: ACTION.to_owned(),
            message: match &task.action { Action::Webhook(s) => s.message.clone(), Action::Email(_) => String::new() },
            revision: revision.to_string(),
        }
    }

    /// Checks every field. The service checks that the webhook exists.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self) -> Result<Task, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.check("name", text::parse_name(&self.name, NAME_MAX));
        let description =
            errors.check("description", text::parse_text(&self.description, "description", DESCRIPTION_MAX));
        if self.object_type != OBJECT_TYPE {
            errors.add("object_type", "Choose Webhook: a task acts on nothing else yet.");
        }
        let webhook_id = errors.check("object", self.object.parse().map_err(|_| "Choose a webhook.".to_owned()));
        if self.action != ACTION {
            errors.add("action", "Choose Send: a webhook does nothing else.");
        }
        let message = errors.check("message", parse_message(&self.message));
        match (name, description, webhook_id, message) {
            (Some(name), Some(description), Some(webhook_id), Some(message)) if errors.is_empty() => Ok(Task {
                name,
                description,
                is_enabled: self.enabled == "true",
                deletes_after_running: self.delete_after_running == "true",
                destination_id: webhook_id,
                action: Action::Webhook(WebhookSend { message }),
            }),
            _ => Err(errors),
        }
    }
}

/// Checks a message. Only line ends change: they become LF.
fn parse_message(typed: &str) -> Result<String, String> {
    text::refuse_nul(typed)?;
    let message = text::with_line_ends(typed);
    if message.len() > MESSAGE_MAX_BYTES {
        return Err(format!("This message has {} bytes; {MESSAGE_MAX_BYTES} are the most.", message.len()));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_fields(draft: &TaskDraft) -> Vec<String> {
        match draft.parse() {
            Ok(task) => panic!("accepted {task:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn each_wrong_field_is_refused() {
        let valid = TaskDraft { name: "Tell".into(), webhook: "7".into(), ..TaskDraft::new_form() };
        assert!(valid.parse().is_ok());
        assert_eq!(wrong_fields(&TaskDraft { name: "x".repeat(65), ..valid.clone() }), ["name"]);
        assert_eq!(wrong_fields(&TaskDraft { name: String::new(), ..valid.clone() }), ["name"]);
        assert_eq!(wrong_fields(&TaskDraft { description: "x".repeat(1001), ..valid.clone() }), ["description"]);
        assert_eq!(wrong_fields(&TaskDraft { webhook: String::new(), ..valid.clone() }), ["webhook"]);
        assert_eq!(wrong_fields(&TaskDraft { webhook: "x".into(), ..valid.clone() }), ["webhook"]);
        assert_eq!(
            wrong_fields(&TaskDraft { message: "x".repeat(MESSAGE_MAX_BYTES + 1), ..valid.clone() }),
            ["message"]
        );
        assert_eq!(wrong_fields(&TaskDraft { object_type: "vm".into(), ..valid.clone() }), ["object_type"]);
        assert_eq!(wrong_fields(&TaskDraft { action: "poweron".into(), ..valid.clone() }), ["action"]);
        assert_eq!(wrong_fields(&TaskDraft { message: "a\0".into(), ..valid }), ["message"]);
    }

    #[test]
    fn edit_without_a_change_saves_the_stored_task() {
        let task = Task {
            name: "Tell".into(),
            description: "What for".into(),
            is_enabled: true,
            deletes_after_running: true,
            webhook_id: WebhookId(7),
            message: " x\n".into(),
        };
        assert_eq!(TaskDraft::of(&task, 3).parse(), Ok(task));
    }

    #[test]
    fn description_at_its_limit_is_taken_with_wasm_and_without() {
        let lines = vec!["x".repeat(99); 10].join("\n") + "x";
        let draft = |description: String| TaskDraft {
            name: "t".into(),
            webhook: "1".into(),
            description,
            ..TaskDraft::default()
        };
        assert_eq!(lines.len(), DESCRIPTION_MAX);
        assert_eq!(draft(lines.clone()).parse(), draft(lines.replace('\n', "\r\n")).parse());
        assert!(draft(lines).parse().is_ok());
    }

    #[test]
    fn message_keeps_its_bytes_but_for_the_line_ends_of_a_form_post() {
        let draft =
            TaskDraft { name: "t".into(), webhook: "1".into(), message: " a\r\nb \n".into(), ..TaskDraft::default() };
        assert_eq!(draft.parse().map(|task| task.message), Ok(" a\nb \n".to_owned()));
    }
}
