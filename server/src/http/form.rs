//! Forms posted without WASM: the same draft and use case as the server function. The response is 303 to the row, or
//! the page again.

use super::{Http, page};
use app::error::AppError;
use app::query::Query;
use app::session::Viewer;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use model::access::Permission;
use model::event::EventDraft;
use model::id::{EventId, ScheduleId, TaskId, WebhookId};
use model::schedule::ScheduleDraft;
use model::task::TaskDraft;
use model::webhook::WebhookDraft;
use serde::Serialize;
use std::future::Future;

type Typed<D> = Result<Form<D>, FormRejection>;

/// Authorises and saves a form. Redirects to the row, or renders the page again with the error.
async fn save<D, F>(
    http: Http,
    parts: Parts,
    typed: Typed<D>,
    save: impl FnOnce(D) -> F,
    without_secrets: impl FnOnce(D) -> D,
) -> Response
where
    D: Clone + Serialize,
    F: Future<Output = Result<String, AppError>>,
{
    let Form(draft) = match typed {
        Ok(typed) => typed,
        Err(rejection) => return rejection.into_response(),
    };
    let may_edit = parts.extensions.get::<Viewer>().is_some_and(|viewer| viewer.role.may(Permission::Edit));
    let saved = if may_edit { save(draft.clone()).await } else { Err(AppError::forbidden()) };
    match saved {
        Ok(path) => Redirect::to(&path).into_response(),
        Err(error) => {
            let path = parts.uri.to_string();
            page::render_posted(&http, parts, &path, page::refused(&without_secrets(draft), error)).await
        }
    }
}

async fn save_webhook(http: Http, id: Option<WebhookId>, parts: Parts, typed: Typed<WebhookDraft>) -> Response {
    let webhooks = http.services.backend().webhooks;
    // Only a new webhook is made for a task.
    let query = Query::parse(parts.uri.query().filter(|_| id.is_none()).unwrap_or_default());
    let work = async move |draft| webhooks.save(id, draft).await.map(|saved| saved.path_from(query.value("for")));
    save(http, parts, typed, work, WebhookDraft::without_secrets).await
}

async fn save_task(http: Http, id: Option<TaskId>, parts: Parts, typed: Typed<TaskDraft>) -> Response {
    let tasks = http.services.backend().tasks;
    let work = async move |draft| tasks.save(id, draft).await.map(|id| format!("/tasks/{id}"));
    save(http, parts, typed, work, |draft| draft).await
}

async fn save_event(http: Http, id: Option<EventId>, parts: Parts, typed: Typed<EventDraft>) -> Response {
    let events = http.services.backend().events;
    let work = async move |draft| events.save(id, draft).await.map(|id| format!("/events/{id}"));
    save(http, parts, typed, work, |draft| draft).await
}

async fn save_schedule(http: Http, id: Option<ScheduleId>, parts: Parts, typed: Typed<ScheduleDraft>) -> Response {
    let schedules = http.services.backend().schedules;
    let work = async move |draft| schedules.save(id, draft).await.map(|id| format!("/schedules/{id}"));
    save(http, parts, typed, work, |draft| draft).await
}

/// `POST /webhooks/new`
pub async fn new_webhook(State(http): State<Http>, parts: Parts, typed: Typed<WebhookDraft>) -> Response {
    save_webhook(http, None, parts, typed).await
}

/// `POST /webhooks/{id}`
pub async fn edit_webhook(
    State(http): State<Http>,
    Path(id): Path<i64>,
    parts: Parts,
    typed: Typed<WebhookDraft>,
) -> Response {
    save_webhook(http, Some(WebhookId(id)), parts, typed).await
}

/// `POST /tasks/new`
pub async fn new_task(State(http): State<Http>, parts: Parts, typed: Typed<TaskDraft>) -> Response {
    save_task(http, None, parts, typed).await
}

/// `POST /tasks/{id}`
pub async fn edit_task(
    State(http): State<Http>,
    Path(id): Path<i64>,
    parts: Parts,
    typed: Typed<TaskDraft>,
) -> Response {
    save_task(http, Some(TaskId(id)), parts, typed).await
}

/// `POST /events/new`
pub async fn new_event(State(http): State<Http>, parts: Parts, typed: Typed<EventDraft>) -> Response {
    save_event(http, None, parts, typed).await
}

/// `POST /events/{id}`
pub async fn edit_event(
    State(http): State<Http>,
    Path(id): Path<i64>,
    parts: Parts,
    typed: Typed<EventDraft>,
) -> Response {
    save_event(http, Some(EventId(id)), parts, typed).await
}

/// `POST /schedules/new`
pub async fn new_schedule(State(http): State<Http>, parts: Parts, typed: Typed<ScheduleDraft>) -> Response {
    save_schedule(http, None, parts, typed).await
}

/// `POST /schedules/{id}`
pub async fn edit_schedule(
    State(http): State<Http>,
    Path(id): Path<i64>,
    parts: Parts,
    typed: Typed<ScheduleDraft>,
) -> Response {
    save_schedule(http, Some(ScheduleId(id)), parts, typed).await
}
