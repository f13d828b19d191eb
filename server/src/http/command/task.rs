//! Commands on tasks.

use super::{Command, parse_id};
use app::error::AppError;
use axum::extract::Path;
use axum::response::Response;
use model::access::Permission;
use model::id::TaskId;

pub(super) async fn delete_checked(command: Command) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<TaskId>("Task", "/tasks")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().tasks.delete(vec![id]).await);
        }
        selection.finish("deleted")
    };
    command.run(Permission::Edit, "/tasks", act).await
}

async fn set_enabled_checked(command: Command, is_enabled: bool) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<TaskId>("Task", "/tasks")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().tasks.set_enabled(vec![id], is_enabled).await);
        }
        selection.finish(if is_enabled { "enabled" } else { "disabled" })
    };
    command.run(Permission::Edit, "/tasks", act).await
}

pub(super) async fn enable_checked(command: Command) -> Response {
    set_enabled_checked(command, true).await
}

pub(super) async fn disable_checked(command: Command) -> Response {
    set_enabled_checked(command, false).await
}

/// Runs a command on one task, whose page then shows the word `done`.
async fn run(
    id: String,
    command: Command,
    done: &str,
    act: impl AsyncFnOnce(&Command, TaskId) -> Result<(), AppError>,
) -> Response {
    let page = format!("/tasks/{id}");
    let after = format!("{page}?done={done}");
    let act = async |this: &Command| act(this, parse_id(&id, "task")?).await.map(|()| after);
    command.run(Permission::Edit, page, act).await
}

pub(super) async fn execute(Path(id): Path<String>, command: Command) -> Response {
    run(id, command, "executed", async |this, id| this.backend().tasks.execute(id, this.by()).await.map(drop)).await
}

pub(super) async fn enable(Path(id): Path<String>, command: Command) -> Response {
    run(id, command, "enabled", async |this, id| this.backend().tasks.set_enabled(vec![id], true).await).await
}

pub(super) async fn disable(Path(id): Path<String>, command: Command) -> Response {
    run(id, command, "disabled", async |this, id| this.backend().tasks.set_enabled(vec![id], false).await).await
}

pub(super) async fn delete(Path(id): Path<String>, command: Command) -> Response {
    let page = format!("/tasks/{id}");
    let act = async |this: &Command| {
        this.backend().tasks.delete(vec![parse_id(&id, "task")?]).await?;
        Ok("/tasks?done=deleted".to_owned())
    };
    command.run(Permission::Edit, page, act).await
}
