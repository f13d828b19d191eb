//! The table of all lists: sorted by links, filtered by a form, and paged. Its whole state is in the URL.
//!
//! A list supplies columns and rows. Small lists supply all rows, which are sorted, filtered and paged here. Large
//! lists supply one page, selected by the database.

mod chips;
mod row;

use crate::asked::Page;
use crate::part::icon::Icon;
use crate::query::Query;
use crate::view::{COUNTED, PAGE_ROWS, SEARCHED, SEARCHED_FURTHER};
pub(crate) use chips::Of;
use leptos::prelude::*;
use model::number::to_usize;
use model::text::{folded, plural};
pub(crate) use row::{Cell, Column, Filter, Narrow, Row, short};
use row::{body_row, filter_head, sort_head};

/// A table ready to be rendered.
pub(crate) struct Table<'a> {
    /// "Webhooks".
    pub(crate) label: &'static str,
    /// "webhook", "webhooks".
    pub(crate) noun: (&'static str, &'static str),
    pub(crate) path: &'a str,
    pub(crate) query: &'a Query,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// The number of rows in all, if `rows` is one page of them.
    pub(crate) total: Option<u64>,
    /// The id from which the search continues, if only a part of the table was searched.
    pub(crate) further: Option<i64>,
    /// Set if the list has the rows of one thing only.
    pub(crate) of: Option<Of>,
    pub(crate) default_sort: &'static str,
    /// True if rows can be checked for commands.
    pub(crate) is_selectable: bool,
    /// Shown while there are no rows at all.
    pub(crate) empty: AnyView,
}

impl Table<'_> {
    /// Returns the page of this table. It is live, unless it shows what a long search has found.
    pub(crate) fn page(self, commands: Option<AnyView>) -> Page {
        let is_live = self.is_live();
        Page::new(self.label, self.render()).with_commands(commands).live_if(is_live)
    }

    fn is_live(&self) -> bool {
        self.query.beyond().is_none()
    }

    /// Returns the address of the list with one value changed. It has the path, since a page that shows the refusal of a
    /// command has the command's.
    fn link(&self, name: &str, value: &str) -> String {
        format!("{}{}", self.path, self.query.with(name, value))
    }

    /// Renders the card with the table.
    fn render(mut self) -> AnyView {
        let has_filters =
            self.of.is_some() || self.columns.iter().any(|column| !self.query.value(column.key).is_empty());
        let total = match self.total {
            Some(total) => total,
            None => self.choose(),
        };
        if total == 0 && !has_filters {
            let label = self.label;
            return view! { <section class="c-card c-card--list" aria-label=label>{self.empty}</section> }.into_any();
        }
        let heading = self.heading(total);
        let chips = self.chips();
        let columns = &self.columns;
        let cols = columns
            .iter()
            .map(|column| {
                let minor = if column.is_minor { " minor" } else { "" };
                view! { <col class=format!("{}{minor}", column.width)/> }
            })
            .collect_view();
        let check_col = self.is_selectable.then(|| view! { <col class="w-check"/> });
        let sort_heads = columns.iter().map(|column| sort_head(column, &self)).collect_view();
        let filter_heads = columns.iter().map(|column| filter_head(column, self.query)).collect_view();
        let check_all = self.is_selectable.then(|| {
            view! {
                <th scope="col">
                    <label class="c-check-all u-live">
                        <input type="checkbox" aria-label="Select all on this page" data-check-all=""/>
                        <span>"Select all"</span>
                    </label>
                </th>
            }
        });
        let no_check = self.is_selectable.then(|| view! { <td></td> });
        let is_selectable = self.is_selectable;
        let rows = std::mem::take(&mut self.rows);
        let count = rows.len();
        let body = rows.into_iter().map(|row| body_row(row, columns, is_selectable)).collect_view();
        let nothing = (count == 0).then(|| {
            // A command on the last row of the last page leads to a page without rows.
            let is_behind = self.query.page() > 1 && total > 0;
            let (text, href, link) = if is_behind {
                ("This page is empty. ", self.link("page", ""), "First page")
            } else {
                ("Nothing matches these filters. ", self.path.to_owned(), "Clear all")
            };
            view! {
                <div class="c-empty">
                    <Icon name="filter"/>
                    <p>{text}<a href=href>{link}</a></p>
                </div>
            }
        });
        let class = if is_selectable {
            "c-table c-table--fixed c-table--cards c-table--select c-table--quiet"
        } else {
            "c-table c-table--fixed c-table--cards c-table--quiet"
        };
        let searched = self.searched();
        let foot = self.foot(total, count);
        let label = self.label;
        let hidden = |name: &'static str, value: &str| {
            (!value.is_empty()).then(|| view! { <input type="hidden" name=name value=value.to_owned()/> })
        };
        let sort_input = hidden("sort", self.query.value("sort"));
        let query_input = hidden("query", &self.query.text());
        let of_input = self.of.as_ref().map(|of| hidden(of.key, &of.id));
        view! {
            <form method="get" id="filters" action=self.path.to_owned()>{sort_input}{of_input}</form>
            <section class="c-card c-card--list" aria-label=label>
                {heading}
                {chips}
                <form method="post" id="selection">
                    {query_input}
                    <table class=class role="table" aria-label=label>
                        <colgroup>{check_col}{cols}</colgroup>
                        <thead>
                            <tr>{check_all}{sort_heads}</tr>
                            <tr class="c-table__filters">{no_check}{filter_heads}</tr>
                        </thead>
                        <tbody>{body}</tbody>
                    </table>
                </form>
                {nothing}
                {searched}
                {foot}
            </section>
        }
        .into_any()
    }

    /// Filters, sorts and pages the rows of a small list. Returns the number of rows before paging.
    fn choose(&mut self) -> u64 {
        for (index, column) in self.columns.iter().enumerate() {
            let wanted = folded(self.query.value(column.key));
            if wanted.is_empty() {
                continue;
            }
            let is_choice = matches!(column.filter, Filter::Choice(_));
            self.rows.retain(|row| {
                let text = folded(&row.cells[index].text);
                if is_choice { text == wanted } else { text.contains(&wanted) }
            });
        }
        let (key, is_descending) = self.query.sort(self.default_sort);
        if let Some(index) = self.columns.iter().position(|column| column.key == key && column.is_sortable) {
            self.rows.sort_by(|a, b| {
                let (a, b) = (&a.cells[index], &b.cells[index]);
                a.number.cmp(&b.number).then_with(|| folded(&a.text).cmp(&folded(&b.text)))
            });
            if is_descending {
                self.rows.reverse();
            }
        }
        let total = self.rows.len() as u64;
        let start = to_usize((self.query.page() - 1) * PAGE_ROWS).min(self.rows.len());
        self.rows.drain(..start);
        self.rows.truncate(to_usize(PAGE_ROWS));
        total
    }

    fn heading(&self, total: u64) -> AnyView {
        let noun = plural(total, self.noun.0, self.noun.1);
        let live = self.is_live().then(|| view! { <span class="c-live u-live" role="status">"Live"</span> });
        view! {
            <header class="c-card__head">
                <p class="u-num"><span class="u-strong">{counted(total)}</span>" "{noun}</p>
                <span class="l-row">
                    <label class="c-button c-button--plain c-button--s c-filter-button">
                        <Icon name="filter"/>
                        "Filter"
                        <input class="u-hidden c-show-filters" type="checkbox"/>
                    </label>
                    <button class="c-button c-button--plain c-button--s" type="submit" form="filters">"Apply filters"</button>
                    {live}
                </span>
            </header>
        }
        .into_any()
    }

    /// Renders how much of the table was searched, with a link that continues the search.
    fn searched(&self) -> Option<AnyView> {
        let is_rising = !self.query.sort(self.default_sort).1 && self.query.sort(self.default_sort).0 == "time";
        let (first, next) = if is_rising { ("oldest", "newer") } else { ("newest", "older") };
        let nouns = self.noun.1;
        let text = match (self.query.beyond(), self.further) {
            (None, None) => return None,
            (None, Some(_)) => format!("At most the {first} {} {nouns} were searched. ", grouped(SEARCHED)),
            (Some(_), Some(_)) => format!("Up to {} {next} {nouns} were searched. ", grouped(SEARCHED_FURTHER)),
            (Some(_), None) => format!("All {next} {nouns} were searched. "),
        };
        let go_on = self.further.map(|id| {
            let href = self.link("beyond", &id.to_string());
            view! { <a href=href>{format!("Search {next} ones")}</a> }
        });
        let start = self.query.beyond().map(|_| {
            let href = self.link("beyond", "");
            view! { " "<a href=href>{format!("Back to the {first}")}</a> }
        });
        Some(view! { <p class="c-card__body u-small u-muted">{text}{go_on}{start}</p> }.into_any())
    }

    fn foot(&self, total: u64, shown: usize) -> AnyView {
        let page = self.query.page();
        let first = (page - 1) * PAGE_ROWS + 1;
        let last = first + shown as u64 - u64::from(shown > 0);
        let range = if shown == 0 { "0".to_owned() } else { format!("{}–{}", grouped(first), grouped(last)) };
        let page_link = |target: Option<u64>, icon: &'static str, label: &'static str| {
            let href = target.map(|page| self.link("page", &page.to_string()));
            let disabled = href.is_none().then_some("true");
            let role = href.is_none().then_some("link");
            view! {
                <a class="c-button c-button--plain c-button--icon" href=href role=role aria-disabled=disabled aria-label=label title=label>
                    <Icon name=icon/>
                </a>
            }
        };
        let pages = total.min(COUNTED).div_ceil(PAGE_ROWS);
        // A page behind the last one, as rows become fewer, leads back to the last one.
        let previous = page_link((page > 1).then(|| pages.clamp(1, page - 1)), "left", "Previous page");
        let next = page_link((page < pages).then_some(page + 1), "right", "Next page");
        let selected = self.is_selectable.then(|| view! { <span role="status" data-selected=""></span> });
        view! {
            <div class="c-card__foot u-num">
                {selected}
                <nav class="c-pager" aria-label="Pages">
                    <span>{range}" of "{counted(total)}</span>
                    {previous}
                    {next}
                </nav>
            </div>
        }
        .into_any()
    }
}

/// Returns the total as text. Totals above [`COUNTED`] are not counted.
pub(crate) fn counted(total: u64) -> String {
    counted_to(COUNTED, total)
}

/// Returns a number that was counted up to one more than `most` as text.
pub(crate) fn counted_to(most: u64, total: u64) -> String {
    if total > most { format!("over {}", grouped(most)) } else { grouped(total) }
}

/// Returns 12345 as `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_separates_thousands_by_commas() {
        let shown: Vec<_> = [0, 999, 1000, 1_234_567].map(grouped).into();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
