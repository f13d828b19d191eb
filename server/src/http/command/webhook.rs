//! Commands on webhooks.

use super::hold::{release_choice, seen_revision};
use super::parse_id;
use super::posted::{Command, Edit};
use super::selection;
use app::error::AppError;
use app::view::destination::Tested;
use app::view::done::Done;
use axum::extract::Path;
use axum::response::Response;
use model::id::WebhookId;

fn webhook_id(text: &str) -> Result<WebhookId, AppError> {
    parse_id(text, "webhook")
}

pub(super) async fn delete_checked(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>, id: WebhookId| this.backend().webhooks.delete(vec![id]).await;
    selection::run(command, "Webhook", Done::Deleted, act).await
}

pub(super) async fn pause(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| this.backend().webhooks.pause(webhook_id(&id)?).await;
    command.run_here(Done::Paused, act).await
}

pub(super) async fn resume(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act =
        async |this: &Command<Edit>| this.backend().webhooks.resume(webhook_id(&id)?, release_choice(this)?).await;
    command.run_here(Done::Resumed, act).await
}

pub(super) async fn confirm(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        let id = webhook_id(&id)?;
        this.backend().webhooks.confirm_target(id, seen_revision(this)?, release_choice(this)?).await
    };
    command.run_here(Done::Confirmed, act).await
}

/// Seals the headers that are stored in clear and look like secrets.
pub(super) async fn seal(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act =
        async |this: &Command<Edit>| this.backend().webhooks.seal_headers(webhook_id(&id)?, seen_revision(this)?).await;
    command.run_here(Done::Sealed, act).await
}

pub(super) async fn delete(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().webhooks.delete(vec![webhook_id(&id)?]).await?;
        Ok(Done::Deleted.at("/webhooks"))
    };
    command.run(act).await
}

/// Sends a test through a stored webhook, and shows the page again with its result.
pub(super) async fn test(Path(id): Path<String>, command: Command<Edit>) -> Response {
    let test = async { command.backend().webhooks.send_saved_test(webhook_id(&id)?, command.value("message")).await };
    match Box::pin(test).await {
        Ok(tested) => command.show_test(Tested::Webhook(tested)).await,
        Err(error) => command.refuse(error).await,
    }
}
