//! Asks before a form with unsaved input is left.
//!
//! A form that is an island has the attribute `data-unsaved` while its draft differs from the saved one. In plain forms
//! the controls are compared with the values that came with the document.

use super::{find, find_all, on, target};
use leptos::prelude::*;
use std::cell::Cell;
use web_sys::{Event, HtmlInputElement, HtmlTextAreaElement};

thread_local! {
    /// True once the browser has submitted a form, since the typed values go with it.
    static IS_SUBMITTED: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn listen() {
    on("submit", submitted);
    on("beforeunload", |event| {
        if !IS_SUBMITTED.get() && is_unsaved() {
            event.prevent_default();
        }
    });
    // The page is shown again, from the back/forward cache.
    on("pageshow", |_| IS_SUBMITTED.set(false));
}

fn submitted(event: &Event) {
    let is_hydrated = target(event).is_some_and(|form| form.has_attribute("data-unsaved"));
    if !event.default_prevented() && !is_hydrated {
        IS_SUBMITTED.set(true);
    }
}

fn is_unsaved() -> bool {
    // Searches and filters lose nothing.
    const PLAIN: &str = "#main form[method=post]:not(leptos-island form, #selection)";
    find("form[data-unsaved]").is_some()
        || find_all::<HtmlInputElement>(&document(), &format!("{PLAIN} input[name]:not([type=hidden])"))
            .iter()
            .any(|input| input.value() != input.default_value() || input.checked() != input.default_checked())
        || find_all::<HtmlTextAreaElement>(&document(), &format!("{PLAIN} textarea"))
            .iter()
            .any(|area| Ok(area.value()) != area.default_value())
}
