//! Tasks: the actions that events and schedules start. An action is an object type, an object and a verb with settings.

mod email;

use crate::destination::Kind;
use crate::draft::{draft, switch};
use crate::email::Email;
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

/// The only verb of both object types.
const SEND: &str = "send";

/// The settings of an action. The variant is the object type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Webhook, *Send*.
    Webhook(WebhookSend),
    /// Email, *Send*.
    Email(Email),
}

/// The settings of *Send* for a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSend {
    /// The message, with variables.
    pub message: String,
}

impl Action {
    /// Returns the kind of the destinations that are the objects of this action.
    pub fn destination_kind(&self) -> Kind {
        match self {
            Self::Webhook(_) => Kind::Webhook,
            Self::Email(_) => Kind::Mailer,
        }
    }

    /// Returns the word of the object type in drafts and the API.
    pub fn object_type(&self) -> &'static str {
        Self::object_type_of(self.destination_kind())
    }

    /// Returns the word of the object type whose objects are the destinations of this kind.
    pub fn object_type_of(kind: Kind) -> &'static str {
        match kind {
            Kind::Webhook => "webhook",
            Kind::Mailer => "email",
        }
    }
}

/// A checked task, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Document")]
pub struct Task {
    /// Unique, 1 to 64 characters.
    pub name: String,
    /// The purpose. May be empty.
    pub description: String,
    /// Events and schedules may start the task.
    pub is_enabled: bool,
    /// The task is deleted after its first successful run.
    pub deletes_after_running: bool,
    /// Id of the object: the destination that the task sends to.
    pub destination_id: DestinationId,
    /// The action.
    pub action: Action,
}

/// A task as revisions have it: of every version.
#[derive(Deserialize)]
struct Document {
    name: String,
    description: String,
    is_enabled: bool,
    deletes_after_running: bool,
    #[serde(alias = "webhook_id")]
    destination_id: DestinationId,
    /// Absent before there were actions.
    action: Option<Action>,
    #[serde(default)]
    message: String,
}

impl From<Document> for Task {
    fn from(document: Document) -> Self {
        let Document { name, description, is_enabled, deletes_after_running, destination_id, action, message } =
            document;
        let action = action.unwrap_or(Action::Webhook(WebhookSend { message }));
        Self { name, description, is_enabled, deletes_after_running, destination_id, action }
    }
}

draft! {
    /// A task as typed. Field names are those of the form and of the plain post.
    pub struct TaskDraft {
        name,
        description,
        enabled,
        delete_after_running,
        object_type = "webhook",
        object,
        action = SEND,
        /// The settings of a webhook.
        message,
        /// The settings of an e-mail.
        from_address,
        from_name,
        to,
        cc,
        bcc,
        subject,
        body,
        /// The revision the form was opened on; empty for a new task.
        revision,
    }
}

/// The message of a new task, and of a test.
pub const MESSAGE: &str = r#"{"text": "Webhook"}"#;

impl TaskDraft {
    /// Returns a new task as the empty form shows it.
    pub fn new_form() -> Self {
        Self { enabled: "true".into(), message: MESSAGE.into(), ..Self::default() }
    }

    /// Returns the draft of a stored task, as its form shows it.
    pub fn of(task: &Task, revision: i64) -> Self {
        let mut draft = Self {
            name: task.name.clone(),
            description: task.description.clone(),
            enabled: switch(task.is_enabled),
            delete_after_running: switch(task.deletes_after_running),
            object_type: task.action.object_type().to_owned(),
            object: task.destination_id.to_string(),
            revision: revision.to_string(),
            // The fields of the other object types are those of a new form.
            ..Self::new_form()
        };
        match &task.action {
            Action::Webhook(send) => draft.message.clone_from(&send.message),
            Action::Email(email) => email::fill(email, &mut draft),
        }
        draft
    }

    /// Returns true for the draft of an e-mail.
    pub fn is_email(&self) -> bool {
        self.object_type == "email"
    }

    /// Checks every field that the object type has. The service checks that the object exists.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self) -> Result<Task, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.check("name", text::parse_name(&self.name, NAME_MAX));
        let description =
            errors.check("description", text::parse_text(&self.description, "description", DESCRIPTION_MAX));
        if !matches!(self.object_type.as_str(), "webhook" | "email") {
            errors.add("object_type", "Choose Webhook or Email: a task acts on nothing else yet.");
        }
        let missing = if self.is_email() { "Choose an object." } else { "Choose a webhook." };
        let object = errors.check("object", self.object.parse().map_err(|_| missing.to_owned()));
        if self.action != SEND {
            errors.add("action", "Choose Send: this object does nothing else.");
        }
        let action = if self.is_email() {
            email::parse(self, &mut errors).map(Action::Email)
        } else {
            let message = errors.check("message", parse_message(&self.message));
            message.map(|message| Action::Webhook(WebhookSend { message }))
        };
        match (name, description, object, action) {
            (Some(name), Some(description), Some(destination_id), Some(action)) if errors.is_empty() => Ok(Task {
                name,
                description,
                is_enabled: self.enabled == "true",
                deletes_after_running: self.delete_after_running == "true",
                destination_id,
                action,
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
    use crate::email::parse_list;

    fn wrong_fields(draft: &TaskDraft) -> Vec<String> {
        match draft.parse() {
            Ok(task) => panic!("accepted {task:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn each_wrong_field_is_refused() {
        let valid = TaskDraft { name: "Tell".into(), object: "7".into(), ..TaskDraft::new_form() };
        assert!(valid.parse().is_ok());
        assert_eq!(wrong_fields(&TaskDraft { name: "x".repeat(65), ..valid.clone() }), ["name"]);
        assert_eq!(wrong_fields(&TaskDraft { name: String::new(), ..valid.clone() }), ["name"]);
        assert_eq!(wrong_fields(&TaskDraft { description: "x".repeat(1001), ..valid.clone() }), ["description"]);
        assert_eq!(wrong_fields(&TaskDraft { object: String::new(), ..valid.clone() }), ["object"]);
        assert_eq!(wrong_fields(&TaskDraft { object: "x".into(), ..valid.clone() }), ["object"]);
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
            destination_id: DestinationId(7),
            action: Action::Webhook(WebhookSend { message: " x\n".into() }),
        };
        assert_eq!(TaskDraft::of(&task, 3).parse(), Ok(task.clone()));
        let email = Email {
            from_address: "ops@example.com".into(),
            from_name: "${NAME}".into(),
            to: parse_list("A <a@example.com>, b@example.com").expect("a list"),
            cc: parse_list("c@example.com").expect("a list"),
            bcc: Vec::new(),
            subject: "${NAME} is up".into(),
            body: " Hello\n".into(),
        };
        let task = Task { action: Action::Email(email), ..task };
        assert_eq!(TaskDraft::of(&task, 3).parse(), Ok(task));
    }

    #[test]
    fn each_wrong_field_of_an_email_is_refused() {
        let valid = TaskDraft {
            name: "Tell".into(),
            object_type: "email".into(),
            object: "7".into(),
            to: "a@example.com".into(),
            subject: "Up".into(),
            body: "Hello".into(),
            message: "x".repeat(MESSAGE_MAX_BYTES + 1),
            ..TaskDraft::default()
        };
        assert!(valid.parse().is_ok(), "the message of a webhook does not matter");
        let wrong = |change: &dyn Fn(&mut TaskDraft)| {
            let mut draft = valid.clone();
            change(&mut draft);
            wrong_fields(&draft)
        };
        assert_eq!(wrong(&|draft| draft.from_address = "ops".into()), ["from_address"]);
        assert_eq!(wrong(&|draft| draft.from_name = "a\nb".into()), ["from_name"]);
        assert_eq!(wrong(&|draft| draft.to = String::new()), ["to"]);
        assert_eq!(wrong(&|draft| draft.to = "a@example.com, b@".into()), ["to"]);
        assert_eq!(wrong(&|draft| draft.cc = "b@".into()), ["cc"]);
        assert_eq!(wrong(&|draft| draft.bcc = "b@".into()), ["bcc"]);
        assert_eq!(wrong(&|draft| draft.subject = " ".into()), ["subject"]);
        assert_eq!(wrong(&|draft| draft.subject = "a\r\nBcc: b@example.com".into()), ["subject"]);
        assert_eq!(wrong(&|draft| draft.body = "\n".into()), ["body"]);
        assert_eq!(wrong(&|draft| draft.body = "x".repeat(MESSAGE_MAX_BYTES + 1)), ["body"]);
        let many =
            |first: usize| (first..first + 501).map(|n| format!("u{n}@example.com")).collect::<Vec<_>>().join("\n");
        assert_eq!(wrong(&|draft| (draft.to, draft.cc) = (many(0), many(501))), ["to"]);
        assert_eq!(wrong(&|draft| (draft.to, draft.bcc) = (many(0) + "\n" + &many(501), "b@".into())), ["bcc", "to"]);
        assert_eq!(wrong(&|draft| draft.subject = "x".repeat(501)), ["subject"]);
        assert_eq!(wrong(&|draft| draft.from_name = "x".repeat(501)), ["from_name"]);
        assert_eq!(wrong(&|draft| draft.body = "a\0".into()), ["body"]);
        assert_eq!(
            wrong(&|draft| *draft = TaskDraft { object_type: "email".into(), ..TaskDraft::default() }),
            ["name", "object", "to", "subject", "body"]
        );
        let family = "\u{1f469}\u{200d}\u{1f467} is up";
        let subject = TaskDraft { subject: family.into(), from_name: family.into(), ..valid.clone() };
        assert!(subject.parse().is_ok(), "joiners that join are visible");
    }

    #[test]
    fn fields_of_the_other_object_type_are_ignored_and_kept() {
        let webhook = TaskDraft {
            name: "Tell".into(),
            object: "7".into(),
            to: "b@".into(),
            body: "x\0".into(),
            ..TaskDraft::new_form()
        };
        assert!(matches!(webhook.parse().map(|task| task.action), Ok(Action::Webhook(_))));
        assert_eq!((webhook.to.as_str(), webhook.body.as_str()), ("b@", "x\0"));
        let email = TaskDraft { object_type: "email".into(), ..webhook };
        assert_eq!(wrong_fields(&email), ["to", "subject", "body"]);
    }

    #[test]
    fn stored_email_is_shown_with_one_recipient_on_each_line() {
        let draft = TaskDraft {
            name: "Tell".into(),
            object_type: "email".into(),
            object: "7".into(),
            to: "\"Last, First\" <a@example.com>; b@EXAMPLE.com, A <a@example.com>".into(),
            subject: "Up".into(),
            body: "Hello".into(),
            ..TaskDraft::default()
        };
        let shown = TaskDraft::of(&draft.parse().expect("valid"), 1);
        assert_eq!(shown.to, "\"Last, First\" <a@example.com>\nb@example.com");
    }

    #[test]
    fn description_at_its_limit_is_taken_with_wasm_and_without() {
        let lines = vec!["x".repeat(99); 10].join("\n") + "x";
        let draft = |description: String| TaskDraft {
            name: "t".into(),
            object: "1".into(),
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
            TaskDraft { name: "t".into(), object: "1".into(), message: " a\r\nb \n".into(), ..TaskDraft::default() };
        let message = " a\nb \n".to_owned();
        assert_eq!(draft.parse().map(|task| task.action), Ok(Action::Webhook(WebhookSend { message })));
    }
}
