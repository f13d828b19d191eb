//! Commands on events.

use super::Command;
use axum::response::Response;
use model::access::Permission;
use model::id::EventId;

pub(super) async fn delete_checked(command: Command) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<EventId>("Event", "/events")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().events.delete(vec![id]).await);
        }
        selection.finish("deleted")
    };
    command.run(Permission::Edit, "/events", act).await
}

async fn set_enabled_checked(command: Command, is_enabled: bool) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<EventId>("Event", "/events")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().events.set_enabled(vec![id], is_enabled).await);
        }
        selection.finish(if is_enabled { "enabled" } else { "disabled" })
    };
    command.run(Permission::Edit, "/events", act).await
}

pub(super) async fn enable_checked(command: Command) -> Response {
    set_enabled_checked(command, true).await
}

pub(super) async fn disable_checked(command: Command) -> Response {
    set_enabled_checked(command, false).await
}
