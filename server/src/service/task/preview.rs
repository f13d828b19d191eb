//! Previews of messages, from a past occurrence or from a sample.

use crate::clock::new_uuid;
use crate::engine::render::{self, Subject};
use crate::service::Services;
use crate::store::{occurrence, webhook};
use app::error::{AppError, Code};
use app::view::task::PreviewRequest;
use model::id::{DestinationId, WebhookId};
use model::message::Escape;
use model::preview::{Preview, preview};
use model::task::{Action, MESSAGE_MAX_BYTES, Task, WebhookSend};

/// The subject of a preview without a past occurrence.
pub(in crate::service) const SAMPLE: Subject<'static> = Subject {
    type_id: "vms",
    event_id: "poweron",
    object_name: Some("web-01"),
    object_external_id: Some("vm-101"),
    ..Subject::NOTHING
};

/// Returns a task of this name, as far as a preview needs one.
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

impl Services {
    pub(super) async fn preview_message(&self, request: PreviewRequest) -> Result<Preview, AppError> {
        if request.message.len() > MESSAGE_MAX_BYTES {
            let message = format!("A message has at most {MESSAGE_MAX_BYTES} bytes.");
            return Err(AppError::new(Code::Invalid, message));
        }
        let db = self.store.pages();
        let now = self.clock.now();
        let webhook = match request.webhook.parse() {
            Ok(id) => webhook::find(db, WebhookId(id)).await?,
            Err(_) => None,
        };
        let content_type = webhook.as_ref().and_then(|webhook| webhook.settings.headers.find("content-type"));
        // Before a webhook is chosen, most receivers expect JSON.
        let escape = Escape::for_content_type(webhook.as_ref().map_or(Some("application/json"), |_| content_type));
        let past = match request.occurrence.parse() {
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
        let task = sample_task(&request.task);
        let (written_out, id) = (render::date(now, &self.zone.get()), new_uuid(now).to_string());
        let variables = subject.variables(now, &written_out, &task, &id);
        preview(&request.message, escape, &variables, &mut rand::random::<u32>)
            .map_err(|error| AppError::new(Code::Invalid, format!("This message cannot be sent: {error}.")))
    }
}
