//! The browser entry: hydrates the console, and nothing else.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the page once the module is loaded. Marks the document, so that tests know when to click.
#[wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
    if let Some(root) = leptos::prelude::document().document_element() {
        // Only tests read it: failing to set it must not stop the page.
        let _ = root.set_attribute("data-hydrated", "");
    }
}
