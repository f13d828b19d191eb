//! The theme switch. With script the page changes at once, and typed values stay.

use super::{on, target};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlButtonElement, HtmlDocument, HtmlElement, SubmitEvent};

pub(super) fn listen() {
    on("submit", |event| {
        if target(event).is_some_and(|form| form.id() == "theme")
            && let Some(theme) = chosen(event)
        {
            event.prevent_default();
            apply(&theme);
        }
    });
}

fn chosen(event: &Event) -> Option<String> {
    Some(event.dyn_ref::<SubmitEvent>()?.submitter()?.dyn_into::<HtmlButtonElement>().ok()?.value())
}

/// Sets the attribute that the style sheet reads, and the cookie that the server reads on the next load.
fn apply(theme: &str) {
    let document = document();
    if let Some(root) = document.document_element() {
        // If the attribute cannot be set, the theme stays; the cookie still applies on the next load.
        let _ = if theme == "system" {
            root.remove_attribute("data-theme")
        } else {
            root.set_attribute("data-theme", theme)
        };
    }
    if let Some(html) = document.dyn_ref::<HtmlDocument>() {
        let _ = html.set_cookie(&format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax"));
    }
    if let Some(popover) = document.get_element_by_id("theme").and_then(|found| found.dyn_into::<HtmlElement>().ok()) {
        let _ = popover.hide_popover();
    }
}
