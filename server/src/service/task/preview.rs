//! Previews of messages, about a past occurrence or a sample.

use crate::clock::new_uuid;
use crate::engine::render::{self, Subject};
use crate::service::Services;
use crate::store::destination::{self, Destination};
use crate::store::occurrence;
use app::error::{AppError, Code};
use app::view::task::{Previewed, PreviewedEmail};
use model::email::parse_list;
use model::id::DestinationId;
use model::message::{Escape, Variables};
use model::preview::{preview, preview_email};
use model::task::{Action, MESSAGE_MAX_BYTES, Task, TaskDraft, WebhookSend};

/// The subject of a preview without a past occurrence.
pub(in crate::service) const SAMPLE: Subject<'static> = Subject {
    type_id: "vms",
    event_id: "poweron",
    object_name: Some("web-01"),
    object_external_id: Some("vm-101"),
    ..Subject::NOTHING
};

/// Returns a task of this name that suffices for a preview.
pub(in crate::service) fn sample_task(name: &str) -> Task {
    Task {
        name: name.to_owned(),
        description: String::new(),
        is_enabled: true,
        deletes_after_running: false,
        destination_id: DestinationId(0),
        action: Action::Webhook(WebhookSend { message: String::new() }),
    }
}

/// Returns the refusal of a message that cannot be rendered.
pub(in crate::service) fn unsendable(error: impl std::fmt::Display) -> AppError {
    AppError::new(Code::Invalid, format!("This message cannot be sent. {error}"))
}

impl Services {
    pub(super) async fn preview_message(&self, draft: &TaskDraft, occurrence: &str) -> Result<Previewed, AppError> {
        if draft.message.len().max(draft.body.len()) > MESSAGE_MAX_BYTES {
            let message = format!("A message has at most {MESSAGE_MAX_BYTES} bytes.");
            return Err(AppError::new(Code::Invalid, message));
        }
        let db = self.store.pages();
        let object = match draft.object.parse() {
            Ok(id) => destination::find(db, DestinationId(id)).await?,
            Err(_) => None,
        };
        let past = match occurrence.parse() {
            Ok(uuid) => occurrence::find(db, uuid).await?,
            Err(_) => None,
        };
        let data = past.as_ref().and_then(occurrence::Row::parse_data);
        let subject = match &past {
            Some(row) => Subject {
                type_id: &row.type_id,
                event_id: &row.event_id,
                object_id: row.object_id,
                object_name: row.object_name.as_deref(),
                object_external_id: row.object_external_id.as_deref(),
                data: data.as_ref(),
                depth: 0,
            },
            None => SAMPLE,
        };
        let now = self.clock.now();
        let task = sample_task(&draft.name);
        let (written_out, id) = (render::date(now, &self.zone.get()), new_uuid(now).to_string());
        let variables = subject.variables(now, &written_out, &task, &id);
        if draft.is_email() {
            return preview_of_email(draft, object.as_ref(), &variables).map(|one| Previewed::Email(Box::new(one)));
        }
        let content_type = match &object {
            Some(Destination::Webhook(row)) => row.settings.headers.find("content-type"),
            // No webhook is chosen yet, and most receivers expect JSON.
            _ => Some("application/json"),
        };
        let escape = Escape::for_content_type(content_type);
        preview(&draft.message, escape, &variables, &mut rand::random::<u32>)
            .map(Previewed::Request)
            .map_err(unsendable)
    }
}

fn preview_of_email(
    draft: &TaskDraft,
    object: Option<&Destination>,
    variables: &Variables<'_>,
) -> Result<PreviewedEmail, AppError> {
    let sender = match object {
        Some(Destination::Mailer(row)) => Some(&row.settings),
        _ => None,
    };
    let of_mailer = |text: Option<&String>| text.cloned().unwrap_or_default();
    let typed = draft.from_address.trim();
    let lists = [("To", &draft.to), ("CC", &draft.cc), ("BCC", &draft.bcc)];
    Ok(PreviewedEmail {
        from_address: if typed.is_empty() {
            of_mailer(sender.map(|settings| &settings.from_address))
        } else {
            typed.to_owned()
        },
        default_name: of_mailer(sender.map(|settings| &settings.from_name)),
        recipients: lists
            .into_iter()
            .filter(|(_, typed)| !typed.trim().is_empty())
            .map(|(label, typed)| (label, parse_list(typed).ok()))
            .collect(),
        texts: preview_email(draft, variables, &mut rand::random::<u32>).map_err(unsendable)?,
    })
}
