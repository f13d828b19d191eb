//! The secret headers of a webhook as typed.
//!
//! The text of the headers has a mask for each value. The text of the secret headers has the values, one `Name: Value`
//! a line: the second line of a name belongs to its second mask. A mask as the value, or no line at all, keeps the
//! stored value. A line without a mask is another header at the end, which is how a form without the grid adds secret
//! headers.

use super::{StoredWebhook, Webhook, WebhookDraft, secret::lost};
use crate::field_error::FieldErrors;
use crate::header::secret::{Kept, MASK, MASK_CHAR, MissingSecret, find_repeat, pair, repeat_at};
use crate::header::{HeaderList, HeaderRow, MAX_ROWS, check_name, check_value, numbered_lines, split_line, too_many};
use secrecy::{ExposeSecret, SecretString};

/// The form field of the values, which errors are reported for.
pub(super) const FIELD: &str = "secret_headers";

/// The change of a secret header's value by a save.
#[derive(Debug, Clone)]
pub enum SecretHeader {
    /// The stored value stays: the one at this index of [`StoredWebhook::secret_headers`].
    Keep(usize),
    /// A new value was typed.
    Set(SecretString),
}

/// The value of a line.
pub(super) enum Value {
    Keep(Kept),
    Set(SecretString),
}

/// A line of the secret headers.
pub(super) struct Line {
    name: String,
    value: Value,
}

impl Line {
    /// Returns the name of the line's header if the line has a new value.
    pub(super) fn new_name(&self) -> Option<&str> {
        matches!(self.value, Value::Set(_)).then_some(self.name.as_str())
    }
}

impl WebhookDraft {
    /// Reads the lines of the secret headers. Returns `None` if a line is wrong.
    pub(super) fn parse_secret_lines(&self, errors: &mut FieldErrors) -> Option<Vec<Line>> {
        let before = errors.len();
        let mut lines = Vec::new();
        for (number, line) in numbered_lines(&self.secret_headers) {
            match self.parse_secret_line(line) {
                Ok(line) => lines.push(line),
                Err(message) => errors.add(FIELD, format!("Line {number}: {message}")),
            }
        }
        (errors.len() == before).then_some(lines)
    }

    fn parse_secret_line(&self, line: &str) -> Result<Line, String> {
        let (name, value) = split_line(line)?;
        check_name(name)?;
        let was_typed = self.retype.split(' ').any(|lost| lost == FIELD);
        let value = match Kept::parse(value) {
            Some(kept) => Value::Keep(kept),
            None if value.is_empty() && self.is_lost(FIELD) => return Err(lost(&format!("value of {name}"))),
            None if value.is_empty() && was_typed => Value::Keep(Kept::InPlace),
            None => Value::Set(check_secret_value(name, value)?),
        };
        Ok(Line { name: name.to_owned(), value })
    }
}

fn check_secret_value(name: &str, value: &str) -> Result<SecretString, String> {
    check_value(name, value)?;
    if value.contains(MASK_CHAR) {
        return Err(format!(
            "the value of {name} has a part of the mask in it. Enter all of the value, without {MASK_CHAR}."
        ));
    }
    Ok(SecretString::from(value.to_owned()))
}

/// Merges the headers and the secret lines. Returns all headers, the secret ones masked, and the change of the value of
/// each mask. `moved` is the reason why no stored value may be kept.
pub(super) fn merge(
    mut headers: HeaderList,
    lines: Vec<Line>,
    (stored, moved): (Option<&StoredWebhook>, Option<&'static str>),
    errors: &mut FieldErrors,
) -> Option<(HeaderList, Vec<SecretHeader>)> {
    let line_names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    let (found, left) = pair(&headers.secret_names(), &line_names);
    let mut lines: Vec<Option<Line>> = lines.into_iter().map(Some).collect();
    let mut values = Vec::new();
    for index in found {
        let line = index.and_then(|index| lines[index].take());
        values.push(line.map_or(Value::Keep(Kept::InPlace), |line| line.value));
    }
    for index in left {
        // A mask that is left over belonged to a header that was removed.
        if let Some(Line { name, value: Value::Set(secret) }) = lines[index].take() {
            headers.0.push(HeaderRow { name, value: MASK.to_owned() });
            values.push(Value::Set(secret));
        }
    }
    let before = errors.len();
    if headers.0.len() > MAX_ROWS {
        errors.add(FIELD, too_many(headers.0.len()));
    }
    let names = headers.secret_names();
    let stored = stored.map_or(&[][..], |stored| &stored.secret_headers);
    let mut has_stored_value = vec![false; stored.len()];
    let mut changes = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let repeat = match value {
            Value::Set(secret) => {
                changes.push(SecretHeader::Set(secret));
                continue;
            }
            Value::Keep(Kept::InPlace) => repeat_at(&names, index),
            Value::Keep(Kept::Repeat(repeat)) => repeat,
        };
        let title = title(&names, index);
        match (find_repeat(stored, names[index], repeat), moved) {
            (None, _) => errors.add(FIELD, format!("Enter the value of {title}: none is stored for it.")),
            (Some(_), Some(reason)) => errors.add(FIELD, format!("Enter the value of {title} again: {reason}.")),
            (Some(kept), None) if has_stored_value[kept] => {
                let name = names[index];
                errors.add(FIELD, format!("Enter the value of {title}: the stored one stays with another {name}."));
            }
            (Some(kept), None) => {
                has_stored_value[kept] = true;
                changes.push(SecretHeader::Keep(kept));
            }
        }
    }
    (errors.len() == before).then_some((headers, changes))
}

/// Returns the name of a secret header, with its number where the name repeats.
fn title(names: &[&str], index: usize) -> String {
    let name = names[index];
    match names.iter().filter(|other| other.eq_ignore_ascii_case(name)).count() {
        1 => name.to_owned(),
        _ => format!("{name} (number {})", repeat_at(names, index) + 1),
    }
}

/// Returns the text without its new values, and true if there were any. The names stay, each with nothing after its colon:
/// such a line is refused until the value is typed again.
pub(super) fn without_values(text: &str) -> (String, bool) {
    let (mut lines, mut has_new) = (Vec::new(), false);
    for (_, line) in numbered_lines(text) {
        // A text without a colon, or with a wrong name before the colon, may be the secret.
        let (name, value) = split_line(line).unwrap_or(("", line));
        let name = if check_name(name).is_ok() { name } else { "" };
        if Kept::parse(value).is_some() {
            lines.push(format!("{name}: {value}"));
        } else {
            has_new |= !value.is_empty();
            lines.push(format!("{name}:"));
        }
    }
    (lines.join("\n"), has_new)
}

impl Webhook {
    /// Returns the secret headers with their values, in order, to be sealed. `stored` has the values that are stored now, in
    /// the order of [`StoredWebhook::secret_headers`].
    ///
    /// # Errors
    /// The first header that should keep a value which is not stored.
    pub fn secret_rows(&self, stored: &HeaderList) -> Result<HeaderList, MissingSecret> {
        let row = |(name, value): (&str, &SecretHeader)| {
            let value = match value {
                SecretHeader::Set(secret) => secret.expose_secret().to_owned(),
                SecretHeader::Keep(index) => {
                    stored.0.get(*index).ok_or_else(|| MissingSecret(name.to_owned()))?.value.clone()
                }
            };
            Ok(HeaderRow { name: name.to_owned(), value })
        };
        self.settings
            .headers
            .secret_names()
            .into_iter()
            .zip(&self.secret_values)
            .map(row)
            .collect::<Result<_, _>>()
            .map(HeaderList)
    }
}

#[cfg(test)]
mod tests;
