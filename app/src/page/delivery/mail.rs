//! The parts of a delivery's page that only e-mails have: the envelope with its recipients, and the message.

use crate::part::icon::Icon;
use crate::part::table::grouped;
use crate::view::delivery::{DeliveryDetail, Mail};
use leptos::prelude::*;
use model::email::{Recipient, RecipientState};
use model::text::{plural, shown, visible};

/// The number of recipients above the fold.
const SHOWN: usize = 10;

/// Renders the envelope: the sender, and each recipient with its state and the server's last reply.
pub(super) fn envelope(detail: &DeliveryDetail, mail: &Mail) -> AnyView {
    // Recipients that need attention come first. The sort keeps the order To, CC, BCC within a state.
    let mut recipients: Vec<_> = detail.recipients.iter().collect();
    recipients.sort_by_key(|recipient| match recipient.state {
        RecipientState::Refused => 0,
        RecipientState::Pending => 1,
        RecipientState::Accepted => 2,
    });
    let rest = recipients.split_off(recipients.len().min(SHOWN));
    let list = |recipients: Vec<&Recipient>| {
        view! { <ul class="c-lines" role="list">{recipients.into_iter().map(line).collect_view()}</ul> }
    };
    let rest = (!rest.is_empty()).then(|| {
        let count = rest.len() as u64;
        let summary = format!("{} more {}", grouped(count), plural(count, "recipient", "recipients"));
        view! { <details class="c-details"><summary><Icon name="chevron"/>{summary}</summary>{list(rest)}</details> }
    });
    let sender = mail.sender.clone().map(|sender| {
        view! { <ul class="c-lines" role="list"><li class="l-row l-row--apart"><span>{sender}</span><span class="u-small u-muted">"From"</span></li></ul> }
    });
    view! {
        <section class="c-card" aria-labelledby="envelope">
            <header class="c-card__head">
                <h2 class="c-card__title" id="envelope">"Envelope"</h2>
                <span class="u-xs u-muted u-num">{counts(&detail.recipients)}</span>
            </header>
            {sender}
            {list(recipients)}
            {rest}
        </section>
    }
    .into_any()
}

/// Returns "3 recipients: 1 refused, 2 accepted".
fn counts(recipients: &[Recipient]) -> String {
    let of = |state| recipients.iter().filter(|one| one.state == state).count();
    let parts = [
        (of(RecipientState::Refused), "refused"),
        (of(RecipientState::Pending), "pending"),
        (of(RecipientState::Accepted), "accepted"),
    ];
    let parts =
        parts.into_iter().filter(|part| part.0 > 0).map(|(count, word)| format!("{} {word}", grouped(count as u64)));
    let count = recipients.len() as u64;
    let noun = plural(count, "recipient", "recipients");
    format!("{} {noun}: {}", grouped(count), parts.collect::<Vec<_>>().join(", "))
}

fn line(recipient: &Recipient) -> AnyView {
    let (class, word) = match recipient.state {
        RecipientState::Accepted => ("c-status c-status--sent", "Accepted"),
        RecipientState::Refused => ("c-status c-status--error", "Refused"),
        RecipientState::Pending => ("c-status c-status--queued", "Pending"),
    };
    let reply = (!recipient.reply.is_empty())
        .then(|| view! { <p class="u-small u-muted u-lines">{visible(&recipient.reply)}</p> });
    view! {
        <li>
            <div class="l-row l-row--apart"><span>{shown(&recipient.address)}</span><span class=class>{word}</span></div>
            {reply}
        </li>
    }
    .into_any()
}

/// Renders the message for reading: its headers, and its text.
pub(super) fn message(mail: &Mail) -> AnyView {
    let headers = mail.headers.iter().map(|(name, value)| {
        view! { <span class="k">{name.clone()}</span>": "{value.clone()}"\n" }
    });
    view! {
        <section class="c-card" aria-labelledby="message">
            <header class="c-card__head">
                <h2 class="c-card__title" id="message">"Message"</h2>
                <span class="u-xs u-muted">"the same bytes in every attempt; decoded for reading"</span>
            </header>
            <div class="c-card__body">
                <pre class="c-code c-code--tall" tabindex="0" role="region" aria-label="Message as text">{headers.collect_view()}"\n"{mail.text.clone()}</pre>
            </div>
        </section>
    }
    .into_any()
}
