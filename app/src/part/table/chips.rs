//! The filters in force, each with a link that removes it.

use super::{Column, Filter, Query, Table};
use crate::part::icon::Icon;
use leptos::prelude::*;

/// A filter that only links set: the list has the rows of one thing.
pub(crate) struct Of {
    /// The filter's name in the URL.
    pub(super) key: &'static str,
    label: &'static str,
    /// The id of the thing.
    pub(super) id: String,
    /// Its name, or its id if it is gone.
    name: String,
}

impl Of {
    /// Returns the filter of this key, if the URL has it.
    pub(crate) fn find(query: &Query, key: &'static str, label: &'static str, name: Option<String>) -> Option<Self> {
        let id = query.value(key).to_owned();
        (!id.is_empty()).then(|| Self { key, label, name: name.unwrap_or_else(|| id.clone()), id })
    }
}

impl Table<'_> {
    /// Renders the filters in force, each with a link that removes it.
    pub(super) fn chips(&self) -> Option<AnyView> {
        let chip = |key: &'static str, label: &'static str, shown: String| {
            let remove = format!("Remove the filter {label}");
            let href = self.link(key, "");
            view! {
                <li class="c-filters__chip">
                    {label}" "<b class="u-strong">{shown}</b>
                    <a href=href aria-label=remove.clone() title=remove><Icon name="cross"/></a>
                </li>
            }
        };
        let of_column = |column: &Column| {
            let value = self.query.value(column.key).to_owned();
            if value.is_empty() {
                return None;
            }
            let shown = match &column.filter {
                Filter::Choice(choices) => {
                    choices.iter().find(|(found, _)| *found == value).map(|(_, label)| label.clone())
                }
                _ => None,
            };
            Some(chip(column.key, column.label, shown.unwrap_or(value)))
        };
        let of = self.of.as_ref().map(|of| chip(of.key, of.label, of.name.clone()));
        let chips: Vec<_> = of.into_iter().chain(self.columns.iter().filter_map(of_column)).collect();
        (!chips.is_empty()).then(|| {
            let clear = self.path.to_owned();
            view! {
                <ul class="c-filters l-row" role="list" aria-label="Filters in force">
                    {chips.into_iter().collect_view()}
                    <li><a href=clear>"Clear all"</a></li>
                </ul>
            }
            .into_any()
        })
    }
}
