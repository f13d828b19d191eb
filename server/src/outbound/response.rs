//! A response as an attempt records it: the outcome, the header lines, and the body up to a limit.
//!
//! The status alone decides the outcome. A body that is too long, or breaks off, is noted and never fails the attempt,
//! since the receiver has acted.

use model::delivery::{ErrorCode, Outcome};
use model::time::Timestamp;
use reqwest::header::{HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The most bytes of a body that are read and stored.
const RESPONSE_MAX_BYTES: usize = 64 * 1024;
/// The most bytes of header lines that are stored.
const HEADERS_MAX_BYTES: usize = 16 * 1024;

/// Returns the outcome by the status, and a sentence for the operator unless it is 2xx.
pub(super) fn judge(response: &Response, now: Timestamp) -> (Outcome, Option<String>) {
    let status = response.status();
    if status.is_success() {
        return (Outcome::Sent, None);
    }
    let (code, sentence) = if status.is_redirection() {
        let target = response.headers().get(LOCATION).and_then(|value| Url::parse(value.to_str().ok()?).ok());
        // Only the origin is named: a redirect often repeats the path, which may be a secret that not every viewer
        // sees.
        let target = target.map(|url| format!(" to {}", shown(&url.origin().ascii_serialization())));
        let target = target.unwrap_or_default();
        let sentence = format!(
            "Returned {status}{target}. Redirects are not followed; enter the final URL, which the response's Location has."
        );
        (ErrorCode::Redirect, sentence)
    } else if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let sentence = format!(
            "Returned {status}: a proxy on the way wants credentials. Those of the egress proxy belong in --egress-proxy."
        );
        (ErrorCode::Status, sentence)
    } else {
        (ErrorCode::Status, format!("Returned {status}."))
    };
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, now));
    (Outcome::Failed { code, status_code: Some(status.as_u16()), retry_after }, Some(sentence))
}

/// Shortens a text from a receiver, and removes its invisible characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !model::text::is_invisible(*c)).take(200).collect()
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): a number of seconds, of any length, or a date in one of the three forms of
/// §5.6.7.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(date.as_millis()).ok()?).since(now))
}

/// Returns the headers as lines, up to [`HEADERS_MAX_BYTES`], and true when lines are missing.
pub(super) fn header_lines(response: &Response) -> (String, bool) {
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

/// The reason why the reading of a body ended.
#[derive(Clone, Copy)]
pub(super) enum ResponseEnd {
    Complete,
    TooLong,
    Broken,
    TimedOut,
    Stopped,
}

impl ResponseEnd {
    fn message(self) -> Option<&'static str> {
        match self {
            Self::Complete => None,
            Self::TooLong => Some("truncated at 64 KiB"),
            Self::Broken => Some("response incomplete: the connection broke"),
            Self::TimedOut => Some("response incomplete: the time was up"),
            Self::Stopped => Some("response incomplete: the server was stopped"),
        }
    }
}

/// Returns the note about a response that is not stored whole.
pub(super) fn note(end: ResponseEnd, are_headers_truncated: bool) -> Option<String> {
    let headers = are_headers_truncated.then_some("headers truncated at 16 KiB");
    let notes: Vec<_> = end.message().into_iter().chain(headers).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Reads up to [`RESPONSE_MAX_BYTES`] of the body, until the deadline or the cut. The rest is dropped with the
/// connection.
pub(super) async fn read_body(
    mut response: Response,
    deadline: Instant,
    cut: &CancellationToken,
) -> (Vec<u8>, ResponseEnd) {
    let mut body = Vec::new();
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout_at(deadline, response.chunk()) => next,
            () = cut.cancelled() => return (body, ResponseEnd::Stopped),
        };
        match next {
            Ok(Ok(None)) => return (body, ResponseEnd::Complete),
            Ok(Ok(Some(chunk))) => {
                let capacity = RESPONSE_MAX_BYTES - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(capacity)]);
                if chunk.len() > capacity {
                    return (body, ResponseEnd::TooLong);
                }
            }
            Ok(Err(_)) => return (body, ResponseEnd::Broken),
            Err(_) => return (body, ResponseEnd::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_each_form_of_the_rfc() {
        let now = Timestamp(784_111_767_000);
        let read = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap(), now).map(|wait| wait.as_secs());
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(read(date), Some(10), "{date}");
        }
        assert_eq!((read("7"), read(" 0 "), read("99999999999999999999")), (Some(7), Some(0), Some(u64::MAX)));
        assert_eq!((read("-1"), read("soon"), read(""), read("1.5")), (None, None, None, None));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "a time that is over");
    }
}
