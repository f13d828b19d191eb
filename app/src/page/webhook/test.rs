//! *Send test* through a stored webhook. Operators may use it too; they may not send tests to typed URLs.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::field::area_html;
use crate::part::fragment::tested;
use crate::part::icon::Icon;
use leptos::prelude::*;
use model::access::Permission;
use model::id::WebhookId;
use model::task::MESSAGE;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let id: WebhookId = asked.id("webhook")?;
    if !asked.may(Permission::Edit) {
        return Err(AppError::forbidden());
    }
    let detail = asked.backend.webhooks.detail(id).await?;
    let message = asked.typed_or("message", MESSAGE);
    let result = asked.posted.tested.clone().map(tested);
    let target = format!("{} {}", detail.settings.method.as_str(), detail.settings.url.as_str());
    let main = view! {
        <form class="l-stack" method="post" action=format!("/webhooks/{id}/test")>
            <section class="c-card" aria-labelledby="test-title">
                <header class="c-card__head"><h2 class="c-card__title" id="test-title">"Test message"</h2></header>
                <div class="c-card__body l-stack l-stack--fields">
                    <p class="u-small u-muted">
                        "Sends at once to "<span class="u-mono">{target}</span>
                        ", with the stored headers and authorization. Variables are filled in with a sample. No delivery is created."
                    </p>
                    <div class="c-field c-field--area">
                        <label class="c-field__label" for="message">"Message"</label>
                        <textarea class="u-mono" id="message" name="message" rows="5" spellcheck="false" inner_html=area_html(&message)></textarea>
                    </div>
                    <div class="l-row">
                        <button class="c-button c-button--primary" type="submit"><Icon name="delivery"/>"Send test"</button>
                    </div>
                    {result.map(|html| view! { <div class="l-stack l-stack--fields" role="status" inner_html=html></div> })}
                </div>
            </section>
        </form>
    };
    let page = Page::new("Send test", main).below("/webhooks", "Webhooks");
    Ok(page.below(format!("/webhooks/{id}"), format!("Webhook: {}", detail.settings.name)))
}
