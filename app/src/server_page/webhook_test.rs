//! *Send test* through a stored webhook: for operators too, who may not call what they have typed.

use super::Page;
use super::fragment::tested;
use super::part::page;
use super::render::Request;
use crate::error::AppError;
use crate::part::field::area_html;
use crate::part::icon::Icon;
use leptos::prelude::*;
use model::access::Permission;
use model::id::WebhookId;

/// What the message starts as.
const MESSAGE: &str = r#"{"text": "Webhook"}"#;

pub(super) async fn render(request: &Request, id: &str) -> Result<Page, AppError> {
    let id = id.parse().map(WebhookId).map_err(|_| AppError::not_found("webhook"))?;
    if !request.viewer.role.may(Permission::Edit) {
        return Err(AppError::forbidden());
    }
    let detail = request.backend.webhooks.detail(id).await?;
    let parents = vec![
        ("/webhooks".to_owned(), "Webhooks".to_owned()),
        (format!("/webhooks/{id}"), format!("Webhook: {}", detail.name)),
    ];
    let message = request.typed_or("message", MESSAGE);
    let result = request.tested.clone().map(tested);
    let target = format!("{} {}", detail.method, detail.url);
    let main = view! {
        <form class="l-stack" method="post" action=format!("/webhooks/{id}/test")>
            <section class="c-card" aria-labelledby="test-title">
                <header class="c-card__head"><h2 class="c-card__title" id="test-title">"Test message"</h2></header>
                <div class="c-card__body l-stack l-stack--fields">
                    <p class="u-small u-muted">
                        "Sends at once to "<span class="u-mono">{target}</span>
                        ", with the stored headers and authorization. Variables are filled in with a sample. It makes no delivery."
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
    Ok(page(request, "Send test", parents, None, main.into_any()))
}
