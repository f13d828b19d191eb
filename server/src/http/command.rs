//! What the pages of the server post: commands on a row or on the checked rows, and their small forms.
//!
//! One route, one handler, one name for each. A handler authorises, calls one use case, and redirects (303) to where the
//! result is seen. A refusal renders the page it came from, with what was typed and what stands in the way.

mod catalogue;
mod delivery;
mod event;
mod object;
mod selection;
mod tag;
mod task;
mod webhook;

use super::{Http, page};
use crate::service::demo;
use app::Posted;
use app::backend::Backend;
use app::error::{AppError, Code};
use app::session::Viewer;
use app::view::webhook::TestAnswer;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Form, Router};
use model::access::Permission;
use selection::Selection;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Every command's path and what it takes to give it. A test walks the list.
pub const COMMANDS: &[(&str, Permission)] = &[
    ("/webhooks/delete", Permission::Edit),
    ("/webhooks/{id}/pause", Permission::Edit),
    ("/webhooks/{id}/resume", Permission::Edit),
    ("/webhooks/{id}/confirm", Permission::Edit),
    ("/webhooks/{id}/seal", Permission::Edit),
    ("/webhooks/{id}/delete", Permission::Edit),
    ("/webhooks/{id}/test", Permission::Edit),
    ("/tasks/delete", Permission::Edit),
    ("/tasks/enable", Permission::Edit),
    ("/tasks/disable", Permission::Edit),
    ("/tasks/{id}/execute", Permission::Edit),
    ("/tasks/{id}/enable", Permission::Edit),
    ("/tasks/{id}/disable", Permission::Edit),
    ("/tasks/{id}/delete", Permission::Edit),
    ("/events/delete", Permission::Edit),
    ("/events/enable", Permission::Edit),
    ("/events/disable", Permission::Edit),
    ("/deliveries/replay", Permission::Edit),
    ("/deliveries/discard", Permission::Edit),
    ("/deliveries/{id}/replay", Permission::Edit),
    ("/deliveries/{id}/replay-as-it-was", Permission::Edit),
    ("/deliveries/{id}/discard", Permission::Edit),
    ("/objects/delete", Permission::Edit),
    ("/objects/new", Permission::Edit),
    ("/objects/{id}", Permission::Edit),
    ("/tags/new", Permission::Edit),
    ("/tags/{id}/delete", Permission::Edit),
    ("/tags/categories/new", Permission::Edit),
    ("/tags/categories/{id}/delete", Permission::Edit),
    ("/types/new", Permission::Administer),
    ("/types/events/new", Permission::Administer),
    ("/types/adopt", Permission::Administer),
    ("/types/{id}/delete", Permission::Administer),
    ("/types/{id}/{event}/delete", Permission::Administer),
    ("/demo", Permission::Edit),
];

/// The route of each of them.
pub fn routes() -> Router<Http> {
    Router::new()
        .route("/webhooks/delete", post(webhook::delete_checked))
        .route("/webhooks/{id}/pause", post(webhook::pause))
        .route("/webhooks/{id}/resume", post(webhook::resume))
        .route("/webhooks/{id}/confirm", post(webhook::confirm))
        .route("/webhooks/{id}/seal", post(webhook::seal))
        .route("/webhooks/{id}/delete", post(webhook::delete))
        .route("/webhooks/{id}/test", post(webhook::test))
        .route("/tasks/delete", post(task::delete_checked))
        .route("/tasks/enable", post(task::enable_checked))
        .route("/tasks/disable", post(task::disable_checked))
        .route("/tasks/{id}/execute", post(task::execute))
        .route("/tasks/{id}/enable", post(task::enable))
        .route("/tasks/{id}/disable", post(task::disable))
        .route("/tasks/{id}/delete", post(task::delete))
        .route("/events/delete", post(event::delete_checked))
        .route("/events/enable", post(event::enable_checked))
        .route("/events/disable", post(event::disable_checked))
        .route("/deliveries/replay", post(delivery::replay_checked))
        .route("/deliveries/discard", post(delivery::discard_checked))
        .route("/deliveries/{id}/replay", post(delivery::replay))
        .route("/deliveries/{id}/replay-as-it-was", post(delivery::replay_as_it_was))
        .route("/deliveries/{id}/discard", post(delivery::discard))
        .route("/objects/delete", post(object::delete_checked))
        .route("/objects/new", post(object::create))
        .route("/objects/{id}", post(object::change))
        .route("/tags/new", post(tag::create))
        .route("/tags/{id}/delete", post(tag::delete))
        .route("/tags/categories/new", post(tag::create_category))
        .route("/tags/categories/{id}/delete", post(tag::delete_category))
        .route("/types/new", post(catalogue::create_type))
        .route("/types/events/new", post(catalogue::create_event))
        .route("/types/adopt", post(catalogue::adopt))
        .route("/types/{id}/delete", post(catalogue::delete_type))
        .route("/types/{id}/{event}/delete", post(catalogue::delete_event))
        .route("/demo", post(make_something_happen))
}

/// One posted command.
struct Command {
    http: Http,
    parts: Parts,
    typed: BTreeMap<String, String>,
}

impl FromRequest<Http> for Command {
    type Rejection = FormRejection;

    async fn from_request(request: Request, http: &Http) -> Result<Self, FormRejection> {
        let (parts, body) = request.into_parts();
        let Form(typed) = Form::from_request(Request::from_parts(parts.clone(), body), http).await?;
        Ok(Self { http: http.clone(), parts, typed })
    }
}

impl Command {
    fn backend(&self) -> Backend {
        self.http.services.backend()
    }

    /// The acting account's name.
    fn by(&self) -> String {
        self.parts.extensions.get::<Viewer>().map(|viewer| viewer.name.clone()).unwrap_or_default()
    }

    /// The value that was typed under this name; empty if there is none.
    fn value(&self, name: &str) -> String {
        self.typed.get(name).cloned().unwrap_or_default()
    }

    fn require(&self, permission: Permission) -> Result<(), AppError> {
        let viewer = self.parts.extensions.get::<Viewer>();
        if viewer.is_some_and(|viewer| viewer.role.may(permission)) { Ok(()) } else { Err(AppError::forbidden()) }
    }

    /// The checked rows. `name` is "Webhook", `list` the path of their list.
    fn selection<Id: FromStr>(&self, name: &'static str, list: &'static str) -> Result<Selection<Id>, AppError> {
        let ids = self.typed.keys().filter_map(|key| key.strip_prefix("row."));
        let ids: Vec<_> = ids.filter_map(|text| Some((text.to_owned(), text.parse().ok()?))).collect();
        if ids.is_empty() {
            return Err(AppError::new(Code::Malformed, "Check the rows first that this is about."));
        }
        Ok(Selection::new(name, list, ids))
    }

    /// Runs a command from the page `origin`. Redirects to the path it returns, or shows the page again with the refusal.
    async fn run(
        self,
        permission: Permission,
        origin: impl Into<String>,
        act: impl AsyncFnOnce(&Self) -> Result<String, AppError>,
    ) -> Response {
        let done = match self.require(permission) {
            Ok(()) => Box::pin(act(&self)).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(path) => Redirect::to(&path).into_response(),
            Err(error) => self.show(&origin.into(), Some(error), None).await,
        }
    }

    /// Shows a page again, with what was typed and what came of it.
    async fn show(self, path: &str, problem: Option<AppError>, tested: Option<TestAnswer>) -> Response {
        let draft = serde_json::to_value(&self.typed).unwrap_or_default();
        page::render_posted(&self.http, self.parts, path, Posted { draft, problem, tested }).await
    }
}

fn parse_id<Id: FromStr>(text: &str, what: &str) -> Result<Id, AppError> {
    text.parse().map_err(|_| AppError::not_found(what))
}

async fn make_something_happen(command: Command) -> Response {
    let act = async |this: &Command| {
        demo::make_something_happen(&this.http.services, &this.http.intake).await?;
        Ok("/?done=posted".to_owned())
    };
    command.run(Permission::Edit, "/", act).await
}
