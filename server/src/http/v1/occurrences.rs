//! `/api/v1/occurrences/{id}`: what became of an occurrence.

use super::{Refusal, require_key};
use crate::http::Http;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use model::access::Scope;

/// `GET /api/v1/occurrences/{id}/why`, scope `read`: every event that was considered, and why it fired or did not.
pub async fn why(State(http): State<Http>, Path(id): Path<String>, parts: Parts) -> Result<Response, Refusal> {
    require_key(&http, &parts, Scope::Read).await?;
    let why = http.services.backend().occurrences.why(id).await?;
    Ok(Json(why).into_response())
}
