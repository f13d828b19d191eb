//! A form that is left for a moment. Its values are stored in the browser's session storage and filled in again when
//! the person returns. This happens before hydration, so the islands read the values as if they were typed.

use super::{find, find_all};
use leptos::prelude::*;
use std::collections::BTreeMap;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement, Storage};

/// The key in the session storage. Its entry has the values by control name, and the form's path.
const KEY: &str = "kept-form";
/// The name under which the form's path is stored. No control has this name.
const PATH: &str = "/";

fn storage() -> Option<Storage> {
    window().session_storage().ok()?
}

fn controls() -> Vec<Element> {
    find_all(&document(), "leptos-island form [name]")
}

/// Stores the values of the page's form, for the form at `path`.
pub(crate) fn store(path: &str) {
    let is_secret = |control: &Element| control.get_attribute("name").is_some_and(|name| name == "secret_headers");
    let values = controls()
        .into_iter()
        .filter(|control| !is_secret(control))
        .filter_map(|control| Some((control.get_attribute("name")?, value(&control)?)));
    let path = (PATH.to_owned(), path.to_owned());
    let stored: BTreeMap<String, String> = values.chain([path]).collect();
    if let (Some(storage), Ok(text)) = (storage(), serde_json::to_string(&stored)) {
        // Without storage the person returns to an empty form.
        let _ = storage.set_item(KEY, &text);
    }
}

/// Fills the page's form with the values stored for it, once. A form of another revision is not changed, nor are the
/// controls that the address sets.
pub(super) fn restore() {
    let Some(storage) = storage() else { return };
    let Ok(Some(text)) = storage.get_item(KEY) else { return };
    let Ok(values) = serde_json::from_str::<BTreeMap<String, String>>(&text) else { return };
    let location = window().location();
    if location.pathname().ok().as_ref() != values.get(PATH) {
        return;
    }
    // The values are used only once. If they cannot be removed, nothing is lost.
    let _ = storage.remove_item(KEY);
    let revision = find("leptos-island form [name=revision]").and_then(|control| value(&control));
    if revision != values.get("revision").cloned() {
        return;
    }
    let search = location.search().unwrap_or_default();
    for control in controls() {
        let name = control.get_attribute("name").unwrap_or_default();
        if let Some(stored) = values.get(&name)
            && !search.contains(&format!("{name}="))
        {
            fill(&control, stored);
        }
    }
}

fn value(control: &Element) -> Option<String> {
    if let Some(input) = control.dyn_ref::<HtmlInputElement>() {
        let is_switch = input.type_() == "checkbox";
        // A secret is never stored.
        if input.type_() == "password" {
            return None;
        }
        return Some(if is_switch { input.checked().to_string() } else { input.value() });
    }
    if let Some(select) = control.dyn_ref::<HtmlSelectElement>() {
        return Some(select.value());
    }
    control.dyn_ref::<HtmlTextAreaElement>().map(HtmlTextAreaElement::value)
}

fn fill(control: &Element, stored: &str) {
    if let Some(input) = control.dyn_ref::<HtmlInputElement>() {
        if input.type_() == "checkbox" {
            input.set_checked(stored == "true");
        } else {
            input.set_value(stored);
        }
    } else if let Some(select) = control.dyn_ref::<HtmlSelectElement>() {
        select.set_value(stored);
    } else if let Some(area) = control.dyn_ref::<HtmlTextAreaElement>() {
        area.set_value(stored);
    }
}
