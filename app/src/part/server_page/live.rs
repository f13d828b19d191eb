//! Pages that follow what happens: a stream of the server says that something has changed, and the page is fetched again,
//! unless somebody is at work on it: then a button offers it.

use super::Fetched;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{EventSource, MessageEvent};

/// Opens the stream while the document is visible, and closes it while it is not.
pub(super) fn listen(fetched: Fetched) {
    let stream = StoredValue::new_local(None::<EventSource>);
    let connect = move || {
        if stream.with_value(Option::is_some) || document().hidden() {
            return;
        }
        let Ok(source) = EventSource::new("/live") else { return };
        let changed = Closure::<dyn Fn(MessageEvent)>::new(move |_| changed(fetched));
        source.set_onmessage(Some(changed.as_ref().unchecked_ref()));
        // As long as the document lives.
        changed.forget();
        stream.set_value(Some(source));
    };
    connect();
    let handle = window_event_listener_untyped("visibilitychange", move |_| {
        if document().hidden() {
            if let Some(source) = stream.try_update_value(Option::take).flatten() {
                source.close();
            }
        } else {
            connect();
        }
    });
    std::mem::forget(handle);
}

fn changed(fetched: Fetched) {
    if fetched.is_open.get_untracked() && may_move() {
        // Asked again when it has come: somebody may have begun meanwhile. One that was given up replaces nothing.
        fetched.fetch_again(|page| page.status != 503 && may_move());
    }
}

/// Whether the page may be replaced: it follows, and nobody is at work on it. Else a sign says that something has changed.
fn may_move() -> bool {
    let Ok(Some(place)) = document().query_selector(".l-server[data-live]") else { return false };
    // Under the pointer or the focus nothing moves, and what is open stays open.
    let is_busy = [
        ":hover tbody tr:hover",
        "input:checked[form=selection]",
        "input:focus, select:focus, textarea:focus",
        "tbody a:focus",
        ".c-show-filters:checked, details[open]",
    ]
    .iter()
    .any(|selector| place.query_selector(selector).is_ok_and(|found| found.is_some()));
    // A question may be open in the menu too.
    let is_asked = document().query_selector("[popover]:popover-open").is_ok_and(|found| found.is_some());
    if !is_busy && !is_asked {
        return true;
    }
    if let Ok(Some(sign)) = place.query_selector("[data-live]") {
        sign.set_text_content(Some("Changed"));
    }
    false
}
