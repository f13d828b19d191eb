//! Our REST API for other systems: a key instead of a session, JSON in and out.
//!
//! `POST /api/v1/events` takes one occurrence or an array of up to 1000, and answers 202 once everything they caused is
//! durable. Errors are `{"error": {"code", "message", "fields"}}`.

use super::Http;
use crate::auth::api_key;
use crate::intake;
use crate::service::broken;
use crate::store::access::{self, ApiKey};
use app::error::{AppError, Code};
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::access::Scope;
use model::occurrence::{self, ITEMS_MAX};
use serde_json::{Value, json};
use std::time::Duration;
use tower_http::timeout::TimeoutError;

/// The largest request.
const BODY_MAX_BYTES: usize = 1024 * 1024;
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
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// The key behind a request, if it has this scope.
async fn require_key(http: &Http, headers: &HeaderMap, scope: Scope) -> Result<ApiKey, Refusal> {
    let unknown = || {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            Code::SignedOut,
            "This needs an API key, sent as Authorization: Bearer KEY. Make one with: hookwright key add",
        )
    };
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(unknown)?;
    let (scheme, key) = value.split_once(' ').ok_or_else(unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unknown());
    }
    let found = access::find_key(http.services.store.read(), api_key::hash(key.trim())).await.map_err(broken)?;
    let key = found.ok_or_else(unknown)?;
    if key.scopes.contains(&scope) {
        return Ok(key);
    }
    let message = format!("This key does not have the scope {}.", scope.as_str());
    Err(Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden, message))
}

/// Exactly `application/json`, parameters aside.
fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "Send the occurrences as Content-Type: application/json.";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed, message))
}

async fn read_body(body: Body) -> Result<Vec<u8>, Refusal> {
    let read = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, BODY_MAX_BYTES).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = "This request is too large; 1 MiB is the most. Send several smaller ones.";
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

/// `POST /api/v1/events`, scope `ingest`.
pub async fn post_events(State(http): State<Http>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let key = require_key(&http, &parts.headers, Scope::Ingest).await?;
    require_json(&parts.headers)?;
    let body = read_body(body).await?;
    let document: Value = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("This is not valid JSON: line {}, column {}.", error.line(), error.column());
        Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, message)
    })?;
    if document.as_array().is_some_and(|items| items.len() > ITEMS_MAX) {
        let message = format!("This request has too many items; {ITEMS_MAX} are the most.");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Malformed, message));
    }
    let batch = occurrence::parse_json(&document).map_err(AppError::from)?;
    let accepted = http.intake.accept(&key, batch).await.map_err(|error| match error {
        intake::Error::Invalid(fields) => AppError::from(fields),
        intake::Error::Store(error) => broken(error),
    })?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "occurrences": accepted }))).into_response())
}
