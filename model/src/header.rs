//! The ordered header list of a webhook, and its text form.
//!
//! A line is `Name: Value`, split at the first colon. Order and repeats are preserved. The browser's grid, the plain
//! text area, the server and the API all read the text with [`HeaderList::parse`]. The value of a secret header is
//! stored elsewhere, and its row has the [`MASK`].

use crate::field_error::FieldErrors;

pub(crate) mod secret;
pub use secret::{MASK, MissingSecret, looks_secret};

/// The most headers one webhook may have.
pub const MAX_ROWS: usize = 64;
/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 4096;

/// Headers that the protocol sets itself. A configured header of these names would break the request or smuggle in
/// another one.
const REFUSED: &[(&str, &str)] = &[
    ("host", "the host comes from the URL"),
    ("content-length", "the length is counted when the message is sent"),
    ("transfer-encoding", "the transfer is framed when the message is sent"),
    ("connection", "connections are managed by the dispatcher"),
    ("keep-alive", "connections are managed by the dispatcher"),
    ("proxy-connection", "connections are managed by the dispatcher"),
    ("proxy-authorization", "the credentials of a proxy belong in --egress-proxy"),
    ("upgrade", "a delivery never changes the protocol"),
    ("te", "the transfer is framed when the message is sent"),
    ("trailer", "a delivery has no trailers"),
    ("expect", "a delivery is sent at once"),
    ("webhook-id", "each delivery gets its own"),
    ("webhook-timestamp", "each attempt gets its own"),
    ("webhook-signature", "each attempt gets its own"),
];

/// Returns true if the value of a header of this name is never a secret, and is shown to viewers. Names that are not
/// standardised, like `X-Auth`, may mean anything.
pub fn is_harmless(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "date",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
    ];
    NAMES.iter().any(|harmless| name.eq_ignore_ascii_case(harmless))
}

/// One configured header.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HeaderRow {
    /// The name as typed; compared without case.
    pub name: String,
    /// The value, without surrounding blanks; the [`MASK`] where it is secret.
    pub value: String,
}

/// The configured headers, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct HeaderList(pub Vec<HeaderRow>);

impl HeaderList {
    /// Reads the text form. Lines of blanks are skipped.
    ///
    /// # Errors
    /// One error per wrong line, all for `field`, each naming its line.
    pub fn parse(text: &str, field: &str) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut rows = Vec::new();
        for (number, line) in numbered_lines(text) {
            match parse_line(line) {
                Ok(row) => rows.push(row),
                Err(message) => errors.add(field, format!("Line {number}: {message}")),
            }
        }
        if rows.len() > MAX_ROWS {
            errors.add(field, too_many(rows.len()));
        }
        if errors.is_empty() { Ok(Self(rows)) } else { Err(errors) }
    }

    /// Returns the text form: `Name: Value` lines.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|row| format!("{}: {}", row.name, row.value)).collect::<Vec<_>>().join("\n")
    }

    /// Returns the headers with the values of names that [look secret](looks_secret) masked.
    #[must_use]
    pub fn masked(self) -> Self {
        let mask = |row: HeaderRow| {
            if looks_secret(&row.name) { HeaderRow { value: MASK.to_owned(), ..row } } else { row }
        };
        Self(self.0.into_iter().map(mask).collect())
    }

    /// Returns the headers with all values masked but the [harmless](is_harmless) ones, for viewers.
    #[must_use]
    pub fn discreet(self) -> Self {
        let mask =
            |row: HeaderRow| if is_harmless(&row.name) { row } else { HeaderRow { value: MASK.to_owned(), ..row } };
        Self(self.0.into_iter().map(mask).collect())
    }

    /// Returns the value of the first header with this name, compared without case.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|row| row.name.eq_ignore_ascii_case(name)).map(|row| row.value.as_str())
    }
}

/// Returns the lines of a text that are not blank, each with its number from 1.
pub(crate) fn numbered_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
    lines.map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim().is_empty())
}

/// Splits a line at its first colon, without the blanks around name and value.
///
/// # Errors
/// A clause for the person who typed it.
pub(crate) fn split_line(line: &str) -> Result<(&str, &str), String> {
    let (name, value) = line.split_once(':').ok_or("there is no colon. Write it as Name: Value.")?;
    Ok((name.trim(), value.trim_matches([' ', '\t'])))
}

/// Returns the refusal of too many headers.
pub(crate) fn too_many(count: usize) -> String {
    format!("There are {count} headers; {MAX_ROWS} are the most.")
}

fn parse_line(line: &str) -> Result<HeaderRow, String> {
    let (name, value) = split_line(line)?;
    check_name(name)?;
    check_value(name, value)?;
    // A secret that is typed behind a part of the mask would be stored in clear text and shown to all.
    if secret::is_broken_mask(value) {
        return Err(format!("the value of {name} is part of a mask. Leave exactly {MASK}, or replace all of it."));
    }
    Ok(HeaderRow { name: name.to_owned(), value: value.to_owned() })
}

/// Checks the value of a header, given without the blanks around it.
///
/// # Errors
/// A clause for the person who typed it. It never repeats the value.
pub(crate) fn check_value(name: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err(format!("{name} has no value."));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(format!("the value is too long; {MAX_VALUE_BYTES} bytes are the most."));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err("the value contains a control character.".to_owned());
    }
    Ok(())
}

/// Checks a header name: an RFC 9110 token, at most 128 long, and not one the dispatcher sets itself.
///
/// # Errors
/// A clause for the person who typed it.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name before the colon is missing.".to_owned());
    }
    if name.len() > 128 {
        return Err("the name is too long; 128 characters are the most.".to_owned());
    }
    if !name.bytes().all(is_token_byte) {
        return Err(
            "the name has a character that is not allowed: use letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"
                .to_owned(),
        );
    }
    match REFUSED.iter().find(|(refused, _)| refused.eq_ignore_ascii_case(name)) {
        Some((_, reason)) => Err(format!("{name} cannot be set here: {reason}.")),
        None => Ok(()),
    }
}

/// RFC 9110 §5.6.2, `tchar`.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(text: &str) -> Vec<String> {
        match HeaderList::parse(text, "headers") {
            Ok(list) => panic!("accepted {list:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.message).collect(),
        }
    }

    #[test]
    fn parse_keeps_order_and_repeats_and_splits_at_the_first_colon() {
        let list = HeaderList::parse("X-B:2\r\n\n  \nX-A: a:b \nX-B: 3", "headers").expect("valid");
        assert_eq!(list.to_text(), "X-B: 2\nX-A: a:b\nX-B: 3");
    }

    #[test]
    fn parse_names_the_line_of_each_mistake() {
        let wrong = messages("X-A: 1\nno colon\nbad name: x\nX-C:\nX-D: a\u{7}b\nHost: x\n: v");
        assert_eq!(wrong.len(), 6);
        for (message, start) in wrong.iter().zip(["Line 2:", "Line 3:", "Line 4:", "Line 5:", "Line 6:", "Line 7:"]) {
            assert!(message.starts_with(start), "{message}");
        }
        assert!(wrong[4].contains("the host comes from the URL"));
    }

    #[test]
    fn only_the_exact_mask_stands_for_a_secret() {
        let list = HeaderList::parse(&format!("X-A: {MASK}\nX-B: a • b"), "headers").expect("valid");
        assert_eq!(list.secret_names(), ["X-A"]);
        for broken in [format!("{MASK}new"), format!("new {MASK}"), format!("{MASK} 2"), "••".into()] {
            let wrong = messages(&format!("X-B: 1\nX-A: {broken}"));
            assert!(
                wrong.len() == 1 && wrong[0].starts_with("Line 2: the value of X-A is part of a mask."),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn carriage_return_in_a_value_is_refused() {
        assert_eq!(messages("X-A: a\rX-Evil: 1").len(), 1);
    }

    proptest! {
        #[test]
        fn written_list_is_read_back(rows in proptest::collection::vec(("[A-Za-z][A-Za-z0-9-]{0,12}", "[!-~][ -~]{0,20}"), 0..12)) {
            let list = HeaderList(
                rows.into_iter()
                    .map(|(name, value)| HeaderRow { name: format!("X-{name}"), value: value.trim().to_owned() })
                    .collect(),
            );
            prop_assert_eq!(HeaderList::parse(&list.to_text(), "headers"), Ok(list));
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in any::<String>()) {
            let _ = HeaderList::parse(&text, "headers");
        }
    }
}
