//! The rows of a list: checking all, counting the checked, opening one, sending a filter.

use super::{find, find_all, on, target};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlInputElement, HtmlOptionElement, HtmlSelectElement};

pub(super) fn listen() {
    on("change", changed);
    on("dblclick", opened);
    on("submit", submitted);
    on("mouseover", hovered);
    // The browser brings back what was checked before somebody went away.
    on("pageshow", |_| count());
    count();
    // A filter may have been chosen before anybody listened. No browser brings one back: the address says which hold.
    let filters: Vec<HtmlSelectElement> = find_all(&document(), "select[form=filters]");
    let chosen = filters.into_iter().find(|filter| filter.value() != initial(filter));
    if let Some(form) = chosen.and_then(|filter| filter.form()) {
        let _ = form.request_submit();
    }
}

/// The value that a select came with: the marked option's, or the first one's.
fn initial(select: &HtmlSelectElement) -> String {
    let options: Vec<HtmlOptionElement> = find_all(select, "option");
    let marked = options.iter().find(|option| option.default_selected());
    marked.or(options.first()).map(HtmlOptionElement::value).unwrap_or_default()
}

/// Says how many rows are checked, and which commands can go.
pub(super) fn count() {
    let rows: Vec<HtmlInputElement> = find_all(&document(), "#selection tbody input");
    let checked = rows.iter().filter(|row| row.checked()).count();
    if let Some(place) = find("[data-selected]") {
        let words = if checked == 0 { String::new() } else { format!("{checked} selected") };
        place.set_text_content(Some(&words));
    }
    for command in find_all::<Element>(&document(), "[data-selection]") {
        // An attribute that cannot be set leaves the command as it is: the server asks for a selection itself.
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
        // A chosen filter goes at once; a typed one with Enter.
        let _ = form.request_submit();
    } else if checks_all || control.closest("#selection tbody").is_ok_and(|rows| rows.is_some()) {
        count();
    }
}

/// A double click on a row opens it.
fn opened(event: &Event) {
    let Some(place) = target(event) else { return };
    if place.closest("a, button, input, select, label").is_ok_and(|control| control.is_some()) {
        return;
    }
    if let Ok(Some(row)) = place.closest("tbody tr")
        && let Ok(Some(link)) = row.query_selector("a.c-table__open")
        && let Some(link) = link.dyn_ref::<HtmlElement>()
    {
        link.click();
    }
}

/// A cell whose text is cut shows it whole as its title.
fn hovered(event: &Event) {
    let cell = target(event).and_then(|place| place.closest("td").ok()?);
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

/// A filter that is empty is left out of the address.
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
            // The browser has read the form by then; its answer may never come.
            set_timeout(move || drop(control.remove_attribute("disabled")), std::time::Duration::ZERO);
        }
    }
}
