//! The REST API for other systems: a key instead of a session, JSON in and out.
//!
//! Each resource has a module. Errors are `{"error": {"code", "message", "fields"}}`. This module has the shared parts:
//! authentication by key, and reading of bodies.

pub mod events;
pub mod inventory;
pub mod occurrences;
pub mod sources;
mod weight;

use super::Http;
use super::door::Caller;
use crate::auth::api_key::Keys;
use crate::store::access::ApiKey;
use app::error::{AppError, Code};
use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::access::Scope;
use model::content_type::charset;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tower_http::timeout::TimeoutError;

/// Deadline of a whole body.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A refusal: status, code, message, and the wrong fields if there are any.
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
    let message = "This needs an API key, sent as Authorization: Bearer KEY, or as the password of Basic; not in the URL, \
                   which is logged on the way. Create one with: hookwright key add";
    Refusal::new(StatusCode::UNAUTHORIZED, Code::SignedOut, message)
}

/// The paths of this API. Each has a prefix by which an almost correct path is recognised.
const PATHS: [(&str, &str); 4] = [
    ("/api/v1/event", "/api/v1/events"),
    ("/api/v1/source", "/api/v1/sources/alertmanager"),
    ("/api/v1/inventor", "/api/v1/inventory/TYPE"),
    ("/api/v1/occurrence", "/api/v1/occurrences/ID/why"),
];

/// Returns true for a path outside `/api/` that was probably meant to be within it: with other letter case, an extra
/// slash, or only `/api`.
pub fn is_meant(path: &str) -> bool {
    let bare = path.trim_start_matches('/').to_ascii_lowercase();
    matches!(bare.as_str(), "api" | "api/") || (bare.starts_with("api/") && !path.starts_with("/api/"))
}

/// Refuses a path that this API does not have, and suggests the path that was probably meant.
pub async fn nowhere(uri: Uri) -> Refusal {
    let asked = format!("/{}", uri.path().trim_start_matches('/').to_ascii_lowercase());
    let hint = match PATHS.iter().find(|(start, _)| asked.starts_with(start)) {
        Some((_, path)) => format!("Did you mean {path}?"),
        None => format!("There are {}.", PATHS.map(|(_, path)| path).join(", ")),
    };
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("There is nothing at {}. {hint}", uri.path()))
}

/// Refuses a method that a path does not support. The router adds `Allow`.
pub async fn no_method(method: Method, uri: Uri) -> Refusal {
    let message = format!("{method} is not for {}; the header Allow says what is.", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Malformed, message)
}

/// Returns the key of a request, if it has this scope. A key for [`Scope::Ingest`] may have been revoked a second ago;
/// the intake checks it again.
async fn require_key(http: &Http, parts: &Parts, scope: Scope) -> Result<Arc<ApiKey>, Refusal> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).ok_or_else(no_key)?;
    if values.any(|other| other.as_bytes() != value.as_bytes()) {
        let message = "This request has two headers Authorization. Send the key once.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, message));
    }
    let (scheme, credentials) = value.split_once(' ').ok_or_else(no_key)?;
    let key = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => credentials.trim().to_owned(),
        // Some programs support only Basic. The password is the key; the user name is ignored.
        "basic" => password(credentials.trim()).ok_or_else(no_key)?,
        _ => return Err(no_key()),
    };
    let (services, keys) = (&http.services, &http.keys);
    let found = match scope {
        Scope::Ingest => keys.find(&services.store, &key, services.clock.now()).await,
        _ => Keys::look_up(&services.store, &key).await,
    };
    let key = found.map_err(AppError::from)?.ok_or_else(no_key)?;
    if let Some(caller) = parts.extensions.get::<Arc<Caller>>() {
        caller.is_known();
    }
    if key.scopes.contains(&scope) {
        return Ok(key);
    }
    let message = format!("This key does not have the scope {}.", scope.as_str());
    Err(Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden, message))
}

/// Returns the password of Basic credentials (RFC 7617).
fn password(credentials: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// Parses the JSON of a body. An array may have at most `items_max` items, and the parsed document may take at most about
/// `parsed_max` bytes.
fn parse_document(body: &[u8], items_max: usize, parsed_max: usize) -> Result<Value, Refusal> {
    if weight::parsed_bytes(body) > parsed_max {
        let message = "This request has too many values. Send several smaller ones.";
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Malformed, message));
    }
    // RFC 8259 §8.1 allows a parser to ignore a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
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

/// Returns the last segment of a path, decoded.
fn last_part(path: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    let Ok(Path(part)) = path else {
        let message = "The last part of this path is not UTF-8, percent-encoded.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, message));
    };
    Ok(part)
}

/// Refuses a compressed body, which would be read as something else.
fn refuse_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.map(HeaderValue::as_bytes).all(|encoding| encoding.eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let message = "Compressed requests are not read. Send this one without Content-Encoding.";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed, message))
}

/// Returns the content type, empty if there is none.
fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Refuses JSON in a character set other than UTF-8 (RFC 8259 §8.1).
fn refuse_charset(headers: &HeaderMap) -> Result<(), Refusal> {
    match charset(content_type(headers)) {
        Some(charset)
            if !["utf-8", "utf8", "us-ascii"].iter().any(|accepted| charset.eq_ignore_ascii_case(accepted)) =>
        {
            let message = "JSON is written in UTF-8. Send this request with charset=utf-8, or without a charset.";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed, message))
        }
        _ => Ok(()),
    }
}

/// Refuses a body larger than `most_bytes`.
fn too_large(most_bytes: usize) -> Refusal {
    let message =
        format!("This request is too large; {} MiB is the most. Send several smaller ones.", most_bytes >> 20);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Malformed, message)
}

/// Reads a body of at most `most_bytes`. A body whose announced length exceeds that is refused before it is sent.
async fn read_body(body: Body, most_bytes: usize) -> Result<Vec<u8>, Refusal> {
    if body.size_hint().lower() > most_bytes as u64 {
        return Err(too_large(most_bytes));
    }
    let read = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, most_bytes).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(most_bytes)),
        Ok(Err(error)) if !is_timeout(error.as_ref()) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, "The request's body broke off."))
        }
        _ => {
            let message = "The request's body did not arrive in time.";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::Malformed, message))
        }
    }
}

/// Returns true if the sender paused for too long, which the layer above all routes detects.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(<dyn std::error::Error>::is::<TimeoutError>)
}
