//! What the pages of the server post: commands on a row or on the checked rows, and their small forms.
//!
//! Each authorises, calls one use case, and answers 303 to where the result is seen; a refusal renders the page it came
//! from, with what was typed and what stands in the way.

mod selection;

use super::{Http, page};
use crate::service::demo;
use app::backend::Backend;
use app::error::{AppError, Code};
use app::session::Viewer;
use app::view::{Held, ReleaseChoice, TestAnswer};
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use model::access::Permission;
use model::catalog::{EventKindDraft, TypeDraft};
use model::id::{CategoryId, EventId, ObjectId, TagId, TaskId, WebhookId};
use model::object::ObjectDraft;
use model::tag::{CategoryDraft, TagDraft};
use selection::Selection;
use std::collections::BTreeMap;
use std::str::FromStr;

type Typed = BTreeMap<String, String>;
type Posted = Result<Form<Typed>, FormRejection>;

/// Every command's route. A test walks the list of what they need.
pub fn routes() -> Router<Http> {
    Router::new()
        .route("/webhooks/{command}", get(page::server_page).post(webhooks))
        .route("/webhooks/{id}/{command}", post(webhook))
        .route("/webhooks/{id}/test", get(page::server_page).post(test_webhook))
        .route("/tasks/{command}", get(page::server_page).post(tasks))
        .route("/tasks/{id}/{command}", post(task))
        .route("/events/{command}/all", post(events))
        .route("/deliveries/{command}", get(page::server_page).post(deliveries))
        .route("/deliveries/{id}/{command}", post(delivery))
        .route("/objects/{id}", get(page::server_page).post(object))
        .route("/tags/new", post(new_tag))
        .route("/tags/{id}/delete", post(delete_tag))
        .route("/tags/categories/new", post(new_category))
        .route("/tags/categories/{id}/delete", post(delete_category))
        .route("/types/new", post(new_type))
        .route("/types/events/new", post(new_event_kind))
        .route("/types/adopt", post(adopt_kind))
        .route("/types/{id}/delete", post(delete_type))
        .route("/types/{id}/{event}/delete", post(delete_event_kind))
        .route("/demo", post(make_something_happen))
}

/// One posted command.
struct Command {
    http: Http,
    parts: Parts,
    typed: Typed,
    /// The page it came from.
    origin: String,
}

impl Command {
    fn backend(&self) -> Backend {
        self.http.services.backend()
    }

    /// The acting account's name.
    fn by(&self) -> String {
        self.parts.extensions.get::<Viewer>().map(|viewer| viewer.name.clone()).unwrap_or_default()
    }

    fn require(&self, permission: Permission) -> Result<(), AppError> {
        let viewer = self.parts.extensions.get::<Viewer>();
        if viewer.is_some_and(|viewer| viewer.role.may(permission)) { Ok(()) } else { Err(AppError::forbidden()) }
    }

    /// The ids of the checked rows.
    fn selected<Id: FromStr>(&self) -> Result<Vec<Id>, AppError> {
        let ids = self.typed.keys().filter_map(|key| key.strip_prefix("row.")).filter_map(|id| id.parse().ok());
        let ids: Vec<_> = ids.collect();
        if ids.is_empty() {
            return Err(AppError::new(Code::Malformed, "Check the rows first that this is about."));
        }
        Ok(ids)
    }

    /// Goes where the result is, or shows the page again with the refusal.
    async fn answer(self, done: Result<String, AppError>) -> Response {
        match done {
            Ok(path) => Redirect::to(&path).into_response(),
            Err(error) => self.show(Some(error), None).await,
        }
    }

    /// Shows the page again, with what was typed and what came of it.
    async fn show(self, problem: Option<AppError>, tested: Option<TestAnswer>) -> Response {
        let (path, query) = self.origin.split_once('?').unwrap_or((&self.origin, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let posted = page::Posted { typed: self.typed, problem, tested };
        page::render_server_page(&self.http, self.parts, path, query, posted).await
    }
}

/// Reads a command, and does it.
async fn run(
    http: Http,
    parts: Parts,
    posted: Posted,
    origin: impl Into<String>,
    permission: Permission,
    act: impl AsyncFnOnce(&Command) -> Result<String, AppError>,
) -> Response {
    let Form(typed) = match posted {
        Ok(typed) => typed,
        Err(rejection) => return rejection.into_response(),
    };
    let command = Command { http, parts, typed, origin: origin.into() };
    let done = match command.require(permission) {
        Ok(()) => Box::pin(act(&command)).await,
        Err(error) => Err(error),
    };
    command.answer(done).await
}

fn parse_id<Id: FromStr>(text: &str, what: &str) -> Result<Id, AppError> {
    text.parse().map_err(|_| AppError::not_found(what))
}

fn unknown() -> AppError {
    AppError::not_found("command")
}

async fn webhooks(State(http): State<Http>, Path(command): Path<String>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/webhooks", Permission::Edit, async |this: &Command| match command.as_str() {
        "delete" => {
            let mut selection = Selection::default();
            for id in this.selected::<WebhookId>()? {
                let done = this.backend().webhooks.delete(vec![id]).await;
                if !selection.note(format!("Webhook {id}"), format!("/webhooks/{id}"), done) {
                    break;
                }
            }
            selection.finish("/webhooks?done=deleted")
        }
        _ => Err(unknown()),
    })
    .await
}

fn release_choice(typed: &Typed) -> Result<ReleaseChoice, AppError> {
    let value = |name: &str| typed.get(name).map(String::as_str).unwrap_or_default();
    let held = match value("held") {
        "all" => Held::All,
        "newest" => Held::Newest,
        "none" => Held::None,
        _ => return Err(AppError::new(Code::Malformed, "Choose which of the held deliveries go on.")),
    };
    let per_second = match value("per_second") {
        "" => None,
        text => Some(text.parse().map_err(|_| AppError::new(Code::Malformed, "Choose how fast they go."))?),
    };
    Ok(ReleaseChoice { held, per_second })
}

async fn webhook(
    State(http): State<Http>,
    Path((id, command)): Path<(String, String)>,
    parts: Parts,
    posted: Posted,
) -> Response {
    let origin = format!("/webhooks/{id}");
    run(http, parts, posted, origin.clone(), Permission::Edit, async |this: &Command| {
        let id: WebhookId = parse_id(&id, "webhook")?;
        let webhooks = this.backend().webhooks;
        let word = match command.as_str() {
            "pause" => webhooks.pause(id).await.map(|()| "paused"),
            "resume" => webhooks.resume(id, release_choice(&this.typed)?).await.map(|()| "resumed"),
            "confirm" => {
                let seen = this.typed.get("revision").and_then(|text| text.parse().ok());
                let seen = seen.ok_or_else(|| AppError::new(Code::Malformed, "The form has lost its revision."))?;
                webhooks.confirm_target(id, seen, release_choice(&this.typed)?).await.map(|()| "confirmed")
            }
            "delete" => return webhooks.delete(vec![id]).await.map(|()| "/webhooks?done=deleted".to_owned()),
            _ => Err(unknown()),
        };
        word.map(|word| format!("{origin}?done={word}"))
    })
    .await
}

/// A test through a stored webhook: the page again, with what came of it.
async fn test_webhook(State(http): State<Http>, Path(id): Path<String>, parts: Parts, posted: Posted) -> Response {
    let Form(typed) = match posted {
        Ok(typed) => typed,
        Err(rejection) => return rejection.into_response(),
    };
    let command = Command { http, parts, typed, origin: format!("/webhooks/{id}/test") };
    let test = async {
        command.require(Permission::Edit)?;
        let message = command.typed.get("message").cloned().unwrap_or_default();
        command.backend().webhooks.send_saved_test(parse_id(&id, "webhook")?, message).await
    };
    match Box::pin(test).await {
        Ok(answer) => command.show(None, Some(answer)).await,
        Err(error) => command.show(Some(error), None).await,
    }
}

async fn tasks(State(http): State<Http>, Path(command): Path<String>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/tasks", Permission::Edit, async |this: &Command| {
        let tasks = this.backend().tasks;
        let mut selection = Selection::default();
        for id in this.selected::<TaskId>()? {
            let done = match command.as_str() {
                "delete" => tasks.delete(vec![id]).await,
                "enable" => tasks.set_enabled(vec![id], true).await,
                "disable" => tasks.set_enabled(vec![id], false).await,
                _ => return Err(unknown()),
            };
            if !selection.note(format!("Task {id}"), format!("/tasks/{id}"), done) {
                break;
            }
        }
        selection.finish(&format!("/tasks?done={command}d"))
    })
    .await
}

async fn task(
    State(http): State<Http>,
    Path((id, command)): Path<(String, String)>,
    parts: Parts,
    posted: Posted,
) -> Response {
    let origin = format!("/tasks/{id}");
    run(http, parts, posted, origin.clone(), Permission::Edit, async |this: &Command| {
        let id: TaskId = parse_id(&id, "task")?;
        let tasks = this.backend().tasks;
        let word = match command.as_str() {
            "execute" => tasks.execute(id, this.by()).await.map(|_| "executed"),
            "enable" => tasks.set_enabled(vec![id], true).await.map(|()| "enabled"),
            "disable" => tasks.set_enabled(vec![id], false).await.map(|()| "disabled"),
            "delete" => return tasks.delete(vec![id]).await.map(|()| "/tasks?done=deleted".to_owned()),
            _ => Err(unknown()),
        };
        word.map(|word| format!("{origin}?done={word}"))
    })
    .await
}

async fn events(State(http): State<Http>, Path(command): Path<String>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/events", Permission::Edit, async |this: &Command| {
        let events = this.backend().events;
        let mut selection = Selection::default();
        for id in this.selected::<EventId>()? {
            let done = match command.as_str() {
                "delete" => events.delete(vec![id]).await,
                "enable" => events.set_enabled(vec![id], true).await,
                "disable" => events.set_enabled(vec![id], false).await,
                _ => return Err(unknown()),
            };
            if !selection.note(format!("Event {id}"), format!("/events/{id}"), done) {
                break;
            }
        }
        selection.finish(&format!("/events?done={command}d"))
    })
    .await
}

async fn deliveries(State(http): State<Http>, Path(command): Path<String>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/deliveries", Permission::Edit, async |this: &Command| {
        let deliveries = this.backend().deliveries;
        let mut selection = Selection::default();
        for id in this.selected::<String>()? {
            let row = (format!("Delivery {id}"), format!("/deliveries/{id}"));
            let done = match command.as_str() {
                "replay" => deliveries.replay(id, false, this.by()).await.map(drop),
                "discard" => deliveries.discard(id, this.by()).await,
                _ => return Err(unknown()),
            };
            if !selection.note(row.0, row.1, done) {
                break;
            }
        }
        selection.finish(if command == "replay" { "/deliveries?done=replayed" } else { "/deliveries?done=discarded" })
    })
    .await
}

async fn delivery(
    State(http): State<Http>,
    Path((id, command)): Path<(String, String)>,
    parts: Parts,
    posted: Posted,
) -> Response {
    let origin = format!("/deliveries/{id}");
    run(http, parts, posted, origin.clone(), Permission::Edit, async |this: &Command| {
        let deliveries = this.backend().deliveries;
        let replayed = |id: String| format!("/deliveries/{id}?done=replayed");
        match command.as_str() {
            "replay" => deliveries.replay(id, false, this.by()).await.map(replayed),
            "replay-as-it-was" => deliveries.replay(id, true, this.by()).await.map(replayed),
            "discard" => deliveries.discard(id, this.by()).await.map(|()| format!("{origin}?done=discarded")),
            _ => Err(unknown()),
        }
    })
    .await
}

async fn object(State(http): State<Http>, Path(id): Path<String>, parts: Parts, posted: Posted) -> Response {
    let origin = if id == "delete" { "/objects".to_owned() } else { format!("/objects/{id}") };
    run(http, parts, posted, origin, Permission::Edit, async |this: &Command| {
        let inventory = this.backend().inventory;
        if id == "delete" {
            let mut selection = Selection::default();
            for id in this.selected::<ObjectId>()? {
                let done = inventory.delete_objects(vec![id]).await;
                if !selection.note(format!("Object {id}"), format!("/objects/{id}"), done) {
                    break;
                }
            }
            return selection.finish("/objects?done=deleted");
        }
        let value = |name: &str| this.typed.get(name).cloned().unwrap_or_default();
        let tags: Vec<_> = this.typed.keys().filter_map(|key| key.strip_prefix("tag.")).map(str::to_owned).collect();
        let draft = ObjectDraft {
            type_id: value("type_id"),
            name: value("name"),
            external_id: value("external_id"),
            tags: tags.join(","),
        };
        let id = if id == "new" { None } else { Some(parse_id::<ObjectId>(&id, "object")?) };
        inventory.save_object(id, draft).await.map(|id| format!("/objects/{id}?done=saved"))
    })
    .await
}

async fn new_tag(State(http): State<Http>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/tags", Permission::Edit, async |this: &Command| {
        let value = |name: &str| this.typed.get(name).cloned().unwrap_or_default();
        let draft = TagDraft { name: value("name"), category: value("category") };
        this.backend().inventory.add_tag(draft).await.map(|_| "/tags?done=saved".to_owned())
    })
    .await
}

async fn delete_tag(State(http): State<Http>, Path(id): Path<String>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/tags", Permission::Edit, async |this: &Command| {
        let id: TagId = parse_id(&id, "tag")?;
        this.backend().inventory.delete_tag(id).await.map(|()| "/tags?done=deleted".to_owned())
    })
    .await
}

async fn new_category(State(http): State<Http>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/tags", Permission::Edit, async |this: &Command| {
        let value = |name: &str| this.typed.get(name).cloned().unwrap_or_default();
        let draft = CategoryDraft {
            name: value("category_name"),
            description: value("description"),
            single: value("single"),
            revision: String::new(),
            types: this.typed.clone(),
        };
        let saved = this.backend().inventory.save_category(None, draft).await;
        // On its page the field has a name of its own, because the tag's stands beside it.
        let renamed = saved.map_err(|mut error| {
            for field in error.fields.0.iter_mut().filter(|field| field.field == "name") {
                "category_name".clone_into(&mut field.field);
            }
            error
        });
        renamed.map(|_| "/tags?done=saved".to_owned())
    })
    .await
}

async fn delete_category(State(http): State<Http>, Path(id): Path<String>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/tags", Permission::Edit, async |this: &Command| {
        let id: CategoryId = parse_id(&id, "category")?;
        this.backend().inventory.delete_category(id).await.map(|()| "/tags?done=deleted".to_owned())
    })
    .await
}

async fn new_type(State(http): State<Http>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/types", Permission::Administer, async |this: &Command| {
        let value = |name: &str| this.typed.get(name).cloned().unwrap_or_default();
        let draft = TypeDraft {
            id: value("id"),
            singular: value("singular"),
            plural: value("plural"),
            has_objects: value("has_objects"),
            has_tags: value("has_tags"),
        };
        this.backend().catalog.add_type(draft).await.map(|()| "/types?done=saved".to_owned())
    })
    .await
}

async fn new_event_kind(State(http): State<Http>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/types", Permission::Administer, async |this: &Command| {
        let value = |name: &str| this.typed.get(name).cloned().unwrap_or_default();
        let draft = EventKindDraft { id: value("event_id"), label: value("label") };
        let added = this.backend().catalog.add_event(value("of_type"), draft).await;
        let renamed = added.map_err(|mut error| {
            for field in error.fields.0.iter_mut().filter(|field| field.field == "id") {
                "event_id".clone_into(&mut field.field);
            }
            error
        });
        renamed.map(|()| "/types?done=saved".to_owned())
    })
    .await
}

/// Adds what was reported and is in no catalogue, named by its ids; the type too, if that is new.
async fn adopt_kind(State(http): State<Http>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/types", Permission::Administer, async |this: &Command| {
        let value = |name: &str| this.typed.get(name).cloned().unwrap_or_default();
        let (type_id, event_id) = (value("type_id"), value("event_id"));
        let catalogue = this.backend().catalog;
        if catalogue.load().await?.find(&type_id).is_none() {
            let label = words_of(&type_id);
            let draft = TypeDraft {
                id: type_id.clone(),
                singular: label.clone(),
                plural: label,
                has_objects: "true".into(),
                has_tags: String::new(),
            };
            catalogue.add_type(draft).await?;
        }
        let draft = EventKindDraft { label: words_of(&event_id), id: event_id };
        catalogue.add_event(type_id, draft).await.map(|()| "/types?done=saved".to_owned())
    })
    .await
}

/// "Disk full" for `disk_full`.
fn words_of(id: &str) -> String {
    let text = id.replace(['_', '-', '.', '/', ':'], " ");
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

async fn delete_type(State(http): State<Http>, Path(id): Path<String>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/types", Permission::Administer, async |this: &Command| {
        this.backend().catalog.delete_type(id).await.map(|()| "/types?done=deleted".to_owned())
    })
    .await
}

async fn delete_event_kind(
    State(http): State<Http>,
    Path((id, event)): Path<(String, String)>,
    parts: Parts,
    posted: Posted,
) -> Response {
    run(http, parts, posted, "/types", Permission::Administer, async |this: &Command| {
        this.backend().catalog.delete_event(id, event).await.map(|()| "/types?done=deleted".to_owned())
    })
    .await
}

async fn make_something_happen(State(http): State<Http>, parts: Parts, posted: Posted) -> Response {
    run(http, parts, posted, "/", Permission::Edit, async |this: &Command| {
        demo::make_something_happen(&this.http.services, &this.http.intake).await?;
        Ok("/?done=posted".to_owned())
    })
    .await
}
