//! `/api/v1/inventory/{type}`: the objects of a type, with their tags.
//!
//! The body is an array of `{"id", "name", "tags"}`, accepted whole or not at all. `PUT` replaces the type's objects,
//! `PATCH` adds to them. Absent `tags` change nothing. An object that an event names is never deleted: it is marked
//! gone, and the event matches nothing until the object is back.

use super::{
    Refusal, content_type, last_part, parse_document, read_body, refuse_charset, refuse_encoding, require_key,
};
use crate::http::Http;
use app::error::{AppError, Code};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::access::Scope;
use model::content_type::essence;
use model::object::{INVENTORY_MAX, parse_inventory};

/// The largest request. A whole inventory must fit.
const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The most memory of a parsed request.
const PARSED_MAX_BYTES: usize = 128 * 1024 * 1024;

type Type = Result<Path<String>, PathRejection>;

async fn write(http: &Http, type_id: Type, request: Request, replaces: bool) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    require_key(http, &parts, Scope::Inventory).await?;
    let type_id = last_part(type_id)?;
    refuse_encoding(&parts.headers)?;
    refuse_charset(&parts.headers)?;
    if essence(content_type(&parts.headers)) != "application/json" {
        let message = "Send the inventory as application/json.";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed, message));
    }
    let document = parse_document(&read_body(body, BODY_MAX_BYTES).await?, INVENTORY_MAX, PARSED_MAX_BYTES)?;
    let objects = parse_inventory(&document).map_err(AppError::from)?;
    let written = http.services.write_inventory(&type_id, &objects, replaces).await?;
    Ok(Json(written).into_response())
}

/// `PUT /api/v1/inventory/{type}`, scope `inventory`.
pub async fn put(State(http): State<Http>, type_id: Type, request: Request) -> Result<Response, Refusal> {
    write(&http, type_id, request, true).await
}

/// `PATCH /api/v1/inventory/{type}`, scope `inventory`.
pub async fn patch(State(http): State<Http>, type_id: Type, request: Request) -> Result<Response, Refusal> {
    write(&http, type_id, request, false).await
}
