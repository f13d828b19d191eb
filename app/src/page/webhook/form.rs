//! The pages of the webhook form.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::island::webhook_form::WebhookForm;
use crate::page::nowhere;
use crate::view::webhook::task_form;
use leptos::prelude::*;
use model::access::Permission;
use model::id::WebhookId;

/// A new webhook.
pub(crate) async fn new(asked: Asked) -> Result<Page, AppError> {
    let title = "New Webhook";
    if !asked.may(Permission::Edit) {
        return Ok(nowhere::read_only(title).below("/webhooks", "Webhooks"));
    }
    let back = task_form(asked.query.value("for"));
    let (refused, may_test) = (asked.refused(), asked.may(Permission::Administer));
    let form = view! { <WebhookForm id=None stored=None refused=refused may_save=true may_test=may_test back=back/> };
    Ok(Page::form(title, form).below("/webhooks", "Webhooks"))
}

/// A stored webhook.
pub(crate) async fn edit(asked: Asked) -> Result<Page, AppError> {
    let id: WebhookId = asked.id("webhook")?;
    let stored = asked.backend.webhooks.load_form(id).await?;
    let title = format!("Webhook: {}", stored.draft.name);
    let (may_save, may_test) = (asked.may(Permission::Edit), asked.may(Permission::Administer));
    let refused = asked.refused();
    let form = view! {
        <WebhookForm id=Some(id) stored=Some(stored) refused=refused may_save=may_save may_test=may_test back=None/>
    };
    Ok(Page::form(title, form).below("/webhooks", "Webhooks"))
}
