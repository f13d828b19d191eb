//! The webhook form: new, and edit.
//!
//! CSS alone shows the fields of the chosen authorization type (`:has(option:checked)`), so that this works without
//! WASM too.

use crate::error::Refused;
use crate::error::{AppError, Code};
use crate::island::form::FormState;
use crate::island::form::fields::{area, input, line, number, select, switch};
use crate::island::form::frame::{Frame, frame};
use crate::island::header_editor::HeaderEditor;
use crate::island::hydrated::use_hydrated;
use crate::island::send_test::{SendTest, Sending};
use crate::part::field::{TextField, ungrouped};
use crate::part::icon::Icon;
use crate::server_fn::webhook::{save_webhook, send_test};
use crate::view::webhook::{SavedWebhook, WebhookForm as Stored};
use leptos::prelude::*;
use model::field_error::FieldErrors;
use model::id::WebhookId;
use model::retry;
use model::webhook::{AUTH_TYPES, Method, WebhookDraft};

/// The form of a stored webhook, or of a new one.
#[island]
pub(crate) fn WebhookForm(
    id: Option<WebhookId>,
    stored: Option<Stored>,
    refused: Option<Refused<WebhookDraft>>,
    may_save: bool,
    /// True if the viewer may send tests to typed URLs.
    may_test: bool,
    /// The address of the task form that the viewer came from. Saving returns there, with the new webhook chosen.
    back: Option<String>,
) -> impl IntoView {
    let loaded = stored.as_ref().map(|stored| stored.draft.clone()).unwrap_or_default();
    let known = stored.as_ref().map(Stored::stored);
    let check = move |draft: &WebhookDraft| draft.parse(known.as_ref()).err().unwrap_or_default();
    let form = FormState::new(loaded, refused, check, may_save);
    let submit = move || {
        let back = back.clone();
        form.submit(
            move |draft| save_webhook(id, draft),
            move |saved: SavedWebhook| match back {
                Some(path) => format!("{path}?object={}", saved.id),
                None => saved.path(),
            },
        );
    };
    let fields = view! {
        {line(form.field("name", "Name", true), "")}
        {select(form.field("kind", "Type", false), ungrouped(&[("custom", "Custom")]), "")}
        <TextField
            field=form.field("url", "URL", true)
            kind="url"
            keys="url"
            placeholder="https://example.com/hook"
            hint="The target system usually has to be told to accept this console."
        />
        <Authorization form=form stored=stored/>
        <Retype form=form is_stored=id.is_some()/>
        <HeaderEditor
            field=form.field("headers", "Headers", false)
            secrets=form.field("secret_headers", "Secret headers as text", false)
        />
        <Insecure form=form/>
        {switch(form.field("direct", "Direct Connection", false), "Not through the egress proxy, where this server is started with one. The proxy resolves names itself, so that the egress policy holds for direct webhooks and for addresses only.")}
        <div class="l-fields">
            <TextField
                field=form.field("timeout", "Timeout", true)
                keys="numeric"
                unit="seconds"
            />
            {number(form.field("retries", "Retries", true))}
            {select(form.field("method", "Method", false), ungrouped(&Method::ALL.map(|method| (method.as_str(), method.as_str()))), "")}
        </div>
        <Offsets form=form/>
        {area(form.field("note", "Note", false), 3, false, "For people: what this webhook is for, and whom to ask about it.")}
    }
    .into_any();
    let beside = view! {
        <TestCard form=form id=id may_test=may_test/>
    }
    .into_any();
    frame(
        form,
        Frame { name: "webhook", title: "Webhook", split: "l-split l-split--form" },
        Box::new(submit),
        fields,
        beside,
    )
}

#[component]
fn Authorization(form: FormState, stored: Option<Stored>) -> impl IntoView {
    let is_signing = stored.as_ref().is_some_and(Stored::is_signing);
    let stored_type = stored.map(|stored| stored.draft.auth_type);
    // A secret that was typed and lost does not count as stored: the error of the field explains it.
    let lost = form.text_now("retype");
    let is_lost = move |field: &str| lost.split(' ').any(|lost| lost == field);
    let lost_signing = is_lost("signing_secret");
    let signing_hint = if is_signing && !lost_signing {
        "Set. Leave empty to keep it."
    } else {
        "As openssl rand -base64 32 prints it; the receiver needs the same."
    };
    let hint = move |kind: &str, field: &str, fresh: &str| {
        let has_stored_value = stored_type.as_deref() == Some(kind) && !is_lost(field);
        if has_stored_value { "Set. Leave empty to keep it.".to_owned() } else { fresh.to_owned() }
    };
    view! {
        <div class="c-auth l-stack l-stack--fields">
            {select(form.field("auth_type", "Authorization Type", false), ungrouped(&AUTH_TYPES), "")}
            <div class="c-auth__part c-auth__part--bearer">
                {input(form.field("token", "Authorization Token", true), "password", hint("bearer", "token", "The token only, without the word Bearer."))}
            </div>
            <div class="c-auth__part c-auth__part--api-key l-stack l-stack--fields">
                {input(form.field("api_key", "API Key", true), "password", hint("api_key", "api_key", "The raw key, without prefix or keyword."))}
                <div class="l-fields">
                    {line(form.field("api_key_header", "Header name", true), "")}
                    {line(form.field("api_key_prefix", "Prefix", false), "")}
                </div>
                <KeyLine form=form/>
            </div>
            <div class="c-auth__part c-auth__part--basic l-stack l-stack--fields">
                {line(form.field("username", "Username", false), "")}
                {input(form.field("password", "Password", false), "password", hint("basic", "password", "Sent with the user name, encoded but not encrypted by itself."))}
            </div>
            <div class="c-sign-part l-stack l-stack--fields">
                {switch(form.field("sign", "Sign Messages", false), "Adds webhook-signature (Standard Webhooks), so that the receiver can check who sent it.")}
                <div class="c-sign-part__secret">
                    {input(form.field("signing_secret", "Signing Secret", true), "password", signing_hint.to_owned())}
                </div>
            </div>
        </div>
    }
    .into_any()
}

/// After a form was refused without WASM: the secrets that have to be typed again, and the choice to keep the stored
/// ones.
#[component]
fn Retype(form: FormState, is_stored: bool) -> impl IntoView {
    let retype = form.text_now("retype");
    let keep = (is_stored && !retype.is_empty()).then(|| {
        switch(
            form.field("keep_secrets", "Keep the stored secrets", false),
            "Instead of entering again what was just typed: a page never carries a secret back.",
        )
    });
    view! {
        <input type="hidden" name="retype" value=retype/>
        {keep}
    }
    .into_any()
}

/// The header of an API key as it is sent, with the key masked.
#[component]
fn KeyLine(form: FormState) -> impl IntoView {
    let line = move || {
        let (header, prefix) = (form.text("api_key_header"), form.text("api_key_prefix"));
        let (header, prefix) = (header.trim(), prefix.trim());
        let gap = if prefix.is_empty() { "" } else { " " };
        format!("{header}: {prefix}{gap}••••••••")
    };
    view! { <p class="c-hint">"Will be sent as "<code>{line}</code></p> }
}

#[component]
fn Insecure(form: FormState) -> impl IntoView {
    view! {
        <div class="c-insecure l-stack l-stack--tight">
            {switch(form.field("allow_insecure", "Allow Insecure Certificates", false), "")}
            <div class="c-note c-note--warn c-insecure__warning">
                <Icon name="warn"/>
                <p>
                    <strong>"Anyone between here and the target can read and change what is sent."</strong>
                    " Meant for self-signed test systems; risky in production."
                </p>
            </div>
        </div>
    }
    .into_any()
}

/// Sends a message with the unsaved values, and shows the exact request and the whole response.
#[component]
fn TestCard(form: FormState, id: Option<WebhookId>, may_test: bool) -> impl IntoView {
    let is_hydrated = use_hydrated();
    let message = RwSignal::new("{\"text\": \"Webhook\"}".to_owned());
    let send = move || {
        if !form.local_errors().with_untracked(FieldErrors::is_empty) {
            form.show_all();
            let words = "Correct the marked fields first: a test uses the same values.";
            return Box::pin(async move { Err(AppError::new(Code::Invalid, words)) }) as Sending;
        }
        Box::pin(send_test(id, form.draft_now(), message.get_untracked()))
    };
    let card = move || {
        (is_hydrated.get() && may_test).then(|| {
            view! {
                <section class="c-card" aria-labelledby="test-title">
                    <header class="c-card__head"><h2 class="c-card__title" id="test-title">"Send test"</h2></header>
                    <div class="c-card__body l-stack l-stack--fields">
                        <p class="u-small u-muted">"Sends at once, with the values as they stand. Nothing is saved."</p>
                        <div class="c-field c-field--area">
                            <label class="c-field__label" for="test-message">"Test message"</label>
                            <textarea
                                class="u-mono"
                                id="test-message"
                                rows="3"
                                spellcheck="false"
                                on:input=move |event| message.set(event_target_value(&event))
                            >
                                {message.get_untracked()}
                            </textarea>
                        </div>
                        <SendTest send=send/>
                    </div>
                </section>
            }
        })
    };
    view! { <div>{card}</div> }.into_any()
}

/// The times of the attempts, as clock offsets.
#[component]
fn Offsets(form: FormState) -> impl IntoView {
    const SHOWN: usize = 6;
    let offsets = Memo::new(move |_| {
        let retries: u32 = form.text("retries").trim().parse().unwrap_or_default();
        let all: Vec<_> =
            retry::attempt_offsets(retries.min(100)).map(|offset| offset_words(offset.as_secs())).collect();
        all
    });
    let items = move || {
        let all = offsets.get();
        let more = all.len().saturating_sub(SHOWN);
        let last = all.last().cloned().unwrap_or_default();
        let shown = all.into_iter().take(SHOWN).map(|words| view! { <li><b>{words}</b></li> }).collect_view();
        let rest = if more > 0 {
            format!("and {more} more until {last}, then reported as an error")
        } else {
            "then reported as an error".to_owned()
        };
        view! { {shown} <li>{rest}</li> }
    };
    view! { <ol class="c-offsets" role="list" aria-label="Attempts">{items}</ol> }
}

fn offset_words(seconds: u64) -> String {
    match seconds {
        0 => "now".to_owned(),
        1..=119 => format!("+{seconds} s"),
        120..=7199 => format!("+{} min", seconds / 60),
        _ => format!("+{} h", seconds / 3600),
    }
}
