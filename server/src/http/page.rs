//! Rendering the console: the context every page gets, and pages that are rendered again after a refused form.

use super::Http;
use app::error::AppError;
use app::form::Refused;
use app::server_page;
use app::session::Viewer;
use app::shell::Theme;
use app::view::TestAnswer;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leptos::prelude::{provide_context, use_context};
use model::access::Role;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// What every page and server function finds in its context.
pub fn context(http: &Http) -> impl Fn() + Clone + Send + Sync + 'static + use<> {
    let (services, assets) = (http.services.clone(), http.assets.clone());
    move || {
        let viewer = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Viewer>().cloned());
        // Somebody who is not signed in is shown nothing, and would be shown the least.
        provide_context(services.backend_for(viewer.map_or(Role::Viewer, |viewer| viewer.role)));
        provide_context(assets.clone());
        let theme = use_context::<Parts>().map(|parts| theme(&parts)).unwrap_or_default();
        provide_context(theme);
    }
}

/// The theme in the cookie.
fn theme(parts: &Parts) -> Theme {
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let chosen = cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix("theme="));
    Theme(match chosen {
        Some("light") => Some("light"),
        Some("dark") => Some("dark"),
        _ => None,
    })
}

/// Renders the page of `parts` from the refused draft, with the status of its error.
pub async fn render_refused<D>(http: &Http, mut parts: Parts, draft: D, error: AppError) -> Response
where
    D: Clone + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    let status = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let base = context(http);
    let refused = Refused { draft, error };
    let with_draft = move || {
        base();
        provide_context(refused.clone());
    };
    parts.method = Method::GET;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    let request = Request::from_parts(parts, Body::empty());
    let mut response = leptos_axum::render_app_async_with_context(with_draft, app::shell)(request).await;
    *response.status_mut() = status;
    response.into_response()
}

/// The pages of who is not signed in.
pub async fn alone(State(http): State<Http>, request: Request) -> Response {
    leptos_axum::render_app_async_with_context(context(&http), app::shell)(request).await
}

/// The pages that the server renders alone: every address that no form has.
pub async fn server_page(State(http): State<Http>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (parts, _) = request.into_parts();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    render_server_page(&http, parts, path, query, Posted::default()).await
}

/// What a page shows besides itself, once something was posted to it.
#[derive(Default)]
pub struct Posted {
    /// What was typed.
    pub typed: BTreeMap<String, String>,
    /// Why it was refused.
    pub problem: Option<AppError>,
    /// What a test came to.
    pub tested: Option<TestAnswer>,
}

/// Renders a server page, with what came of what was posted.
pub async fn render_server_page(
    http: &Http,
    mut parts: Parts,
    path: String,
    query: String,
    posted: Posted,
) -> Response {
    let Some(viewer) = parts.extensions.get::<Viewer>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let backend = http.services.backend_for(viewer.role);
    // The document is that of the page, whichever address was posted to.
    let address = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
    let Posted { typed, problem, tested } = posted;
    let page = server_page::render(server_page::Request { path, query, viewer, backend, problem, typed, tested }).await;
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let base = context(http);
    let with_page = move || {
        base();
        provide_context(page.clone());
    };
    parts.method = Method::GET;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Ok(uri) = address.parse() {
        parts.uri = uri;
    }
    let request = Request::from_parts(parts, Body::empty());
    let mut response = leptos_axum::render_app_async_with_context(with_page, app::shell)(request).await;
    *response.status_mut() = status;
    response.into_response()
}
