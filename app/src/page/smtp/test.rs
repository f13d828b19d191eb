//! *Send test* through the stored mailer, which shows the dialogue.

use crate::asked::{Asked, Page};
use crate::error::{AppError, Code};
use crate::part::fragment::tested;
use crate::part::icon::Icon;
use crate::part::typed_field::address;
use leptos::prelude::*;
use model::access::Permission;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    if !asked.may(Permission::Edit) {
        return Err(AppError::forbidden());
    }
    let Some(detail) = asked.backend.mailers.detail().await? else {
        return Err(AppError::new(Code::NotFound, "No mail server is configured yet."));
    };
    let result = asked.posted.tested.clone().map(tested);
    let server = detail.settings.host;
    let main = view! {
        <form class="l-form" method="post" action="/smtp/test" novalidate>
            <section class="c-card l-narrow" aria-labelledby="test-title">
                <header class="c-card__head"><h2 class="c-card__title" id="test-title">"Test message"</h2></header>
                <div class="c-card__body l-stack l-stack--fields">
                    <p class="u-small u-muted">
                        "Sends a short text at once through "<span class="u-mono">{server}</span>
                        ", also while e-mails are held. No delivery is created."
                    </p>
                    {address(&asked, "to", "To", "", "One address.")}
                    <div class="l-row">
                        <button class="c-button c-button--primary" type="submit"><Icon name="delivery"/>"Send test"</button>
                    </div>
                    {result.map(|html| view! { <div class="l-stack l-stack--fields" role="status" inner_html=html></div> })}
                </div>
            </section>
        </form>
    };
    Ok(Page::new("Send test", main).below("/smtp", "SMTP"))
}
