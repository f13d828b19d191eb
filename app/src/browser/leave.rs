//! Leaving a form with unsaved input asks first.
//!
//! A form that is an island carries `data-unsaved` while its draft is not the saved one. Of the plain forms the controls
//! tell: the document has what they came with.

use super::{find, find_all, on, target};
use leptos::prelude::*;
use std::cell::Cell;
use web_sys::{Event, HtmlInputElement, HtmlTextAreaElement};

thread_local! {
    /// A form has been submitted by the browser: what was typed goes with it.
    static IS_SUBMITTED: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn listen() {
    on("submit", submitted);
    on("beforeunload", |event| {
        if !IS_SUBMITTED.get() && is_unsaved() {
            event.prevent_default();
        }
    });
    // Shown again, as it was.
    on("pageshow", |_| IS_SUBMITTED.set(false));
}

fn submitted(event: &Event) {
    let is_alive = target(event).is_some_and(|form| form.has_attribute("data-unsaved"));
    if !event.default_prevented() && !is_alive {
        IS_SUBMITTED.set(true);
    }
}

fn is_unsaved() -> bool {
    // A search and a filter lose nothing.
    const PLAIN: &str = "#main form[method=post]:not(leptos-island form, #selection)";
    find("form[data-unsaved]").is_some()
        || find_all::<HtmlInputElement>(&document(), &format!("{PLAIN} input[name]:not([type=hidden])"))
            .iter()
            .any(|input| input.value() != input.default_value() || input.checked() != input.default_checked())
        || find_all::<HtmlTextAreaElement>(&document(), &format!("{PLAIN} textarea"))
            .iter()
            .any(|area| Ok(area.value()) != area.default_value())
}
