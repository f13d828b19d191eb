//! The behaviour of pages beside their islands, found by attributes on the document. All of it is an extra:
//! without it the same pages work by links and forms.

pub(crate) mod kept;
mod leave;
mod live;
mod rows;
mod theme;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, Node};

/// Begins to listen. Called once, before the islands are hydrated.
pub fn start() {
    hydrate_islands();
    kept::restore();
    leave::listen();
    live::listen();
    rows::listen();
    theme::listen();
}

/// Calls `act` for each event of this name, for as long as the document lives.
fn on(name: &'static str, act: fn(&Event)) {
    std::mem::forget(window_event_listener_untyped(name, move |event| act(&event)));
}

/// The element an event happened to.
fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into::<Node>().ok()?.dyn_into().ok()
}

/// The element that a selector finds first.
fn find(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok()?
}

/// Every element that a selector finds, if it is a `T`.
fn find_all<T: JsCast>(within: &Node, selector: &str) -> Vec<T> {
    let found = match (within.dyn_ref::<Element>(), within.dyn_ref::<web_sys::Document>()) {
        (Some(element), _) => element.query_selector_all(selector),
        (_, Some(document)) => document.query_selector_all(selector),
        _ => return Vec::new(),
    };
    let Ok(found) = found else { return Vec::new() };
    (0..found.length()).filter_map(|number| found.get(number)?.dyn_into().ok()).collect()
}
