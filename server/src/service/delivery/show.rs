//! One delivery: its request, its attempts with their responses, and its cause.

use super::response::readable;
use super::{last_revision, mail, not_found, parse_uuid, shown_millis};
use crate::outbound::send::Outgoing;
use crate::service::Services;
use crate::service::run::cause_text;
use crate::store::delivery::{AttemptRow, Row};
use crate::store::destination::{self, Destination};
use crate::store::{catalog, delivery, event, occurrence, revision, run, task, webhook};
use app::error::AppError;
use app::view::delivery::{AttemptLine, DeliveryDetail, Request};
use app::view::event::EventLink;
use model::destination::Kind;
use model::message::Note;
use model::number::to_u32;
use model::run::Cause;
use model::text::{shown, visible};

impl Services {
    pub(super) async fn delivery_detail(&self, uuid: &str) -> Result<DeliveryDetail, AppError> {
        let db = self.store.pages();
        let uuid = parse_uuid(uuid)?;
        let row = delivery::find(db, uuid).await?.ok_or_else(not_found)?;
        let attempts = delivery::list_attempts(db, row.id).await?;
        let catalog = catalog::load(db).await?;
        let run = run::find(db, row.id.into()).await?;
        let cause = run.as_ref().and_then(|run| run.cause.as_ref());
        let occurrence = match cause {
            Some(Cause::Occurrence(Some(id))) => occurrence::find_by_id(db, *id).await?,
            _ => None,
        };
        let event_ids = run.as_ref().map(|run| run.event_ids.iter().map(|id| id.0).collect());
        let events = event::find_many(db, event_ids.unwrap_or_default()).await?;
        let task = run.as_ref().and_then(|run| run.task_id);
        let task = task::list_existing(db, task.into_iter()).await?.into_iter().next();
        let link = |row: event::Row| EventLink {
            id: row.id,
            label: catalog.event_label(&row.event.type_id, &row.event.event_id).to_owned(),
        };
        let id = row.line.destination_id;
        let current = destination::find_many(db, vec![id.0]).await?.remove(&id);
        let request = match &current {
            Some(Destination::Webhook(webhook)) => {
                let target = self.target_of(&row, webhook, last_revision(&attempts)).await?;
                let outgoing = Outgoing { id: uuid, body: &row.body, recipients: &[] };
                target.map(|target| self.shown_request(&target, outgoing)).unwrap_or_default()
            }
            _ => Request::default(),
        };
        let sender = match &current {
            Some(Destination::Mailer(mailer)) => Some(mailer.settings.from_address.clone()),
            _ => None,
        };
        let mail = (row.line.kind == Kind::Mailer).then(|| mail::readable(&row.body, sender));
        let replay_of = match row.replay.of {
            Some(id) => delivery::find_uuid(db, id).await?.map(|uuid| uuid.to_string()),
            None => None,
        };
        let caused_by = cause
            .filter(|cause| !matches!(cause, Cause::Occurrence(_)))
            .map(|cause| cause_text(Some(cause), None, &catalog));
        Ok(DeliveryDetail {
            request,
            body: if mail.is_none() { visible(&String::from_utf8_lossy(&row.body)) } else { String::new() },
            mail,
            notes: row.notes.iter().map(note_text).collect(),
            attempts: attempts.into_iter().map(|attempt| self.attempt_line(attempt)).collect(),
            attempts_max: current.as_ref().map_or(1, |current| current.retries() + 1),
            timeout_ms: current.as_ref().map_or(5000, |current| to_u32(current.timeout().as_millis())),
            occurrence: occurrence.map(|row| row.uuid.to_string()),
            events: events.into_iter().map(link).collect(),
            task_id: task,
            caused_by,
            replay_of,
            is_destination_deleted: current.is_none_or(|current| current.is_deleted()),
            recipients: row.recipients,
            code: row.error_code.clone(),
            line: self.delivery_line(row.line, &catalog),
        })
    }

    /// Returns the webhook as of the revision that a replay names, or else of the last attempt, or else as it is now.
    async fn target_of(
        &self,
        row: &Row,
        current: &webhook::Row,
        last_revision: Option<i64>,
    ) -> Result<Option<webhook::Row>, AppError> {
        let then = match row.replay.revision.or(last_revision) {
            Some(number) => revision::find(self.store.pages(), revision::Kind::Webhook, current.id.0, number).await?,
            None => None,
        };
        Ok(match then {
            Some(then) if row.replay.revision.is_some() => current.as_of_revision(then),
            Some(then) => current.shown_as_of_revision(then),
            None => Some(current.clone()),
        })
    }

    fn attempt_line(&self, attempt: AttemptRow) -> AttemptLine {
        let (body, undecoded) = readable(&attempt.response_headers, &attempt.response_body);
        AttemptLine {
            number: attempt.number,
            started: self.when(attempt.started_at),
            duration_ms: shown_millis(attempt.duration),
            connect_ms: attempt.connect.map(shown_millis),
            first_byte_ms: attempt.first_byte.map(shown_millis),
            status_code: attempt.status_code,
            code: attempt.error_code,
            error: attempt.error,
            response_headers: visible(&self.shown_response_headers(&attempt.response_headers)),
            response_bytes: attempt.response_body.len(),
            response_body: visible(&body),
            note: [attempt.response_note, undecoded].into_iter().flatten().reduce(|one, other| one + "; " + &other),
        }
    }
}

/// Returns a stored note as a sentence.
fn note_text(note: &Note) -> String {
    match note {
        Note::Absent(path) => {
            let dot = if path.starts_with('[') { "" } else { "." };
            format!("The occurrence has nothing at data{dot}{}: an empty value is sent.", shown(path))
        }
        Note::NoVariable(name) => {
            format!("${{{}}} is not a variable: it is sent as typed.", shown(name))
        }
        Note::AsItIs => {
            "A value has quotes, line ends or the like, and no rule is known for the webhook's content type: it \
                         is sent as it is."
                .to_owned()
        }
        Note::More => "There are more such notes.".to_owned(),
    }
}
