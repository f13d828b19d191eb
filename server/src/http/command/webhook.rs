//! Commands on webhooks.

use super::{Command, parse_id};
use app::error::{AppError, Code};
use app::view::webhook::{Held, ReleaseChoice};
use axum::extract::Path;
use axum::response::Response;
use model::access::Permission;
use model::id::WebhookId;

pub(super) async fn delete_checked(command: Command) -> Response {
    let act = async |this: &Command| {
        let mut selection = this.selection::<WebhookId>("Webhook", "/webhooks")?;
        while let Some(id) = selection.next() {
            selection.note(this.backend().webhooks.delete(vec![id]).await);
        }
        selection.finish("deleted")
    };
    command.run(Permission::Edit, "/webhooks", act).await
}

/// Runs a command on one webhook, whose page then shows the word `done`.
async fn run(
    id: String,
    command: Command,
    done: &str,
    act: impl AsyncFnOnce(&Command, WebhookId) -> Result<(), AppError>,
) -> Response {
    let page = format!("/webhooks/{id}");
    let after = format!("{page}?done={done}");
    let act = async |this: &Command| act(this, parse_id(&id, "webhook")?).await.map(|()| after);
    command.run(Permission::Edit, page, act).await
}

pub(super) async fn pause(Path(id): Path<String>, command: Command) -> Response {
    run(id, command, "paused", async |this, id| this.backend().webhooks.pause(id).await).await
}

pub(super) async fn resume(Path(id): Path<String>, command: Command) -> Response {
    run(id, command, "resumed", async |this, id| this.backend().webhooks.resume(id, release_choice(this)?).await).await
}

pub(super) async fn confirm(Path(id): Path<String>, command: Command) -> Response {
    let act = async |this: &Command, id| {
        this.backend().webhooks.confirm_target(id, seen_revision(this)?, release_choice(this)?).await
    };
    run(id, command, "confirmed", act).await
}

/// Seals the headers that are stored in clear and look like secrets.
pub(super) async fn seal(Path(id): Path<String>, command: Command) -> Response {
    let act = async |this: &Command, id| this.backend().webhooks.seal_headers(id, seen_revision(this)?).await;
    run(id, command, "sealed", act).await
}

/// The revision of the webhook that the page showed.
fn seen_revision(command: &Command) -> Result<i64, AppError> {
    command.value("revision").parse().map_err(|_| AppError::new(Code::Malformed, "The form has lost its revision."))
}

pub(super) async fn delete(Path(id): Path<String>, command: Command) -> Response {
    let page = format!("/webhooks/{id}");
    let act = async |this: &Command| {
        this.backend().webhooks.delete(vec![parse_id(&id, "webhook")?]).await?;
        Ok("/webhooks?done=deleted".to_owned())
    };
    command.run(Permission::Edit, page, act).await
}

/// A test through a stored webhook: the page again, with what came of it.
pub(super) async fn test(Path(id): Path<String>, command: Command) -> Response {
    let page = format!("/webhooks/{id}/test");
    let test = async {
        command.require(Permission::Edit)?;
        command.backend().webhooks.send_saved_test(parse_id(&id, "webhook")?, command.value("message")).await
    };
    match Box::pin(test).await {
        Ok(answer) => command.show(&page, None, Some(answer)).await,
        Err(error) => command.show(&page, Some(error), None).await,
    }
}

fn release_choice(command: &Command) -> Result<ReleaseChoice, AppError> {
    let held = match command.value("held").as_str() {
        "all" => Held::All,
        "newest" => Held::Newest,
        "none" => Held::None,
        _ => return Err(AppError::new(Code::Malformed, "Choose which of the held deliveries go on.")),
    };
    let per_second = match command.value("per_second").as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| AppError::new(Code::Malformed, "Choose how fast they go."))?),
    };
    Ok(ReleaseChoice { held, per_second })
}
