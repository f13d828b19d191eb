//! `POST /api/v1/sources/{kind}`: the messages of other programs, in their own formats.

use super::{Refusal, last_part, parse_document, read_body, refuse_charset, refuse_encoding, require_key};
use crate::http::Http;
use crate::http::v1::events::accept;
use app::error::{AppError, Code};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::access::Scope;
use model::source::Source;

/// The largest request. An alert repeats its labels and annotations many times.
const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most memory of a parsed request.
const PARSED_MAX_BYTES: usize = 64 * 1024 * 1024;

/// `POST /api/v1/sources/{kind}`, scope `ingest`. The content type does not matter, since the path names the format.
pub async fn post(
    State(http): State<Http>,
    kind: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let key = require_key(&http, &parts, Scope::Ingest).await?;
    let Some(source) = Source::find(&last_part(kind)?) else {
        let kinds = Source::ALL.map(Source::as_str).join(" and ");
        let message = format!("There is no such source. There are {kinds}; others post to /api/v1/events.");
        return Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, message));
    };
    refuse_encoding(&parts.headers)?;
    refuse_charset(&parts.headers)?;
    let body = read_body(body, BODY_MAX_BYTES).await?;
    let batch = source.parse(&parse_document(&body, usize::MAX, PARSED_MAX_BYTES)?).map_err(AppError::from)?;
    accept(&http, key, batch).await
}
