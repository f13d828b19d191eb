//! *Send test* through the stored mailer, which shows what both sides said.

use crate::asked::{Asked, Page};
use crate::error::{AppError, Code};
use crate::part::icon::Icon;
use crate::part::typed_field::address;
use crate::view::destination::Tested;
use crate::view::mailer::MailTest;
use leptos::prelude::*;
use model::access::Permission;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    if !asked.may(Permission::Edit) {
        return Err(AppError::forbidden());
    }
    let Some(detail) = asked.backend.mailers.detail().await? else {
        return Err(AppError::new(Code::NotFound, "No mail server is configured yet."));
    };
    let result = match asked.posted.tested.clone() {
        Some(Tested::Mail(result)) => Some(tested(result)),
        _ => None,
    };
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
                    {result.map(|result| view! { <div class="l-stack l-stack--fields" role="status">{result}</div> })}
                </div>
            </section>
        </form>
    };
    Ok(Page::new("Send test", main).below("/smtp", "SMTP"))
}

/// Renders the result of a test, with the dialogue.
fn tested(result: MailTest) -> AnyView {
    let (class, icon, message) = match result.error {
        Some(error) => ("c-note c-note--danger", "error", error),
        None => {
            let said = if result.reply.is_empty() { String::new() } else { format!(" It said: {}", result.reply) };
            ("c-note c-note--ok", "sent", format!("The mail server has accepted the message to {}.{said}", result.to))
        }
    };
    let took = match result.connect_ms {
        Some(connect) => format!("{} ms, of which {connect} ms to connect", result.duration_ms),
        None => format!("{} ms", result.duration_ms),
    };
    let dialogue = if result.dialogue.is_empty() {
        view! { <p class="u-small u-muted">"There was no dialogue."</p> }.into_any()
    } else {
        view! { <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Dialogue">{result.dialogue}</pre> }
            .into_any()
    };
    let note = result.note.map(|note| view! { <p class="u-small u-muted">{note}</p> });
    view! {
        <div class=class>
            <Icon name=icon/>
            <p class="u-lines">{message}" "<span class="u-muted">{took}</span></p>
        </div>
        <h3 class="c-card__subtitle">"Dialogue"</h3>
        {dialogue}
        {note}
    }
    .into_any()
}
