//! Trials of forms before they are saved: a test message through a webhook as typed, and the recorded occurrences for
//! which an event as typed would have fired.

use super::Services;
use super::delivery::response::readable;
use super::occurrence::facts;
use super::webhook::missing_header;
use crate::clock::new_uuid;
use crate::engine::render;
use crate::outbound::client::Clients;
use crate::outbound::secrets::{self, Opened, Secrets};
use crate::outbound::send::{self, Outgoing};
use crate::store::{catalog, object, occurrence, tag, webhook};
use app::error::{AppError, Code};
use app::view::event::{EventMatches, MatchedOccurrence};
use app::view::webhook::{TestRequest, TestResult};
use app::view::{COUNTED, Choice};
use model::event::{Event, EventDraft, EventScope};
use model::hold::HoldState;
use model::id::{DestinationId, WebhookId};
use model::matching::{Facts, TaskFacts, judge};
use model::message::data::list_variables;
use model::number::{millis, to_u32};
use model::text::{shown, visible};
use model::time::Timestamp;
use model::webhook::{SecretChange, SecretHeader, Webhook};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The period in which matches are looked for.
const WEEK: Duration = Duration::from_hours(7 * 24);
/// The number of newest occurrences, of any kind, that are looked at.
const LOOKED_AT: u64 = 20_000;
/// The most matches that are shown.
const SHOWN: usize = 5;
/// The number of past occurrences that a preview can be made with.
const PAST: u64 = 10;

impl Services {
    pub(super) fn open_for_test(&self, row: &webhook::Row) -> Result<Secrets, AppError> {
        secrets::open_webhook(&self.vault, row).map_err(|error| {
            tracing::error!(webhook = %row.id, %error, "a secret does not open");
            AppError::new(Code::Internal, "The stored secret cannot be opened. Enter it again.")
        })
    }

    /// Returns the webhook as typed, with its secrets: the typed ones, or the stored ones where they may be kept.
    pub(super) fn as_typed(
        &self,
        checked: &Webhook,
        stored: Option<&webhook::Row>,
    ) -> Result<(webhook::Row, Secrets), AppError> {
        let keeps = [&checked.secret, &checked.signing].into_iter().any(|one| matches!(one, SecretChange::Keep))
            || checked.secret_values.iter().any(|one| matches!(one, SecretHeader::Keep(_)));
        // The stored secrets are opened only if one is kept: a secret that does not open has to be entered again, and
        // must not prevent that.
        let kept = stored.filter(|_| keeps).map(|row| self.open_for_test(row)).transpose()?.unwrap_or_default();
        let pick = |change: &SecretChange, kept: Option<secrecy::SecretString>| match change {
            SecretChange::Set(secret) => Some(secret.clone()),
            // The parser permits this only where the target is that of the stored webhook.
            SecretChange::Keep => kept,
            SecretChange::Clear => None,
        };
        let headers = checked.secret_rows(&kept.headers()).map_err(|missing| missing_header(&missing))?;
        let secrets = Secrets {
            headers: serde_json::to_string(&headers).ok().map(secrecy::SecretString::from),
            authorization: pick(&checked.secret, kept.authorization),
            signing: pick(&checked.signing, kept.signing),
        };
        let present = |secret: &Option<secrecy::SecretString>| secret.as_ref().map(|_| Vec::new());
        let row = webhook::Row {
            id: stored.map_or(WebhookId(0), |row| row.id),
            uuid: new_uuid(self.clock.now()),
            settings: checked.settings.clone(),
            secrets: webhook::SealedSecrets {
                authorization: present(&secrets.authorization),
                signing: present(&secrets.signing),
                headers: present(&secrets.headers),
            },
            revision: 0,
            hold: HoldState::default(),
            is_deleted: false,
            is_readable: true,
        };
        Ok((row, secrets))
    }

    /// Sends a test with the values as typed, and with stored secrets only where the target is the one they belong to.
    pub(super) async fn test_as_typed(
        &self,
        id: Option<WebhookId>,
        request: TestRequest,
    ) -> Result<TestResult, AppError> {
        let stored = match id {
            Some(id) => Some(self.find_webhook(id).await?),
            None => None,
        };
        let stored_rules = stored.as_ref().map(webhook::Row::stored);
        let checked = request.draft.parse(stored_rules.as_ref())?;
        self.check_target(&checked, stored.as_ref()).await?;
        let (row, secrets) = self.as_typed(&checked, stored.as_ref())?;
        self.test(&row, secrets, &request.message).await
    }

    /// Sends a test through a webhook as it is stored.
    pub(super) async fn test_as_saved(&self, id: WebhookId, message: &str) -> Result<TestResult, AppError> {
        let row = self.find_webhook(id).await?;
        let secrets = self.open_for_test(&row)?;
        self.test(&row, secrets, message).await
    }

    async fn test(&self, row: &webhook::Row, secrets: Secrets, message: &str) -> Result<TestResult, AppError> {
        let escape_by = row.settings.headers.find("content-type").map(str::to_owned);
        let body = self.sample_message(message, escape_by.as_deref())?;
        let uuid = new_uuid(self.clock.now());
        let outgoing = Outgoing { id: uuid, body: body.as_bytes(), recipients: &[] };
        // A test has clients of its own: the system's certificates may have changed since the cached clients read them.
        let clients = Clients::new(self.guard.clone(), Duration::ZERO, 1);
        let never = CancellationToken::new();
        let attempted =
            Box::pin(send::send(&self.clock, &clients, &Opened::Webhook(row, secrets), outgoing, &never)).await;
        let attempted = attempted.map_err(|_| {
            AppError::new(Code::Unavailable, "This machine has no open files or memory left. Try again soon.")
        })?;
        let shown = self.shown_request(row, outgoing);
        let to_millis = |took: Duration| to_u32(took.as_millis());
        Ok(TestResult {
            target: format!("{} {}", shown.method, shown.url),
            headers: shown.headers,
            body: if row.settings.method == model::webhook::Method::Get { String::new() } else { body },
            status_code: attempted.status_code,
            error: attempted.error,
            response_headers: visible(&attempted.response_headers),
            response_body: visible(&readable(&attempted.response_headers, &attempted.response_body).0),
            duration_ms: to_millis(attempted.duration),
            connect_ms: attempted.connect.map(to_millis),
        })
    }

    fn sample_message(&self, message: &str, content_type: Option<&str>) -> Result<String, AppError> {
        let now = self.clock.now();
        let (date, id) = (render::date(now, &self.zone.get()), new_uuid(now).to_string());
        let task = super::task::preview::sample_task("Test");
        let variables = super::task::preview::SAMPLE.variables(now, &date, &task, &id);
        let rendered = render::body(message, content_type, &variables);
        rendered.map(|rendered| rendered.body).map_err(super::task::preview::unsendable)
    }

    /// Returns past occurrences for a preview.
    pub(super) async fn past_occurrences(&self) -> Result<Vec<Choice>, AppError> {
        let db = self.store.pages();
        let catalog = catalog::load(db).await?;
        let choice = |row: occurrence::Row| {
            let object = row.object_name.as_ref().map(|name| format!(", {}", shown(name))).unwrap_or_default();
            let kind = catalog.event_label(&row.type_id, &row.event_id);
            let when = self.when(row.received_at).short;
            Choice { value: row.uuid.to_string(), label: format!("{when} {kind}{object}") }
        };
        Ok(occurrence::list_newest(db, PAST).await?.into_iter().map(choice).collect())
    }

    /// Returns the variables that the data of a past occurrence offers, each with its value.
    pub(super) async fn variables_of(&self, uuid: &str) -> Result<Vec<Choice>, AppError> {
        let Ok(uuid) = uuid.parse() else { return Ok(Vec::new()) };
        let row = occurrence::find(self.store.pages(), uuid).await?;
        let data = row.and_then(|row| row.parse_data());
        let variables = data.as_ref().map(list_variables).unwrap_or_default();
        Ok(variables.into_iter().map(|(value, label)| Choice { value, label: visible(&label) }).collect())
    }

    pub(super) async fn matched_by(&self, draft: &EventDraft) -> Result<EventMatches, AppError> {
        let db = self.store.pages();
        let catalog = catalog::load(db).await?;
        // The task that the event starts does not matter here.
        let checked = EventDraft { task: "0".into(), ..draft.clone() }.parse(&catalog)?;
        let has_objects = catalog.find(&checked.type_id).is_some_and(|object_type| object_type.has_objects);
        let objects = if has_objects { Some(self.count_in_scope(&checked).await?) } else { None };
        let since = Timestamp(self.clock.now().0 - millis(WEEK));
        let event = Event { is_enabled: true, ..checked };
        let (mut newest, mut occurrences) = (Vec::new(), 0);
        let visit = |row: occurrence::Row| {
            if row.received_at < since || !would_fire(&event, &row) {
                return;
            }
            occurrences += 1;
            if newest.len() < SHOWN {
                newest.push(MatchedOccurrence {
                    id: row.uuid.to_string(),
                    received: self.when(row.received_at),
                    object: shown(row.object_name.as_deref().unwrap_or_default()),
                });
            }
        };
        let kind = (event.type_id.as_str(), event.event_id.as_str());
        let looked = occurrence::visit_newest(self.store.searches(), kind, LOOKED_AT, visit);
        let beyond = self.store.search(looked).await?;
        let among = beyond.is_some_and(|received| received >= since).then_some(LOOKED_AT);
        Ok(EventMatches { objects, newest, occurrences, among })
    }

    /// Returns the number of objects that an event is about now, counted up to one more than [`COUNTED`].
    async fn count_in_scope(&self, event: &Event) -> Result<u64, AppError> {
        let db = self.store.pages();
        let type_id = &event.type_id;
        match event.scope {
            EventScope::Any => object::count_of(db, type_id, COUNTED + 1).await.map_err(AppError::from),
            EventScope::Tag(id) => tag::count_objects(db, id, type_id, COUNTED + 1).await.map_err(AppError::from),
            EventScope::Object(id) => {
                let row = object::find(db, id).await?;
                Ok(u64::from(row.is_some_and(|row| row.type_id == event.type_id && !row.is_gone)))
            }
        }
    }
}

fn would_fire(event: &Event, row: &occurrence::Row) -> bool {
    let data = row.parse_data();
    // The rules against loops depend on the webhook of the task, which is not known yet.
    let facts = Facts { about_destination: None, depth: 0, ..facts(row, data.as_ref()) };
    judge(event, TaskFacts { is_enabled: true, destination_id: DestinationId(0) }, &facts).is_ok()
}
