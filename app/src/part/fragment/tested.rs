//! The result of a test message.

use super::html;
use crate::part::icon::Icon;
use crate::view::destination::Tested;
use crate::view::mailer::MailTest;
use crate::view::webhook::TestResult;
use leptos::prelude::*;

/// Renders the result of a test: the exact request and the whole response, or the dialogue with the mail server.
pub(crate) fn tested(tested: Tested) -> String {
    html(move || match tested {
        Tested::Webhook(result) => exchange(result),
        Tested::Mail(result) => session(result),
    })
}

fn exchange(result: TestResult) -> AnyView {
    let is_good = result.error.is_none();
    let message = match (result.error, result.status_code) {
        (Some(error), _) => error,
        (None, status) => format!("Received: HTTP {}.", status.unwrap_or_default()),
    };
    let headers = result
        .headers
        .into_iter()
        .map(|header| {
            let class = if header.is_masked { "m" } else { "" };
            view! { <span class="k">{header.name}</span>": "<span class=class>{header.value}</span>"\n" }
        })
        .collect_view();
    let status = result.status_code.map_or_else(|| "No response".to_owned(), |status| status.to_string());
    view! {
        {outcome(is_good, message, result.duration_ms, result.connect_ms)}
        <h3 class="c-card__subtitle">"Request"</h3>
        <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Test request"><b>{result.target}</b>"\n\n"{headers}"\n"{result.body}</pre>
        <h3 class="c-card__subtitle">"Response"</h3>
        <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Test response"><b>{status}</b>"\n"{result.response_headers}"\n\n"{result.response_body}</pre>
    }
    .into_any()
}

fn session(result: MailTest) -> AnyView {
    let is_good = result.error.is_none();
    let message = result.error.unwrap_or_else(|| {
        let said = if result.reply.is_empty() { String::new() } else { format!(" It said: {}", result.reply) };
        format!("The mail server has accepted the message to {}.{said}", result.to)
    });
    let dialogue = if result.dialogue.is_empty() {
        view! { <p class="u-small u-muted">"There was no dialogue."</p> }.into_any()
    } else {
        view! { <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Dialogue">{result.dialogue}</pre> }
            .into_any()
    };
    let note = result.note.map(|note| view! { <p class="u-small u-muted">{note}</p> });
    view! {
        {outcome(is_good, message, result.duration_ms, result.connect_ms)}
        <h3 class="c-card__subtitle">"Dialogue"</h3>
        {dialogue}
        {note}
    }
    .into_any()
}

/// Renders the outcome in words, and the time that it took.
fn outcome(is_good: bool, message: String, duration_ms: u32, connect_ms: Option<u32>) -> AnyView {
    let (class, icon) = if is_good { ("c-note c-note--ok", "sent") } else { ("c-note c-note--danger", "error") };
    let took = match connect_ms {
        Some(connect) => format!("{duration_ms} ms, of which {connect} ms to connect"),
        None => format!("{duration_ms} ms"),
    };
    view! {
        <div class=class>
            <Icon name=icon/>
            <p class="u-lines">{message}" "<span class="u-muted">{took}</span></p>
        </div>
    }
    .into_any()
}
