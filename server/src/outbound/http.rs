//! One attempt by HTTP: the request, and the response up to its limits, within the webhook's timeout.
//!
//! An attempt succeeds when a 2xx status line arrives in time. The body that follows never changes this, since the
//! receiver has acted.

use super::client::{ClientError, Clients, Route, timing};
use super::failure::{Failure, classify, sentence, shortage, socket_error, used_up};
use super::request::{headers, parse_url};
use super::response::{ResponseEnd, header_lines, judge, note, read_body};
use super::secrets::Secrets;
use super::send::{NotSent, Outgoing};
use crate::clock::Clock;
use crate::store::delivery::Attempted;
use crate::store::webhook::Row;
use model::delivery::ErrorCode;
use model::time::Timestamp;
use model::webhook::Method;
use reqwest::Response;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Makes one attempt, which ends at the webhook's timeout at the latest, or when a stopping server cancels `cut`. A
/// response whose head has arrived by then counts.
pub(super) async fn send(
    clock: &Clock,
    clients: &Clients,
    webhook: &Row,
    secrets: &Secrets,
    outgoing: Outgoing<'_>,
    cut: &CancellationToken,
) -> Result<Attempted, NotSent> {
    let started_at = clock.now();
    let start = Instant::now();
    let deadline = start + webhook.settings.timeout;
    let exchange = tokio::time::timeout_at(deadline, exchange(clients, webhook, secrets, outgoing, started_at));
    // `biased`: a response that arrives together with the cut counts.
    let (response, connect) = tokio::select! {
        biased;
        timed = timing::timed(exchange) => timed,
        () = cut.cancelled() => return Err(NotSent::Stopped),
    };
    let first_byte = start.elapsed();
    let failed = |code, text| Attempted { connect, ..Attempted::failed(started_at, start.elapsed(), code, text) };
    let response = match response {
        Ok(Ok(response)) => response,
        Ok(Err(NoResponse::Shortage(resource))) => return Err(NotSent::Shortage(resource)),
        Ok(Err(NoResponse::Failed((code, text)))) => return Ok(failed(code, text)),
        Err(_) => {
            let text = format!("No response within {} s.", webhook.settings.timeout.as_secs());
            return Ok(failed(ErrorCode::Timeout, text));
        }
    };
    let status_code = Some(response.status().as_u16());
    let (outcome, error) = judge(&response, started_at);
    let (response_headers, are_headers_truncated) = header_lines(&response);
    let (response_body, end) = read_body(response, deadline, cut).await;
    Ok(Attempted {
        outcome,
        status_code,
        error,
        started_at,
        duration: start.elapsed(),
        connect,
        first_byte: Some(first_byte),
        response_headers,
        response_body,
        response_note: note(end, are_headers_truncated),
        has_timed_out: matches!(end, ResponseEnd::TimedOut),
        recipients: None,
    })
}

/// The reasons why an exchange ends without a response.
enum NoResponse {
    Failed(Failure),
    Shortage(&'static str),
}

impl From<Failure> for NoResponse {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Sends the request, and returns the response once its head has arrived.
async fn exchange(
    clients: &Clients,
    webhook: &Row,
    secrets: &Secrets,
    outgoing: Outgoing<'_>,
    now: Timestamp,
) -> Result<Response, NoResponse> {
    let Route { client, is_proxied } =
        clients.for_webhook(&webhook.settings).map_err(|error| without_client(&error))?;
    let url = parse_url(&webhook.settings.url)?;
    let headers = headers(webhook, secrets, outgoing, now, &url)?;
    let method = match webhook.settings.method {
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
    };
    let mut request = client.request(method, url).headers(headers);
    if webhook.settings.method != Method::Get {
        request = request.body(outgoing.body.to_vec());
    }
    request.send().await.map_err(|error| match shortage(&error) {
        Some(resource) => NoResponse::Shortage(resource),
        None => classify(&error, webhook.settings.url.is_https(), is_proxied).into(),
    })
}

/// Returns the reason why there is no client: a shortage of this machine, or a failure of the attempt.
fn without_client(error: &ClientError) -> NoResponse {
    let (code, os_error) = match error {
        ClientError::Refused(_) => (ErrorCode::RefusedAddress, None),
        ClientError::Unread(unread) => (ErrorCode::Tls, unread.os_error),
        ClientError::Build(_) => (ErrorCode::Internal, socket_error()),
    };
    match os_error.and_then(used_up) {
        Some(resource) => NoResponse::Shortage(resource),
        None => NoResponse::Failed((code, sentence(error))),
    }
}
