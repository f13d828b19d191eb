//! The fields of forms as functions, so that the properties of each component are compiled once.

use crate::part::field::{AreaField, FieldOf, Options, SelectField, SwitchField, TextField};
use leptos::prelude::*;

/// Renders a line of text.
pub(crate) fn line(field: FieldOf, hint: &'static str) -> AnyView {
    input(field, "text", hint.to_owned())
}

/// Renders an input of a kind: `password`, `date` …
pub(crate) fn input(field: FieldOf, kind: &'static str, hint: String) -> AnyView {
    view! { <TextField field=field kind=kind hint=hint/> }.into_any()
}

/// Renders a line for a number.
pub(crate) fn number(field: FieldOf) -> AnyView {
    view! { <TextField field=field keys="numeric"/> }.into_any()
}

/// Renders several lines of text. `is_code` is for text that a machine reads.
pub(crate) fn area(field: FieldOf, rows: u32, is_code: bool, hint: &'static str) -> AnyView {
    view! { <AreaField field=field rows=rows is_code=is_code hint=hint/> }.into_any()
}

/// Renders a select.
pub(crate) fn select(field: FieldOf, options: Options, hint: &'static str) -> AnyView {
    view! { <SelectField field=field options=options hint=hint/> }.into_any()
}

/// Renders a switch.
pub(crate) fn switch(field: FieldOf, hint: &'static str) -> AnyView {
    view! { <SwitchField field=field hint=hint/> }.into_any()
}
