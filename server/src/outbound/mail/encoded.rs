//! Texts and addresses as values of headers, folded at 76 characters where they can be (RFC 5322 §2.2.3).

use super::address::ascii_address;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::email::Mailbox;

/// The longest line of a header, without its end.
const LINE_MAX: usize = 76;
/// The most bytes of text in one encoded word: 60 characters in base64, in a word of 72 (RFC 2047 §2 allows 75).
const WORD_MAX_BYTES: usize = 45;
/// The start of a new line within a value.
const FOLD: &str = "\r\n ";

/// Returns a text as the value of a header such as `Subject`. `column` is the length of the header's name with colon and
/// space. The text has no control character.
pub(super) fn unstructured(text: &str, column: usize) -> String {
    // A reader would decode a word that looks encoded, and would drop successive spaces.
    let is_plain = text.split(' ').all(|word| {
        !word.is_empty()
            && word.len() <= LINE_MAX / 2
            && !word.contains("=?")
            && word.bytes().all(|byte| byte.is_ascii_graphic())
    });
    if !is_plain && !text.is_empty() {
        return words(text, column);
    }
    let mut value = String::new();
    let mut length = column;
    for word in text.split(' ') {
        if !value.is_empty() {
            let is_full = length + 1 + word.len() > LINE_MAX;
            value += if is_full { FOLD } else { " " };
            length = if is_full { 1 } else { length + 1 };
        }
        value += word;
        length += word.len();
    }
    value
}

/// Returns a text as encoded words, each on a line of its own.
fn words(text: &str, column: usize) -> String {
    let mut value = String::new();
    let mut rest = text;
    // The first word is shorter, since it follows the name of the header.
    let mut room = WORD_MAX_BYTES.saturating_sub(column).max(WORD_MAX_BYTES / 3);
    while !rest.is_empty() {
        let (word, next) = rest.split_at(rest.floor_char_boundary(room));
        if !value.is_empty() {
            value += FOLD;
        }
        value += &format!("=?utf-8?b?{}?=", STANDARD.encode(word));
        (rest, room) = (next, WORD_MAX_BYTES);
    }
    value
}

/// Replaces each control character, such as a line end, by a space, and removes the spaces around the text.
pub(super) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// Returns the value of a header with these addresses, each on a line of its own.
///
/// # Errors
/// Fails with the address that no header can carry.
pub(super) fn mailboxes(list: &[Mailbox], column: usize) -> Result<String, &str> {
    let mut lines = Vec::new();
    for mailbox in list {
        let address = ascii_address(&mailbox.address).ok_or(mailbox.address.as_str())?;
        lines.push(match one_line(&mailbox.name).as_str() {
            "" => address,
            name => {
                let name = phrase(name, if lines.is_empty() { column } else { 1 });
                let length = name.rsplit(FOLD).next().map_or(0, str::len);
                let is_full = length + address.len() + 3 > LINE_MAX;
                format!("{name}{}<{address}>", if is_full { FOLD } else { " " })
            }
        });
    }
    Ok(lines.join(&format!(",{FOLD}")))
}

/// Returns a display name: as it is, in quotes, or encoded.
fn phrase(name: &str, column: usize) -> String {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_short = name.len() <= LINE_MAX / 2;
    let is_printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !name.contains("=?");
    if is_short && name.split(' ').all(is_word) {
        name.to_owned()
    } else if is_short && is_printable {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        words(name, column)
    }
}
