//! The browser entry: starts the browser half, and nothing else. The islands' functions are exported by `app`.

use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the page once the module is loaded, before the islands.
#[wasm_bindgen]
pub fn start() {
    console_error_panic_hook::set_once();
    app::browser::start();
}
