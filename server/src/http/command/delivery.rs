//! Commands on deliveries.

use super::posted::{Command, Edit};
use super::selection;
use app::view::done::Done;
use axum::extract::Path;
use axum::response::Response;

pub(super) async fn replay_checked(command: Command<Edit>) -> Response {
    let act =
        async |this: &Command<Edit>, id: String| this.backend().deliveries.replay(id, false, this.by()).await.map(drop);
    selection::run(command, "Delivery", Done::ReplayedChecked, act).await
}

pub(super) async fn discard_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: String| this.backend().deliveries.discard(id, this.by()).await;
    selection::run(command, "Delivery", Done::Discarded, act).await
}

/// Replays a delivery and shows the new one.
async fn run_replay(id: String, is_original: bool, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        let new = this.backend().deliveries.replay(id, is_original, this.by()).await?;
        Ok(Done::Replayed.at(&format!("/deliveries/{new}")))
    };
    command.run(act).await
}

pub(super) async fn replay(Path(id): Path<String>, command: Command<Edit>) -> Response {
    run_replay(id, false, command).await
}

pub(super) async fn replay_original(Path(id): Path<String>, command: Command<Edit>) -> Response {
    run_replay(id, true, command).await
}

pub(super) async fn discard(Path(id): Path<String>, command: Command<Edit>) -> Response {
    command.run_here(Done::Discarded, async |this| this.backend().deliveries.discard(id, this.by()).await).await
}
