//! `/api/v1/events`: accepts occurrences.
//!
//! `POST` takes one occurrence or up to 1000, in the JSON of `model::occurrence` or as CloudEvents 1.0 (structured,
//! batched, or in headers). The response is 202 once everything that they caused is durable.

use super::{Refusal, content_type, no_key, parse_document, read_body, refuse_charset, refuse_encoding, require_key};
use crate::http::Http;
use crate::intake;
use crate::store::access::ApiKey;
use app::error::{AppError, Code};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use encoding_rs::Encoding;
use model::access::Scope;
use model::cloud_event;
use model::content_type::{charset, essence, is_json};
use model::field_error::FieldErrors;
use model::occurrence::{self, Batch, ITEMS_MAX};
use percent_encoding::percent_decode;
use serde_json::{Value, json};
use std::sync::Arc;

/// The largest request.
const BODY_MAX_BYTES: usize = 1024 * 1024;
/// The most memory of a parsed request.
const PARSED_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The format of the occurrences in a request.
enum Format {
    /// The JSON of `model::occurrence`: one occurrence or an array.
    Ours,
    /// One CloudEvent in JSON.
    Structured,
    /// CloudEvents in a JSON array.
    Batch,
    /// A CloudEvent in `ce-…` headers. The body is its data: JSON, text or bytes.
    Binary { is_json: bool },
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    match essence(content_type(headers)).as_str() {
        "application/cloudevents+json" => Ok(Format::Structured),
        "application/cloudevents-batch+json" => Ok(Format::Batch),
        // Some tools send this type unless told otherwise.
        "application/x-www-form-urlencoded" if headers.contains_key("ce-specversion") => {
            let message =
                "Declare the type of the data of this event, for example with Content-Type: application/json.";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed, message))
        }
        other if headers.contains_key("ce-specversion") && !other.starts_with("application/cloudevents") => {
            Ok(Format::Binary { is_json: is_json(other) })
        }
        "application/json" => Ok(Format::Ours),
        _ => {
            let message = "Send the occurrences as application/json, application/cloudevents+json or \
                           application/cloudevents-batch+json.";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed, message))
        }
    }
}

fn not_in_its_charset() -> Refusal {
    let message = "This text is not in the charset of its content type, or not UTF-8 where none is named.";
    Refusal::new(StatusCode::BAD_REQUEST, Code::Malformed, message)
}

/// Returns the attributes of a CloudEvent in headers, unquoted and percent-decoded (HTTP protocol binding 1.0.2,
/// §3.1.3.2).
///
/// # Errors
/// An attribute is not UTF-8, or occurs twice: two objects whose names differ only there must not become one.
fn attributes(headers: &HeaderMap) -> Result<Vec<(String, String)>, AppError> {
    let read = |name: &HeaderName| {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        let name = name.as_str().strip_prefix("ce-")?.to_owned();
        let [value] = values[..] else {
            return Some(Err(FieldErrors::one(name, "This attribute occurs more than once.").into()));
        };
        Some(match percent_decode(&unquoted(value.as_bytes())).decode_utf8() {
            Ok(value) => Ok((name, value.into_owned())),
            Err(_) => Err(FieldErrors::one(name, "This is not UTF-8.").into()),
        })
    };
    headers.keys().filter_map(read).collect()
}

/// Returns a value without its double quotes, if it has them (RFC 9110 §5.6.4).
fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    out
}

/// Parses and checks the occurrences of a request.
fn parse(format: &Format, headers: &HeaderMap, body: &[u8]) -> Result<Batch, Refusal> {
    let parsed = match format {
        Format::Ours => occurrence::parse_json(&parse_document(body, ITEMS_MAX, PARSED_MAX_BYTES)?),
        Format::Structured => cloud_event::parse_structured(&parse_document(body, ITEMS_MAX, PARSED_MAX_BYTES)?),
        Format::Batch => cloud_event::parse_batch(&parse_document(body, ITEMS_MAX, PARSED_MAX_BYTES)?),
        Format::Binary { .. } if body.is_empty() => cloud_event::parse_binary(&attributes(headers)?, None),
        Format::Binary { is_json: true } => {
            // A binary CloudEvent is one event, so an array is its data and may have any length.
            let data: Value = parse_document(body, usize::MAX, PARSED_MAX_BYTES)?;
            cloud_event::parse_binary(&attributes(headers)?, Some(data))
        }
        Format::Binary { is_json: false } => {
            let encoding = charset(content_type(headers)).and_then(|label| Encoding::for_label(label.as_bytes()));
            let data = match encoding {
                Some(encoding) => match encoding.decode(body) {
                    (text, _, false) => text.into_owned().into(),
                    _ => return Err(not_in_its_charset()),
                },
                None if !headers.contains_key(header::CONTENT_TYPE) => {
                    serde_json::from_slice(body).unwrap_or_else(|_| cloud_event::text_of(body.to_vec()))
                }
                None if essence(content_type(headers)).starts_with("text/") && std::str::from_utf8(body).is_err() => {
                    return Err(not_in_its_charset());
                }
                None => cloud_event::text_of(body.to_vec()),
            };
            cloud_event::parse_binary(&attributes(headers)?, Some(data))
        }
    };
    Ok(parsed.map_err(AppError::from)?)
}

/// `OPTIONS /api/v1/events`: agrees to receive CloudEvents (HTTP webhooks for CloudEvents 1.0 §4). It needs no key,
/// since the `POST` needs one.
pub async fn shake_hands(headers: HeaderMap) -> Response {
    let mut response = (StatusCode::OK, [(header::ALLOW, "POST, OPTIONS")]).into_response();
    if let Some(origin) = headers.get("webhook-request-origin") {
        response.headers_mut().insert("webhook-allowed-origin", origin.clone());
        response.headers_mut().insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    response
}

/// `POST /api/v1/events`, scope `ingest`.
pub async fn post(State(http): State<Http>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let key = require_key(&http, &parts, Scope::Ingest).await?;
    let format = format(&parts.headers)?;
    refuse_encoding(&parts.headers)?;
    if !matches!(format, Format::Binary { is_json: false }) {
        refuse_charset(&parts.headers)?;
    }
    let body = read_body(body, BODY_MAX_BYTES).await?;
    let batch = parse(&format, &parts.headers, &body)?;
    accept(&http, key, batch).await
}

/// Passes a batch to the intake. Responds with 202 and its occurrences.
pub(super) async fn accept(http: &Http, key: Arc<ApiKey>, batch: Batch) -> Result<Response, Refusal> {
    let accepted = http.intake.accept(key, batch).await.map_err(refuse)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "occurrences": accepted }))).into_response())
}

fn refuse(error: intake::Error) -> Refusal {
    let error = match error {
        intake::Error::Revoked => return no_key(),
        intake::Error::Invalid(fields) => AppError::from(fields),
        intake::Error::Reused(fields) => {
            let message = "An id was used before for another occurrence.".to_owned();
            AppError { code: Code::Conflict, message, fields, versions: Vec::new(), links: Vec::new() }
        }
        intake::Error::Store(error) => error.into(),
        intake::Error::Unknown(error) => {
            let message = "It is not known whether this was stored: the database or the server failed meanwhile. Send it \
                           again; with the same id it is taken in once.";
            AppError { message: message.to_owned(), ..AppError::from(error) }
        }
        intake::Error::Stopped => AppError::new(Code::Unavailable, "The server is stopping. Send it again."),
    };
    error.into()
}
