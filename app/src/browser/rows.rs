//! The rows of a list: checking all, counting the checked, opening one, sending a filter.

use super::{find, find_all, on, target};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlFormElement, HtmlInputElement, HtmlSelectElement};

pub(super) fn listen() {
    on("change", changed);
    on("dblclick", opened);
    on("submit", submitted);
    // The browser brings back what was checked before somebody went away.
    on("pageshow", |_| count());
    count();
}

/// Says how many rows are checked, and which commands can go.
pub(super) fn count() {
    let rows: Vec<HtmlInputElement> = find_all(&document(), "tbody input[form=selection]");
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
        for row in find_all::<HtmlInputElement>(&document(), "tbody input[form=selection]") {
            row.set_checked(all.checked());
        }
    }
    if checks_all || control.get_attribute("form").as_deref() == Some("selection") {
        count();
    } else if control.tag_name() == "SELECT"
        && let Ok(Some(form)) = control.closest("#filters")
        && let Some(form) = form.dyn_ref::<HtmlFormElement>()
    {
        // A chosen filter goes at once; a typed one with Enter.
        let _ = form.request_submit();
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

/// A filter that is empty is left out of the address.
fn submitted(event: &Event) {
    let Some(form) = target(event).filter(|form| form.id() == "filters") else { return };
    for control in find_all::<Element>(&form, "[name]:not([form])") {
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
