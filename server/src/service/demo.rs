//! The content of `--demo`: a small inventory, and the three examples of the source page with a receiver on this
//! machine.
//!
//! The content is created once, in an empty installation. Each step skips what exists, since an earlier start may have
//! been interrupted, or another node may be starting. "Make something happen" submits an occurrence of an example to
//! the intake, with a key of the demo, so that it is processed as any other occurrence.

use super::{Services, account};
use crate::intake::Intake;
use crate::store::access::ApiKey;
use crate::store::object;
use crate::store::{self, catalog, event, setting, tag, task, webhook};
use app::error::{AppError, Code};
use model::access::Scope;
use model::event::EventDraft;
use model::field_error::FieldErrors;
use model::id::{ApiKeyId, CategoryId, TaskId, WebhookId};
use model::occurrence::{Batch, ObjectReference, Occurrence};
use model::tag::{CategoryDraft, TagDraft};
use model::task::TaskDraft;
use model::url::TargetUrl;
use model::webhook::WebhookDraft;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::sync::Arc;

/// The setting that says how far the content was created.
const SETTING: &str = "demo";
/// The value while the content is created: a start that finds it creates the rest.
const BEGUN: &str = "begun";
/// The value once the content was created.
const MADE: &str = "made";
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
    Ok(setting::find(db, SETTING).await?.as_deref() == Some(MADE))
}

/// Creates the content, unless there is a webhook of somebody else already. Its webhooks send to `receiver`.
pub async fn make(services: &Services, receiver: &str) -> Result<(), AppError> {
    let db = services.store.read();
    match setting::find(db, SETTING).await.map_err(failed)?.as_deref() {
        Some(MADE) => return Ok(()),
        None if !webhook::list(db).await?.is_empty() => return Ok(()),
        _ => {}
    }
    // Nothing is written for a receiver that no webhook may call.
    let refused = |reason| FieldErrors::one("demo", reason);
    let url = TargetUrl::parse(receiver).map_err(refused)?;
    services.guard.check_at_save(&url, false).await.map_err(refused)?;
    setting::insert_once(services.store.write(), SETTING, BEGUN).await.map_err(failed)?;
    for (category, type_id, tags) in
        [("Environment", "vms", ["production", "staging"]), ("Plan", "tenants", ["standard", "premium"])]
    {
        let id = make_category(services, category, type_id).await?;
        for tag in tags {
            make_tag(services, id, tag).await?;
        }
    }
    for type_id in ["vms", "tenants", "site_syncs_outgoing"] {
        make_objects(services, type_id).await?;
    }
    for example in EXAMPLES {
        make_example(services, receiver, example).await?;
    }
    match account::add_key(&services.store, &services.clock, KEY, &[Scope::Ingest]).await {
        Ok(_) | Err(account::Error::NameTaken) => {}
        Err(error) => return Err(failed(error)),
    }
    setting::put(services.store.write(), SETTING, MADE).await.map_err(failed)
}

async fn make_category(services: &Services, name: &str, type_id: &str) -> Result<CategoryId, AppError> {
    let mut draft = CategoryDraft { name: name.into(), single: "true".into(), ..CategoryDraft::default() };
    draft.types.insert(CategoryDraft::field_of(type_id), "true".into());
    let refused = match services.backend().inventory.save_category(None, draft).await {
        Ok(id) => return Ok(id),
        Err(refused) => refused,
    };
    let rows = tag::list_categories(services.store.read()).await?;
    rows.into_iter().find(|row| row.category.name == name).map(|row| row.id).ok_or(refused)
}

async fn make_tag(services: &Services, category: CategoryId, name: &str) -> Result<(), AppError> {
    let draft = TagDraft { name: name.into(), category: category.to_string() };
    let Err(refused) = services.backend().inventory.add_tag(draft).await else { return Ok(()) };
    let tags = tag::list(services.store.read()).await?;
    let is_there = tags.iter().any(|tag| tag.category_id == category && tag.name == name);
    if is_there { Ok(()) } else { Err(refused) }
}

async fn make_objects(services: &Services, type_id: &str) -> Result<(), AppError> {
    let tags = tag::list(services.store.read()).await?;
    // A category of the same name that a person has made may be for other types.
    let suits = |path: &&&str| tags.iter().any(|tag| tag.path() == **path && tag.suits(type_id));
    let objects: Vec<_> = OBJECTS
        .iter()
        .filter(|sample| sample.type_id == type_id)
        .map(|sample| ObjectReference {
            external_id: Some(sample.external_id.to_owned()),
            name: Some(sample.name.to_owned()),
            tags: Some(sample.tags.iter().filter(suits).map(|tag| (*tag).to_owned()).collect()),
            is_subject: false,
        })
        .collect();
    services.write_inventory(type_id, &objects, false).await.map(drop)
}

async fn make_webhook(services: &Services, receiver: &str, example: &Example) -> Result<WebhookId, AppError> {
    let draft = WebhookDraft {
        name: example.webhook.into(),
        url: format!("{receiver}{}", example.path),
        ..WebhookDraft::default()
    };
    let refused = match services.backend().webhooks.save(None, draft).await {
        Ok(saved) => return Ok(saved.id),
        Err(refused) => refused,
    };
    let rows = webhook::list(services.store.read()).await?;
    rows.into_iter().find(|row| row.settings.name == example.webhook).map(|row| row.id).ok_or(refused)
}

async fn make_task(services: &Services, webhook: WebhookId, example: &Example) -> Result<TaskId, AppError> {
    let draft = TaskDraft {
        name: example.task.into(),
        object: webhook.to_string(),
        message: example.message.into(),
        ..TaskDraft::new_form()
    };
    let refused = match services.backend().tasks.save(None, draft).await {
        Ok(id) => return Ok(id),
        Err(refused) => refused,
    };
    let rows = task::list(services.store.read()).await?;
    rows.into_iter().find(|row| row.task.name == example.task).map(|row| row.id).ok_or(refused)
}

async fn make_example(services: &Services, receiver: &str, example: &Example) -> Result<(), AppError> {
    let webhook = make_webhook(services, receiver, example).await?;
    let task = make_task(services, webhook, example).await?;
    // An event has no name that would refuse a second one. The change is locked, so that two nodes make one event.
    let txn = services.store.begin_change().await?;
    if !event::list_starting(&txn, task).await?.is_empty() {
        return Ok(());
    }
    let mut draft = EventDraft { event: example.event.into(), task: task.to_string(), ..EventDraft::new_form() };
    if let Some(name) = example.object {
        let found = object::find_named(&txn, "vms", &[name.to_owned()].into(), false, 1).await?;
        if let Some((row, _)) = found.values().next() {
            draft.object = row.id.to_string();
        }
    }
    let checked = draft.parse(&catalog::load(&txn).await?)?;
    event::insert(&txn, &checked, services.clock.now()).await?;
    services.commit(txn).await
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
