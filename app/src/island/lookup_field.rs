//! A select over a growing table: the first rows, and a search for others when there are more.
//!
//! Without WASM an incomplete list is replaced by a text field for a name or id.

use crate::island::hydrated::{use_hydrated, when_rested};
use crate::part::field::{FieldOf, SelectField, TextField};
use crate::server_fn::choice::find_choices;
use crate::view::{Choice, ChoiceOf, FoundChoices};
use leptos::prelude::*;
use std::time::Duration;

/// The field.
#[component]
pub(crate) fn LookupField(
    field: FieldOf,
    /// The noun for a row, "webhook".
    what: String,
    /// The table.
    of: ChoiceOf,
    /// The rows that came with the page. If absent, the browser fetches them.
    first: Option<FoundChoices>,
    /// The chosen row, which may not be among the first ones.
    chosen: Option<Choice>,
    /// The option for no row: value and label.
    none: (&'static str, &'static str),
    /// The field's value in the draft.
    current: Signal<String>,
    #[prop(optional)] hint: &'static str,
) -> impl IntoView {
    let is_hydrated = use_hydrated();
    let has_first = first.is_some();
    let found = RwSignal::new(first.unwrap_or_default());
    let text = RwSignal::new(String::new());
    // The chosen row stays among the options during a search.
    let chosen = StoredValue::new(chosen);
    let retain_chosen = move || {
        let value = current.get_untracked();
        let listed = found.with_untracked(|found| found.choices.iter().find(|choice| choice.value == value).cloned());
        if listed.is_some() || value == none.0 {
            chosen.set_value(listed);
        }
    };
    // The first fetch is skipped when the page came with rows.
    let skips_fetch = StoredValue::new(has_first);
    when_rested(Memo::new(move |_| text.get()), Duration::from_millis(200), move |wanted: String| {
        if skips_fetch.get_value() {
            skips_fetch.set_value(false);
            return;
        }
        let of = of.clone();
        leptos::task::spawn_local(async move {
            // If the server fails, the list stays as it is.
            if let Ok(rows) = find_choices(of, wanted.clone()).await
                && text.try_with_untracked(|text| *text == wanted).unwrap_or_default()
            {
                retain_chosen();
                found.set(rows);
            }
        });
    });
    let label = StoredValue::new(what);
    let (name, typed) = (field.name, field.clone());
    let select = move || {
        let FoundChoices { mut choices, has_more, .. } = found.get();
        let field = field.clone();
        if has_more && !is_hydrated.get() {
            let named = chosen.get_value().map_or_else(|| field.initial.clone(), |choice| choice.label);
            let hint = format!("{hint} Its name or id.");
            return view! { <TextField field=FieldOf { initial: named, ..field } hint=hint.trim().to_owned()/> }
                .into_any();
        }
        let field_value = current.get_untracked();
        if let Some(one) = chosen.get_value().filter(|one| choices.iter().all(|choice| choice.value != one.value)) {
            choices.insert(0, one);
        }
        // A value that is still to be chosen is not shown as the option for no row.
        let open = (field_value.is_empty() && !none.0.is_empty()).then(|| (String::new(), "Choose".to_owned()));
        let first = open.into_iter().chain([(none.0.to_owned(), none.1.to_owned())]);
        let options = first.chain(choices.into_iter().map(|one| (one.value, one.label))).collect();
        let hint = if has_more { "Some of them. Find another by its name or id." } else { hint };
        let field = FieldOf { initial: field_value, ..field };
        view! { <SelectField field=field options=vec![(String::new(), options)] hint=hint/> }.into_any()
    };
    // A name typed into the text field is not a value of the select.
    Effect::new(move |_| {
        let value = current.get_untracked();
        if is_hydrated.get() && !value.is_empty() && value != none.0 && value.parse::<i64>().is_err() {
            typed.on_change.run(none.0.to_owned());
        }
    });
    let is_long = Memo::new(move |_| found.with(|found| found.has_more) || text.with(|text| !text.is_empty()));
    let id = format!("{name}-find");
    let search = move || {
        let id = id.clone();
        (is_hydrated.get() && is_long.get()).then(|| {
            view! {
                <div class="c-field">
                    <label class="c-field__label" for=id.clone()>{format!("Find a {}", label.get_value())}</label>
                    <input
                        class="c-field__control"
                        id=id
                        type="search"
                        spellcheck="false"
                        on:input:target=move |event| text.set(event.target().value())
                    />
                </div>
            }
        })
    };
    view! { {search} {select} }.into_any()
}
