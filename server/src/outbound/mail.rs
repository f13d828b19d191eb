//! The message of an e-mail (RFC 5322), as it is stored and sent.
//!
//! ```text
//! address    addresses as headers and commands carry them
//! encoded    texts and addresses as values of headers
//! ```
//!
//! The value of a variable cannot create a header, a recipient or a line of the protocol: a control character in a
//! header's text becomes a space, a text that is not plain ASCII is encoded as a whole (RFC 2047), and every line of
//! the message ends in CRLF. Blind copies appear in the envelope only.

mod address;
mod encoded;

pub use address::{ascii_address, check, check_address};

use address::ascii_domain;
use encoded::{mailboxes, one_line, unstructured};
use lettre::message::Body;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Date, HeaderName, HeaderValue, Headers, MIME_VERSION_1_0,
};
use model::email::{Email, Mailbox, RenderedEmail};
use model::mailer::Settings;
use model::number::to_u64;
use model::time::Timestamp;
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;

/// The most bytes of a line, without its end, in a text that is sent unencoded. lettre encodes texts with longer lines.
const LINE_MAX_BYTES: usize = 72;
/// The last second of the year 9999, after which no date can be written.
const DATE_MAX: Duration = Duration::from_secs(253_402_300_799);

/// Returns the message as bytes: lines of at most 998 bytes that end in CRLF, the last one too. They are ASCII unless
/// an address has other letters before its @. The `Message-ID` contains the id of the delivery.
///
/// # Errors
/// Fails with a sentence for the operator when an address cannot be written in a header. No form accepts such an
/// address.
pub fn build(
    email: &Email,
    rendered: &RenderedEmail,
    settings: &Settings,
    delivery: Uuid,
    now: Timestamp,
) -> Result<Vec<u8>, String> {
    let or = |own: &str, default: &str| if own.is_empty() { default.to_owned() } else { own.to_owned() };
    let from = Mailbox {
        name: or(&one_line(&rendered.from_name), &settings.from_name),
        address: or(&email.from_address, &settings.from_address),
    };
    let domain = from.address.rsplit_once('@').and_then(|(_, domain)| ascii_domain(domain));
    let domain = domain.ok_or_else(|| unlisted(&from.address))?;
    let body = body(&rendered.body);
    let date = Duration::from_millis(to_u64(now.0)).min(DATE_MAX);
    let mut headers = Headers::new();
    headers.set(Date::new(UNIX_EPOCH + date));
    add(&mut headers, "Message-ID", format!("<{delivery}@{domain}>"));
    for (name, list) in [("From", &vec![from]), ("To", &email.to), ("Cc", &email.cc)] {
        if !list.is_empty() {
            add(&mut headers, name, mailboxes(list, name.len() + 2).map_err(unlisted)?);
        }
    }
    add(&mut headers, "Subject", unstructured(&one_line(&rendered.subject), "Subject: ".len()));
    // RFC 3834 §5: no absence notes are sent in reply.
    add(&mut headers, "Auto-Submitted", "auto-generated".to_owned());
    headers.set(MIME_VERSION_1_0);
    headers.set(ContentType::TEXT_PLAIN);
    headers.set(body.encoding());
    let mut message = headers.to_string().into_bytes();
    message.extend_from_slice(b"\r\n");
    message.extend(body.into_vec());
    if !message.ends_with(b"\r\n") {
        message.extend_from_slice(b"\r\n");
    }
    Ok(message)
}

/// Adds a header whose value is encoded and folded already.
fn add(headers: &mut Headers, name: &'static str, value: String) {
    let name = HeaderName::new_from_ascii_str(name);
    headers.insert_raw(HeaderValue::dangerous_new_pre_encoded(name, String::new(), value));
}

fn unlisted(address: &str) -> String {
    format!("The address {address} cannot be written in a message. Edit it.")
}

/// Encodes the text by RFC 2045, or leaves it as it is where that is safe on the way.
fn body(text: &str) -> Body {
    let mut lines = text.replace("\r\n", "\n").replace(['\r', '\n'], "\r\n");
    if !lines.ends_with("\r\n") {
        lines += "\r\n";
    }
    let is_plain = |line: &str| {
        let is_safe = line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        // Mail programs cut spaces at the end of a line.
        is_safe && line.len() <= LINE_MAX_BYTES && !line.ends_with([' ', '\t'])
    };
    let encoding = if lines.split("\r\n").all(is_plain) {
        ContentTransferEncoding::SevenBit
    } else if lines.bytes().filter(|byte| !matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')).count() * 3
        > lines.len()
    {
        ContentTransferEncoding::Base64
    } else {
        ContentTransferEncoding::QuotedPrintable
    };
    Body::new_with_encoding(lines, encoding)
        .unwrap_or_else(|lines| Body::new(String::from_utf8_lossy(&lines).into_owned()))
}

#[cfg(test)]
mod tests;
