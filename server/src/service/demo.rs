//! The content of `--demo`: a small inventory, and the three examples of the source page with a receiver on this
//! machine.
//!
//! The content is created once, in an empty installation. "Make something happen" submits an occurrence of an example
//! to the intake, with a key of the demo, so that it is processed as any other occurrence.

use super::Services;
use crate::intake::Intake;
use crate::store::access::ApiKey;
use crate::store::object::{self, Wanted};
use crate::store::{self, setting};
use app::error::{AppError, Code};
use model::access::Scope;
use model::event::EventDraft;
use model::id::{ApiKeyId, TagId};
use model::occurrence::{Batch, ObjectReference, Occurrence};
use model::tag::{CategoryDraft, TagDraft};
use model::task::TaskDraft;
use model::webhook::WebhookDraft;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::sync::Arc;

/// The setting that says that the content was created.
const SETTING: &str = "demo";
/// The name of the demo's key.
const KEY: &str = "demo";

/// An object of the inventory, with its tags as `Category/tag`.
struct Sample {
    type_id: &'static str,
    external_id: &'static str,
    name: &'static str,
    tags: &'static [&'static str],
}

const fn sample(
    type_id: &'static str,
    external_id: &'static str,
    name: &'static str,
    tags: &'static [&'static str],
) -> Sample {
    Sample { type_id, external_id, name, tags }
}

const OBJECTS: &[Sample] = &[
    sample("vms", "vm-101", "web-01", &["Environment/production"]),
    sample("vms", "vm-102", "web-02", &["Environment/production"]),
    sample("vms", "vm-201", "build-01", &["Environment/staging"]),
    sample("vms", "vm-301", "scratch", &[]),
    sample("tenants", "tenant-7", "Adatum", &["Plan/standard"]),
    sample("tenants", "tenant-8", "Contoso", &["Plan/premium"]),
    sample("site_syncs_outgoing", "sync-1", "Corp-Nightly", &[]),
    sample("site_syncs_outgoing", "sync-2", "Lab-Hourly", &[]),
];

/// A webhook with a task and an event.
struct Example {
    webhook: &'static str,
    /// The path at the receiver.
    path: &'static str,
    task: &'static str,
    message: &'static str,
    event: &'static str,
    /// The name of the object that the event is about; `None`: any.
    object: Option<&'static str>,
}

const EXAMPLES: &[Example] = &[
    Example {
        webhook: "Chat - admin channel",
        path: "/chat/admins",
        task: "Tell the admins of a sync error",
        message: "{\"text\": \"Sync ${NAME} has failed at ${DATE}\"}",
        event: "site_syncs_outgoing.error",
        object: None,
    },
    Example {
        webhook: "Accounting - ledger",
        path: "/ledger/charges",
        task: "Charge a tenant that comes online",
        message: "{\"tenant\": \"${NAME}\", \"at\": ${TIMESTAMP}, \"reference\": ${RANDOM}}",
        event: "tenants.online",
        object: None,
    },
    Example {
        webhook: "Workflow - VM started",
        path: "/workflow/vm",
        task: "Start the workflow of web-01",
        message: "{\"vm\": \"${NAME}\", \"event\": \"${EVENT}\", \"id\": \"${ID}\"}",
        event: "vms.poweron",
        object: Some("web-01"),
    },
];

fn failed(error: impl std::fmt::Display) -> AppError {
    AppError::new(Code::Internal, format!("The demo's content could not be created: {error}."))
}

/// Returns true if the demo's content was created here.
pub(super) async fn is_there(db: &impl ConnectionTrait) -> store::Result<bool> {
    Ok(setting::find(db, SETTING).await?.is_some())
}

/// Creates the content, unless there is a webhook already. Its webhooks send to `receiver`.
pub async fn make(services: &Services, receiver: &str) -> Result<(), AppError> {
    let backend = services.backend();
    let db = services.store.read();
    if is_there(db).await.map_err(failed)? || !backend.webhooks.list().await?.is_empty() {
        return Ok(());
    }
    for (category, type_id, tags) in
        [("Environment", "vms", ["production", "staging"]), ("Plan", "tenants", ["standard", "premium"])]
    {
        let mut draft = CategoryDraft { name: category.into(), single: "true".into(), ..CategoryDraft::default() };
        draft.types.insert(CategoryDraft::field_of(type_id), "true".into());
        let id = backend.inventory.save_category(None, draft).await?;
        for tag in tags {
            let draft = TagDraft { name: tag.into(), category: id.to_string() };
            let _: TagId = backend.inventory.add_tag(draft).await?;
        }
    }
    for type_id in ["vms", "tenants", "site_syncs_outgoing"] {
        let objects: Vec<_> = OBJECTS
            .iter()
            .filter(|sample| sample.type_id == type_id)
            .map(|sample| ObjectReference {
                external_id: Some(sample.external_id.to_owned()),
                name: Some(sample.name.to_owned()),
                tags: Some(sample.tags.iter().map(|tag| (*tag).to_owned()).collect()),
                is_subject: false,
            })
            .collect();
        services.write_inventory(type_id, &objects, false).await?;
    }
    for example in EXAMPLES {
        make_example(services, receiver, example).await?;
    }
    super::account::add_key(&services.store, &services.clock, KEY, &[Scope::Ingest]).await.map_err(failed)?;
    setting::put(services.store.write(), SETTING, "made").await.map_err(failed)
}

async fn make_example(services: &Services, receiver: &str, example: &Example) -> Result<(), AppError> {
    let backend = services.backend();
    let draft = WebhookDraft {
        name: example.webhook.into(),
        url: format!("{receiver}{}", example.path),
        ..WebhookDraft::default()
    };
    let webhook = backend.webhooks.save(None, draft).await?.id;
    let draft = TaskDraft {
        name: example.task.into(),
        object: webhook.to_string(),
        message: example.message.into(),
        ..TaskDraft::new_form()
    };
    let task = backend.tasks.save(None, draft).await?;
    let mut draft = EventDraft { event: example.event.into(), task: task.to_string(), ..EventDraft::new_form() };
    if let Some(name) = example.object {
        let named = Wanted { names: [name.to_owned()].into(), ..Wanted::default() };
        let found = object::find_wanted(services.store.read(), "vms", named).await;
        if let Some((row, _)) = found.map_err(failed)?.values().next() {
            draft.object = row.id.to_string();
        }
    }
    backend.events.save(None, draft).await.map(drop)
}

/// Submits an occurrence of one of the examples, so that each press on the dashboard's command shows a delivery.
pub async fn make_something_happen(services: &Services, intake: &Intake) -> Result<(), AppError> {
    if !is_there(services.store.read()).await.map_err(failed)? {
        return Err(AppError::not_found("demo"));
    }
    let happenings = [
        ("site_syncs_outgoing", "error", "sync-1", json!({"reason": "the remote site is unreachable"})),
        ("tenants", "online", "tenant-7", json!({"plan": "standard"})),
        ("vms", "poweron", "vm-101", json!({"host": "node-1"})),
    ];
    let index = usize::from(rand::random::<u8>()) % happenings.len();
    let (type_id, event_id, id, data) = happenings[index].clone();
    let occurrence = Occurrence {
        type_id: type_id.to_owned(),
        event_id: event_id.to_owned(),
        object: Some(ObjectReference { external_id: Some(id.to_owned()), name: None, tags: None, is_subject: false }),
        external_id: None,
        source: Some("demo".to_owned()),
        time: Some(services.clock.now()),
        data: Some(data),
    };
    let scopes = vec![Scope::Ingest];
    let key =
        ApiKey { id: ApiKeyId(0), name: KEY.to_owned(), scopes, created_at: services.clock.now(), revoked_at: None };
    intake.accept(Arc::new(key), Batch::single(occurrence)).await.map(drop).map_err(failed)
}
