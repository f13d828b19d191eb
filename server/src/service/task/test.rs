//! A test of the message of an unsaved task, through its stored object.

use super::object_of;
use super::preview::{SAMPLE, sample_task, unsendable};
use crate::clock::new_uuid;
use crate::engine::render;
use crate::outbound::mail;
use crate::service::Services;
use crate::store::destination::Destination;
use app::error::AppError;
use app::view::destination::Tested;
use model::email;
use model::field_error::FieldErrors;
use model::task::{Action, TaskDraft};

impl Services {
    /// Sends the message about a sample. An e-mail goes to `recipient` instead of its own recipients.
    pub(super) async fn test_message(&self, draft: TaskDraft, recipient: &str) -> Result<Tested, AppError> {
        if !draft.is_email() {
            let id = draft.object.parse().map_err(|_| FieldErrors::one("object", "Choose a webhook."))?;
            return self.test_as_saved(id, &draft.message).await.map(Tested::Webhook);
        }
        let TaskDraft { object_type, object, from_address, from_name, subject, body, .. } = draft;
        let (name, to) = ("Test".to_owned(), recipient.to_owned());
        let of_email =
            TaskDraft { name, object_type, object, from_address, from_name, to, subject, body, ..TaskDraft::default() };
        let task = of_email.parse()?;
        let (Action::Email(email), Destination::Mailer(row)) =
            (&task.action, object_of(self.store.pages(), &task).await?)
        else {
            return Err(FieldErrors::one("object", "Choose a mail server.").into());
        };
        if email.to.len() > 1 {
            return Err(FieldErrors::one("to", "A test goes to one address.").into());
        }
        mail::check(email)?;
        let now = self.clock.now();
        let (date, id) = (render::date(now, &self.zone.get()), new_uuid(now).to_string());
        let sample = sample_task(&task.name);
        let variables = SAMPLE.variables(now, &date, &sample, &id);
        let rendered = email::render(email, &variables, &mut rand::random::<u32>).map_err(unsendable)?;
        self.send_once(row, email, &rendered).await.map(Tested::Mail)
    }
}
