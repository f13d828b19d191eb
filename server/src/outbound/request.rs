//! A request as it is sent: its URL, and its headers in their order.
//!
//! The same functions run when a webhook is saved and when it is sent, so that a request that can never be sent is
//! refused at save.

use super::failure::Failure;
use super::secrets::Secrets;
use super::send::Outgoing;
use crate::store::webhook::Row;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::delivery::ErrorCode;
use model::field_error::FieldErrors;
use model::header::looks_secret;
use model::signature;
use model::time::Timestamp;
use model::url::{Host, TargetUrl};
use model::webhook::{Authorization, Method};
use reqwest::Url;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::net::IpAddr;

/// Returns the URL as the HTTP client reads it. Fails unless host, port and scheme agree with those that were checked.
pub fn parse_url(checked: &TargetUrl) -> Result<Url, Failure> {
    let refused = |text: &str| (ErrorCode::Internal, text.to_owned());
    let url = Url::parse(checked.as_str()).map_err(|error| {
        refused(match error {
            url::ParseError::IdnaError => {
                "The host's name has a part that begins with xn-- and encodes no name. Is it written completely?"
            }
            _ => "This URL cannot be called: the HTTP library cannot read it. Write it in another way.",
        })
    })?;
    if !agrees(checked, &url) {
        return Err(refused("This URL is read in two ways and is not called. Write it in another way."));
    }
    Ok(url)
}

/// Refuses, when a webhook is saved, a request that every attempt would refuse. The error names the field.
pub fn check(webhook: &Row, secrets: &Secrets, now: Timestamp) -> Result<(), FieldErrors> {
    let url = parse_url(&webhook.settings.url).map_err(|(_, text)| FieldErrors::one("url", text))?;
    if let Some(sent) = rewritten(&webhook.settings.url, &url) {
        let text =
            format!("This URL would be sent with the path {sent}. Enter that, or write what differs percent-encoded.");
        return Err(FieldErrors::one("url", text));
    }
    let outgoing = Outgoing { id: uuid::Uuid::nil(), body: b"", recipients: &[] };
    headers(webhook, secrets, outgoing, now, &url).map(drop).map_err(|(code, text)| {
        FieldErrors::one(if code == ErrorCode::Internal { "signing_secret" } else { "headers" }, text)
    })
}

/// Returns the path and query that the client would send, if they differ from the typed ones.
fn rewritten<'a>(typed: &TargetUrl, url: &'a Url) -> Option<&'a str> {
    let (typed, sent) = (typed.path_and_query(), &url[url::Position::BeforePath..]);
    (typed != sent && format!("/{typed}") != sent).then_some(sent)
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

/// Returns the headers in the order in which they are sent: `Host`, the configured headers, the authorization, and
/// those that the server adds. Values that contain secrets are marked sensitive, so that views of the request mask
/// them.
pub fn headers(
    webhook: &Row,
    secrets: &Secrets,
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
    let filled = webhook.settings.headers.with_secrets(&secrets.headers()).map_err(|missing| {
        let text = format!("The value of the secret header {} is not stored. Enter it in the webhook.", missing.0);
        (ErrorCode::Header, text)
    })?;
    for (row, stored) in filled.0.iter().zip(&webhook.settings.headers.0) {
        let name = HeaderName::from_bytes(row.name.as_bytes()).map_err(|_| unsendable(&row.name))?;
        let mut value = value(&row.name, row.value.as_bytes())?;
        value.set_sensitive(stored.is_secret() || looks_secret(&row.name));
        headers.append(name, value);
    }
    let secret = secrets.authorization.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    let authorization = match &webhook.settings.authorization {
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
        let body = if webhook.settings.method == Method::Get { &[] } else { outgoing.body };
        let signature = sign(secret, &id, now.as_seconds(), body).ok_or_else(|| {
            (ErrorCode::Internal, "The signing secret of this webhook cannot be used. Enter it again.".to_owned())
        })?;
        headers.insert("webhook-signature", value("webhook-signature", signature.as_bytes())?);
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Hookwright/", env!("CARGO_PKG_VERSION"))));
    }
    // The client would add these headers itself. They are set here so that tests and records show all that is sent.
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    // A response is stored as it arrives, and a compressed response would not be readable.
    if !headers.contains_key(ACCEPT_ENCODING) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if webhook.settings.method != Method::Get {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
    }
    Ok(headers)
}

/// Returns the value of `webhook-signature` (Standard Webhooks 1.0): HMAC-SHA256 over id, timestamp and body.
fn sign(secret: &SecretString, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let key = signature::secret_bytes(secret.expose_secret())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(&signature::signed_content(id, timestamp, body));
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]
        #[test]
        fn client_reads_every_accepted_url_in_the_same_way(
            text in r"[hH][tT]{2}[pP][sS]?://[a-zA-Z0-9._\[\]:%x-]{0,24}(:[0-9]{0,6})?([/?][!-~]{0,12})?"
        ) {
            if let Ok(checked) = TargetUrl::parse(&text) {
                let url = Url::parse(&text);
                prop_assert!(url.as_ref().is_ok_and(|url| agrees(&checked, url)), "{url:?}");
            }
        }
    }

    #[test]
    fn url_that_the_client_would_rewrite_is_found() {
        let parse = |text: &str| {
            let checked = TargetUrl::parse(text).expect(text);
            let url = parse_url(&checked).expect(text);
            rewritten(&checked, &url).map(str::to_owned)
        };
        for text in [
            "http://a.example",
            "http://a.example?x=1",
            "https://A.example:443/b;c=%20/%2F?a=%27&b=[1]&c=~@:$",
            "http://a.example/.hidden/..x/a..b",
            "http://xn--mnchen-3ya.example/",
            "http://[2001:db8::1]//double//",
            "http://10.1.2.3/%",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (text, sent) in [
            ("http://a.example/b/../c", "/c"),
            ("http://a.example/b/./c", "/b/c"),
            ("http://a.example/b/%2e%2E/c", "/c"),
            ("http://a.example/b/..", "/"),
            ("http://a.example/?q='x'", "/?q=%27x%27"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(sent), "{text}");
        }
        for text in ["http://xn--a.example/", "http://a.xn--999999999/", "https://xn--ls8h=.example/"] {
            if let Ok(url) = TargetUrl::parse(text) {
                assert!(parse_url(&url).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn all_notations_of_an_address_agree() {
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

    /// The expected value was computed with Python's `hmac`.
    #[test]
    fn signature_matches_another_implementation() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }
}
