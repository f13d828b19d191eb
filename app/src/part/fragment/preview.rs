//! The preview of the message of a task, with its warnings.

use super::html;
use crate::part::icon::Icon;
use crate::view::Choice;
use crate::view::task::{Previewed, PreviewedEmail};
use leptos::prelude::*;
use model::email::{Mailbox, list_text, one_line};
use model::preview::{Preview, Problem};
use model::text::{plural, visible};
use std::ops::Range;

/// The number of addresses of a list that are shown.
const ADDRESSES: usize = 3;

/// Renders the preview of a message. The position of each warning is a button with `data-field`, `data-line` and
/// `data-column`. The variables that the occurrence's data offers are buttons with `data-insert`.
pub(crate) fn previewed(previewed: Previewed, has_object: bool, variables: Vec<Choice>) -> String {
    html(move || {
        let message = match previewed {
            Previewed::Request(preview) => request(preview, has_object),
            Previewed::Email(previewed) => email(*previewed),
        };
        let offered = (!variables.is_empty()).then(|| {
            let chip = |Choice { value, label }: Choice| {
                let name = value.clone();
                view! { <button class="c-chip" type="button" title=label data-insert=value>{name}</button> }
            };
            let chips = variables.into_iter().map(chip).collect_view();
            view! { <div class="l-row" role="group" aria-label="Insert from its data">{chips}</div> }
        });
        view! { {message}{offered} }.into_any()
    })
}

fn request(preview: Preview, has_webhook: bool) -> AnyView {
    let reason = if has_webhook { "because the webhook sends JSON" } else { "which most webhooks send" };
    let checked = preview.is_json.then(|| format!(" Checked as JSON, {reason}. Warnings do not stop Submit."));
    let body = filled(&preview, str::to_owned);
    view! {
        <pre class="c-code" tabindex="0" role="region" aria-labelledby="preview">{body}</pre>
        <p class="u-xs u-muted u-num">{counts(preview.body.len(), preview.filled.len())}{checked}</p>
        {problems(vec![("message", "", preview.problems)])}
    }
    .into_any()
}

fn email(PreviewedEmail { from_address, default_name, recipients, texts }: PreviewedEmail) -> AnyView {
    let name = if texts.from_name.body.trim().is_empty() {
        visible(&default_name).into_any()
    } else {
        filled(&texts.from_name, one_line)
    };
    let address = if from_address.is_empty() { "no sender yet".to_owned() } else { from_address };
    let recipients = recipients
        .into_iter()
        .map(|(label, list)| {
            let text = list.map_or_else(|| "cannot be read yet".to_owned(), |list| shortened(&list));
            view! { <div><dt>{label}</dt><dd>{text}</dd></div> }
        })
        .collect_view();
    let count = [&texts.from_name, &texts.subject, &texts.body].into_iter().map(|text| text.filled.len()).sum();
    let (subject, body) = (filled(&texts.subject, one_line), filled(&texts.body, str::to_owned));
    view! {
        <div class="c-code c-code--letter" tabindex="0" role="region" aria-labelledby="preview">
            <dl class="c-facts">
                <div><dt>"From"</dt><dd>{name}" <"{address}">"</dd></div>
                {recipients}
                <div><dt>"Subject"</dt><dd>{subject}</dd></div>
            </dl>
            <pre>{body}</pre>
        </div>
        <p class="u-xs u-muted u-num">
            {counts(texts.body.body.len(), count)}" Plain text. Warnings do not stop Submit."
        </p>
        {problems(vec![
            ("from_name", "From Name, ", texts.from_name.problems),
            ("subject", "Subject, ", texts.subject.problems),
            ("body", "Body, ", texts.body.problems),
        ])}
    }
    .into_any()
}

/// Returns the first addresses of a list, and the number of the others.
fn shortened(list: &[Mailbox]) -> String {
    let more = list.len().saturating_sub(ADDRESSES);
    let first = list_text(&list[..list.len() - more]).replace('\n', ", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

fn counts(bytes: usize, values: usize) -> String {
    let (byte, value) = (plural(bytes as u64, "byte", "bytes"), plural(values as u64, "value", "values"));
    format!("{bytes} {byte}, {values} {value} filled in.")
}

/// Renders a text with its values marked. `write` changes each part of the text.
fn filled(preview: &Preview, write: fn(&str) -> String) -> AnyView {
    let part = |range: Range<usize>| visible(&write(preview.body.get(range).unwrap_or_default()));
    let mut parts = Vec::new();
    let mut end = 0;
    for range in &preview.filled {
        parts.push(part(end..range.start).into_any());
        let value = part(range.clone());
        parts.push(view! { <mark>{value}</mark> }.into_any());
        end = range.end;
    }
    parts.push(part(end..preview.body.len()).into_any());
    parts.into_iter().collect_view().into_any()
}

/// Renders the problems of each field: its name, the beginning of a position in it, and the problems.
fn problems(fields: Vec<(&'static str, &'static str, Vec<Problem>)>) -> AnyView {
    let of_field = |(field, of, problems): (&'static str, &'static str, Vec<Problem>)| {
        let line = move |Problem { line, column, message }: Problem| {
            let position = format!("{of}line {line}, column {column}");
            view! {
                <li>
                    <Icon name="warn"/>
                    <button type="button" data-field=field data-line=line data-column=column>{position}</button>
                    <span>{message}</span>
                </li>
            }
        };
        problems.into_iter().map(line).collect_view()
    };
    view! { <ul class="c-problems" role="list">{fields.into_iter().map(of_field).collect_view()}</ul> }.into_any()
}
