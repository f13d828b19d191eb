//! What a table is made of: columns, rows and cells, and how they are drawn.

use super::Query;
use crate::part::status::Time;
use crate::view::When;
use leptos::prelude::*;

/// How a column can be filtered.
pub(crate) enum Filter {
    /// Not at all.
    None,
    /// By a text within.
    Text,
    /// By one of these: value and label.
    Choice(Vec<(String, String)>),
}

impl Filter {
    /// By one of these words, which stand for themselves.
    pub(crate) fn words(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let both = |word: String| (word.clone(), word);
        Self::Choice(words.into_iter().map(Into::into).map(both).collect())
    }

    /// By one of these: value and label.
    pub(crate) fn choice<const N: usize>(choices: [(&str, &str); N]) -> Self {
        Self::Choice(choices.map(|(value, label)| (value.to_owned(), label.to_owned())).into())
    }
}

/// Where a cell stands when rows are grids, on narrow screens.
#[derive(Clone, Copy)]
pub(crate) enum Narrow {
    /// In the first column.
    Start,
    /// At the right.
    End,
    /// Over the whole line.
    Wide,
    /// With this label before it.
    Label(&'static str),
    /// Nowhere.
    Gone,
}

/// A column.
pub(crate) struct Column {
    /// Its name in the URL.
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    /// A `w-…` class, or empty for what is left.
    pub(crate) width: &'static str,
    pub(crate) filter: Filter,
    pub(crate) is_sortable: bool,
    pub(crate) is_number: bool,
    /// Goes first when the card is too narrow.
    pub(crate) is_minor: bool,
    pub(crate) narrow: Narrow,
}

impl Column {
    /// A column that is sorted and filtered by its text.
    pub(crate) fn text(key: &'static str, label: &'static str, width: &'static str, narrow: Narrow) -> Self {
        Self { key, label, width, filter: Filter::Text, is_sortable: true, is_number: false, is_minor: false, narrow }
    }

    /// A column of numbers, sorted and not filtered.
    pub(crate) fn number(key: &'static str, label: &'static str, width: &'static str, narrow: Narrow) -> Self {
        let filter = Filter::None;
        Self { key, label, width, filter, is_sortable: true, is_number: true, is_minor: false, narrow }
    }
}

/// A cell: what it shows, and the text it is sorted, filtered and cut by.
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) number: i64,
    pub(crate) view: AnyView,
}

impl Cell {
    /// Plain text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { number: 0, view: text.clone().into_any(), text }
    }

    /// A number, shown with its unit.
    pub(crate) fn number(number: i64, shown: String) -> Self {
        Self { number, view: shown.clone().into_any(), text: shown }
    }

    /// A text that leads somewhere.
    pub(crate) fn link(text: impl Into<String>, href: String) -> Self {
        let text = text.into();
        let label = text.clone();
        Self { number: 0, view: view! { <a href=href>{label}</a> }.into_any(), text }
    }

    /// What leads to the row's own page: a click anywhere on the row does, too.
    pub(crate) fn open(text: impl Into<String>, href: String, shown: impl IntoView + 'static) -> Self {
        Self::view(text, view! { <a class="c-table__open" href=href>{shown}</a> })
    }

    /// An instant.
    pub(crate) fn time(when: When) -> Self {
        Self::view(when.full.clone(), view! { <Time when=when/> })
    }

    /// Anything, with the text that stands for it.
    pub(crate) fn view(text: impl Into<String>, view: impl IntoView + 'static) -> Self {
        Self { text: text.into(), number: 0, view: view.into_any() }
    }
}

/// A row. Its first cell's link is what opens it.
pub(crate) struct Row {
    pub(crate) id: String,
    /// What a screen reader calls it.
    pub(crate) label: String,
    pub(crate) cells: Vec<Cell>,
}

pub(super) fn sort_head(column: &Column, query: &Query, default: &str) -> AnyView {
    let (key, is_descending) = query.sort(default);
    let is_sorted = key == column.key;
    let aria = is_sorted.then_some(if is_descending { "descending" } else { "ascending" });
    let class = column.is_number.then_some("u-num");
    let minor = column.is_minor.then_some("");
    let content = if column.is_sortable {
        let next = if is_sorted && !is_descending { format!("-{}", column.key) } else { column.key.to_owned() };
        view! { <a class="c-table__sort" href=query.with("sort", &next)>{column.label}</a> }.into_any()
    } else {
        column.label.into_any()
    };
    view! { <th role="columnheader" scope="col" class=class aria-sort=aria data-minor=minor>{content}</th> }.into_any()
}

pub(super) fn filter_head(column: &Column, query: &Query) -> AnyView {
    let value = query.value(column.key).to_owned();
    let class = if value.is_empty() { "c-filter" } else { "c-filter c-filter--set" };
    let label = format!("Filter by {}", column.label.to_lowercase());
    let control = match &column.filter {
        Filter::None => ().into_any(),
        Filter::Text => view! { <input class=class name=column.key value=value aria-label=label autocomplete="off" spellcheck="false"/> }.into_any(),
        Filter::Choice(choices) => {
            let option = |(found, label): &(String, String)| {
                let is_selected = *found == value;
                view! { <option value=found.clone() selected=is_selected>{label.clone()}</option> }
            };
            let options = choices.iter().map(option).collect_view();
            view! { <select class=class name=column.key aria-label=label><option value="">"All"</option>{options}</select> }
                .into_any()
        }
    };
    let minor = column.is_minor.then_some("");
    view! { <td role="cell" data-label=column.label data-minor=minor>{control}</td> }.into_any()
}

pub(super) fn body_row(row: Row, columns: &[Column], is_selectable: bool) -> AnyView {
    let check = is_selectable.then(|| {
        let (name, label) = (format!("row.{}", row.id), format!("Select {}", row.label));
        view! { <td role="cell"><input type="checkbox" form="selection" name=name value="true" aria-label=label/></td> }
    });
    let cells = row.cells.into_iter().zip(columns).map(|(cell, column)| {
        let (mut end, mut wide, mut gone, mut label) = (None, None, None, None);
        match column.narrow {
            Narrow::Start => {}
            Narrow::End => end = Some(""),
            Narrow::Wide => wide = Some(""),
            Narrow::Gone => gone = Some(""),
            Narrow::Label(text) => label = Some(text),
        }
        let class = column.is_number.then_some("u-num");
        let minor = column.is_minor.then_some("");
        let title = (!cell.text.is_empty()).then_some(cell.text);
        view! {
            <td
                role="cell"
                class=class
                title=title
                data-end=end
                data-wide=wide
                data-gone=gone
                data-label=label
                data-minor=minor
            >
                {cell.view}
            </td>
        }
    });
    // By its id a row is found again in a newer page.
    view! { <tr role="row" id=format!("row-{}", row.id)>{check}{cells.collect_view()}</tr> }.into_any()
}

/// A short table: without filters, tools and pages, its columns in one order.
pub(crate) fn short(label: &'static str, columns: &[Column], rows: Vec<Row>) -> AnyView {
    let cols = columns.iter().map(|column| view! { <col class=column.width/> }).collect_view();
    let heads =
        columns.iter().map(|column| view! { <th role="columnheader" scope="col">{column.label}</th> }).collect_view();
    let body = rows.into_iter().map(|row| body_row(row, columns, false)).collect_view();
    view! {
        <table class="c-table c-table--fixed c-table--cards c-table--quiet" role="table" aria-label=label>
            <colgroup>{cols}</colgroup>
            <thead role="rowgroup">
                <tr role="row">{heads}</tr>
            </thead>
            <tbody role="rowgroup">{body}</tbody>
        </table>
    }
    .into_any()
}
