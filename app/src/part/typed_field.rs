//! Fields of plain forms. They show the posted values again, with the error under its field. The first wrong field has
//! the cursor.

use crate::asked::Asked;
use crate::part::field::{FieldOf, SelectField, TextField, Under};
use leptos::prelude::*;
use model::field_error::FieldErrors;

/// Returns the errors of the refused draft.
fn errors(asked: &Asked) -> Option<&FieldErrors> {
    asked.posted.problem.as_ref().map(|problem| &problem.fields)
}

/// Returns a field with its posted value, and the error if the field was refused.
fn typed(asked: &Asked, name: &'static str, label: &str, is_required: bool, initial: &str) -> FieldOf {
    let message = errors(asked).and_then(|errors| errors.messages(name));
    let first = errors(asked).and_then(|errors| errors.0.first());
    let initial = asked.typed_or(name, initial);
    FieldOf {
        is_required,
        initial,
        error: Signal::stored(message),
        has_cursor: first.is_some_and(|first| first.field == name),
        ..FieldOf::fixed(name, label)
    }
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

/// Renders a line for one e-mail address.
pub(crate) fn address(
    asked: &Asked,
    name: &'static str,
    label: &'static str,
    initial: &str,
    hint: &'static str,
) -> AnyView {
    view! { <TextField field=typed(asked, name, label, true, initial) hint=hint keys="email" autocomplete="off"/> }
        .into_any()
}

/// Renders a required number, with its unit at the right unless that is empty.
pub(crate) fn number(
    asked: &Asked,
    name: &'static str,
    label: &'static str,
    initial: &str,
    unit: &'static str,
    hint: &'static str,
) -> AnyView {
    let field = typed(asked, name, label, true, initial);
    if unit.is_empty() {
        return view! { <TextField field=field hint=hint keys="numeric"/> }.into_any();
    }
    view! { <TextField field=field hint=hint keys="numeric" unit=unit/> }.into_any()
}

/// Renders a secret, which is never shown again: with `is_set` an empty field keeps the stored one.
pub(crate) fn secret(asked: &Asked, name: &'static str, label: &'static str, is_set: bool) -> AnyView {
    let field = FieldOf { initial: String::new(), ..typed(asked, name, label, false, "") };
    let hint = if is_set { "Set. Leave empty to keep it." } else { "" };
    view! { <TextField field=field hint=hint kind="password"/> }.into_any()
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

/// Renders the revision that the form was opened on. After a conflict it is that of the saved version, so that the next
/// submit replaces that version.
pub(crate) fn revision(asked: &Asked, initial: &str) -> AnyView {
    let versions = asked.posted.problem.as_ref().map_or(&[][..], |problem| &problem.versions);
    let saved = versions.iter().find(|versions| versions.field == "revision");
    let revision = saved.map_or_else(|| asked.typed_or("revision", initial), |versions| versions.saved.clone());
    view! { <input type="hidden" name="revision" value=revision/> }.into_any()
}

/// Renders the foot of a form: the number of wrong fields, Cancel and Submit.
pub(crate) fn foot(asked: &Asked, cancel: &'static str) -> AnyView {
    let note = errors(asked).filter(|errors| !errors.is_empty()).map(|errors| {
        let first = errors.0.first().map(|error| format!("#{}", error.field));
        let (fields, verb) = match errors.count_fields() {
            1 => ("1 field".to_owned(), " needs attention"),
            count => (format!("{count} fields"), " need attention"),
        };
        view! { <p class="c-card__note" role="status">"Not saved: "<a href=first>{fields}</a>{verb}</p> }
    });
    view! {
        <div class="c-card__foot c-card__foot--end">
            {note}
            <a class="c-button" href=cancel>"Cancel"</a>
            <button class="c-button c-button--primary" type="submit">"Submit"</button>
        </div>
    }
    .into_any()
}

/// Renders the error of a group of controls that has no single field.
pub(crate) fn group_message(asked: &Asked, name: &'static str) -> AnyView {
    let field = typed(asked, name, "", false, "");
    view! { <Under name=name error=field.error hint=None/> }.into_any()
}
