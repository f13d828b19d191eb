//! The rows of a list: checks all, counts the checked rows, opens a row, and submits filters.

use super::{find, find_all, on, target};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlInputElement, HtmlOptionElement, HtmlSelectElement};

pub(super) fn listen() {
    on("change", changed);
    on("dblclick", opened);
    on("submit", submitted);
    on("mouseover", hovered);
    // The browser restores checked rows when the person returns to the page.
    on("pageshow", |_| count());
    count();
    // A filter may have been chosen before this listener was registered. Browsers do not restore filters: the address
    // names the active ones.
    let filters: Vec<HtmlSelectElement> = find_all(&document(), "select[form=filters]");
    let chosen = filters.into_iter().find(|filter| filter.value() != initial(filter));
    if let Some(form) = chosen.and_then(|filter| filter.form()) {
        let _ = form.request_submit();
    }
}

/// Returns the value that a select came with: that of the marked option, or of the first.
pub(super) fn initial(select: &HtmlSelectElement) -> String {
    let options: Vec<HtmlOptionElement> = find_all(select, "option");
    let marked = options.iter().find(|option| option.default_selected());
    marked.or(options.first()).map(HtmlOptionElement::value).unwrap_or_default()
}

/// Shows the number of checked rows, and enables the commands that need a selection.
pub(super) fn count() {
    let rows: Vec<HtmlInputElement> = find_all(&document(), "#selection tbody input");
    let checked = rows.iter().filter(|row| row.checked()).count();
    if let Some(counter) = find("[data-selected]") {
        let text = if checked == 0 { String::new() } else { format!("{checked} selected") };
        counter.set_text_content(Some(&text));
    }
    if let Some(all) = find("[data-check-all]").and_then(|all| all.dyn_into::<HtmlInputElement>().ok()) {
        all.set_checked(checked > 0 && checked == rows.len());
        all.set_indeterminate(checked > 0 && checked < rows.len());
    }
    for command in find_all::<Element>(&document(), "[data-selection]") {
        // If the attribute cannot be set, the command stays as it is: the server requires a selection itself.
        let _ = if checked == 0 { command.set_attribute("disabled", "") } else { command.remove_attribute("disabled") };
    }
}

fn changed(event: &Event) {
    let Some(control) = target(event) else { return };
    let checks_all = control.has_attribute("data-check-all");
    if checks_all && let Some(all) = control.dyn_ref::<HtmlInputElement>() {
        for row in find_all::<HtmlInputElement>(&document(), "#selection tbody input") {
            row.set_checked(all.checked());
        }
    }
    let form = control.dyn_ref::<HtmlSelectElement>().and_then(HtmlSelectElement::form);
    if let Some(form) = form.filter(|form| form.id() == "filters") {
        // A chosen filter is submitted at once, a typed filter with Enter.
        let _ = form.request_submit();
    } else if checks_all || control.closest("#selection tbody").is_ok_and(|rows| rows.is_some()) {
        count();
    }
}

/// Opens a row on a double click.
fn opened(event: &Event) {
    let Some(element) = target(event) else { return };
    if element.closest("a, button, input, select, label").is_ok_and(|control| control.is_some()) {
        return;
    }
    if let Ok(Some(row)) = element.closest("tbody tr")
        && let Ok(Some(link)) = row.query_selector("a.c-table__open")
        && let Some(link) = link.dyn_ref::<HtmlElement>()
    {
        link.click();
    }
}

/// Shows the whole text of a cut cell as its title.
fn hovered(event: &Event) {
    let cell = target(event).and_then(|element| element.closest("td").ok()?);
    if let Some(cell) = cell.and_then(|cell| cell.dyn_into::<HtmlElement>().ok())
        && !cell.has_attribute("title")
        && is_cut(&cell)
    {
        cell.set_title(&cell.text_content().unwrap_or_default());
    }
}

fn is_cut(cell: &HtmlElement) -> bool {
    let inner: Vec<HtmlElement> = find_all(cell, "a");
    cell.scroll_width() > cell.client_width() || inner.iter().any(|link| link.scroll_width() > link.client_width())
}

/// Leaves empty filters out of the address.
fn submitted(event: &Event) {
    if target(event).is_none_or(|form| form.id() != "filters") {
        return;
    }
    for control in find_all::<Element>(&document(), "[form=filters][name]") {
        let value = match (control.dyn_ref::<HtmlInputElement>(), control.dyn_ref::<HtmlSelectElement>()) {
            (Some(input), _) => input.value(),
            (_, Some(select)) => select.value(),
            _ => continue,
        };
        if value.trim().is_empty() && control.set_attribute("disabled", "").is_ok() {
            // By then the browser has read the form, so the control is enabled again: the response may never come.
            set_timeout(move || drop(control.remove_attribute("disabled")), std::time::Duration::ZERO);
        }
    }
}
