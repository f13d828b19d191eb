//! The demo's content: a small inventory, and the three examples of the source page, with a receiver on this machine.
//!
//! Made once, into an empty installation, by `--demo`. "Make something happen" posts one of the three through the intake,
//! as a key of the demo's own, so that it takes the way of every other occurrence.

use super::Services;
use super::report::DEMO;
use crate::intake::Intake;
use crate::store::access::ApiKey;
use crate::store::object::{self, Wanted};
use crate::store::setting;
use app::error::{AppError, Code};
use model::access::Scope;
use model::event::EventDraft;
use model::id::{ApiKeyId, TagId};
use model::occurrence::{Batch, ObjectReference, Occurrence};
use model::tag::{CategoryDraft, TagDraft};
use model::task::TaskDraft;
use model::webhook::WebhookDraft;
use serde_json::json;
use std::sync::Arc;

/// The name of the demo's key.
const KEY: &str = "demo";

/// Type, external id, name, tags.
const OBJECTS: &[(&str, &str, &str, &[&str])] = &[
    ("vms", "vm-101", "web-01", &["Environment/production"]),
    ("vms", "vm-102", "web-02", &["Environment/production"]),
    ("vms", "vm-201", "build-01", &["Environment/staging"]),
    ("vms", "vm-301", "scratch", &[]),
    ("tenants", "tenant-7", "Adatum", &["Plan/standard"]),
    ("tenants", "tenant-8", "Contoso", &["Plan/premium"]),
    ("site_syncs_outgoing", "sync-1", "Corp-Nightly", &[]),
    ("site_syncs_outgoing", "sync-2", "Lab-Hourly", &[]),
];

/// An example: webhook, path, task, message, event, its object's name.
struct Example {
    webhook: &'static str,
    path: &'static str,
    task: &'static str,
    message: &'static str,
    event: &'static str,
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
    AppError::new(Code::Internal, format!("The demo's content could not be made: {error}."))
}

/// Makes the content, unless there is any webhook already; `receiver` is where it sends.
pub async fn make(services: &Services, receiver: &str) -> Result<(), AppError> {
    let backend = services.backend();
    let db = services.store.read();
    if setting::find(db, DEMO).await.map_err(failed)?.is_some() || !backend.webhooks.list().await?.is_empty() {
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
            .filter(|(of_type, ..)| *of_type == type_id)
            .map(|(_, id, name, tags)| ObjectReference {
                external_id: Some((*id).to_owned()),
                name: Some((*name).to_owned()),
                tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
                is_subject: false,
            })
            .collect();
        services.write_inventory(type_id, &objects, false).await?;
    }
    for example in EXAMPLES {
        make_example(services, receiver, example).await?;
    }
    super::account::add_key(&services.store, &services.clock, KEY, &[Scope::Ingest]).await.map_err(failed)?;
    setting::put(services.store.write(), DEMO, "made").await.map_err(failed)
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
        webhook: webhook.to_string(),
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

/// Posts one of the examples' occurrences, or a power-on that nothing waits for.
pub async fn make_something_happen(services: &Services, intake: &Intake) -> Result<(), AppError> {
    if setting::find(services.store.read(), DEMO).await.map_err(failed)?.is_none() {
        return Err(AppError::not_found("demo"));
    }
    let happenings = [
        ("site_syncs_outgoing", "error", "sync-1", json!({"reason": "the remote site is unreachable"})),
        ("tenants", "online", "tenant-7", json!({"plan": "standard"})),
        ("vms", "poweron", "vm-101", json!({"host": "node-1"})),
        ("vms", "poweron", "vm-201", json!({"host": "node-2"})),
    ];
    let place = usize::from(rand::random::<u8>()) % happenings.len();
    let (type_id, event_id, id, data) = happenings[place].clone();
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
