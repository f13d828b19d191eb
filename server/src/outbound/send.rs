//! One HTTP exchange: the request in its configured order, the answer capped, the failure in words.
//!
//! Success is a 2xx status line received in time. What then happens to the body is noted and never fails the attempt:
//! the receiver has acted.

use super::client::{ClientError, Clients, Route, timing};
use super::failure::{Failure, classify, sentence, shortage, socket_error, used_up};
use super::request::{headers, parse_url};
use super::secrets::Secrets;
use crate::clock::Clock;
use crate::store::delivery::Attempted;
use crate::store::webhook::Row;
use model::delivery::{ErrorCode, Outcome};
use model::time::Timestamp;
use model::webhook::Method;
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Response, Url};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How much of an answer's body is read and kept.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// How much of its header is kept.
const HEADERS_MAX_BYTES: usize = 16 * 1024;

impl Attempted {
    /// An attempt that failed without an answer.
    pub fn failed(started_at: Timestamp, duration: Duration, code: ErrorCode, words: String) -> Self {
        Self {
            outcome: Outcome::Failed { code, http_status: None, retry_after: None },
            http_status: None,
            error: Some(words),
            started_at,
            duration,
            connect: None,
            first_byte: None,
            answer_headers: String::new(),
            answer_body: Vec::new(),
            answer_note: None,
            has_timed_out: code == ErrorCode::Timeout,
        }
    }
}

/// What is sent: a message and its public id.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// `webhook-id`, the same over all attempts.
    pub id: Uuid,
    /// The message, byte for byte.
    pub body: &'a [u8],
}

/// Why there was no attempt that says anything about the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// The server stops, and no status line has arrived. The receiver may have acted.
    Stopped,
    /// Something of this machine's is used up; nothing was sent.
    Shortage(&'static str),
}

/// Makes one attempt. Never longer than the webhook's timeout, nor than until `cut`: what has arrived by then counts.
pub async fn send(
    clock: &Clock,
    clients: &Clients,
    webhook: &Row,
    secrets: &Secrets,
    outgoing: Outgoing<'_>,
    cut: &CancellationToken,
) -> Result<Attempted, NotSent> {
    let started_at = clock.now();
    let start = Instant::now();
    let deadline = start + webhook.timeout;
    let timeout_words = || format!("No answer within {} s.", webhook.timeout.as_secs());
    let exchange = tokio::time::timeout_at(deadline, exchange(clients, webhook, secrets, outgoing, started_at));
    // A response that is there counts, also if it came together with the cut.
    let (answered, connect) = tokio::select! {
        biased;
        timed = timing::timed(exchange) => timed,
        () = cut.cancelled() => return Err(NotSent::Stopped),
    };
    let first_byte = start.elapsed();
    let failed = |code, words| Attempted { connect, ..Attempted::failed(started_at, start.elapsed(), code, words) };
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(Unsent::Shortage(what))) => return Err(NotSent::Shortage(what)),
        Ok(Err(Unsent::Failed((code, words)))) => return Ok(failed(code, words)),
        Err(_) => return Ok(failed(ErrorCode::Timeout, timeout_words())),
    };
    let status = response.status().as_u16();
    let (outcome, error) = judge(&response, started_at);
    let (answer_headers, is_cut) = header_lines(&response);
    let (answer_body, answer_end) = read_capped(response, deadline, cut).await;
    let mut answer_note = answer_end.words().map(str::to_owned);
    if is_cut {
        answer_note = Some(answer_note.map_or_else(String::new, |note| note + "; ") + "headers truncated at 16 KiB");
    }
    Ok(Attempted {
        outcome,
        http_status: Some(status),
        error,
        started_at,
        duration: start.elapsed(),
        connect,
        first_byte: Some(first_byte),
        answer_headers,
        answer_body,
        answer_note,
        has_timed_out: matches!(answer_end, AnswerEnd::Late),
    })
}

/// Why no response came.
enum Unsent {
    Failed(Failure),
    Shortage(&'static str),
}

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

async fn exchange(
    clients: &Clients,
    webhook: &Row,
    secrets: &Secrets,
    outgoing: Outgoing<'_>,
    now: Timestamp,
) -> Result<Response, Unsent> {
    let way = clients.for_url(&webhook.url, webhook.allows_insecure_tls, webhook.is_direct);
    let Route { client, is_proxied } = way.map_err(|error| {
        let number = match &error {
            ClientError::Refused(refused) => {
                return Unsent::Failed((ErrorCode::RefusedAddress, sentence(refused)));
            }
            ClientError::Unread(unread) => unread.os_error,
            ClientError::Build(_) => socket_error(),
        };
        match (number.and_then(used_up), &error) {
            (Some(what), _) => Unsent::Shortage(what),
            (None, ClientError::Unread(_)) => Unsent::Failed((ErrorCode::Tls, sentence(&error))),
            (None, _) => Unsent::Failed((ErrorCode::Internal, sentence(&error))),
        }
    })?;
    let url = parse_url(&webhook.url)?;
    let headers = headers(webhook, secrets, outgoing, now, &url)?;
    let method = match webhook.method {
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
    };
    let mut request = client.request(method, url).headers(headers);
    if webhook.method != Method::Get {
        request = request.body(outgoing.body.to_vec());
    }
    request.send().await.map_err(|error| match shortage(&error) {
        Some(what) => Unsent::Shortage(what),
        None => classify(&error, webhook.url.is_https(), is_proxied).into(),
    })
}

fn judge(response: &Response, now: Timestamp) -> (Outcome, Option<String>) {
    let status = response.status();
    if status.is_success() {
        return (Outcome::Sent, None);
    }
    let (code, words) = if status.is_redirection() {
        let target = response.headers().get("location").and_then(|value| Url::parse(value.to_str().ok()?).ok());
        // Only that much of it: a redirect repeats the path, which may be a secret that not everybody sees.
        let target = target.map(|url| format!(" to {}", shown(&url.origin().ascii_serialization())));
        let target = target.unwrap_or_default();
        let words = format!(
            "Answered {status}{target}. Redirects are not followed; enter the final URL, which the response's Location has."
        );
        (ErrorCode::Redirect, words)
    } else if status == reqwest::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let words = format!(
            "Answered {status}: a proxy on the way wants credentials. Those of the egress proxy belong into --egress-proxy."
        );
        (ErrorCode::Status, words)
    } else {
        (ErrorCode::Status, format!("Answered {status}."))
    };
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, now));
    (Outcome::Failed { code, http_status: Some(status.as_u16()), retry_after }, Some(words))
}

/// Text from a receiver, shortened and with nothing invisible in it.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !model::text::is_invisible(*c)).take(200).collect()
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, however many, or a date in each of the three forms of §5.6.7.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(date.as_millis()).ok()?).since(now))
}

/// The answer's header as lines, as many as fit, and whether some do not.
fn header_lines(response: &Response) -> (String, bool) {
    let mut lines = String::new();
    for (name, value) in response.headers() {
        let line = format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        if lines.len() + line.len() >= HEADERS_MAX_BYTES {
            return (lines, true);
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines += &line;
    }
    (lines, false)
}

/// How an answer's body ended.
#[derive(Clone, Copy)]
enum AnswerEnd {
    Whole,
    TooLong,
    Broken,
    Late,
    Stopped,
}

impl AnswerEnd {
    fn words(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::TooLong => Some("truncated at 64 KiB"),
            Self::Broken => Some("answer incomplete: the connection broke"),
            Self::Late => Some("answer incomplete: the time was up"),
            Self::Stopped => Some("answer incomplete: the server was stopped"),
        }
    }
}

/// Reads up to [`ANSWER_MAX_BYTES`] until the deadline; the rest is dropped with the connection.
async fn read_capped(mut response: Response, deadline: Instant, cut: &CancellationToken) -> (Vec<u8>, AnswerEnd) {
    let mut body = Vec::new();
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout_at(deadline, response.chunk()) => next,
            () = cut.cancelled() => return (body, AnswerEnd::Stopped),
        };
        match next {
            Ok(Ok(None)) => return (body, AnswerEnd::Whole),
            Ok(Ok(Some(chunk))) => {
                let room = ANSWER_MAX_BYTES - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return (body, AnswerEnd::TooLong);
                }
            }
            Ok(Err(_)) => return (body, AnswerEnd::Broken),
            Err(_) => return (body, AnswerEnd::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_may_ask_for_patience_in_each_form() {
        let now = Timestamp(784_111_767_000);
        let ask = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap(), now).map(|wait| wait.as_secs());
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(ask(date), Some(10), "{date}");
        }
        assert_eq!((ask("7"), ask(" 0 "), ask("99999999999999999999")), (Some(7), Some(0), Some(u64::MAX)));
        assert_eq!((ask("-1"), ask("soon"), ask(""), ask("1.5")), (None, None, None, None));
        assert_eq!(ask("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "a time that is over");
    }
}
