//! The HTTP side: the routes, their permissions, and the headers of every response.
//!
//! GET on the path of a page renders the page, POST saves its form. All paths except the public ones need a
//! session; `/api/v1` needs a key instead.

mod body;
mod client;
pub mod command;
mod compact;
pub mod door;
pub mod form;
pub mod health;
pub mod live;
mod pace;
pub mod page;
pub mod proxy;
pub mod session;
pub mod site;
pub mod v1;

use crate::auth::api_key::Keys;
use crate::auth::session::{LASTS, Sessions};
use crate::intake::Intake;
use crate::service::Services;
use app::error::{AppError, Code};
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use leptos::config::LeptosOptions;
use leptos_axum::{AxumRouteListing, LeptosRoutes};
use model::number::to_i64;
use proxy::Proxies;
use session::SignInLimit;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration as CookieDuration;
use tower_sessions::{Expiry, SessionManagerLayer};

/// Time that a sender may pause within a body, in a real server.
pub const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// Returns a refusal from before a handler: as the error that a form of the browser half shows, or as plain text.
fn refusal(path: &str, status: StatusCode, code: Code, message: &str) -> Response {
    if path.starts_with("/api/") {
        return (status, axum::Json(AppError::new(code, message))).into_response();
    }
    (status, message.to_owned()).into_response()
}

/// The state that all handlers share. Each layer clones it for each request.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

impl From<Shared> for Http {
    fn from(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for Http {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The members of [`Http`].
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Shared {
    pub services: Services,
    pub intake: Intake,
    pub keys: Arc<Keys>,
    pub assets: app::shell::Assets,
    pub sign_in_limit: Arc<SignInLimit>,
    pub changes: live::ChangeFeed,
    /// Time that a sender may pause within a body.
    pub body_patience: Duration,
    pub proxies: Arc<Proxies>,
    /// True for the listeners of https.
    pub is_https: bool,
}

/// The page router requires this conversion. The server serves the browser half itself, so the values do not matter.
impl FromRef<Http> for LeptosOptions {
    fn from_ref(_: &Http) -> Self {
        Self::builder().output_name("hookwright").build()
    }
}

/// Returns the router for listeners of one scheme. With https the session cookie is bound to https.
pub fn router(http: &Http) -> Router {
    let is_public_https = http.proxies.public_url.as_ref().is_some_and(|url| url.is_https);
    let is_https = http.is_https || is_public_https;
    let sessions = Sessions::new(http.services.store.clone(), http.services.clock.clone());
    // Cookies apply to all ports of a host. The name contains the key's fingerprint, so that another installation on
    // the host has another cookie.
    let installation: String =
        http.services.vault.fingerprint().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let cookie = format!("{}hookwright-{installation}", if is_https { "__Host-" } else { "" });
    let sessions = SessionManagerLayer::new(sessions)
        .with_name(cookie)
        .with_secure(is_https)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(CookieDuration::seconds(to_i64(LASTS.as_secs()))));
    let console = console(http)
        .layer(middleware::from_fn_with_state(http.clone(), session::identify))
        .layer(sessions)
        // The browser must not show one person's pages to the next.
        .layer(default_header(header::CACHE_CONTROL, "no-store"))
        .layer(client::no_other_site(&http.proxies))
        .layer(middleware::from_fn_with_state(http.clone(), client::name_other_site))
        .layer(middleware::from_fn_with_state(http.clone(), client::by_public_url))
        .layer(CompressionLayer::new());
    let api = Router::new()
        .route("/api/v1/events", post(v1::events::post).options(v1::events::shake_hands))
        .route("/api/v1/sources/{kind}", post(v1::sources::post))
        .route("/api/v1/inventory/{type}", put(v1::inventory::put).patch(v1::inventory::patch))
        .route("/api/v1/occurrences/{id}/why", get(v1::occurrences::why))
        .method_not_allowed_fallback(v1::no_method)
        .route("/api/{*path}", any(v1::nowhere))
        .with_state(http.clone());
    let open = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/pkg/{file}", get(site::file))
        .with_state(http.clone());
    let every_response = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(default_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(default_header(header::REFERRER_POLICY, "same-origin"))
        .layer(default_header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(default_header(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .option_layer(is_public_https.then(|| default_header(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000")))
        .layer(middleware::from_fn_with_state(http.clone(), client::see_through))
        .layer(RequestBodyTimeoutLayer::new(http.body_patience));
    console.merge(api).merge(open).layer(every_response)
}

fn default_header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// Renders pages and runs commands on the background threads.
async fn in_background(request: Request, next: Next) -> Response {
    crate::background::run(next.run(request)).await
}

/// Returns the route of every page.
pub fn pages() -> Vec<AxumRouteListing> {
    leptos_axum::generate_route_list(app::App)
}

/// Returns the router of pages, their forms, and server functions.
fn console(http: &Http) -> Router {
    Router::new()
        .route("/theme", post(session::choose_theme))
        .route("/sign-in", post(session::sign_in))
        .route("/sign-out", post(session::sign_out))
        .route("/setup", post(session::set_up))
        .route("/webhooks/new", post(form::new_webhook))
        .route("/webhooks/{id}/edit", post(form::edit_webhook))
        .route("/tasks/new", post(form::new_task))
        .route("/tasks/{id}/edit", post(form::edit_task))
        .route("/events/new", post(form::new_event))
        .route("/events/{id}", post(form::edit_event))
        .route("/schedules/new", post(form::new_schedule))
        .route("/schedules/{id}/edit", post(form::edit_schedule))
        .leptos_routes_with_context(http, pages(), page::context(http), app::App)
        .route("/live", get(live::live))
        .merge(command::routes())
        .fallback(page::page)
        .layer(middleware::map_response(compact::page))
        .layer(middleware::from_fn(in_background))
        .layer(middleware::from_fn_with_state(pace::Paces::default(), pace::wait))
        .layer(middleware::from_fn_with_state(http.clone(), body::arrive))
        .layer(DefaultBodyLimit::disable())
        .with_state(http.clone())
}
