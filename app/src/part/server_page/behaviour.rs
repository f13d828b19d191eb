//! What parts of server pages do, found by their attributes. Everything here is an extra: without it the same pages work
//! by links and forms.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlFormElement, HtmlInputElement, Node};

/// Listens on the document, once.
pub(super) fn listen() {
    on("change", changed);
    on("dblclick", opened);
    on("submit", submitted);
    arrived();
}

fn on(name: &'static str, act: fn(&Event)) {
    let handle = window_event_listener_untyped(name, move |event| act(&event));
    // For as long as the document lives.
    std::mem::forget(handle);
}

fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into::<Node>().ok()?.dyn_into::<Element>().ok()
}

fn rows() -> Vec<HtmlInputElement> {
    let Ok(found) = document().query_selector_all("tbody input[form=selection]") else { return Vec::new() };
    (0..found.length()).filter_map(|place| found.get(place)?.dyn_into().ok()).collect()
}

/// A new page is in place.
pub(super) fn arrived() {
    count();
}

/// Says how many rows are checked, and which commands can go.
fn count() {
    let rows = rows();
    let checked = rows.iter().filter(|row| row.checked()).count();
    if let Ok(Some(place)) = document().query_selector("[data-selected]") {
        let words = if checked == 0 { String::new() } else { format!("{checked} selected") };
        place.set_text_content(Some(&words));
    }
    let Ok(commands) = document().query_selector_all("[data-selection]") else { return };
    for place in 0..commands.length() {
        if let Some(command) = commands.get(place).and_then(|found| found.dyn_into::<Element>().ok()) {
            // An attribute that cannot be set leaves the command as it is: the server asks for a selection itself.
            let _ =
                if checked == 0 { command.set_attribute("disabled", "") } else { command.remove_attribute("disabled") };
        }
    }
}

fn changed(event: &Event) {
    let Some(control) = target(event) else { return };
    if control.has_attribute("data-check-all")
        && let Some(all) = control.dyn_ref::<HtmlInputElement>()
    {
        for row in rows() {
            row.set_checked(all.checked());
        }
    }
    if control.get_attribute("form").as_deref() == Some("selection") || control.has_attribute("data-check-all") {
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

/// A filter is sent without a reload.
fn submitted(event: &Event) {
    let Some(form) = target(event).and_then(|form| form.dyn_into::<HtmlFormElement>().ok()) else { return };
    if form.id() != "filters" {
        return;
    }
    event.prevent_default();
    let Ok(controls) = form.query_selector_all("[name]") else { return };
    let mut pairs = Vec::new();
    for place in 0..controls.length() {
        let Some(control) = controls.get(place) else { continue };
        let (name, value) = if let Some(input) = control.dyn_ref::<HtmlInputElement>() {
            (input.name(), input.value())
        } else if let Some(select) = control.dyn_ref::<web_sys::HtmlSelectElement>() {
            (select.name(), select.value())
        } else {
            continue;
        };
        if !value.trim().is_empty() && !name.starts_with("row.") {
            let encode = |text: &str| String::from(js_sys::encode_uri_component(text));
            pairs.push(format!("{}={}", encode(&name), encode(&value)));
        }
    }
    let path = window().location().pathname().unwrap_or_default();
    let address = if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) };
    go(&address);
}

/// Follows an address as a link of the page would be: the router looks after links.
fn go(address: &str) {
    let Ok(link) = document().create_element("a") else { return };
    if link.set_attribute("href", address).is_err() {
        return;
    }
    if let (Some(body), Some(link)) = (document().body(), link.dyn_ref::<HtmlElement>())
        && body.append_child(link).is_ok()
    {
        link.click();
        link.remove();
    }
}
