//! The result of a command is in the address of the page that follows it. After some seconds the address loses it: a
//! live page fetches its own address, and must not say "Paused" for ever, nor again when the person comes back.

use leptos::prelude::*;
use std::time::Duration;
use wasm_bindgen::JsValue;

/// The time for which the result is certain to be shown.
const SHOWN: Duration = Duration::from_secs(10);

pub(super) fn forget_later() {
    set_timeout(forget, SHOWN);
}

fn forget() {
    // The result is the last value of an address.
    if let Ok(address) = window().location().href()
        && let Some((before, _)) = address.split_once("done=")
        && let Ok(history) = window().history()
    {
        // If the browser refuses, the notice stays.
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(before.trim_end_matches(['?', '&'])));
    }
}
