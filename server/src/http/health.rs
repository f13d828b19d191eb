//! Health checks: whether the process runs, and whether it can work.

use super::Http;
use axum::extract::State;
use axum::http::StatusCode;

/// `GET /health/live`: the process runs.
pub async fn live() -> &'static str {
    "ok\n"
}

/// `GET /health/ready`: the database takes commits.
pub async fn ready(State(http): State<Http>) -> (StatusCode, &'static str) {
    match http.services.store.check_commits().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not take commits\n"),
    }
}
