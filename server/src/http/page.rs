//! Rendering the console: the context every page gets, and pages that are rendered again after a refused form.

use super::Http;
use app::error::AppError;
use app::form::Refused;
use app::shell::Theme;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leptos::prelude::{provide_context, use_context};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What every page and server function finds in its context.
pub fn context(http: &Http) -> impl Fn() + Clone + Send + Sync + 'static + use<> {
    let (backend, assets) = (http.services.backend(), http.assets.clone());
    move || {
        provide_context(backend.clone());
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

/// The page of an address that leads nowhere.
pub async fn not_found(State(http): State<Http>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    leptos_axum::render_app_async_with_context(context(&http), app::shell)(request).await
}
