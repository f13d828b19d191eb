//! `/api/v1/occurrences/{id}`: the effects of an occurrence.

use super::{Refusal, last_part, require_key};
use crate::http::Http;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use model::access::Scope;

/// `GET /api/v1/occurrences/{id}/why`, scope `read`: every considered event, with the reason why it fired or did not.
pub async fn why(
    State(http): State<Http>,
    id: Result<Path<String>, PathRejection>,
    parts: Parts,
) -> Result<Response, Refusal> {
    require_key(&http, &parts, Scope::Read).await?;
    let why = http.services.backend().occurrences.why(last_part(id)?).await?;
    Ok(Json(why).into_response())
}
