//! Live pages. A stream from the server says that something changed; the page then fetches its own address and changes
//! itself into the newer version.
//!
//! Controls that a person has changed keep their state. While a person works in a table (pointer, focus or a checked
//! row), no row is added, removed or moved: cells change in place, and the newer rows are offered. A list with buttons
//! does not change at all while one of them has the pointer or the focus.

use super::{find, find_all, on, rows, target};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Document, DomParser, Element, EventSource, HtmlInputElement, HtmlOptionElement, HtmlTextAreaElement, MessageEvent,
    Response, SupportedType,
};

#[wasm_bindgen]
extern "C" {
    /// The library's one function. Changes `old` into `new`, and keeps the elements that are in both.
    #[wasm_bindgen(catch, js_namespace = Idiomorph, js_name = morph)]
    fn morph(old: &Element, new: &Element, options: &JsValue) -> Result<JsValue, JsValue>;
}

thread_local! {
    static STREAM: RefCell<Option<EventSource>> = const { RefCell::new(None) };
    static FETCH: Cell<Fetch> = const { Cell::new(Fetch::No) };
    /// True while the page waits before it tries again.
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// The shortest wait before a page tries again.
const RETRY_LEAST: Duration = Duration::from_secs(5);
/// The most by which the waits of two pages differ, so that not all of them ask an overloaded server at once.
const RETRY_SPREAD: Duration = Duration::from_secs(10);

/// The state of the fetch of the page. `UnderWayAndChanged`: something has changed since the fetch began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fetch {
    No,
    UnderWay,
    UnderWayAndChanged,
}

/// Opens the stream while a live page is visible. Closes it while the page is hidden, and when it is left.
pub(super) fn listen() {
    if find("main[data-live]").is_none() {
        return;
    }
    connect();
    on("visibilitychange", |_| if document().hidden() { disconnect() } else { connect() });
    on("pagehide", |_| disconnect());
    on("pageshow", |_| connect());
    on("click", |event| {
        if target(event).is_some_and(|element| element.has_attribute("data-newer")) {
            event.prevent_default();
            spawn_local(refresh(Put::Whole));
        }
    });
}

fn connect() {
    if document().hidden() || STREAM.with_borrow(Option::is_some) {
        return;
    }
    let Ok(source) = EventSource::new("/live") else { return };
    let changed = Closure::<dyn Fn(MessageEvent)>::new(|_| changed());
    source.set_onmessage(Some(changed.as_ref().unchecked_ref()));
    // The browser would connect again after a lost connection, but not after a response that is no stream, of a proxy
    // for example.
    let failed = Closure::<dyn Fn()>::new(|| {
        disconnect();
        try_later();
    });
    source.set_onerror(Some(failed.as_ref().unchecked_ref()));
    // The callbacks live as long as the document.
    changed.forget();
    failed.forget();
    STREAM.set(Some(source));
}

/// Connects, and fetches the page, after some seconds. Until then the page says that it is not live.
fn try_later() {
    if let Some(status) = find(".c-live") {
        status.set_class_name("c-live c-live--off u-live");
        status.set_text_content(Some("Not live"));
    }
    if IS_WAITING.replace(true) {
        return;
    }
    let again = || {
        IS_WAITING.set(false);
        if !document().hidden() {
            connect();
            changed();
        }
    };
    set_timeout(again, RETRY_LEAST + RETRY_SPREAD.mul_f64(js_sys::Math::random()));
}

fn disconnect() {
    if let Some(source) = STREAM.take() {
        source.close();
    }
}

/// Fetches the page again, one fetch at a time. A change during a fetch causes one more fetch after it.
fn changed() {
    if FETCH.get() != Fetch::No {
        FETCH.set(Fetch::UnderWayAndChanged);
        return;
    }
    spawn_local(async {
        loop {
            FETCH.set(Fetch::UnderWay);
            refresh(Put::AsFits).await;
            if FETCH.replace(Fetch::No) == Fetch::UnderWay {
                return;
            }
        }
    });
}

/// The extent to which a newer version changes the page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    /// Rows change only where no person works on them.
    AsFits,
    /// The whole page changes, since the person asked for it.
    Whole,
}

async fn refresh(put: Put) {
    let location = window().location();
    let Ok(address) = location.href() else { return };
    // When the server is down or overloaded, the page stays as it is for some seconds.
    let Ok(response) = JsFuture::from(window().fetch_with_str(&address)).await else { return try_later() };
    let Ok(response) = response.dyn_into::<Response>() else { return };
    if response.redirected() {
        // The session has ended. A reload shows the sign-in page.
        let _ = location.reload();
        return;
    }
    if !response.ok() && response.status() != 404 {
        return try_later();
    }
    let Ok(text) = response.text() else { return };
    let Some(text) = JsFuture::from(text).await.ok().and_then(|text| text.as_string()) else { return try_later() };
    let Ok(parser) = DomParser::new() else { return };
    let Ok(newer) = parser.parse_from_string(&text, SupportedType::TextHtml) else { return };
    show(&newer, put);
}

fn show(newer: &Document, put: Put) {
    // An open question is not replaced.
    if find("[popover]:popover-open").is_none()
        && let (Some(old), Some(new)) = (find("#page-commands"), newer.get_element_by_id("page-commands"))
    {
        replace(&old, &new, put);
    }
    // A page contains only the icons that it uses.
    if let (Some(old), Some(new)) = (find("#icons"), newer.get_element_by_id("icons")) {
        replace(&old, &new, put);
    }
    let (Some(old), Some(new)) = (find("#main"), newer.get_element_by_id("main")) else { return };
    document().set_title(&newer.title());
    replace(&old, &new, put);
    if put == Put::AsFits {
        change_cells(&old, &new);
    }
    rows::count();
}

/// Returns true for a list in which a person works, so that no row may move.
fn is_at_work(list: &Element) -> bool {
    list.matches("table, .c-lines:has(form)").unwrap_or_default()
        && list.query_selector(":focus, tbody:hover, button:hover, input:checked").is_ok_and(|found| found.is_some())
}

/// Changes the rows that are in both versions, also those of a table in which a person works. Offers the rows that only
/// the newer version has.
fn change_cells(old: &Element, new: &Element) {
    let mut shown = BTreeSet::new();
    for row in find_all::<Element>(old, "tbody tr[id]") {
        shown.insert(row.id());
        if let Ok(Some(newer)) = new.query_selector(&format!("[id=\"{}\"]", row.id())) {
            replace(&row, &newer, Put::AsFits);
        }
    }
    let count = find_all::<Element>(new, "tbody tr[id]").iter().filter(|row| !shown.contains(&row.id())).count();
    if count > 0
        && let Ok(Some(status)) = old.query_selector(".c-live")
    {
        status.set_text_content(None);
        if let Ok(button) = document().create_element("button") {
            button.set_text_content(Some(&format!("{count} newer")));
            // If the button cannot be made, the new rows appear when the pointer leaves the table.
            let _ = button.set_attribute("type", "button").and_then(|()| button.set_attribute("data-newer", ""));
            let _ = status.append_child(&button);
        }
    }
}

/// Changes an element into its newer version. With [`Put::AsFits`] the lists in which a person works stay.
fn replace(old: &Element, new: &Element, put: Put) {
    let may_change = Closure::<dyn Fn(JsValue) -> bool>::new(move |node: JsValue| {
        put == Put::Whole || !node.dyn_ref::<Element>().is_some_and(is_at_work)
    });
    let may_update =
        Closure::<dyn Fn(String, Element, String) -> bool>::new(|name: String, node: Element, _kind: String| {
            !is_touched(&name, &node)
        });
    let callbacks = js_sys::Object::new();
    let options = js_sys::Object::new();
    let set = |of: &js_sys::Object, name: &str, value: &JsValue| js_sys::Reflect::set(of, &name.into(), value);
    let is_set = set(&callbacks, "beforeAttributeUpdated", may_update.as_ref()).is_ok()
        && set(&callbacks, "beforeNodeMorphed", may_change.as_ref()).is_ok()
        && set(&options, "callbacks", &callbacks).is_ok();
    if is_set {
        // If the library fails, the page stays as it is.
        let _ = morph(old, new, &options);
    }
}

/// Returns true if a person has changed this attribute of an element.
fn is_touched(attribute: &str, node: &Element) -> bool {
    match attribute {
        "open" => node.tag_name() == "DETAILS",
        "checked" => node.dyn_ref::<HtmlInputElement>().is_some_and(|input| input.checked() != input.default_checked()),
        "selected" => {
            node.dyn_ref::<HtmlOptionElement>().is_some_and(|option| option.selected() != option.default_selected())
        }
        "value" => {
            node.dyn_ref::<HtmlInputElement>().is_some_and(|input| input.value() != input.default_value())
                || node.dyn_ref::<HtmlTextAreaElement>().is_some_and(|area| Ok(area.value()) != area.default_value())
        }
        _ => false,
    }
}
