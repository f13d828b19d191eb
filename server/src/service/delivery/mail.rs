//! The message of an e-mail for display: its headers (RFC 5322) with their encoded words decoded (RFC 2047), and its text
//! decoded (RFC 2045 §6).
//!
//! The messages are those that `outbound::mail` builds: one text in UTF-8. Anything else is shown as it is stored.

use app::view::delivery::Mail;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use model::text::visible;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns a stored message for reading. `sender` is the address that errors return to.
pub(super) fn readable(message: &[u8], sender: Option<String>) -> Mail {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    // A line that begins with a blank continues the one before (RFC 5322 §2.2.3).
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    let raw: Vec<_> = head.lines().filter_map(|line| line.split_once(':')).collect();
    let encoding = raw.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Transfer-Encoding"));
    let body = match encoding.map(|(_, value)| value.trim().to_ascii_lowercase()).as_deref() {
        Some("quoted-printable") => lossy(&from_quoted_printable(body)),
        Some("base64") => from_base64(body).map_or_else(|| body.to_owned(), |bytes| lossy(&bytes)),
        _ => body.to_owned(),
    };
    let header = |(name, value): (&str, &str)| (visible(name), visible(&with_words_decoded(value.trim())));
    Mail { sender, headers: raw.into_iter().map(header).collect(), text: visible(&body.replace("\r\n", "\n")) }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(digits).ok()
}

/// Decodes quoted-printable. Text that is no escape stays unchanged.
fn from_quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, left) = match (first, after) {
            (b'=', [b'\n', left @ ..]) => (None, left),
            (b'=', [high, low, left @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (Some(high << 4 | low), left),
                _ => (Some(b'='), after),
            },
            _ => (Some(first), after),
        };
        bytes.extend(byte);
        rest = left;
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Decodes the encoded words of a header's value. The blank between two of them belongs to neither (RFC 2047 §6.2).
fn with_words_decoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    // The bytes of adjacent words are read together: a character may be divided between two of them.
    let mut decoded: Vec<u8> = Vec::new();
    let mut gap = "";
    let mut rest = value;
    while !rest.is_empty() {
        let start = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let (blank, after) = rest.split_at(start);
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let (word, left) = after.split_at(end);
        rest = left;
        if let Some(bytes) = encoded_word(word) {
            if decoded.is_empty() {
                gap = blank;
            }
            decoded.extend(bytes);
            continue;
        }
        if !decoded.is_empty() {
            out += gap;
            out += &lossy(&std::mem::take(&mut decoded));
        }
        out += blank;
        out += word;
    }
    if !decoded.is_empty() {
        out += gap;
        out += &lossy(&decoded);
    }
    out
}

/// Returns the bytes of `=?utf-8?b?…?=` or `=?utf-8?q?…?=`; `None` for any other word.
fn encoded_word(word: &str) -> Option<Vec<u8>> {
    let mut parts = word.strip_prefix("=?")?.strip_suffix("?=")?.split('?');
    let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    match encoding {
        "b" | "B" => from_base64(text),
        "q" | "Q" => Some(from_quoted_printable(&text.replace('_', " "))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::mail::build;
    use model::email::{Email, Mailbox, RenderedEmail};
    use model::mailer::{Encryption, Settings};
    use model::time::Timestamp;
    use std::time::Duration;
    use uuid::Uuid;

    fn read(subject: &str, body: &str, name: &str) -> Mail {
        let settings = Settings {
            host: "mail.example.com".into(),
            port: 587,
            encryption: Encryption::Starttls,
            username: String::new(),
            from_address: "ops@example.com".into(),
            from_name: String::new(),
            allows_insecure_tls: false,
            timeout: Duration::from_secs(30),
            retries: 0,
        };
        let to = vec![Mailbox { name: name.to_owned(), address: "bob@example.com".into() }];
        let (subject, body) = (subject.to_owned(), body.to_owned());
        let email = Email {
            from_address: String::new(),
            from_name: String::new(),
            to,
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: subject.clone(),
            body: body.clone(),
        };
        let rendered = RenderedEmail { from_name: name.to_owned(), subject, body, notes: Vec::new() };
        readable(&build(&email, &rendered, &settings, Uuid::nil(), Timestamp(0)).expect("built"), None)
    }

    fn header<'a>(mail: &'a Mail, name: &str) -> &'a str {
        mail.headers.iter().find(|header| header.0 == name).map_or("", |header| header.1.as_str())
    }

    #[test]
    fn built_message_is_read_back_whatever_its_encoding() {
        let long = "\u{00e9}\u{1f600} and more, ".repeat(40);
        for (subject, body, name) in [
            ("plain", "first\nsecond\n", "Bob"),
            ("caf\u{e9} \u{2713}", "caf\u{e9} = 100 %\n\nlast ", "Zo\u{eb} <x> \"q\""),
            (&long, &long, "\u{65e5}\u{672c}\u{8a9e}"),
            ("a  b", &"\u{65e5}\u{672c}\u{8a9e}\n".repeat(90), "Last, First"),
            ("=?utf-8?q?no?=", "=3D is not =", ""),
        ] {
            let mail = read(subject, body, name);
            assert_eq!(header(&mail, "Subject"), subject.trim(), "{mail:?}");
            assert_eq!(mail.text.trim_end_matches('\n'), body.trim_end_matches('\n'), "{mail:?}");
            let plain = |text: &str| text.replace(['"', '\\'], "");
            let to = plain(header(&mail, "To"));
            assert!(to.contains(&plain(name)) && to.contains("bob@example.com"), "{mail:?}");
        }
    }

    #[test]
    fn message_that_is_none_is_shown_as_it_is() {
        for (message, headers, text) in [
            (&b""[..], 0, ""),
            (b"no header at all", 0, ""),
            (b"A: =?utf-8?x?y?=\r\n\r\n\xff", 1, "\u{fffd}"),
            (b"Content-Transfer-Encoding: base64\n\n!!!", 1, "!!!"),
            (b"Content-Transfer-Encoding: quoted-printable\n\n=zz=4", 1, "=zz=4"),
        ] {
            let mail = readable(message, None);
            assert_eq!((mail.headers.len(), mail.text.as_str()), (headers, text), "{mail:?}");
        }
    }
}
