//! The message of an e-mail (RFC 5322), as it is stored and sent.
//!
//! ```text
//! address    addresses as headers and commands carry them
//! encoded    texts and addresses as values of headers
//! ```
//!
//! A value of a variable can make no header, no recipient and no line of the protocol: a control character in a header's
//! text becomes a space, a text that is not plain ASCII is encoded as a whole (RFC 2047), and every line of the message
//! ends in CRLF. Blind copies appear in the envelope only.

mod address;
mod encoded;

pub use address::ascii_address;

use address::ascii_domain;
use encoded::{mailboxes, one_line, unstructured};
use lettre::message::Body;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Date, HeaderName, HeaderValue, Headers, MIME_VERSION_1_0,
};
use model::delivery::ErrorCode;
use model::email::{Email, Mailbox};
use model::number::to_u64;
use model::time::Timestamp;
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;

/// The most bytes of a rendered subject or name.
const TEXT_MAX_BYTES: usize = 998;
/// The most bytes of a line of the text, without its end, that travels as it is. lettre encodes longer ones.
const LINE_MAX_BYTES: usize = 72;
/// The last second of the year 9999, after which no date can be written.
const DATE_MAX: Duration = Duration::from_secs(253_402_300_799);

/// The texts of an e-mail after their variables were filled in.
#[derive(Debug, Clone, Copy)]
pub struct Rendered<'a> {
    /// The name of the sender; empty for that of the SMTP settings.
    pub from_name: &'a str,
    /// The subject.
    pub subject: &'a str,
    /// The text, with line ends of any kind.
    pub body: &'a str,
}

/// The sender of the SMTP settings.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The address.
    pub address: &'a str,
    /// The name, which may be empty.
    pub name: &'a str,
}

/// Returns the address that an e-mail is from: its own, or that of the SMTP settings.
pub fn from_address<'a>(email: &'a Email, sender: Sender<'a>) -> &'a str {
    if email.from_address.is_empty() { sender.address } else { &email.from_address }
}

/// Returns the message as bytes: lines of at most 998 bytes that end in CRLF, the last one too. They are ASCII unless
/// an address has other letters before its @. The `Message-ID` is that of the delivery.
///
/// # Errors
/// Fails with [`ErrorCode::TooLarge`] when a rendered name or subject is over 998 bytes long, and with
/// [`ErrorCode::Header`] for an address that no header can carry. The text is a sentence for the operator.
pub fn build(
    email: &Email,
    rendered: Rendered<'_>,
    sender: Sender<'_>,
    delivery: Uuid,
    date: Timestamp,
) -> Result<Vec<u8>, (ErrorCode, String)> {
    let (from_name, subject) = (one_line(rendered.from_name), one_line(rendered.subject));
    for (name, text) in [("From Name", &from_name), ("Subject", &subject)] {
        if text.len() > TEXT_MAX_BYTES {
            let text = format!("{name} has {} bytes after its variables were filled in, and may have 998.", text.len());
            return Err((ErrorCode::TooLarge, text));
        }
    }
    let address = from_address(email, sender);
    // The name of the settings belongs to their address.
    let is_settings = from_name.is_empty() && address == sender.address;
    let from_name = if is_settings { one_line(sender.name) } else { from_name };
    let from = Mailbox { name: from_name, address: address.to_owned() };
    let domain = address.rsplit_once('@').and_then(|(_, domain)| ascii_domain(domain));
    let domain = domain.ok_or_else(|| unlisted(address))?;
    let body = body(rendered.body);
    let mut headers = Headers::new();
    let date = Duration::from_millis(to_u64(date.0)).min(DATE_MAX);
    headers.set(Date::new(UNIX_EPOCH + date));
    add(&mut headers, "Message-ID", format!("<{delivery}@{domain}>"));
    add(&mut headers, "From", listed(std::slice::from_ref(&from), "From")?);
    for (name, list) in [("To", &email.to), ("Cc", &email.cc)] {
        if !list.is_empty() {
            add(&mut headers, name, listed(list, name)?);
        }
    }
    add(&mut headers, "Subject", unstructured(&subject, "Subject: ".len()));
    // RFC 3834 §5: nobody's absence note replies.
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

fn listed(list: &[Mailbox], name: &str) -> Result<String, (ErrorCode, String)> {
    mailboxes(list, name.len() + 2).map_err(unlisted)
}

fn unlisted(address: &str) -> (ErrorCode, String) {
    (ErrorCode::Header, format!("The address {address} cannot be written in a message. Edit it."))
}

/// Encodes the text: as it is where that is safe on the way, else by RFC 2045.
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
