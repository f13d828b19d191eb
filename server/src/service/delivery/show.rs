//! One delivery: its request, its attempts with their responses, and its cause.

use super::response::readable;
use super::{last_revision, not_found, parse_uuid, small};
use crate::outbound::send::Outgoing;
use crate::service::Services;
use crate::service::run::cause_text;
use crate::store::delivery::ListRow;
use crate::store::{catalog, delivery, entity, event, occurrence, revision, webhook};
use app::error::AppError;
use app::view::delivery::{AttemptLine, DeliveryDetail};
use app::view::event::EventLink;
use model::id::{DeliveryId, OccurrenceId, RunId, TaskId, WebhookId};
use model::message::Note;
use model::text::{shown, visible};
use model::time::Timestamp;

impl Services {
    pub(super) async fn delivery_detail(&self, uuid: &str) -> Result<DeliveryDetail, AppError> {
        let db = self.store.pages();
        let uuid = parse_uuid(uuid)?;
        let row = delivery::find(db, uuid).await?.ok_or_else(not_found)?;
        let attempts = delivery::list_attempts(db, DeliveryId(row.id)).await?;
        let catalog = catalog::load(db).await?;
        let run = occurrence::find_run(db, RunId(row.run_id)).await?;
        let occurrence = match run.as_ref().and_then(|run| run.occurrence_id) {
            Some(id) => occurrence::find_by_id(db, OccurrenceId(id)).await?,
            None => None,
        };
        let event_ids = run.as_ref().map(|run| run.event_ids.split(',').filter_map(|id| id.parse().ok()).collect());
        let events = event::find_many(db, event_ids.unwrap_or_default()).await?;
        let link = |row: event::Row| EventLink {
            id: row.id,
            label: catalog.event_label(&row.event.type_id, &row.event.event_id).to_owned(),
        };
        let webhooks = webhook::find_many(db, vec![row.webhook_id]).await?;
        let current = webhooks.get(&WebhookId(row.webhook_id));
        let target = self.target_of(&row, current, last_revision(&attempts)).await?;
        let outgoing = Outgoing { id: uuid, body: &row.body };
        let request = target.map(|target| self.shown_request(&target, outgoing)).unwrap_or_default();
        let replay_of = match row.replay_of {
            Some(id) => delivery::find_by_id(db, DeliveryId(id)).await?.map(|row| row.uuid.to_string()),
            None => None,
        };
        let caused_by = run
            .as_ref()
            .filter(|run| run.cause != "occurrence")
            .map(|run| cause_text(&run.cause, run.caused_by.as_deref(), None, &catalog));
        Ok(DeliveryDetail {
            request,
            body: visible(&String::from_utf8_lossy(&row.body)),
            notes: row.notes.iter().flat_map(|notes| notes.lines()).filter_map(note_text).collect(),
            attempts: attempts.into_iter().map(|attempt| self.attempt_line(attempt)).collect(),
            attempts_max: current.map_or(1, |webhook| webhook.retries + 1),
            timeout_ms: current.map_or(5000, |webhook| u32::try_from(webhook.timeout.as_millis()).unwrap_or(u32::MAX)),
            occurrence: occurrence.map(|row| row.uuid.to_string()),
            events: events.into_iter().map(link).collect(),
            task_id: run.as_ref().and_then(|run| run.task_id).map(TaskId),
            caused_by,
            replay_of,
            is_webhook_deleted: current.is_none_or(|webhook| webhook.is_deleted),
            code: row.error_code.clone(),
            line: self.delivery_line(list_row(row), &catalog),
        })
    }

    /// Returns the webhook as of the revision that the delivery was last sent by, or is to be sent by.
    async fn target_of(
        &self,
        row: &entity::delivery::Model,
        current: Option<&webhook::Row>,
        last_revision: Option<i64>,
    ) -> Result<Option<webhook::Row>, AppError> {
        let then = match row.replay_revision.or(last_revision) {
            Some(number) => revision::find(self.store.pages(), revision::Kind::Webhook, row.webhook_id, number).await?,
            None => None,
        };
        Ok(match (current, then) {
            (Some(current), Some(then)) if row.replay_revision.is_some() => current.as_it_was(then),
            (Some(current), Some(then)) => current.shown_as_it_was(then),
            (Some(current), None) => Some(current.clone()),
            (None, _) => None,
        })
    }

    fn attempt_line(&self, attempt: entity::attempt::Model) -> AttemptLine {
        let (body, undecoded) = readable(&attempt.answer_headers, &attempt.answer_body);
        AttemptLine {
            number: small(attempt.number),
            started: self.when(Timestamp(attempt.started_at)),
            duration_ms: small(attempt.duration_ms),
            connect_ms: attempt.connect_ms.map(small),
            first_byte_ms: attempt.first_byte_ms.map(small),
            http_status: attempt.http_status.and_then(|status| u16::try_from(status).ok()),
            code: attempt.error_code,
            error: attempt.error,
            answer_headers: visible(&self.shown_response_headers(&attempt.answer_headers)),
            answer_bytes: attempt.answer_body.len(),
            answer_body: visible(&body),
            note: [attempt.answer_note, undecoded].into_iter().flatten().reduce(|one, other| one + "; " + &other),
        }
    }
}

/// Returns a stored note as a sentence.
fn note_text(line: &str) -> Option<String> {
    Some(match Note::from_line(line)? {
        Note::Absent(path) => {
            let dot = if path.starts_with('[') { "" } else { "." };
            format!("The occurrence has nothing at data{dot}{}: an empty value is sent.", shown(&path))
        }
        Note::NoVariable(name) => {
            format!("${{{}}} is not a variable: it is sent as typed.", shown(&name))
        }
        Note::AsItIs => {
            "A value has quotes, line ends or the like, and no rule is known for the webhook's content type: it \
                         is sent as it is."
                .to_owned()
        }
        Note::More => "There are more such notes.".to_owned(),
    })
}

fn list_row(row: entity::delivery::Model) -> ListRow {
    ListRow {
        uuid: row.uuid,
        status: row.status,
        created_at: row.created_at,
        webhook_id: row.webhook_id,
        webhook_name: row.webhook_name,
        task_name: row.task_name,
        type_id: row.type_id,
        event_id: row.event_id,
        object_name: row.object_name,
        attempts: row.attempts,
        http_status: row.http_status,
        duration_ms: row.duration_ms,
        next_attempt_at: row.next_attempt_at,
        error: row.error,
        hold_reason: row.hold_reason,
    }
}
