//! Runs that a person causes: executing a task, sending a delivery again, giving one up; and previews of messages.

use super::Services;
use crate::clock::new_uuid;
use crate::render::{self, Subject};
use crate::store::delivery::{self, NewDelivery, Replay};
use crate::store::occurrence::{self, Cause, NewRun};
use crate::store::revision::{self, Kind};
use crate::store::{entity, hold, task, webhook};
use app::error::{AppError, Code};
use app::view::task::PreviewRequest;
use model::delivery::{ErrorCode, HELD_MAX, Status};
use model::id::{DeliveryId, ObjectId, RunId, TaskId, WebhookId};
use model::message::{Escape, Note};
use model::preview::{Preview, preview};
use model::task::{MESSAGE_MAX_BYTES, Task};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::Value;
use uuid::Uuid;

/// Ends those of the runs that have nothing left to wait for.
pub(super) async fn end_runs(txn: &DatabaseTransaction, mut runs: Vec<RunId>, now: Timestamp) -> Result<(), AppError> {
    runs.sort_unstable();
    runs.dedup();
    for runs in runs.chunks(500) {
        occurrence::end_settled_runs(txn, runs, now).await?;
    }
    Ok(())
}

fn not_there() -> AppError {
    AppError::not_found("delivery")
}

fn parse_uuid(text: &str) -> Result<Uuid, AppError> {
    text.parse().map_err(|_| not_there())
}

impl Services {
    pub(super) async fn execute_task(&self, id: TaskId, by: String) -> Result<String, AppError> {
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        let row = task::find(&txn, id).await?.ok_or_else(|| AppError::not_found("task"))?;
        if row.task.deletes_after_running && !task::claim(&txn, id, false, now).await? {
            let words = "This task is deleted after running, and is running already.";
            return Err(AppError::new(Code::Conflict, words));
        }
        let webhook = webhook::find(&txn, row.task.webhook_id).await?;
        let webhook = webhook.ok_or_else(|| AppError::not_found("webhook"))?;
        let run = NewRun {
            uuid: new_uuid(now),
            task_id: Some(id),
            task_name: row.task.name.clone(),
            cause: Cause::Person(by),
            event_ids: Vec::new(),
        };
        let run_id = start_run(&txn, run, now).await?;
        let date = render::date(now, &self.zone);
        let new = render::delivery(now, &date, run_id, &row.task, &webhook, &Subject::NOTHING);
        self.queue(txn, new, now).await
    }

    /// Queues one delivery of a new run. Answers its public id.
    async fn queue(&self, txn: DatabaseTransaction, mut new: NewDelivery, now: Timestamp) -> Result<String, AppError> {
        let is_held = new.hold.is_some() && new.failed.is_none();
        if is_held && hold::count_held(&txn, new.webhook_id).await? >= HELD_MAX {
            new.failed = Some((ErrorCode::HoldFull, hold::HOLD_FULL.to_owned()));
        }
        let (uuid, run_id, has_failed) = (new.uuid, new.run_id, new.failed.is_some());
        delivery::insert_many(&txn, vec![new], now).await?;
        if has_failed {
            end_runs(&txn, vec![run_id], now).await?;
        }
        self.commit_due(txn).await?;
        Ok(uuid.to_string())
    }

    pub(super) async fn replay_delivery(&self, uuid: &str, as_it_was: bool, by: String) -> Result<String, AppError> {
        let uuid = parse_uuid(uuid)?;
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        let old = delivery::find(&txn, uuid).await?.ok_or_else(not_there)?;
        if !Status::find(&old.status).is_some_and(Status::is_settled) {
            return Err(AppError::new(Code::Conflict, "This delivery is still on its way. Wait until it is settled."));
        }
        if old.error_code.as_deref() == Some(ErrorCode::TooLarge.as_str()) {
            let words = "This message was too large to be made: there is nothing to send again.";
            return Err(AppError::new(Code::Conflict, words));
        }
        let webhook = webhook::find(&txn, WebhookId(old.webhook_id)).await?;
        let Some(webhook) = webhook else {
            let words = "The webhook of this delivery was deleted: there is nowhere to send it.";
            return Err(AppError::new(Code::Conflict, words));
        };
        let (revision, hold) = if as_it_was {
            let number = revision_of(&txn, &old).await?;
            self.check_secret_headers(&txn, &webhook, number).await?;
            (Some(number), webhook.hold.reason_of_replay())
        } else {
            (None, webhook.hold.reason())
        };
        let run = NewRun {
            uuid: new_uuid(now),
            // The outcome of a replay is not the task's any more: a success deletes nothing.
            task_id: None,
            task_name: old.task_name.clone(),
            cause: Cause::Replay(by),
            event_ids: Vec::new(),
        };
        let run_id = start_run(&txn, run, now).await?;
        let new = NewDelivery {
            uuid: new_uuid(now),
            run_id,
            webhook_id: webhook.id,
            webhook_name: webhook.name.clone(),
            task_name: old.task_name,
            type_id: old.type_id,
            event_id: old.event_id,
            object_id: old.object_id.map(ObjectId),
            object_name: old.object_name,
            body: old.body,
            notes: old.notes.iter().flat_map(|notes| notes.lines()).filter_map(Note::from_line).collect(),
            failed: None,
            hold,
            depth: u32::try_from(old.depth).unwrap_or(u32::MAX),
            webhook_revision: webhook.revision,
            replay: Replay { of: Some(DeliveryId(old.id)), revision },
        };
        self.queue(txn, new, now).await
    }

    /// Refuses what would be sent with a header whose value is not stored any more.
    async fn check_secret_headers(
        &self,
        db: &impl ConnectionTrait,
        webhook: &webhook::Row,
        number: i64,
    ) -> Result<(), AppError> {
        // What cannot be read is said by the delivery, as before.
        let then = revision::find(db, Kind::Webhook, webhook.id.0, number).await.unwrap_or_default();
        let Some(then) = then.and_then(|then| webhook.as_it_was(then)) else { return Ok(()) };
        let secrets = self.open_for_test(&then)?;
        then.headers.with_secrets(&secrets.headers()).map(drop).map_err(|missing| {
            let words = format!(
                "It was sent with the secret header {}, whose value is not stored any more for that target. Replay it \
                 with the webhook of now.",
                missing.0
            );
            AppError::new(Code::Conflict, words)
        })
    }

    pub(super) async fn discard_delivery(&self, uuid: &str, by: &str) -> Result<(), AppError> {
        let uuid = parse_uuid(uuid)?;
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        let row = delivery::find(&txn, uuid).await?.ok_or_else(not_there)?;
        let runs = hold::discard_one(&txn, row.id, &format!("Given up by {by}."), now).await?;
        if runs.is_empty() {
            let words = "This delivery does not wait any more: it is being sent, or is settled.";
            return Err(AppError::new(Code::Conflict, words));
        }
        end_runs(&txn, runs, now).await?;
        self.commit(txn).await
    }

    pub(super) async fn preview_message(&self, request: PreviewRequest) -> Result<Preview, AppError> {
        if request.message.len() > MESSAGE_MAX_BYTES {
            let words = format!("A message has at most {MESSAGE_MAX_BYTES} bytes.");
            return Err(AppError::new(Code::Invalid, words));
        }
        let db = self.store.pages();
        let now = self.clock.now();
        let webhook = match request.webhook.parse() {
            Ok(id) => webhook::find(db, WebhookId(id)).await?,
            Err(_) => None,
        };
        let content_type = webhook.as_ref().and_then(|webhook| webhook.headers.find("content-type"));
        // Without a webhook yet, what most of them expect.
        let escape = Escape::for_content_type(webhook.as_ref().map_or(Some("application/json"), |_| content_type));
        let past = match request.occurrence.parse() {
            Ok(uuid) => occurrence::find(db, uuid).await?,
            Err(_) => None,
        };
        let data: Option<Value> = past.as_ref().and_then(|row| serde_json::from_str(row.data.as_deref()?).ok());
        let subject = match &past {
            Some(row) => Subject {
                type_id: &row.type_id,
                event_id: &row.event_id,
                object_id: row.object_id.map(ObjectId),
                object_name: row.object_name.as_deref(),
                object_external_id: row.object_external_id.as_deref(),
                data: data.as_ref(),
                depth: 0,
            },
            None => SAMPLE,
        };
        let task = sample_task(&request.task);
        let (written_out, id) = (render::date(now, &self.zone), new_uuid(now).to_string());
        let variables = subject.variables(now, &written_out, &task, &id);
        preview(&request.message, escape, &variables, &mut rand::random::<u32>)
            .map_err(|error| AppError::new(Code::Invalid, format!("This message cannot be sent: {error}.")))
    }
}

/// A task as far as a preview needs one.
pub(super) fn sample_task(name: &str) -> Task {
    Task {
        name: name.to_owned(),
        description: String::new(),
        is_enabled: true,
        deletes_after_running: false,
        webhook_id: WebhookId(0),
        message: String::new(),
    }
}

/// What a preview is about when nothing has happened yet.
pub(super) const SAMPLE: Subject<'static> = Subject {
    type_id: "vms",
    event_id: "poweron",
    object_name: Some("web-01"),
    object_external_id: Some("vm-101"),
    ..Subject::NOTHING
};

/// The webhook's revision by which a delivery was last sent; if it never was, that by which it was queued.
async fn revision_of(txn: &DatabaseTransaction, old: &entity::delivery::Model) -> Result<i64, AppError> {
    if let Some(revision) = old.replay_revision {
        return Ok(revision);
    }
    let attempts = delivery::list_attempts(txn, DeliveryId(old.id)).await?;
    let last = attempts.last().map(|attempt| attempt.webhook_revision).filter(|revision| *revision > 0);
    Ok(last.unwrap_or(old.webhook_revision))
}

async fn start_run(txn: &DatabaseTransaction, run: NewRun, now: Timestamp) -> Result<RunId, AppError> {
    let ids = occurrence::insert_runs(txn, vec![run], now).await?;
    ids.first().copied().ok_or_else(|| AppError::new(Code::Internal, "The run was not stored. Try again."))
}
