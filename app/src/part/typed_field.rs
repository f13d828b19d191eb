//! Fields of plain forms. They show the posted values again, with the error under its field.

use crate::asked::Asked;
use crate::part::field::{FieldOf, SelectField, TextField, Under};
use leptos::prelude::*;

/// Returns a field with its posted value, and the error if the field was refused.
fn typed(asked: &Asked, name: &'static str, label: &str, is_required: bool, initial: &str) -> FieldOf {
    let problem = asked.posted.problem.as_ref();
    let message = problem.and_then(|problem| problem.fields.message(name)).map(str::to_owned);
    let initial = asked.typed_or(name, initial);
    FieldOf { is_required, initial, error: Signal::stored(message), ..FieldOf::fixed(name, label) }
}

/// Renders a line of text.
pub(crate) fn text(
    asked: &Asked,
    name: &'static str,
    label: &'static str,
    is_required: bool,
    initial: &str,
    hint: &'static str,
) -> AnyView {
    view! { <TextField field=typed(asked, name, label, is_required, initial) hint=hint/> }.into_any()
}

/// Renders a select of a few values: value and label.
pub(crate) fn select(
    asked: &Asked,
    name: &'static str,
    label: &'static str,
    initial: &str,
    options: Vec<(String, String)>,
) -> AnyView {
    let options = vec![(String::new(), options)];
    view! { <SelectField field=typed(asked, name, label, false, initial) options=options/> }.into_any()
}

/// Renders a select that has to be chosen from.
pub(crate) fn required_select(
    asked: &Asked,
    name: &'static str,
    label: &'static str,
    initial: &str,
    options: Vec<(String, String)>,
) -> AnyView {
    let options = vec![(String::new(), options)];
    view! { <SelectField field=typed(asked, name, label, true, initial) options=options/> }.into_any()
}

/// Renders a required line of text with suggestions, which the browser narrows down to the typed text.
pub(crate) fn suggested(
    asked: &Asked,
    name: &'static str,
    label: &'static str,
    initial: &str,
    hint: &'static str,
    suggestions: Vec<String>,
) -> AnyView {
    let field = typed(asked, name, label, true, initial);
    let is_wrong = field.error.get_untracked().is_some();
    let note = if is_wrong { "error" } else { "hint" };
    let list = format!("{name}-list");
    let options = suggestions.into_iter().map(|value| view! { <option value=value></option> }).collect_view();
    view! {
        <div>
            <div class="c-field">
                <label class="c-field__label" for=name>{label}<span class="c-field__required" aria-hidden="true">"*"</span></label>
                <input
                    class="c-field__control"
                    id=name
                    name=name
                    list=list.clone()
                    required
                    autocomplete="off"
                    spellcheck="false"
                    value=field.initial
                    aria-invalid=is_wrong.then_some("true")
                    aria-describedby=format!("{name}-{note}")
                />
                <datalist id=list>{options}</datalist>
            </div>
            <Under name=name error=field.error hint=Some(hint.to_owned())/>
        </div>
    }
    .into_any()
}

/// Renders a switch, one of several whose names contain ids.
pub(crate) fn switch(asked: &Asked, name: String, label: String, initial: bool) -> AnyView {
    let is_on = asked.typed_or(&name, if initial { "true" } else { "" }) == "true";
    view! {
        <label class="c-switch">
            <input type="checkbox" role="switch" id=name.clone() name=name value="true" checked=is_on/>
            <span>{label}</span>
        </label>
    }
    .into_any()
}

/// Renders the error of a group of controls that has no single field.
pub(crate) fn group_message(asked: &Asked, name: &'static str) -> AnyView {
    let field = typed(asked, name, "", false, "");
    view! { <Under name=name error=field.error hint=None/> }.into_any()
}
