//! Pages that follow what happens: a stream of the server says that something has changed, and the page fetches its own
//! address and puts the newer one in place.
//!
//! Controls that a person has touched keep their state. While somebody is at work in a table (pointer, focus or a checked row) no
//! row comes, goes or moves: cells change in place, and the newer rows are offered.

use super::{find, find_all, on, rows, target};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
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
    /// The library's one function: changes `old` into `new`, keeping the elements that are in both.
    #[wasm_bindgen(catch, js_namespace = Idiomorph, js_name = morph)]
    fn morph(old: &Element, new: &Element, options: &JsValue) -> Result<JsValue, JsValue>;
}

thread_local! {
    static STREAM: RefCell<Option<EventSource>> = const { RefCell::new(None) };
    static FETCH: Cell<Fetch> = const { Cell::new(Fetch::No) };
}

/// Whether the page is being fetched, and whether something has changed since that began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fetch {
    No,
    UnderWay,
    UnderWayAndChanged,
}

/// Opens the stream while a live page is visible, and closes it while it is not, and when it is left.
pub(super) fn listen() {
    if find("main[data-live]").is_none() {
        return;
    }
    connect();
    on("visibilitychange", |_| if document().hidden() { disconnect() } else { connect() });
    on("pagehide", |_| disconnect());
    on("pageshow", |_| connect());
    on("click", |event| {
        if target(event).is_some_and(|place| place.has_attribute("data-newer")) {
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
    // For as long as the document lives.
    changed.forget();
    STREAM.set(Some(source));
}

fn disconnect() {
    if let Some(source) = STREAM.take() {
        source.close();
    }
}

/// Fetches the page again, once at a time: what changes meanwhile is fetched after that.
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

/// How a newer page is put in place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    /// Rows only where nobody is at work on them.
    AsFits,
    /// Whole: somebody has asked for it.
    Whole,
}

async fn refresh(put: Put) {
    let location = window().location();
    let Ok(address) = location.href() else { return };
    // Where the server is away, or has too much to do just now, what is on screen stays until the stream's next word.
    let Ok(response) = JsFuture::from(window().fetch_with_str(&address)).await else { return };
    let Ok(response) = response.dyn_into::<Response>() else { return };
    if response.redirected() {
        // Signed out: the whole page says so.
        let _ = location.reload();
        return;
    }
    if !response.ok() && response.status() != 404 {
        return;
    }
    let Ok(text) = response.text() else { return };
    let Some(text) = JsFuture::from(text).await.ok().and_then(|text| text.as_string()) else { return };
    let Ok(parser) = DomParser::new() else { return };
    let Ok(newer) = parser.parse_from_string(&text, SupportedType::TextHtml) else { return };
    show(&newer, put);
}

fn show(newer: &Document, put: Put) {
    // A question that is open stays as it is.
    if find("[popover]:popover-open").is_none()
        && let (Some(old), Some(new)) = (find("#page-commands"), newer.get_element_by_id("page-commands"))
    {
        replace(&old, &new);
    }
    // A page has only the icons that it uses.
    if let (Some(old), Some(new)) = (find("#icons"), newer.get_element_by_id("icons")) {
        replace(&old, &new);
    }
    let (Some(old), Some(new)) = (find("#main"), newer.get_element_by_id("main")) else { return };
    if put == Put::AsFits && is_at_work(&old) {
        change_cells(&old, &new);
    } else {
        document().set_title(&newer.title());
        replace(&old, &new);
    }
    rows::count();
}

/// Whether somebody is at work in a table, so that no row may move.
fn is_at_work(main: &Element) -> bool {
    ["tbody:hover", "table :focus", "#selection tbody input:checked"]
        .iter()
        .any(|selector| main.query_selector(selector).is_ok_and(|found| found.is_some()))
}

/// Changes the rows that are in both pages, and offers those that are new.
fn change_cells(old: &Element, new: &Element) {
    let mut shown = BTreeSet::new();
    for row in find_all::<Element>(old, "tbody tr[id]") {
        shown.insert(row.id());
        if let Ok(Some(newer)) = new.query_selector(&format!("[id=\"{}\"]", row.id())) {
            replace(&row, &newer);
        }
    }
    let count = find_all::<Element>(new, "tbody tr[id]").iter().filter(|row| !shown.contains(&row.id())).count();
    if count > 0
        && let Ok(Some(sign)) = old.query_selector(".c-live")
    {
        sign.set_text_content(None);
        if let Ok(button) = document().create_element("button") {
            button.set_text_content(Some(&format!("{count} newer")));
            // What cannot be offered is seen when the pointer leaves the table.
            let _ = button.set_attribute("type", "button").and_then(|()| button.set_attribute("data-newer", ""));
            let _ = sign.append_child(&button);
        }
    }
}

/// Changes one element into its newer form.
fn replace(old: &Element, new: &Element) {
    let keeps =
        Closure::<dyn Fn(String, Element, String) -> bool>::new(|name: String, node: Element, _kind: String| {
            !is_touched(&name, &node)
        });
    let callbacks = js_sys::Object::new();
    let options = js_sys::Object::new();
    let set = |of: &js_sys::Object, name: &str, value: &JsValue| js_sys::Reflect::set(of, &name.into(), value);
    let is_set = set(&callbacks, "beforeAttributeUpdated", keeps.as_ref()).is_ok()
        && set(&options, "callbacks", &callbacks).is_ok();
    if is_set {
        // A page that cannot be put in place stays as it is.
        let _ = morph(old, new, &options);
    }
}

/// Whether this attribute of an element is as a person has set it.
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
