//! Fields of the plain forms of server pages: label in the box, error under it, what was typed kept.

use super::render::Request;
use crate::part::icon::Icon;
use leptos::prelude::*;

/// The message under a field, if it was refused.
fn message(request: &Request, name: &str) -> Option<String> {
    request.problem.as_ref()?.fields.message(name).map(str::to_owned)
}

fn under(name: &str, message: Option<String>, hint: &'static str) -> AnyView {
    match message {
        Some(message) => view! {
            <p class="c-hint c-hint--error" id=format!("{name}-error")><Icon name="error"/><span>{message}</span></p>
        }
        .into_any(),
        None if hint.is_empty() => ().into_any(),
        None => view! { <p class="c-hint">{hint}</p> }.into_any(),
    }
}

/// A line of text.
pub(super) fn text(
    request: &Request,
    name: &'static str,
    label: &'static str,
    is_required: bool,
    initial: &str,
    hint: &'static str,
) -> AnyView {
    let value = request.typed_or(name, initial);
    let message = message(request, name);
    let invalid = message.is_some().then_some("true");
    let described = message.is_some().then(|| format!("{name}-error"));
    let star = is_required.then(|| view! { <span class="c-field__required" aria-hidden="true">"*"</span> });
    let under = under(name, message, hint);
    view! {
        <div>
            <div class="c-field">
                <label class="c-field__label" for=name>{label}{star}</label>
                <input
                    class="c-field__control"
                    id=name
                    name=name
                    value=value
                    required=is_required
                    autocomplete="off"
                    spellcheck="false"
                    aria-invalid=invalid
                    aria-describedby=described
                />
            </div>
            {under}
        </div>
    }
    .into_any()
}

/// One of a few: value and label.
pub(super) fn select(
    request: &Request,
    name: &'static str,
    label: &'static str,
    initial: &str,
    options: Vec<(String, String)>,
) -> AnyView {
    let value = request.typed_or(name, initial);
    let message = message(request, name);
    let invalid = message.is_some().then_some("true");
    let options = options
        .into_iter()
        .map(|(found, label)| {
            let is_selected = found == value;
            view! { <option value=found selected=is_selected>{label}</option> }
        })
        .collect_view();
    let under = under(name, message, "");
    view! {
        <div>
            <div class="c-field">
                <label class="c-field__label" for=name>{label}</label>
                <select class="c-field__control" id=name name=name aria-invalid=invalid>{options}</select>
                <svg class="c-icon c-field__chevron" aria-hidden="true"><use href="#i-chevron"></use></svg>
            </div>
            {under}
        </div>
    }
    .into_any()
}

/// On or off.
pub(super) fn switch(request: &Request, name: String, label: String, initial: bool) -> AnyView {
    let is_on = request.typed_or(&name, if initial { "true" } else { "" }) == "true";
    view! {
        <label class="c-switch">
            <input type="checkbox" role="switch" id=name.clone() name=name value="true" checked=is_on/>
            <span>{label}</span>
        </label>
    }
    .into_any()
}

/// The message of a group of controls that has no single field.
pub(super) fn group_message(request: &Request, name: &'static str) -> AnyView {
    under(name, message(request, name), "")
}
