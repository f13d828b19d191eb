//! Asks before a form with unsaved input is left, and submits a form once.
//!
//! A form that is an island has the attribute `data-unsaved` while its draft differs from the saved one. In plain forms
//! the controls are compared with the values that came with the document.

use super::{find, find_all, on, rows, target};
use leptos::prelude::*;
use std::cell::Cell;
use std::time::Duration;
use web_sys::{Event, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};

thread_local! {
    /// True once the browser has submitted the form of the page, since the typed values go with it.
    static IS_SUBMITTED: Cell<bool> = const { Cell::new(false) };
    /// True for a moment after a form was submitted.
    static IGNORES_SUBMITS: Cell<bool> = const { Cell::new(false) };
}

/// The time within which a second submit is no decision of the person.
const DOUBLE_CLICK: Duration = Duration::from_secs(1);

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
    let Some(form) = target(event).filter(|_| !event.default_prevented()) else { return };
    let is = |selector: &str| form.matches(selector).unwrap_or_default();
    if !is("[method=post]") {
        return;
    }
    // The second click of a double click would execute the command again.
    if IGNORES_SUBMITS.replace(true) {
        event.prevent_default();
    }
    // After a response that is no page, such as a download, the form can be used again.
    set_timeout(|| IGNORES_SUBMITS.set(false), DOUBLE_CLICK);
    // The input of another form would be lost.
    if is("#main form:not([data-unsaved]):has([name]:not([type=hidden]))") {
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
        || find_all::<HtmlSelectElement>(&document(), &format!("{PLAIN} select:not(.c-filter)"))
            .iter()
            .any(|select| select.value() != rows::initial(select))
}
