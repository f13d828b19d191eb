//! What pages show: rows of the store as lines a person may read.

use super::Services;
use super::answer::readable;
use crate::outbound::request;
use crate::outbound::secrets::Secrets;
use crate::outbound::send::Outgoing;
use crate::store::delivery::ListRow;
use crate::store::search::{Filter, RunRow, Sort};
use crate::store::{
    catalog, delivery, entity, event, figures, object, occurrence, revision, search, tag, task, webhook,
};
use app::error::AppError;
use app::view::delivery::{AttemptLine, DeliveryDetail, DeliveryLine, DeliveryQuery, Request};
use app::view::event::{EventLine, EventLink};
use app::view::inventory::{CarriedTag, CategoryLine, ObjectLine, TagLine};
use app::view::run::{RunDelivery, RunLine};
use app::view::task::{TaskDetail, TaskLink};
use app::view::webhook::{Failing, HeldCount, ShownHeader, WebhookDetail, WebhookState};
use app::view::{Listed, PAGE_ROWS};
use model::catalog::Catalog;
use model::delivery::{HoldReason, Status};
use model::header::{HeaderRow, MASK};
use model::id::{DeliveryId, OccurrenceId, RunId, TaskId, WebhookId};
use model::message::Note;
use model::text::{shown, visible};
use model::time::Timestamp;
use reqwest::Url;
use secrecy::SecretString;
use std::collections::HashMap;
use uuid::Uuid;

pub(super) const HOUR_MS: i64 = 3_600_000;
/// How many lines a dashboard shows of something.
pub(super) const SHORT: u64 = 10;
/// The setting that says the demo's content was made.
pub(crate) const DEMO: &str = "demo";

fn small(number: Option<i64>) -> Option<u32> {
    number.map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// A stored note as a sentence.
fn note_words(line: &str) -> Option<String> {
    Some(match Note::from_line(line)? {
        Note::Absent(path) => {
            let dot = if path.starts_with('[') { "" } else { "." };
            format!("The occurrence has nothing at data{dot}{}: an empty value stands there.", shown(&path))
        }
        Note::NoVariable(name) => {
            format!("${{{}}} is no variable: it stands in the message as it was typed.", shown(&name))
        }
        Note::AsItIs => {
            "A value has quotes, line ends or the like, and no rule is known for the webhook's content type: it \
                         stands in the message as it is."
                .to_owned()
        }
        Note::More => "There are more such notes.".to_owned(),
    })
}

impl Services {
    pub(super) fn line(&self, row: ListRow, catalog: &Catalog) -> DeliveryLine {
        DeliveryLine {
            uuid: row.uuid.to_string(),
            status: Status::find(&row.status).unwrap_or(Status::Error),
            hold: row.hold_reason.as_deref().and_then(HoldReason::find),
            created: self.when(Timestamp(row.created_at)),
            webhook_id: WebhookId(row.webhook_id),
            webhook: row.webhook_name,
            task: row.task_name,
            event: catalog.event_label(&row.type_id, &row.event_id).to_owned(),
            object: shown(&row.object_name.unwrap_or_default()),
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            http_status: row.http_status.and_then(|status| u16::try_from(status).ok()),
            duration_ms: small(row.duration_ms),
            // The first attempt is due at once: nobody waits for it by the clock.
            next: row.next_attempt_at.filter(|_| row.attempts > 0).map(|at| self.when(Timestamp(at))),
            error: row.error,
        }
    }

    pub(super) async fn search_deliveries(&self, query: DeliveryQuery) -> Result<Listed<DeliveryLine>, AppError> {
        let db = self.store.pages();
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let hours = match query.since.as_str() {
            "1h" => Some(1),
            "24h" => Some(24),
            "7d" => Some(168),
            _ => None,
        };
        let http_status = query.result.trim().parse().ok();
        let filter = Filter {
            status: Status::find(&query.status),
            since: hours.map(|hours| Timestamp(self.clock.now().0 - hours * HOUR_MS)),
            webhook: given(&query.webhook),
            task: given(&query.task),
            event: given(&query.event),
            object: given(&query.object),
            error_code: if http_status.is_some() { None } else { given(&query.result) },
            http_status,
        };
        let (key, is_descending) = query.sort.strip_prefix('-').map_or((query.sort.as_str(), false), |key| (key, true));
        let sort = match key {
            "attempts" => (Sort::Attempts, is_descending),
            "duration" => (Sort::Duration, is_descending),
            "time" => (Sort::Time, is_descending),
            _ => (Sort::Time, true),
        };
        let offset = query.page.saturating_sub(1) * PAGE_ROWS;
        let is_quick = filter.is_quick() && sort.0 == Sort::Time;
        let found = if is_quick {
            search::deliveries(db, &filter, sort, offset, PAGE_ROWS).await
        } else {
            let search = search::deliveries(self.store.searches(), &filter, sort, offset, PAGE_ROWS);
            self.store.search(search).await
        };
        let (rows, total) = found?;
        let catalog = catalog::load(db).await?;
        Ok(Listed { rows: rows.into_iter().map(|row| self.line(row, &catalog)).collect(), total })
    }

    pub(super) async fn newest_of(&self, webhook_id: WebhookId) -> Result<Vec<DeliveryLine>, AppError> {
        let db = self.store.pages();
        let rows = delivery::list_newest(db, Some(webhook_id), SHORT).await?;
        let catalog = catalog::load(db).await?;
        Ok(rows.into_iter().map(|row| self.line(row, &catalog)).collect())
    }

    pub(super) async fn webhook_detail(&self, id: WebhookId) -> Result<WebhookDetail, AppError> {
        let db = self.store.pages();
        let row = webhook::find(db, id).await?.ok_or_else(|| AppError::not_found("webhook"))?;
        let tasks = task::list_using(db, id).await?;
        let counts = figures::held_by_reason(db, id).await?;
        let open = row.hold.breaker.open;
        let held = |(word, count): (String, u64)| Some(HeldCount { reason: HoldReason::find(&word)?, count });
        let link = |row: task::Row| TaskLink { id: row.id, name: row.task.name, is_enabled: row.task.is_enabled };
        Ok(WebhookDetail {
            id,
            revision: row.revision,
            state: WebhookState {
                paused: row.hold.paused_at.map(|at| self.when(at)),
                failing: open.map(|open| Failing { since: self.when(open.since), probe: self.when(open.probe_at) }),
                releasing_per_second: row.hold.release_per_second,
                held: counts.into_iter().filter_map(held).collect(),
            },
            tasks: tasks.into_iter().map(link).collect(),
            deliveries: self.newest_of(id).await?,
            url: self.shown_url(row.url.as_str()),
            method: row.method.as_str().to_owned(),
            is_signing: row.signing_secret.is_some(),
            in_clear: super::webhook::plain_secrets(&row.headers).map(str::to_owned).collect(),
            headers: self.shown_headers(row.headers).0.into_iter().map(shown_header).collect(),
            name: row.name,
            authorization: row.authorization,
            allows_insecure_tls: row.allows_insecure_tls,
            timeout_s: row.timeout.as_secs(),
            retries: row.retries,
        })
    }

    pub(super) async fn task_detail(&self, id: TaskId) -> Result<TaskDetail, AppError> {
        let db = self.store.pages();
        let row = task::find(db, id).await?.ok_or_else(|| AppError::not_found("task"))?;
        let webhook = webhook::find(db, row.task.webhook_id).await?;
        let catalog = catalog::load(db).await?;
        let events = event::list_starting(db, id).await?;
        let scopes = super::event::Scopes::load(db, events.iter().map(|row| row.event.scope)).await?;
        let line = |row: event::Row| EventLine {
            id: row.id,
            label: catalog.event_label(&row.event.type_id, &row.event.event_id).to_owned(),
            type_label: catalog.type_label(&row.event.type_id).to_owned(),
            scope: scopes.words(row.event.scope),
            is_enabled: row.event.is_enabled,
        };
        let (runs, run_count) = search::runs(db, Some(id), None, None, 0, SHORT).await?;
        Ok(TaskDetail {
            id,
            is_enabled: row.task.is_enabled,
            deletes_after_running: row.task.deletes_after_running,
            is_running: runs.iter().any(|run| run.status == "running"),
            webhook_id: row.task.webhook_id,
            webhook: webhook.map(|webhook| webhook.name).unwrap_or_default(),
            events: events.into_iter().map(line).collect(),
            runs: self.run_lines(runs, &catalog).await?,
            run_count,
            name: row.task.name,
            description: row.task.description,
            message: row.task.message,
        })
    }

    pub(super) async fn list_runs(&self, name: &str, status: &str, page: u64) -> Result<Listed<RunLine>, AppError> {
        let db = self.store.pages();
        let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
        let offset = page.saturating_sub(1) * PAGE_ROWS;
        let (name, status) = (given(name), given(status));
        let found = if name.is_none() && status.is_none() {
            search::runs(db, None, None, None, offset, PAGE_ROWS).await
        } else {
            let searches = self.store.searches();
            let search = search::runs(searches, None, name.as_deref(), status.as_deref(), offset, PAGE_ROWS);
            self.store.search(search).await
        };
        let (rows, total) = found?;
        let catalog = catalog::load(db).await?;
        Ok(Listed { rows: self.run_lines(rows, &catalog).await?, total })
    }

    async fn run_lines(&self, rows: Vec<RunRow>, catalog: &Catalog) -> Result<Vec<RunLine>, AppError> {
        let db = self.store.pages();
        let ids: Vec<_> = rows.iter().map(|run| RunId(run.id)).collect();
        let mut deliveries: HashMap<i64, Vec<RunDelivery>> = HashMap::new();
        for row in delivery::list_of_runs(db, &ids).await? {
            let status = Status::find(&row.status).unwrap_or(Status::Error);
            let delivery = RunDelivery { uuid: row.uuid.to_string(), status, error: row.error };
            deliveries.entry(row.run_id).or_default().push(delivery);
        }
        let mut lines = Vec::with_capacity(rows.len());
        for run in rows {
            let occurrence = match run.occurrence_id {
                Some(id) => occurrence::find_by_id(db, OccurrenceId(id)).await?,
                None => None,
            };
            lines.push(RunLine {
                id: RunId(run.id),
                task_id: run.task_id.map(TaskId),
                cause: cause_words(&run.cause, run.caused_by.as_deref(), occurrence.as_ref(), catalog),
                occurrence: occurrence.map(|row| row.uuid.to_string()),
                started: self.when(Timestamp(run.started_at)),
                ended: run.ended_at.map(|at| self.when(Timestamp(at))),
                deliveries: deliveries.remove(&run.id).unwrap_or_default(),
                task: run.task_name,
                status: run.status,
            });
        }
        Ok(lines)
    }

    pub(super) async fn delivery_detail(&self, uuid: &str) -> Result<DeliveryDetail, AppError> {
        let not_there = || AppError::not_found("delivery");
        let db = self.store.pages();
        let uuid: Uuid = uuid.parse().map_err(|_| not_there())?;
        let row = delivery::find(db, uuid).await?.ok_or_else(not_there)?;
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
        let last_revision = attempts.last().map(|attempt| attempt.webhook_revision).filter(|revision| *revision > 0);
        let wanted = row.replay_revision.or(last_revision);
        let then = match wanted {
            Some(number) => revision::find(db, revision::Kind::Webhook, row.webhook_id, number).await?,
            None => None,
        };
        let target = match (current, then) {
            (Some(current), Some(then)) if row.replay_revision.is_some() => current.as_it_was(then),
            (Some(current), Some(then)) => current.shown_as_it_was(then),
            (Some(current), None) => Some(current.clone()),
            (None, _) => None,
        };
        let outgoing = Outgoing { id: uuid, body: &row.body };
        let request = target.map(|target| self.shown_request(&target, outgoing)).unwrap_or_default();
        let replay_of = match row.replay_of {
            Some(id) => delivery::find_by_id(db, DeliveryId(id)).await?.map(|row| row.uuid.to_string()),
            None => None,
        };
        let caused_by = run
            .as_ref()
            .filter(|run| run.cause != "occurrence")
            .map(|run| cause_words(&run.cause, run.caused_by.as_deref(), None, &catalog));
        Ok(DeliveryDetail {
            request,
            body: visible(&String::from_utf8_lossy(&row.body)),
            notes: row.notes.iter().flat_map(|notes| notes.lines()).filter_map(note_words).collect(),
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
            line: self.line(list_row(row), &catalog),
        })
    }

    /// The request as it is put on the wire, with what is secret masked.
    pub(super) fn shown_request(&self, target: &webhook::Row, outgoing: Outgoing<'_>) -> Request {
        let masked = || SecretString::from("masked".to_owned());
        let secrets = Secrets {
            authorization: target.secret.as_ref().map(|_| masked()),
            // Another key, so that nothing true is shown.
            signing: target.signing_secret.as_ref().map(|_| SecretString::from(format!("whsec_{}", "A".repeat(32)))),
            headers: serde_json::to_string(&target.headers).ok().map(SecretString::from),
        };
        let mut request = Request {
            method: target.method.as_str().to_owned(),
            url: self.shown_url(target.url.as_str()),
            headers: Vec::new(),
        };
        let Ok(url) = Url::parse(target.url.as_str()) else { return request };
        if let Ok(headers) = request::headers(target, &secrets, outgoing, self.clock.now(), &url) {
            for (name, value) in &headers {
                let name = title_case(name.as_str());
                let is_secret = value.is_sensitive()
                    || name == "Webhook-Signature"
                    || (self.is_discreet && !model::header::is_harmless(&name));
                let is_masked = is_secret || name == "Webhook-Timestamp";
                let value = if is_secret {
                    MASK.to_owned()
                } else if name == "Webhook-Timestamp" {
                    "(new for each attempt)".to_owned()
                } else {
                    String::from_utf8_lossy(value.as_bytes()).into_owned()
                };
                request.headers.push(ShownHeader { name, value, is_masked });
            }
        }
        request
    }

    fn attempt_line(&self, attempt: entity::attempt::Model) -> AttemptLine {
        let (answer, undecoded) = readable(&attempt.answer_headers, &attempt.answer_body);
        AttemptLine {
            number: u32::try_from(attempt.number).unwrap_or(u32::MAX),
            started: self.when(Timestamp(attempt.started_at)),
            duration_ms: small(Some(attempt.duration_ms)).unwrap_or_default(),
            connect_ms: small(attempt.connect_ms),
            first_byte_ms: small(attempt.first_byte_ms),
            http_status: attempt.http_status.and_then(|status| u16::try_from(status).ok()),
            code: attempt.error_code,
            error: attempt.error,
            answer_headers: visible(&self.shown_answer(&attempt.answer_headers)),
            answer_bytes: attempt.answer_body.len(),
            answer_body: visible(&answer),
            note: [attempt.answer_note, undecoded].into_iter().flatten().reduce(|one, other| one + "; " + &other),
        }
    }

    pub(super) async fn object_lines(&self, rows: Vec<object::Row>) -> Result<Vec<ObjectLine>, AppError> {
        let db = self.store.pages();
        let catalog = catalog::load(db).await?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut carried = tag::of_objects(db, &ids).await?;
        let labels: HashMap<_, _> = tag::list(db)
            .await?
            .into_iter()
            .map(|tag| (tag.id, format!("{} - {}", tag.category.name, tag.name)))
            .collect();
        let line = |row: object::Row| ObjectLine {
            id: row.id,
            type_label: catalog.type_label(&row.type_id).to_owned(),
            type_id: row.type_id,
            name: row.name,
            external_id: row.external_id.unwrap_or_default(),
            tags: carried
                .remove(&row.id)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|id| Some(CarriedTag { id, label: labels.get(&id)?.clone() }))
                .collect(),
            is_gone: row.is_gone,
        };
        Ok(rows.into_iter().map(line).collect())
    }

    pub(super) async fn category_lines(&self) -> Result<Vec<CategoryLine>, AppError> {
        let db = self.store.pages();
        let counts = tag::counts(db).await?;
        let tags = tag::list(db).await?;
        let tag_line = |tag: &tag::TagRow| TagLine {
            id: tag.id,
            name: tag.name.clone(),
            objects: counts.get(&tag.id).copied().unwrap_or_default(),
        };
        let line = |row: tag::CategoryRow| CategoryLine {
            id: row.id,
            tags: tags.iter().filter(|tag| tag.category_id == row.id).map(tag_line).collect(),
            name: row.category.name,
            description: row.category.description,
            is_single: row.category.is_single,
            type_ids: row.category.type_ids,
            revision: row.revision,
        };
        Ok(tag::list_categories(db).await?.into_iter().map(line).collect())
    }
}

/// A webhook's own header, after what is secret in it was masked.
fn shown_header(header: HeaderRow) -> ShownHeader {
    ShownHeader { is_masked: header.value == MASK, name: header.name, value: header.value }
}

fn cause_words(cause: &str, by: Option<&str>, row: Option<&entity::occurrence::Model>, catalog: &Catalog) -> String {
    let by = by.unwrap_or("somebody");
    match (cause, row) {
        ("person", _) => format!("Executed by {by}"),
        ("replay", _) => format!("Replayed by {by}"),
        (_, Some(row)) => {
            let object = row.object_name.as_ref().map(|name| format!(", {}", shown(name))).unwrap_or_default();
            let kind = catalog.event_label(&row.type_id, &row.event_id);
            format!("{}: {kind}{object}", catalog.type_label(&row.type_id))
        }
        _ => "An occurrence that is no longer kept".to_owned(),
    }
}

/// `content-type` as it goes out: `Content-Type`.
fn title_case(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let shown = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            shown
        })
        .collect()
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
