//! The browser entry: starts the browser half. The functions of the islands are exported by `app`.

use wasm_bindgen::prelude::wasm_bindgen;

/// Starts the browser half. The page calls it once the module is loaded, before it hydrates the islands.
#[wasm_bindgen]
pub fn start() {
    console_error_panic_hook::set_once();
    app::browser::start();
}
