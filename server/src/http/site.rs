//! The browser half, embedded in the binary: hashed, compressed files made by `cargo xtask`.
//!
//! A debug build reads the files from the build folder. Without them the console is plain HTML, and works.

use app::shell::Assets;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../target/site"]
#[allow_missing = true]
struct Site;

/// Returns the paths of the files, from the manifest beside them. All are empty if the browser half was not built.
pub fn assets() -> Assets {
    #[derive(serde::Deserialize)]
    struct Manifest {
        css: String,
        css_integrity: String,
        js: String,
        js_integrity: String,
        wasm: String,
        morph: String,
    }
    let manifest = Site::get("site.json").and_then(|file| serde_json::from_slice::<Manifest>(&file.data).ok());
    let Some(manifest) = manifest else { return Assets::default() };
    let path = |name: &str| format!("/pkg/{name}");
    Assets {
        css: path(&manifest.css),
        css_integrity: manifest.css_integrity,
        js: path(&manifest.js),
        js_integrity: manifest.js_integrity,
        wasm: path(&manifest.wasm),
        morph: path(&manifest.morph),
    }
}

/// `GET /pkg/{file}`: sends the smallest encoding that the browser accepts. Names contain a hash, so browsers may cache
/// the files for ever.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let content_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "wasm")) => "application/wasm",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let accepts = |coding: &str| {
        let value = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|part| {
            let (name, weight) = part.split_once(';').unwrap_or((part, ""));
            name.trim().eq_ignore_ascii_case(coding) && weight.trim().replace(' ', "") != "q=0"
        })
    };
    let found = [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .filter(|(coding, _)| accepts(coding))
        .find_map(|(coding, ending)| Some((Some(coding), Site::get(&format!("{name}.{ending}"))?)))
        .or_else(|| Some((None, Site::get(&name)?)));
    let Some((coding, EmbeddedFile { data, .. })) = found else { return StatusCode::NOT_FOUND.into_response() };
    // The data is borrowed, so that a client that reads slowly keeps no copy in memory.
    let mut response = data.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}
