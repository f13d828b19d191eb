//! The behaviour of pages outside their islands, attached to attributes of the document. It is optional: without it the
//! same pages work by links and forms.

mod done;
mod leave;
mod live;
pub(crate) mod request;
mod rows;
pub(crate) mod stored_form;
mod theme;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, Node};

/// Registers all listeners. Called once, before the islands are hydrated.
pub fn start() {
    hydrate_islands();
    stored_form::restore();
    done::forget_later();
    live::listen();
    rows::listen();
    theme::listen();
    // Last, after the listeners that keep the browser from submitting.
    leave::listen();
}

/// Calls `act` for each event of this name, for as long as the document lives.
fn on(name: &'static str, act: fn(&Event)) {
    std::mem::forget(window_event_listener_untyped(name, move |event| act(&event)));
}

/// Returns the element on which an event occurred.
fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into::<Node>().ok()?.dyn_into().ok()
}

/// Returns the first element that matches a selector.
fn find(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok()?
}

/// Returns every element within `within` that matches a selector and is a `T`.
fn find_all<T: JsCast>(within: &Node, selector: &str) -> Vec<T> {
    let found = match (within.dyn_ref::<Element>(), within.dyn_ref::<web_sys::Document>()) {
        (Some(element), _) => element.query_selector_all(selector),
        (_, Some(document)) => document.query_selector_all(selector),
        _ => return Vec::new(),
    };
    let Ok(found) = found else { return Vec::new() };
    (0..found.length()).filter_map(|number| found.get(number)?.dyn_into().ok()).collect()
}
