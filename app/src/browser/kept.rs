//! A form that is left for a moment: its controls wait in the session's storage, and are filled again when somebody comes
//! back to it. Before hydration, so that the islands find them as if they had just been typed.

use super::{find, find_all};
use leptos::prelude::*;
use std::collections::BTreeMap;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement, Storage};

/// Where the controls wait: value by name, and the form's path.
const KEPT: &str = "kept-form";
/// No control has the path's name.
const PATH: &str = "/";

fn storage() -> Option<Storage> {
    window().session_storage().ok()?
}

fn controls() -> Vec<Element> {
    find_all(&document(), "leptos-island form [name]")
}

/// Keeps what stands in the page's form for the form at `path`.
pub(crate) fn keep(path: &str) {
    let is_secret = |control: &Element| control.get_attribute("name").is_some_and(|name| name == "secret_headers");
    let values = controls()
        .into_iter()
        .filter(|control| !is_secret(control))
        .filter_map(|control| Some((control.get_attribute("name")?, value(&control)?)));
    let path = (PATH.to_owned(), path.to_owned());
    let kept: BTreeMap<String, String> = values.chain([path]).collect();
    if let (Some(storage), Ok(text)) = (storage(), serde_json::to_string(&kept)) {
        // A browser that keeps nothing leaves an empty form behind.
        let _ = storage.set_item(KEPT, &text);
    }
}

/// Fills the page's form with what was kept for it, once. A form of another revision stays as it is, and so does what
/// the address sets.
pub(super) fn restore() {
    let Some(storage) = storage() else { return };
    let Ok(Some(text)) = storage.get_item(KEPT) else { return };
    let Ok(values) = serde_json::from_str::<BTreeMap<String, String>>(&text) else { return };
    let location = window().location();
    if location.pathname().ok().as_ref() != values.get(PATH) {
        return;
    }
    // Used once; that it cannot be removed changes nothing.
    let _ = storage.remove_item(KEPT);
    let revision = find("leptos-island form [name=revision]").and_then(|control| value(&control));
    if revision != values.get("revision").cloned() {
        return;
    }
    let set = location.search().unwrap_or_default();
    for control in controls() {
        let name = control.get_attribute("name").unwrap_or_default();
        if let Some(kept) = values.get(&name)
            && !set.contains(&format!("{name}="))
        {
            fill(&control, kept);
        }
    }
}

fn value(control: &Element) -> Option<String> {
    if let Some(input) = control.dyn_ref::<HtmlInputElement>() {
        let is_switch = input.type_() == "checkbox";
        // A secret is kept nowhere.
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

fn fill(control: &Element, kept: &str) {
    if let Some(input) = control.dyn_ref::<HtmlInputElement>() {
        if input.type_() == "checkbox" {
            input.set_checked(kept == "true");
        } else {
            input.set_value(kept);
        }
    } else if let Some(select) = control.dyn_ref::<HtmlSelectElement>() {
        select.set_value(kept);
    } else if let Some(area) = control.dyn_ref::<HtmlTextAreaElement>() {
        area.set_value(kept);
    }
}
