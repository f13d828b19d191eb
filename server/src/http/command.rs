//! Commands that pages post: on one row, on the checked rows of a list, and small forms.
//!
//! [`list`] names each command once: its path, its permission, its page and its handler. A handler calls one use case,
//! then redirects (303) to the page that shows the result. An error shows the command's page again, with the posted
//! fields and the things that prevent the command.

mod catalogue;
mod delivery;
mod event;
mod hold;
mod object;
mod posted;
mod schedule;
mod selection;
mod smtp;
mod tag;
mod task;
mod webhook;

use super::Http;
use crate::service::demo;
use app::error::AppError;
use app::view::done::Done;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use axum::{Extension, Router};
use model::access::Permission;
use posted::{Administer, Command, Edit, PageOf, Required, Takes};
use std::str::FromStr;
use std::sync::LazyLock;

/// Every command's path and the permission that it requires. A test walks the list.
pub static COMMANDS: LazyLock<Vec<(&'static str, Permission)>> =
    LazyLock::new(|| list().into_iter().map(|entry| (entry.path, entry.permission)).collect());

/// Returns the routes of all commands.
pub fn routes() -> Router<Http> {
    list().into_iter().fold(Router::new(), |router, entry| router.route(entry.path, entry.handler))
}

/// A command: its route, and the permission that it requires.
struct Entry {
    path: &'static str,
    permission: Permission,
    handler: MethodRouter<Http>,
}

/// Returns an entry of the list. `page` is the path of the page that shows a refusal. Compiles only if the permission
/// is the one in the handler's signature.
fn command<P, H, T>(path: &'static str, _: P, page: &'static str, handler: H) -> Entry
where
    P: Required,
    H: Handler<T, Http>,
    T: Takes<P> + 'static,
{
    Entry { path, permission: P::PERMISSION, handler: post(handler).route_layer(Extension(PageOf(page))) }
}

fn list() -> Vec<Entry> {
    vec![
        command("/webhooks/delete", Edit, "/webhooks", webhook::delete_checked),
        command("/webhooks/{id}/pause", Edit, "/webhooks/{id}", webhook::pause),
        command("/webhooks/{id}/resume", Edit, "/webhooks/{id}", webhook::resume),
        command("/webhooks/{id}/confirm", Edit, "/webhooks/{id}", webhook::confirm),
        command("/webhooks/{id}/seal", Edit, "/webhooks/{id}", webhook::seal),
        command("/webhooks/{id}/delete", Edit, "/webhooks/{id}", webhook::delete),
        command("/webhooks/{id}/test", Edit, "/webhooks/{id}/test", webhook::test),
        command("/smtp/edit", Administer, "/smtp/edit", smtp::save),
        command("/smtp/pause", Edit, "/smtp", smtp::pause),
        command("/smtp/resume", Edit, "/smtp", smtp::resume),
        command("/smtp/confirm", Edit, "/smtp", smtp::confirm),
        command("/smtp/test", Edit, "/smtp/test", smtp::test),
        command("/tasks/delete", Edit, "/tasks", task::delete_checked),
        command("/tasks/enable", Edit, "/tasks", task::enable_checked),
        command("/tasks/disable", Edit, "/tasks", task::disable_checked),
        command("/tasks/{id}/execute", Edit, "/tasks/{id}", task::execute),
        command("/tasks/{id}/enable", Edit, "/tasks/{id}", task::enable),
        command("/tasks/{id}/disable", Edit, "/tasks/{id}", task::disable),
        command("/tasks/{id}/delete", Edit, "/tasks/{id}", task::delete),
        command("/events/delete", Edit, "/events", event::delete_checked),
        command("/events/enable", Edit, "/events", event::enable_checked),
        command("/events/disable", Edit, "/events", event::disable_checked),
        command("/schedules/delete", Edit, "/schedules", schedule::delete_checked),
        command("/schedules/enable", Edit, "/schedules", schedule::enable_checked),
        command("/schedules/disable", Edit, "/schedules", schedule::disable_checked),
        command("/schedules/{id}/trigger", Edit, "/schedules/{id}", schedule::trigger),
        command("/schedules/{id}/enable", Edit, "/schedules/{id}", schedule::enable),
        command("/schedules/{id}/disable", Edit, "/schedules/{id}", schedule::disable),
        command("/schedules/{id}/delete", Edit, "/schedules/{id}", schedule::delete),
        command("/triggers/new", Edit, "/triggers/new", schedule::create_trigger),
        command("/triggers/{id}/enable", Edit, "/schedules", schedule::enable_trigger),
        command("/triggers/{id}/disable", Edit, "/schedules", schedule::disable_trigger),
        command("/triggers/{id}/delete", Edit, "/schedules", schedule::delete_trigger),
        command("/time-zone", Administer, "/time-zone", schedule::choose_zone),
        command("/deliveries/replay", Edit, "/deliveries", delivery::replay_checked),
        command("/deliveries/discard", Edit, "/deliveries", delivery::discard_checked),
        command("/deliveries/{id}/replay", Edit, "/deliveries/{id}", delivery::replay),
        command("/deliveries/{id}/replay-original", Edit, "/deliveries/{id}", delivery::replay_original),
        command("/deliveries/{id}/discard", Edit, "/deliveries/{id}", delivery::discard),
        command("/objects/delete", Edit, "/objects", object::delete_checked),
        command("/objects/new", Edit, "/objects/new", object::create),
        command("/objects/{id}", Edit, "/objects/{id}", object::change),
        command("/tags/new", Edit, "/tags", tag::create),
        command("/tags/{id}/delete", Edit, "/tags", tag::delete),
        command("/tags/categories/new", Edit, "/tags", tag::create_category),
        command("/tags/categories/{id}/delete", Edit, "/tags", tag::delete_category),
        command("/types/new", Administer, "/types", catalogue::create_type),
        command("/types/events/new", Administer, "/types", catalogue::create_event),
        command("/types/adopt", Administer, "/types", catalogue::adopt),
        command("/types/{id}/delete", Administer, "/types", catalogue::delete_type),
        command("/types/{id}/{event}/delete", Administer, "/types", catalogue::delete_event),
        command("/demo", Edit, "/", make_something_happen),
    ]
}

fn parse_id<Id: FromStr>(text: &str, what: &str) -> Result<Id, AppError> {
    text.parse().map_err(|_| AppError::not_found(what))
}

async fn make_something_happen(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| demo::make_something_happen(&this.http.services, &this.http.intake).await;
    command.run_here(Done::Posted, act).await
}
