//! Commands on the mailer, and its form.

use super::hold::{release_choice, seen_revision};
use super::posted::{Administer, Command, Edit};
use app::view::destination::Tested;
use app::view::done::Done;
use axum::response::{IntoResponse, Redirect, Response};
use model::mailer::MailerDraft;

/// Saves the form. A refused form comes back without its password.
pub(super) async fn save(command: Command<Administer>) -> Response {
    let draft = MailerDraft::from(command.typed.clone());
    match command.backend().mailers.save(draft.clone()).await {
        Ok(saved) => Redirect::to(&saved.path()).into_response(),
        Err(error) => command.refuse_draft(&draft.without_secrets(), error).await,
    }
}

pub(super) async fn pause(command: Command<Edit>) -> Response {
    command.run_here(Done::Paused, async |this| this.backend().mailers.pause().await).await
}

pub(super) async fn resume(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| this.backend().mailers.resume(release_choice(this)?).await;
    command.run_here(Done::Resumed, act).await
}

pub(super) async fn confirm(command: Command<Edit>) -> Response {
    let act = async |this: &Command<Edit>| {
        this.backend().mailers.confirm_target(seen_revision(this)?, release_choice(this)?).await
    };
    command.run_here(Done::Confirmed, act).await
}

/// Sends a test through the stored mailer, and shows the page again with the dialogue.
pub(super) async fn test(command: Command<Edit>) -> Response {
    match Box::pin(command.backend().mailers.send_test(command.value("to"))).await {
        Ok(tested) => command.show_test(Tested::Mail(tested)).await,
        Err(error) => command.refuse(error).await,
    }
}
