//! The page of a delivery: its outcome, then the attempts, then the request and the response side by side.

use super::mail;
use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::icon::Icon;
use crate::part::menu::{confirmed, go, menu, post};
use crate::part::status::{StatusWord, Time};
use crate::view::delivery::{AttemptLine, DeliveryDetail, Request};
use leptos::prelude::*;
use model::access::Permission;
use model::delivery::Status;
use model::destination::Kind;
use model::text::plural;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let detail = asked.backend.deliveries.detail(asked.id("delivery")?).await?;
    let commands = Some(commands(&detail, asked.may(Permission::Edit)));
    let title = format!("Delivery of {}", detail.line.created.short);
    let page = Page::new(title, content(&detail)).below("/deliveries", "Deliveries").with_commands(commands);
    Ok(page.live_if(!detail.line.is_settled()))
}

fn commands(detail: &DeliveryDetail, may_edit: bool) -> AnyView {
    let path = format!("/deliveries/{}", detail.line.uuid);
    let mut items = Vec::new();
    if may_edit && detail.line.is_settled() {
        if !detail.is_destination_deleted {
            items.push(post("replay", "Replay", format!("{path}/replay"), false));
            if detail.line.destination.kind == Kind::Webhook {
                let original = format!("{path}/replay-original");
                items.push(post("replay", "Replay with the original webhook", original, false));
            }
        }
    } else if may_edit {
        items.push(confirmed(
            "discarded",
            "Discard…",
            "Discard this delivery? It is never sent; its record stays.".to_owned(),
            "Discard".to_owned(),
            format!("{path}/discard"),
            false,
        ));
    }
    let destination = &detail.line.destination;
    let label = if destination.kind == Kind::Webhook { "Same webhook" } else { "Same mail server" };
    items.push(go("delivery", label, format!("/deliveries?of_destination={}", destination.id)));
    menu(items)
}

/// Returns the next step for the operator.
fn next_step(detail: &DeliveryDetail) -> &'static str {
    let is_mail = detail.line.destination.kind == Kind::Mailer;
    match (detail.line.status, detail.code.as_deref()) {
        (Some(Status::Sent), _) if is_mail => {
            "The mail server has accepted it for every recipient. Nothing is left to do."
        }
        (Some(Status::Sent), _) => "The receiver has accepted it. Nothing is left to do.",
        (Some(Status::Queued), _) => "It is sent automatically when it is due.",
        (Some(Status::Running), _) => "An attempt is under way.",
        (Some(Status::Held), _) if is_mail => "It waits, and is not lost. The page SMTP shows what holds it.",
        (Some(Status::Held), _) => "It waits, and is not lost. The page of the webhook shows what holds it.",
        (Some(Status::Discarded), _) => "It is not sent any more. Replay it to send it after all.",
        (Some(Status::Error), Some(code)) if is_mail => next_step_of_mail(code),
        (Some(Status::Error), Some("refused_address")) => {
            "Correct the webhook's URL, or permit the address when the server is started."
        }
        (Some(Status::Error), Some("too_large")) => "Shorten the task's message.",
        (Some(Status::Error), Some("unreadable")) => "Check whether the receiver has acted before you replay.",
        (Some(Status::Error), Some("redirect")) => "Enter the final URL in the webhook, then replay.",
        (Some(Status::Error), Some("tls" | "dns" | "connect" | "timeout" | "reset")) => {
            "Fix the connection to the receiver, then replay."
        }
        (Some(Status::Error), _) => "See the response, fix the cause, then replay.",
        (None, _) => "Its state cannot be read. See its attempts before you replay.",
    }
}

/// Returns the next step after an e-mail has failed with this code.
fn next_step_of_mail(code: &str) -> &'static str {
    match code {
        "refused_recipient" => {
            "Correct the refused addresses in the task. A replay goes to every recipient, also to those that have it."
        }
        "deferred" => {
            "The mail server put recipients off until the retries had ended. See its replies. A replay goes to every \
             recipient, also to those that have it."
        }
        "refused_address" => "Correct the server in SMTP, or permit the address when Hookwright is started.",
        "too_large" => "Shorten the task's subject or body.",
        "tls" | "dns" | "connect" | "timeout" | "reset" => "Fix the connection to the mail server, then replay.",
        _ => "See the dialogue, correct the settings in SMTP, then replay.",
    }
}

fn content(detail: &DeliveryDetail) -> AnyView {
    let step = next_step(detail);
    let line = detail.line.clone();
    let sentence = match (&line.error, line.held(), line.status_code) {
        (_, Some(reason), _) => reason,
        (Some(error), ..) => error.clone(),
        (None, _, Some(status)) => format!("Returned {status}."),
        (None, _, None) => "Not attempted yet.".to_owned(),
    };
    let next = line.next.clone().map(|when| view! { " Next attempt at "<Time when=when/>"." });
    let chain = chain(detail);
    let notes = (!detail.notes.is_empty()).then(|| {
        let notes = detail.notes.iter().map(|note| view! { <li>{note.clone()}</li> }).collect_view();
        view! { <div class="c-note c-note--warn"><Icon name="warn"/><ul>{notes}</ul></div> }
    });
    let attempts = attempts(detail);
    let response = response(detail);
    let (envelope, sent) = match &detail.mail {
        Some(mail) => (Some(mail::envelope(detail, mail)), mail::message(mail)),
        None => (None, request(detail)),
    };
    view! {
        <div class="l-stack">
            <section class="c-card" aria-label="Outcome">
                <div class="c-card__body l-stack l-stack--tight">
                    <p class="l-row"><StatusWord status=line.status held=line.held()/><strong class="u-lines">{sentence}</strong></p>
                    <p class="u-muted">{step}{next}</p>
                    {chain}
                </div>
            </section>
            {notes}
            {envelope}
            {attempts}
            <div class="l-split l-split--even">{sent} {response}</div>
        </div>
    }
    .into_any()
}

/// Renders the chain occurrence, event, task, destination as links.
fn chain(detail: &DeliveryDetail) -> AnyView {
    let line = &detail.line;
    let first = match (&detail.occurrence, &detail.caused_by) {
        (Some(id), _) => {
            let label =
                if line.object.is_empty() { line.event.clone() } else { format!("{}, {}", line.event, line.object) };
            view! { <li><Icon name="occurrence"/><a href=format!("/occurrences/{id}")>{label}</a></li> }.into_any()
        }
        (None, Some(by)) => view! { <li><Icon name="user"/>{by.clone()}</li> }.into_any(),
        (None, None) => ().into_any(),
    };
    let events = detail
        .events
        .iter()
        .map(|event| {
            view! { <li><Icon name="event"/><a href=format!("/events/{}", event.id)>{event.label.clone()}</a></li> }
        })
        .collect_view();
    let task = match detail.task_id {
        Some(id) => view! { <a href=format!("/tasks/{id}")>{line.task.clone()}</a> }.into_any(),
        None => line.task.clone().into_any(),
    };
    let destination = if detail.is_destination_deleted {
        format!("{} (deleted)", line.destination.name).into_any()
    } else {
        view! { <a href=line.destination.path()>{line.destination.name.clone()}</a> }.into_any()
    };
    let replay = detail.replay_of.clone().map(|id| {
        view! { <li><Icon name="replay"/>"replays "<a href=format!("/deliveries/{id}")>"an earlier delivery"</a></li> }
    });
    view! {
        <ul class="c-chain" role="list" aria-label="Where it comes from and goes">
            {first} {events}
            <li><Icon name="task"/>{task}</li>
            <li><Icon name=line.destination.icon()/>{destination}</li>
            {replay}
        </ul>
    }
    .into_any()
}

fn attempts(detail: &DeliveryDetail) -> AnyView {
    if detail.attempts.is_empty() {
        return ().into_any();
    }
    let scale = detail.timeout_ms.max(1);
    let count = format!("{} of at most {}", detail.attempts.len(), detail.attempts_max);
    let kind = detail.line.destination.kind;
    let lines = detail.attempts.iter().map(|attempt| attempt_line(attempt, kind, scale)).collect_view();
    view! {
        <section class="c-card" aria-labelledby="attempts">
            <header class="c-card__head">
                <h2 class="c-card__title" id="attempts">"Attempts"</h2>
                <span class="u-xs u-muted u-num">{count}</span>
            </header>
            <ol class="c-lines" role="list">{lines}</ol>
        </section>
    }
    .into_any()
}

fn attempt_line(attempt: &AttemptLine, kind: Kind, scale: u32) -> AnyView {
    let is_sent = attempt.error.is_none();
    let class = if is_sent { "c-sign c-sign--ok" } else { "c-sign c-sign--danger" };
    let status = match (attempt.status_code, attempt.code.clone()) {
        (Some(status), _) => status.to_string(),
        (None, code) => code.unwrap_or_default(),
    };
    let status_class = if is_sent { "c-status c-status--sent" } else { "c-status c-status--error" };
    let (received, first) = match kind {
        Kind::Webhook => ("Received.", "first byte "),
        Kind::Mailer => ("Accepted.", "greeting "),
    };
    let message = attempt.error.clone().unwrap_or_else(|| received.to_owned());
    let note = attempt.note.clone().map(|note| view! { <p class="u-small u-muted">{note}</p> });
    let per_cent = |ms: u32| (f64::from(ms) * 100.0 / f64::from(scale)).min(100.0);
    let (total, connect) = (per_cent(attempt.duration_ms), per_cent(attempt.connect_ms.unwrap_or_default()));
    let waited = attempt.first_byte_ms.map_or(total, per_cent);
    let bar = |class: &'static str, from: f64, to: f64| {
        (to > from).then(|| {
            view! { <rect class=class x=format!("{from:.2}%") width=format!("{:.2}%", (to - from).max(0.6)) height="100%"/> }
        })
    };
    let is_cut = attempt.code.as_deref() == Some("timeout");
    let end = is_cut.then(|| view! { <rect class="c-phase--end" x="99%" width="1%" height="100%"/> });
    let connect_text = attempt.connect_ms.map_or_else(
        || if attempt.status_code.is_some() { "reused".to_owned() } else { "none".to_owned() },
        |ms| format!("{ms} ms"),
    );
    let first_text = attempt.first_byte_ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms} ms"));
    let label = format!("Attempt {}: {} ms", attempt.number, attempt.duration_ms);
    view! {
        <li>
            <span class=class>{attempt.number}</span>
            <div class="l-row l-row--apart">
                <span class="l-row"><span class=status_class>{status}</span><span class="u-lines">{message}</span></span>
                <span class="u-small u-muted u-num"><Time when=attempt.started.clone()/></span>
            </div>
            {note}
            <div class="c-timing">
                <svg class="c-phases" role="img" aria-label=label>
                    {bar("c-phase--connect", 0.0, connect)} {bar("c-phase--wait", connect, waited)} {bar("c-phase--read", waited, total)}
                    {end}
                </svg>
                <ul class="c-inline" role="list">
                    <li>"connect "<b>{connect_text}</b></li>
                    <li>{first}<b>{first_text}</b></li>
                    <li>"total "<b>{attempt.duration_ms}" ms"</b></li>
                </ul>
            </div>
        </li>
    }
    .into_any()
}

/// Renders a request as text, with masked values marked.
fn request_text(request: &Request, body: &str) -> AnyView {
    // A GET has no body.
    let body = if request.method == "GET" { "" } else { body };
    let headers = request
        .headers
        .iter()
        .map(|header| {
            let class = if header.is_masked { "m" } else { "" };
            view! { <span class="k">{header.name.clone()}</span>": "<span class=class>{header.value.clone()}</span>"\n" }
        })
        .collect_view();
    view! { <b>{request.method.clone()}</b>" "{request.url.clone()}"\n\n"{headers}"\n"{body.to_owned()} }.into_any()
}

fn request(detail: &DeliveryDetail) -> AnyView {
    let text = request_text(&detail.request, &detail.body);
    view! {
        <section class="c-card" aria-labelledby="request">
            <header class="c-card__head">
                <h2 class="c-card__title" id="request">"Request"</h2>
                <span class="u-xs u-muted">"the same body in every attempt"</span>
            </header>
            <div class="c-card__body">
                <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Request as text">{text}</pre>
            </div>
        </section>
    }
    .into_any()
}

/// Renders the last response or, for an e-mail, the dialogue.
fn response(detail: &DeliveryDetail) -> AnyView {
    let Some(attempt) = detail.attempts.last() else { return ().into_any() };
    let title = match detail.line.destination.kind {
        Kind::Webhook => "Response",
        Kind::Mailer => "Dialogue",
    };
    let bytes = plural(attempt.response_bytes as u64, "byte", "bytes");
    let note = format!("attempt {}, {} {bytes}", attempt.number, attempt.response_bytes);
    let text = match (detail.line.destination.kind, attempt.status_code) {
        (Kind::Mailer, _) if attempt.response_body.is_empty() => "No connection.".into_any(),
        (Kind::Mailer, _) => attempt.response_body.clone().into_any(),
        (Kind::Webhook, Some(status)) => {
            let headers = attempt.response_headers.clone();
            view! { <b>{status}</b>"\n"{headers}"\n\n"{attempt.response_body.clone()} }.into_any()
        }
        (Kind::Webhook, None) => "No response.".into_any(),
    };
    view! {
        <section class="c-card" aria-labelledby="response">
            <header class="c-card__head">
                <h2 class="c-card__title" id="response">{title}</h2>
                <span class="u-xs u-muted u-num">{note}</span>
            </header>
            <div class="c-card__body">
                <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label=format!("{title} as text")>{text}</pre>
            </div>
        </section>
    }
    .into_any()
}
