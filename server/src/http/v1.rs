//! Our REST API for other systems: a key instead of a session, JSON in and out.
//!
//! `POST /api/v1/events` takes one occurrence or up to 1000, in our JSON or as CloudEvents 1.0 (structured, batched, or in
//! headers), and answers 202 once everything they caused is durable. Errors are `{"error": {"code", "message",
//! "fields"}}`.

use super::Http;
use crate::auth::api_key;
use crate::intake;
use crate::service::broken;
use crate::store::access::{self, ApiKey};
use app::error::{AppError, Code};
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::access::Scope;
use model::cloud_event;
use model::occurrence::{self, ITEMS_MAX, Occurrence};
use percent_encoding::percent_decode;
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

/// How the occurrences of a request are written.
enum Format {
    /// Our JSON, one or an array.
    Ours,
    /// One CloudEvent in JSON.
    Structured,
    /// CloudEvents in a JSON array.
    Batch,
    /// A CloudEvent in `ce-…` headers; the body is its data: JSON, or else text.
    Binary { is_json: bool },
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || essence.ends_with("+json");
    match essence.as_str() {
        "application/cloudevents+json" => Ok(Format::Structured),
        "application/cloudevents-batch+json" => Ok(Format::Batch),
        _ if headers.contains_key("ce-specversion")
            && (is_json || essence.is_empty() || essence.starts_with("text/")) =>
        {
            Ok(Format::Binary { is_json })
        }
        "application/json" => Ok(Format::Ours),
        _ => {
            let message = "Send the occurrences as application/json, application/cloudevents+json or \
                           application/cloudevents-batch+json.";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed, message))
        }
    }
}

/// The attributes of a CloudEvent in headers, percent-decoded (HTTP protocol binding 1.0.2, §3.1.3.2).
fn attributes(headers: &HeaderMap) -> Vec<(String, String)> {
    let read = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = name.as_str().strip_prefix("ce-")?;
        let value = percent_decode(value.as_bytes()).decode_utf8_lossy().into_owned();
        Some((name.to_owned(), value))
    };
    headers.iter().filter_map(read).collect()
}

fn parse_document(body: &[u8]) -> Result<Value, Refusal> {
    let document: Value = serde_json::from_slice(body).map_err(|error| {
        let message = format!("This is not valid JSON: line {}, column {}.", error.line(), error.column());
        Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, message)
    })?;
    if document.as_array().is_some_and(|items| items.len() > ITEMS_MAX) {
        let message = format!("This request has too many items; {ITEMS_MAX} are the most.");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Malformed, message));
    }
    Ok(document)
}

/// The occurrences of a request, checked.
fn parse(format: &Format, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Occurrence>, Refusal> {
    let parsed = match format {
        Format::Ours => occurrence::parse_json(&parse_document(body)?),
        Format::Structured => cloud_event::parse_structured(&parse_document(body)?),
        Format::Batch => cloud_event::parse_batch(&parse_document(body)?),
        Format::Binary { .. } if body.is_empty() => cloud_event::parse_binary(&attributes(headers), None),
        Format::Binary { is_json: true } => {
            let data: Value = parse_document(body)?;
            cloud_event::parse_binary(&attributes(headers), Some(data))
        }
        Format::Binary { is_json: false } => {
            let data = Value::String(String::from_utf8_lossy(body).into_owned());
            cloud_event::parse_binary(&attributes(headers), Some(data))
        }
    };
    Ok(parsed.map_err(AppError::from)?)
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
    let format = format(&parts.headers)?;
    let body = read_body(body).await?;
    let batch = parse(&format, &parts.headers, &body)?;
    let accepted = http.intake.accept(&key, batch).await.map_err(|error| match error {
        intake::Error::Invalid(fields) => AppError::from(fields),
        intake::Error::Reused(fields) => {
            let message = "An id was used before for another occurrence.".to_owned();
            AppError { code: Code::Conflict, message, fields }
        }
        intake::Error::Store(error) => broken(error),
        intake::Error::Stopped => AppError::new(Code::Unavailable, "The server is stopping. Send it again."),
    })?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "occurrences": accepted }))).into_response())
}
