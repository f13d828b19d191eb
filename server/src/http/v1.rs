//! Our REST API for other systems: a key instead of a session, JSON in and out.
//!
//! One module a resource. Errors are `{"error": {"code", "message", "fields"}}`. This module holds what they share: the
//! key behind a request, and reading its body.

pub mod events;
pub mod inventory;
pub mod occurrences;

use super::Http;
use super::door::Caller;
use crate::auth::api_key::Keys;
use crate::service::broken;
use crate::store::access::ApiKey;
use app::error::{AppError, Code};
use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::access::Scope;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tower_http::timeout::TimeoutError;

/// How long a whole body may take.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A refusal: status, code, words, and wrong fields where there are any.
pub struct Refusal(StatusCode, AppError);

impl Refusal {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self(status, AppError::new(code, message))
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Self(StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(json!({ "error": self.1 }))).into_response();
        if self.0 == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Refuses a request without a valid key.
fn no_key() -> Refusal {
    let message = "This needs an API key, sent as Authorization: Bearer KEY. Make one with: hookwright key add";
    Refusal::new(StatusCode::UNAUTHORIZED, Code::SignedOut, message)
}

/// The paths of this API, each with the start by which a path that is almost right is recognised.
const PATHS: [(&str, &str); 3] = [
    ("/api/v1/event", "/api/v1/events"),
    ("/api/v1/inventor", "/api/v1/inventory/TYPE"),
    ("/api/v1/occurrence", "/api/v1/occurrences/ID/why"),
];

/// Refuses a path that this API does not have, with the path that was probably meant.
pub async fn nowhere(uri: Uri) -> Refusal {
    let asked = uri.path().to_ascii_lowercase();
    let hint = match PATHS.iter().find(|(start, _)| asked.starts_with(start)) {
        Some((_, path)) => format!("Did you mean {path}?"),
        None => format!("There are {}.", PATHS.map(|(_, path)| path).join(", ")),
    };
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("There is nothing at {}. {hint}", uri.path()))
}

/// Refuses a method that a path does not take. The router adds `Allow`.
pub async fn no_method(method: Method, uri: Uri) -> Refusal {
    let message = format!("{method} is not for {}; the header Allow says what is.", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Malformed, message)
}

/// The key behind a request, if it has this scope. One for [`Scope::Ingest`] may have been revoked a moment ago: the
/// intake looks again.
async fn require_key(http: &Http, parts: &Parts, scope: Scope) -> Result<Arc<ApiKey>, Refusal> {
    let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(no_key)?;
    let (scheme, key) = value.split_once(' ').ok_or_else(no_key)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(no_key());
    }
    let Http { services, keys, .. } = http;
    let found = match scope {
        Scope::Ingest => keys.find(&services.store, key.trim(), services.clock.now()).await,
        _ => Keys::look_up(&services.store, key.trim()).await,
    };
    let key = found.map_err(broken)?.ok_or_else(no_key)?;
    if let Some(caller) = parts.extensions.get::<Arc<Caller>>() {
        caller.is_known();
    }
    if key.scopes.contains(&scope) {
        return Ok(key);
    }
    let message = format!("This key does not have the scope {}.", scope.as_str());
    Err(Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden, message))
}

/// The JSON of a body, with at most `items_max` items if it is an array.
fn parse_document(body: &[u8], items_max: usize) -> Result<Value, Refusal> {
    let document: Value = serde_json::from_slice(body).map_err(|error| {
        let message = format!("This is not valid JSON: line {}, column {}.", error.line(), error.column());
        Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, message)
    })?;
    if document.as_array().is_some_and(|items| items.len() > items_max) {
        let message = format!("This request has too many items; {items_max} are the most.");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Malformed, message));
    }
    Ok(document)
}

async fn read_body(body: Body, most_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let read = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, most_bytes).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message =
                format!("This request is too large; {} MiB is the most. Send several smaller ones.", most_bytes >> 20);
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Malformed, message))
        }
        Ok(Err(error)) if !is_timeout(error.as_ref()) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, "The request's body broke off."))
        }
        _ => {
            let message = "The request's body did not arrive in time.";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::Malformed, message))
        }
    }
}

/// Whether the sender paused for too long: the layer above every route notices.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(<dyn std::error::Error>::is::<TimeoutError>)
}
