//! The bodies of forms: limited in size and time, with tighter limits on public pages.
//!
//! Each body is read whole before any handler runs. A request without a session costs a few kilobytes at most.

use super::Http;
use super::client::Untrusted;
use super::refusal;
use super::session::is_public;
use app::error::Code;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use std::net::SocketAddr;
use std::time::Duration;

/// The largest form of a public page.
const PUBLIC_MAX_BYTES: usize = 8 * 1024;
/// The largest form: the limit of a message, with space for encoding and other fields.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Deadlines for a form's body.
const PUBLIC_DEADLINE: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_mins(1);

/// Reads the body of a form whole, or refuses it with a message.
pub(super) async fn arrive(State(http): State<Http>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (most, deadline) = if is_public(request.uri().path()) {
        // The limit applies before the body is read.
        if matches!(request.uri().path(), "/sign-in" | "/setup")
            && let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>()
            && !http.sign_in_limit.permits_address(address.ip())
        {
            let remedy = Untrusted::remedy(request.extensions().get());
            let message = format!("Too many tries from {}. Wait a minute.{remedy}", address.ip().to_canonical());
            return (StatusCode::TOO_MANY_REQUESTS, message).into_response();
        }
        // Tests use a shorter time.
        (PUBLIC_MAX_BYTES, PUBLIC_DEADLINE.min(2 * http.body_patience))
    } else {
        (MAX_BYTES, DEADLINE)
    };
    let path = request.uri().path().to_owned();
    let too_large = || {
        let message = format!("This form is too large: {} KiB is the most. Nothing was saved.", most >> 10);
        refusal(&path, StatusCode::PAYLOAD_TOO_LARGE, Code::Malformed, &message)
    };
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > most) {
        return too_large();
    }
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(deadline, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return too_large(),
        Ok(Err(_)) | Err(_) => {
            let message = "This form did not arrive as a whole in time. Nothing was saved. Send it again.";
            return refusal(&path, StatusCode::REQUEST_TIMEOUT, Code::Unavailable, message);
        }
    };
    next.run(Request::from_parts(parts, Body::from(body))).await
}
