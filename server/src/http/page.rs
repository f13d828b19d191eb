//! Rendering of pages: the context of each page, and the page that is rendered again after a refused form.

use super::Http;
use app::error::AppError;
use app::session::Viewer;
use app::shell::Theme;
use app::{App, Posted};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leptos::prelude::{provide_context, use_context};
use model::access::Role;
use serde::Serialize;

/// Returns the function that fills the context of pages and server functions.
pub fn context(http: &Http) -> impl Fn() + Clone + Send + Sync + 'static + use<> {
    let (services, assets) = (http.services.clone(), http.assets.clone());
    move || {
        let viewer = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Viewer>().cloned());
        // Without a session no data is shown; the backend gets the role with the fewest permissions.
        provide_context(services.backend_for(viewer.map_or(Role::Viewer, |viewer| viewer.role)));
        provide_context(assets.clone());
        let theme = use_context::<Parts>().map(|parts| theme(&parts)).unwrap_or_default();
        provide_context(theme);
    }
}

/// Returns the theme in the cookie.
fn theme(parts: &Parts) -> Theme {
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let chosen = cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix("theme="));
    Theme(match chosen {
        Some("light") => Some("light"),
        Some("dark") => Some("dark"),
        _ => None,
    })
}

/// Renders the page of any path. Used as the fallback.
pub async fn page(State(http): State<Http>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    leptos_axum::render_app_async_with_context(context(&http), App)(request).await
}

/// Renders the page at `path` with the result of a post. The status is that of the refusal.
pub async fn render_posted(http: &Http, mut parts: Parts, path: &str, posted: Posted) -> Response {
    let base = context(http);
    let with_posted = move || {
        base();
        provide_context(posted.clone());
    };
    parts.method = Method::GET;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    // The document is that of `path`, which may differ from the address of the post.
    if let Ok(uri) = path.parse() {
        parts.uri = uri;
    }
    let request = Request::from_parts(parts, Body::empty());
    leptos_axum::render_app_async_with_context(with_posted, App)(request).await
}

/// Returns a refused draft with its error, to render the page again.
pub fn refused(draft: &impl Serialize, error: AppError) -> Posted {
    // A draft is an object of strings, so its serialization cannot fail.
    Posted { draft: serde_json::to_value(draft).unwrap_or_default(), problem: Some(error), tested: None }
}
