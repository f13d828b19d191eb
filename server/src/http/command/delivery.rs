//! Commands on deliveries.

use super::Command;
use axum::extract::Path;
use axum::response::Response;
use model::access::Permission;

pub(super) async fn replay_checked(command: Command) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<String>("Delivery", "/deliveries")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().deliveries.replay(id, false, this.by()).await.map(drop));
        }
        selection.finish("replayed")
    };
    command.run(Permission::Edit, "/deliveries", act).await
}

pub(super) async fn discard_checked(command: Command) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<String>("Delivery", "/deliveries")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().deliveries.discard(id, this.by()).await);
        }
        selection.finish("discarded")
    };
    command.run(Permission::Edit, "/deliveries", act).await
}

async fn run_replay(id: String, as_it_was: bool, command: Command) -> Response {
    let page = format!("/deliveries/{id}");
    let act = async |this: &Command| {
        let new = this.backend().deliveries.replay(id, as_it_was, this.by()).await?;
        Ok(format!("/deliveries/{new}?done=replayed"))
    };
    command.run(Permission::Edit, page, act).await
}

pub(super) async fn replay(Path(id): Path<String>, command: Command) -> Response {
    run_replay(id, false, command).await
}

pub(super) async fn replay_as_it_was(Path(id): Path<String>, command: Command) -> Response {
    run_replay(id, true, command).await
}

pub(super) async fn discard(Path(id): Path<String>, command: Command) -> Response {
    let page = format!("/deliveries/{id}");
    let after = format!("{page}?done=discarded");
    let act = async |this: &Command| this.backend().deliveries.discard(id, this.by()).await.map(|()| after);
    command.run(Permission::Edit, page, act).await
}
