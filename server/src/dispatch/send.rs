//! One HTTP exchange: the request in its configured order, the answer capped, the failure in words.
//!
//! Success is a 2xx status line received in time. What then happens to the body is noted and never fails the attempt:
//! the receiver has acted.

use super::client::names::Unresolved;
use super::client::{ClientError, Clients, Refused, socket_error, timing};
use super::tls;
use crate::service::Services;
use crate::store::delivery::Attempted;
use crate::store::webhook::Row;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::delivery::{ErrorCode, Outcome};
use model::header::is_credential;
use model::signature;
use model::time::Timestamp;
use model::url::{Host, TargetUrl};
use model::webhook::{Authorization, Method};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::error::Error as StdError;
use std::net::IpAddr;
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
    pub(super) fn failed(started_at: Timestamp, duration: Duration, code: ErrorCode, words: String) -> Self {
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

/// A webhook's secrets, opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// What proves who is calling.
    pub authorization: Option<SecretString>,
    /// What signs the message.
    pub signing: Option<SecretString>,
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
    services: &Services,
    clients: &Clients,
    webhook: &Row,
    secrets: &Opened,
    outgoing: Outgoing<'_>,
    cut: &CancellationToken,
) -> Result<Attempted, NotSent> {
    let started_at = services.clock.now();
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

/// A code, and a sentence for the operator.
pub type Failure = (ErrorCode, String);

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
    secrets: &Opened,
    outgoing: Outgoing<'_>,
    now: Timestamp,
) -> Result<Response, Unsent> {
    let client = clients.for_url(&webhook.url, webhook.allows_insecure_tls).map_err(|error| match error {
        ClientError::Refused(refused) => Unsent::Failed((ErrorCode::RefusedAddress, words(&refused))),
        // It reads the system's certificates.
        ClientError::Build(_) => match socket_error().and_then(used_up) {
            Some(what) => Unsent::Shortage(what),
            None => Unsent::Failed((ErrorCode::Internal, words(&error))),
        },
    })?;
    let url = parse_url(webhook)?;
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
        None => classify(&error, webhook.url.is_https()).into(),
    })
}

/// The client's own reading of the URL must agree with the one that was checked.
pub fn parse_url(webhook: &Row) -> Result<Url, Failure> {
    let disagree =
        || (ErrorCode::Internal, "The URL of this webhook is read in two ways and is not called.".to_owned());
    let url = Url::parse(webhook.url.as_str()).map_err(|_| disagree())?;
    if agrees(&webhook.url, &url) { Ok(url) } else { Err(disagree()) }
}

fn agrees(checked: &TargetUrl, url: &Url) -> bool {
    let is_same_host = match (checked.host(), url.host()) {
        (Host::Name(name), Some(url::Host::Domain(other))) => name == other,
        (Host::Address(IpAddr::V4(address)), Some(url::Host::Ipv4(other))) => *address == other,
        (Host::Address(IpAddr::V6(address)), Some(url::Host::Ipv6(other))) => *address == other,
        _ => false,
    };
    let scheme = if checked.is_https() { "https" } else { "http" };
    is_same_host && url.port_or_known_default() == Some(checked.port()) && url.scheme() == scheme
}

/// `Host`, the configured rows, the authorization, ours: in this order on the wire. Values made of secrets are marked
/// sensitive, so that whoever shows the request masks them.
pub fn headers(
    webhook: &Row,
    secrets: &Opened,
    outgoing: Outgoing<'_>,
    now: Timestamp,
    url: &Url,
) -> Result<HeaderMap, Failure> {
    let unsendable = |name: &str| (ErrorCode::Header, format!("The header {name} cannot be sent. Edit the webhook."));
    let value = |name: &str, text: &[u8]| HeaderValue::from_bytes(text).map_err(|_| unsendable(name));
    let mut headers = HeaderMap::new();
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    headers.insert(HOST, value("Host", host.as_bytes())?);
    for row in &webhook.headers.0 {
        let name = HeaderName::from_bytes(row.name.as_bytes()).map_err(|_| unsendable(&row.name))?;
        let mut value = value(&row.name, row.value.as_bytes())?;
        value.set_sensitive(is_credential(&row.name));
        headers.append(name, value);
    }
    let secret = secrets.authorization.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    let authorization = match &webhook.authorization {
        Authorization::None => None,
        Authorization::Basic { username } => {
            Some((AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{username}:{secret}")))))
        }
        Authorization::Bearer => Some((AUTHORIZATION, format!("Bearer {secret}"))),
        Authorization::ApiKey { header, prefix } => {
            let name = HeaderName::from_bytes(header.as_bytes()).map_err(|_| unsendable(header))?;
            Some((name, if prefix.is_empty() { secret.to_owned() } else { format!("{prefix} {secret}") }))
        }
    };
    if let Some((name, text)) = authorization {
        let mut value = value(name.as_str(), text.as_bytes())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let id = outgoing.id.to_string();
    headers.insert("webhook-id", value("webhook-id", id.as_bytes())?);
    headers.insert("webhook-timestamp", HeaderValue::from(now.as_seconds()));
    if let Some(secret) = &secrets.signing {
        let body = if webhook.method == Method::Get { &[] } else { outgoing.body };
        let signature = sign(secret, &id, now.as_seconds(), body).ok_or_else(|| {
            (ErrorCode::Internal, "The signing secret of this webhook cannot be used. Enter it again.".to_owned())
        })?;
        headers.insert("webhook-signature", value("webhook-signature", signature.as_bytes())?);
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Hookwright/", env!("CARGO_PKG_VERSION"))));
    }
    // What the client would add is said here, so that a test and a record show all that is sent.
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    if webhook.method != Method::Get {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
    }
    Ok(headers)
}

/// `webhook-signature` (Standard Webhooks 1.0): HMAC-SHA256 over id, timestamp and body.
fn sign(secret: &SecretString, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let key = signature::secret_bytes(secret.expose_secret())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(&signature::signed_content(id, timestamp, body));
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
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

fn words(error: &dyn StdError) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let upper: String = chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    format!("{upper}.")
}

/// Turns the client's error into a code and a sentence, without the URL or anything of the message.
fn classify(error: &reqwest::Error, is_https: bool) -> Failure {
    if let Some(refused) = find::<Refused>(error) {
        return (ErrorCode::RefusedAddress, words(refused));
    }
    if let Some(unresolved) = find::<Unresolved>(error) {
        return (ErrorCode::Dns, words(unresolved));
    }
    if let Some(wrong) = find::<rustls::Error>(error) {
        return (ErrorCode::Tls, tls::words(wrong));
    }
    let io = io_kind(error);
    if error.is_connect() {
        let reason = match io {
            Some(std::io::ErrorKind::ConnectionRefused) => "nothing accepts connections on this port",
            Some(std::io::ErrorKind::HostUnreachable) => "the host is unreachable",
            Some(std::io::ErrorKind::NetworkUnreachable) => "the network is unreachable",
            // A receiver that does not speak TLS hangs up in the handshake, politely or not.
            Some(
                std::io::ErrorKind::UnexpectedEof
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::BrokenPipe,
            ) if is_https => {
                let words =
                    "No encrypted connection: the receiver hung up in the handshake. Does it speak https on this port?";
                return (ErrorCode::Tls, words.to_owned());
            }
            _ => "the connection failed",
        };
        return (ErrorCode::Connect, format!("Cannot connect: {reason}."));
    }
    if error.is_builder() {
        return (ErrorCode::Header, "The request could not be built. Edit the webhook.".to_owned());
    }
    if let Some(unread) = find::<hyper::Error>(error).filter(|error| error.is_parse()) {
        return (ErrorCode::Unreadable, unreadable(&unread.to_string()));
    }
    (ErrorCode::Reset, "The connection was closed before an answer arrived.".to_owned())
}

/// Explains why the HTTP library refused the head of a response. `library` is the library's own text.
fn unreadable(library: &str) -> String {
    let what = match library {
        "unexpected transfer-encoding parsed" => "it is HTTP/1.0, or has a length, and says that it comes in chunks",
        "invalid content-length parsed" => "its length is no number, or two different ones",
        "message head is too large" => "it is too long",
        "invalid HTTP status-code parsed" => "its status is not a number of three digits",
        "invalid HTTP header parsed" => "one of its lines is no header",
        _ => return "The response does not begin as HTTP does. Does the receiver speak http on this port?".to_owned(),
    };
    format!("The response's head could not be read: {what}. The receiver has probably acted.")
}

/// The resource of this machine that is used up, if that is why nothing was sent. The receiver has no part in it.
fn shortage(error: &reqwest::Error) -> Option<&'static str> {
    let number = find::<Unresolved>(error).and_then(|unresolved| unresolved.os_error).or_else(|| os_error(error));
    used_up(number?)
}

/// What is used up, by the operating system's number for an error.
fn used_up(number: i32) -> Option<&'static str> {
    // Linux: ENFILE, EMFILE; ENOMEM, ENOBUFS.
    match number {
        23 | 24 => Some("open files"),
        12 | 105 => Some("memory"),
        _ => None,
    }
}

/// The operating system's number for what went wrong: the innermost in the chain.
fn os_error(error: &(dyn StdError + 'static)) -> Option<i32> {
    let here = error.downcast_ref::<std::io::Error>();
    let inner = here.and_then(std::io::Error::get_ref).map(|inner| inner as &(dyn StdError + 'static));
    let below = inner.and_then(os_error).or_else(|| error.source().and_then(os_error));
    below.or_else(|| here.and_then(std::io::Error::raw_os_error))
}

/// What the operating system said: the innermost kind in the chain. I/O errors wrap each other as `Other`.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<std::io::ErrorKind> {
    let here = error.downcast_ref::<std::io::Error>();
    let inner = here.and_then(std::io::Error::get_ref).map(|inner| inner as &(dyn StdError + 'static));
    let below = inner.and_then(io_kind).or_else(|| error.source().and_then(io_kind));
    below.or_else(|| here.map(std::io::Error::kind))
}

/// The first error of this type in the chain, also inside an I/O error.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<E>(inner)
        {
            return Some(found);
        }
        current = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]
        #[test]
        fn whatever_is_accepted_the_client_reads_alike(
            text in r"[hH][tT]{2}[pP][sS]?://[a-zA-Z0-9._\[\]:%x-]{0,24}(:[0-9]{0,6})?([/?][!-~]{0,12})?"
        ) {
            if let Ok(checked) = TargetUrl::parse(&text) {
                let url = Url::parse(&text);
                prop_assert!(url.as_ref().is_ok_and(|url| agrees(&checked, url)), "{url:?}");
            }
        }
    }

    #[test]
    fn addresses_are_the_same_however_they_are_written() {
        for text in [
            "http://[::ffff:10.1.2.3]/",
            "http://[::FFFF:a01:203]:8080/x",
            "https://[2001:DB8:0::0001]",
            "http://10.1.2.3:80/",
            "HTTP://Example.COM",
            "http://a-b.example.:81/?q",
        ] {
            let checked = TargetUrl::parse(text).expect(text);
            assert!(agrees(&checked, &Url::parse(text).expect(text)), "{text}");
        }
    }

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

    /// Computed once with another implementation (Python's `hmac`).
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }
}
