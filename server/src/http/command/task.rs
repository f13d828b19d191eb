//! Commands on tasks.

use super::parse_id;
use super::posted::{Command, Edit};
use super::selection;
use app::view::done::Done;
use axum::extract::Path;
use axum::response::Response;
use model::id::TaskId;

pub(super) async fn delete_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: TaskId| this.backend().tasks.delete(vec![id]).await;
    selection::run(command, "Task", Done::Deleted, act).await
}

pub(super) async fn enable_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: TaskId| this.backend().tasks.set_enabled(vec![id], true).await;
    selection::run(command, "Task", Done::Enabled, act).await
}

pub(super) async fn disable_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: TaskId| this.backend().tasks.set_enabled(vec![id], false).await;
    selection::run(command, "Task", Done::Disabled, act).await
}

pub(super) async fn execute(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act =
        async |this: &Command<Edit>| this.backend().tasks.execute(parse_id(&id, "task")?, this.by()).await.map(drop);
    command.run_here(Done::Executed, act).await
}

pub(super) async fn enable(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| this.backend().tasks.set_enabled(vec![parse_id(&id, "task")?], true).await;
    command.run_here(Done::Enabled, act).await
}

pub(super) async fn disable(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| this.backend().tasks.set_enabled(vec![parse_id(&id, "task")?], false).await;
    command.run_here(Done::DisabledTask, act).await
}

pub(super) async fn delete(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().tasks.delete(vec![parse_id(&id, "task")?]).await?;
        Ok(Done::Deleted.at("/tasks"))
    };
    command.run(act).await
}
