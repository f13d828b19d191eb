//! The columns, rows and cells of a table, and their rendering.

use super::{Query, Table};
use crate::part::status::{status_class, status_label, status_title};
use crate::view::When;
use leptos::prelude::*;
use model::delivery::Status;

/// The filter of a column.
pub(crate) enum Filter {
    /// No filter.
    None,
    /// A text that the cell contains.
    Text,
    /// One of these choices: value and label.
    Choice(Vec<(String, String)>),
}

impl Filter {
    /// Returns a filter by labels that are their own values.
    pub(crate) fn words(labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let both = |word: String| (word.clone(), word);
        Self::Choice(labels.into_iter().map(Into::into).map(both).collect())
    }

    /// Returns a filter by these choices: value and label.
    pub(crate) fn choice<const N: usize>(choices: [(&str, &str); N]) -> Self {
        Self::Choice(choices.map(|(value, label)| (value.to_owned(), label.to_owned())).into())
    }
}

/// The position of a cell on narrow screens, where each row is a grid.
#[derive(Clone, Copy)]
pub(crate) enum Narrow {
    /// In the first column.
    Start,
    /// At the right.
    End,
    /// Across the whole line.
    Wide,
    /// Behind this label.
    Label(&'static str),
    /// Not shown.
    Gone,
}

/// A column.
pub(crate) struct Column {
    /// The column's name in the URL.
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    /// A `w-…` class, or empty for the remaining width.
    pub(crate) width: &'static str,
    pub(crate) filter: Filter,
    pub(crate) is_sortable: bool,
    pub(crate) is_number: bool,
    /// True for a column that is dropped first when the card is too narrow.
    pub(crate) is_minor: bool,
    pub(crate) narrow: Narrow,
}

impl Column {
    /// Returns a column that is sorted and filtered by its text.
    pub(crate) fn text(key: &'static str, label: &'static str, width: &'static str, narrow: Narrow) -> Self {
        Self { key, label, width, filter: Filter::Text, is_sortable: true, is_number: false, is_minor: false, narrow }
    }

    /// Returns the class of the column's cells: narrow position, number, minor.
    fn cell_class(&self) -> String {
        let narrow = match self.narrow {
            Narrow::Start | Narrow::Label(_) => None,
            Narrow::End => Some("end"),
            Narrow::Wide => Some("wide"),
            Narrow::Gone => Some("gone"),
        };
        let classes = [narrow, self.is_number.then_some("u-num"), self.is_minor.then_some("minor")];
        classes.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Returns a column of numbers, sorted and not filtered.
    pub(crate) fn number(key: &'static str, label: &'static str, width: &'static str, narrow: Narrow) -> Self {
        let filter = Filter::None;
        Self { key, label, width, filter, is_sortable: true, is_number: true, is_minor: false, narrow }
    }
}

/// A cell: its view, and the text by which it is sorted and filtered.
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) number: i64,
    /// The tooltip, if it says more than the cell.
    title: Option<String>,
    pub(crate) view: AnyView,
}

impl Cell {
    /// Returns a cell of plain text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { number: 0, title: None, view: text.clone().into_any(), text }
    }

    /// Returns a cell with a number, shown with its unit.
    pub(crate) fn number(number: i64, shown: String) -> Self {
        Self { number, title: None, view: shown.clone().into_any(), text: shown }
    }

    /// Returns a cell with a link.
    pub(crate) fn link(text: impl Into<String>, href: String) -> Self {
        let text = text.into();
        let label = text.clone();
        Self { number: 0, title: None, view: view! { <a href=href>{label}</a> }.into_any(), text }
    }

    /// Returns a cell with the link to the row's own page. A double click on the row follows it too.
    pub(crate) fn open(text: impl Into<String>, href: String, shown: impl IntoView + 'static) -> Self {
        Self::view(text, view! { <a class="c-table__open" href=href>{shown}</a> })
    }

    /// Returns a cell with the link to the row's own page, labelled by a delivery's status.
    pub(crate) fn open_status(status: Option<Status>, held: Option<String>, href: String) -> Self {
        let (label, class) = (status_label(status), format!("c-table__open {}", status_class(status)));
        Self::view(label, view! { <a class=class href=href title=status_title(status, held)>{label}</a> })
    }

    /// Returns a cell with an instant.
    pub(crate) fn time(when: When) -> Self {
        Self::view(when.full.clone(), when.short).with_title(when.full)
    }

    /// Returns the cell with a tooltip, unless that is empty. A cell without one shows its text as tooltip where it is cut.
    pub(crate) fn with_title(self, title: String) -> Self {
        Self { title: Some(title).filter(|title| !title.is_empty()), ..self }
    }

    /// Returns a cell with any view. `text` stands for it when sorting and filtering.
    pub(crate) fn view(text: impl Into<String>, view: impl IntoView + 'static) -> Self {
        Self { text: text.into(), number: 0, title: None, view: view.into_any() }
    }
}

/// A row. The link in its first cell opens it.
pub(crate) struct Row {
    pub(crate) id: String,
    /// The row's name for screen readers.
    pub(crate) label: String,
    pub(crate) cells: Vec<Cell>,
}

pub(super) fn sort_head(column: &Column, table: &Table<'_>) -> AnyView {
    let (key, is_descending) = table.query.sort(table.default_sort);
    let is_sorted = key == column.key;
    let aria = is_sorted.then_some(if is_descending { "descending" } else { "ascending" });
    let class = match (column.is_number, column.is_minor) {
        (true, true) => "u-num minor",
        (true, false) => "u-num",
        (false, true) => "minor",
        (false, false) => "",
    };
    let content = if column.is_sortable {
        let next = if is_sorted && !is_descending { format!("-{}", column.key) } else { column.key.to_owned() };
        view! { <a class="c-table__sort" href=table.link("sort", &next)>{column.label}</a> }.into_any()
    } else {
        column.label.into_any()
    };
    view! { <th scope="col" class=class aria-sort=aria>{content}</th> }.into_any()
}

pub(super) fn filter_head(column: &Column, query: &Query) -> AnyView {
    let value = query.value(column.key).to_owned();
    let class = if value.is_empty() { "c-filter" } else { "c-filter c-filter--set" };
    let label = format!("Filter by {}", column.label.to_lowercase());
    // The control names its form, since the form around the table is that of the selection.
    let control = match &column.filter {
        Filter::None => ().into_any(),
        Filter::Text => view! { <input class=class form="filters" name=column.key value=value aria-label=label autocomplete="off" spellcheck="false"/> }.into_any(),
        Filter::Choice(choices) => {
            let option = |(found, label): &(String, String)| {
                let is_selected = *found == value;
                view! { <option value=found.clone() selected=is_selected>{label.clone()}</option> }
            };
            let options = choices.iter().map(option).collect_view();
            view! { <select class=class form="filters" name=column.key aria-label=label autocomplete="off"><option value="">"All"</option>{options}</select> }
                .into_any()
        }
    };
    let class = if column.is_minor { "minor" } else { "" };
    view! { <td class=class data-label=column.label>{control}</td> }.into_any()
}

/// Renders a row. Rows make up most of a list's bytes, so attributes without a value are left out.
pub(super) fn body_row(row: Row, columns: &[Column], is_selectable: bool) -> AnyView {
    let check = is_selectable.then(|| {
        let (name, label) = (format!("row.{}", row.id), format!("Select {}", row.label));
        view! { <td><input type="checkbox" name=name aria-label=label/></td> }
    });
    let cells = row.cells.into_iter().zip(columns).map(|(cell, column)| {
        let class = column.cell_class();
        match column.narrow {
            Narrow::Label(label) => {
                view! { <td class=class title=cell.title data-label=label>{cell.view}</td> }.into_any()
            }
            _ if class.is_empty() => view! { <td title=cell.title>{cell.view}</td> }.into_any(),
            _ => view! { <td class=class title=cell.title>{cell.view}</td> }.into_any(),
        }
    });
    view! { <tr id=row_id(&row.id)>{check}{cells.collect_view()}</tr> }.into_any()
}

/// Returns the id by which a row is found in a newer version of the page. For a long id it is the random end.
fn row_id(id: &str) -> String {
    const LONGEST: usize = 10;
    let start = id.char_indices().rev().nth(LONGEST - 1).map_or(0, |(index, _)| index);
    format!("r{}", &id[start..])
}

/// Renders a short table: without filters, tools, pages or sorting.
pub(crate) fn short(label: &'static str, columns: &[Column], rows: Vec<Row>) -> AnyView {
    let cols = columns.iter().map(|column| view! { <col class=column.width/> }).collect_view();
    let heads = columns.iter().map(|column| view! { <th scope="col">{column.label}</th> }).collect_view();
    let body = rows.into_iter().map(|row| body_row(row, columns, false)).collect_view();
    view! {
        <table class="c-table c-table--fixed c-table--cards c-table--quiet" role="table" aria-label=label>
            <colgroup>{cols}</colgroup>
            <thead>
                <tr>{heads}</tr>
            </thead>
            <tbody>{body}</tbody>
        </table>
    }
    .into_any()
}
