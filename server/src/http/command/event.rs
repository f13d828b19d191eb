//! Commands on events.

use super::posted::{Command, Edit};
use super::selection;
use app::view::done::Done;
use axum::response::Response;
use model::id::EventId;

pub(super) async fn delete_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: EventId| this.backend().events.delete(vec![id]).await;
    selection::run(command, "Event", Done::Deleted, act).await
}

pub(super) async fn enable_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: EventId| this.backend().events.set_enabled(vec![id], true).await;
    selection::run(command, "Event", Done::Enabled, act).await
}

pub(super) async fn disable_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: EventId| this.backend().events.set_enabled(vec![id], false).await;
    selection::run(command, "Event", Done::Disabled, act).await
}
