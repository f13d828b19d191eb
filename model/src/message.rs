//! Messages: templates with variables, and the rendering of their values.
//!
//! Rendering only substitutes: there are no expressions, files, environment variables or recursion. It is one pass,
//! linear in the size of template and values, and never scans a value again. Values are escaped by the webhook's
//! content type, so that no value changes the structure around it.

pub mod data;

use crate::content_type;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// The most bytes a rendered message may have.
pub const RENDERED_MAX_BYTES: usize = 1024 * 1024;

/// The rule by which values are escaped, from the content type of the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Subtypes with `json` in them: `application/json`, `+json`, `x-ndjson`, `json-seq`.
    Json,
    /// `application/xml`, `text/xml`, `+xml`, and HTML.
    Xml,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `text/plain`: unescaped.
    Plain,
    /// Any other content type, or none: unescaped too, but the value may break the format around it.
    Unknown,
}

impl Escape {
    /// Returns the rule for a `Content-Type` value. Parameters and case do not matter.
    pub fn for_content_type(value: Option<&str>) -> Self {
        let essence = content_type::essence(value.unwrap_or_default());
        let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
        match subtype {
            "x-www-form-urlencoded" => Self::Form,
            "plain" => Self::Plain,
            "xml" | "html" => Self::Xml,
            _ if subtype.contains("json") => Self::Json,
            _ if subtype.ends_with("+xml") || subtype.starts_with("xml-") => Self::Xml,
            _ => Self::Unknown,
        }
    }
}

/// A doubtful point of a message that did not stop the message from being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The occurrence has no value at this path of `${data.PATH}`. Nothing was filled in.
    Absent(String),
    /// `${NAME}` is not a variable, and is left in the message as typed.
    NoVariable(String),
    /// A value with quotes, line ends or markup is not escaped, since the content type has no rule.
    AsItIs,
    /// There are more notes than are stored.
    More,
}

impl Note {
    /// Returns the note as a line of text, as it is stored.
    pub fn to_line(&self) -> String {
        match self {
            Self::Absent(path) => format!("absent {path}"),
            Self::NoVariable(name) => format!("no-variable {name}"),
            Self::AsItIs => "as-it-is".to_owned(),
            Self::More => "more".to_owned(),
        }
    }

    /// Reads a line of [`Note::to_line`].
    pub fn from_line(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            Some(("absent", path)) => Some(Self::Absent(path.to_owned())),
            Some(("no-variable", name)) => Some(Self::NoVariable(name.to_owned())),
            _ => [Self::AsItIs, Self::More].into_iter().find(|note| note.to_line() == line),
        }
    }
}

/// The values of one message.
#[derive(Debug, Clone)]
pub struct Variables<'a> {
    /// `${DATE}`: the date and time in the system's time zone.
    pub date: &'a str,
    /// `${TIMESTAMP}`: the same instant in epoch seconds.
    pub timestamp: i64,
    /// `${NAME}`: the object that fired, or the task.
    pub name: &'a str,
    /// `${TYPE}`.
    pub type_id: &'a str,
    /// `${EVENT}`.
    pub event_id: &'a str,
    /// `${OBJECT_ID}`: the object's external id, or empty.
    pub object_id: &'a str,
    /// `${TASK}`.
    pub task: &'a str,
    /// `${ID}`: the delivery's UUID.
    pub id: &'a str,
    /// The document of `${data.PATH}`.
    pub data: Option<&'a Value>,
}

/// A rendered message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The body to send, byte for byte.
    pub body: String,
    /// Paths of `${data.…}` that the occurrence does not have, each with its offset in the template.
    pub absent: Vec<(usize, String)>,
    /// Names in `${…}` that are not variables, each with its offset in the template.
    pub unknown: Vec<(usize, String)>,
    /// True if a value that is not escaped may break the format around it: see [`Escape::Unknown`].
    pub is_raw: bool,
    /// The ranges of the values, in order.
    pub spans: Vec<Span>,
}

/// The most notes that are stored for a message.
const NOTES_MAX: usize = 20;

impl Rendered {
    /// Returns the notes to store with the message.
    pub fn notes(&self) -> Vec<Note> {
        let paths: BTreeSet<_> = self.absent.iter().map(|(_, path)| path).collect();
        let absent = paths.into_iter().map(|path| Note::Absent(path.clone()));
        let unknown = self.unknown.iter().map(|(_, name)| Note::NoVariable(name.clone()));
        let mut notes: Vec<_> = absent.chain(unknown).take(NOTES_MAX + 1).collect();
        if notes.len() > NOTES_MAX {
            notes[NOTES_MAX] = Note::More;
        }
        if self.is_raw {
            notes.push(Note::AsItIs);
        }
        notes
    }
}

/// The byte ranges of a variable and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The variable in the template.
    pub template: Range<usize>,
    /// The value in the body.
    pub body: Range<usize>,
}

/// The rendered message would be larger than [`RENDERED_MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The message is larger than 1 MiB once its values are filled in.")]
pub struct TooLarge;

/// Renders a template. `random` returns a number for each `${RANDOM}`, of which 31 bits are used.
///
/// # Errors
/// [`TooLarge`].
pub fn render(
    template: &str,
    escape: Escape,
    variables: &Variables<'_>,
    random: &mut dyn FnMut() -> u32,
) -> Result<Rendered, TooLarge> {
    let unknown = unknown_variables(template).into_iter().map(|(at, name)| (at, name.to_owned())).collect();
    let mut out = Rendered { body: String::with_capacity(template.len() + 64), unknown, ..Rendered::default() };
    let mut position = JsonPosition::default();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        let (text, tail) = rest.split_at(dollar);
        literal(text, &mut out.body, &mut position);
        rest = if let Some(after) = tail.strip_prefix("$${") {
            literal("${", &mut out.body, &mut position);
            after
        } else if let Some((name, after)) = variable_at(tail) {
            match lookup(name, variables, random) {
                Some(found) => {
                    let at = template.len() - tail.len();
                    if let Found::Absent(path) = &found {
                        out.absent.push((at, (*path).to_owned()));
                    }
                    if escape == Escape::Json && std::mem::take(&mut position.after_backslash) {
                        // A lone backslash would escape the value's first character, or the quote that ends the string.
                        out.body.push('\\');
                    }
                    let start = out.body.len();
                    substitute(&found, escape, position.in_string, &mut out.body);
                    out.is_raw |= escape == Escape::Unknown && out.body[start..].contains(is_structure);
                    out.spans.push(Span { template: at..template.len() - after.len(), body: start..out.body.len() });
                }
                None => literal(&tail[..tail.len() - after.len()], &mut out.body, &mut position),
            }
            after
        } else {
            literal("$", &mut out.body, &mut position);
            &tail[1..]
        };
        if out.body.len() > RENDERED_MAX_BYTES {
            return Err(TooLarge);
        }
    }
    literal(rest, &mut out.body, &mut position);
    if out.body.len() > RENDERED_MAX_BYTES { Err(TooLarge) } else { Ok(out) }
}

/// Returns the names in `${…}` that are not variables, with their offsets, in order and without repeats. The form
/// points them out.
fn unknown_variables(template: &str) -> Vec<(usize, &str)> {
    let mut unknown: Vec<(usize, &str)> = Vec::new();
    let mut seen = HashSet::new();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        let tail = &rest[dollar..];
        rest = if let Some(after) = tail.strip_prefix("$${") {
            after
        } else if let Some((name, after)) = variable_at(tail).or_else(|| lookalike_at(tail)) {
            if !is_variable(name) && seen.insert(name) {
                unknown.push((template.len() - tail.len(), name));
            }
            after
        } else {
            &tail[1..]
        };
    }
    unknown
}

/// Reads `${NAME}` at the start of `tail`. Returns the name and the rest. Names have braces, blanks and quotes only
/// within brackets: `${data.labels["app.kubernetes.io/name"]}`.
fn variable_at(tail: &str) -> Option<(&str, &str)> {
    let inner = tail.strip_prefix("${")?;
    let mut end = 0;
    loop {
        end += inner[end..].find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-')))?;
        let Some((_, after)) = bracket_at(&inner[end..]) else { break };
        end = inner.len() - after.len();
    }
    let after = inner[end..].strip_prefix('}')?;
    (end > 0).then(|| (&inner[..end], after))
}

/// Reads `["KEY"]`, `['KEY']` or `[0]` at the start of a text. Returns the key and the rest. A key with one kind of
/// quotes is written in the other kind.
fn bracket_at(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?;
    for quote in ['"', '\''] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote)?;
            return after.strip_prefix(']').filter(|_| !key.contains('\n')).map(|after| (key, after));
        }
    }
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let (index, after) = inner.split_at(digits);
    after.strip_prefix(']').filter(|_| digits > 0).map(|after| (index, after))
}

/// Reads a text at the start of `tail` that looks like a variable and cannot be one: `${VM NAME}`. Returns the text
/// within the braces and the rest.
fn lookalike_at(tail: &str) -> Option<(&str, &str)> {
    let inner = tail.strip_prefix("${")?;
    let end = inner.find(['$', '{', '}', '"', '\n', '\r'])?;
    let after = inner[end..].strip_prefix('}')?;
    Some((&inner[..end], after))
}

fn is_variable(name: &str) -> bool {
    matches!(name, "DATE" | "TIMESTAMP" | "RANDOM" | "NAME" | "TYPE" | "EVENT" | "OBJECT_ID" | "TASK" | "ID")
        || data_path(name).is_some()
}

/// Returns the path of `data.PATH` or `data["KEY"]…`, as written.
fn data_path(name: &str) -> Option<&str> {
    let path = name.strip_prefix("data")?;
    match path.strip_prefix('.') {
        Some(path) => (!path.is_empty()).then_some(path),
        None => path.starts_with('[').then_some(path),
    }
}

enum Found<'a> {
    Text(&'a str),
    Number(i64),
    Data(&'a Value),
    Absent(&'a str),
}

fn lookup<'a>(name: &'a str, variables: &Variables<'a>, random: &mut dyn FnMut() -> u32) -> Option<Found<'a>> {
    Some(match name {
        "DATE" => Found::Text(variables.date),
        "TIMESTAMP" => Found::Number(variables.timestamp),
        "RANDOM" => Found::Number(i64::from(random() & 0x7fff_ffff)),
        "NAME" => Found::Text(variables.name),
        "TYPE" => Found::Text(variables.type_id),
        "EVENT" => Found::Text(variables.event_id),
        "OBJECT_ID" => Found::Text(variables.object_id),
        "TASK" => Found::Text(variables.task),
        "ID" => Found::Text(variables.id),
        other => {
            let path = data_path(other)?;
            variables.data.and_then(|data| walk(data, path)).map_or(Found::Absent(path), Found::Data)
        }
    })
}

/// Follows a path like `disk.0.free` or `labels["a.b/c"]`: object keys and array indexes, separated by dots or in
/// brackets.
fn walk<'a>(data: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = data;
    let mut rest = path;
    loop {
        let (step, after) = match bracket_at(rest) {
            Some(found) => found,
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        value = match value {
            Value::Object(map) => map.get(step)?,
            Value::Array(items) => items.get(step.parse::<u32>().ok()? as usize)?,
            _ => return None,
        };
        if after.is_empty() {
            return Some(value);
        }
        rest = if after.starts_with('[') { after } else { after.strip_prefix('.')? };
    }
}

/// The position of the renderer in a JSON document.
#[derive(Default)]
struct JsonPosition {
    in_string: bool,
    after_backslash: bool,
}

fn literal(text: &str, body: &mut String, position: &mut JsonPosition) {
    body.push_str(text);
    for byte in text.bytes() {
        match byte {
            _ if position.after_backslash => position.after_backslash = false,
            b'\\' if position.in_string => position.after_backslash = true,
            b'"' => position.in_string = !position.in_string,
            _ => {}
        }
    }
}

fn substitute(found: &Found<'_>, escape: Escape, in_string: bool, body: &mut String) {
    match (found, escape) {
        (Found::Number(number), _) => body.push_str(&number.to_string()),
        // The empty value of JSON is null.
        (Found::Absent(_), Escape::Json) if !in_string => body.push_str("null"),
        (Found::Absent(_), _) => {}
        (Found::Data(value), Escape::Json) if !in_string => body.push_str(&value.to_string()),
        (Found::Data(Value::String(text)), _) => push_text(text, escape, in_string, body),
        (Found::Data(value), _) => push_text(&value.to_string(), escape, in_string, body),
        (Found::Text(text), _) => push_text(text, escape, in_string, body),
    }
}

fn push_text(text: &str, escape: Escape, in_string: bool, body: &mut String) {
    match escape {
        Escape::Json => {
            let quoted = Value::String(text.to_owned()).to_string();
            body.push_str(if in_string { &quoted[1..quoted.len() - 1] } else { &quoted });
        }
        Escape::Xml => push_xml(text, body),
        Escape::Form => push_form(text, body),
        Escape::Plain | Escape::Unknown => body.push_str(text),
    }
}

/// Returns true for characters that most formats give a meaning.
fn is_structure(c: char) -> bool {
    c.is_control() || matches!(c, '"' | '\'' | '\\' | '<' | '>' | '&' | ',' | ';' | ':' | '#' | '{' | '}')
}

fn push_xml(text: &str, body: &mut String) {
    for c in text.chars() {
        match c {
            '&' => body.push_str("&amp;"),
            '<' => body.push_str("&lt;"),
            '>' => body.push_str("&gt;"),
            '"' => body.push_str("&quot;"),
            '\'' => body.push_str("&apos;"),
            // XML 1.0 §2.11 turns a bare CR into LF, and attributes turn blanks into spaces. References survive both.
            '\t' => body.push_str("&#9;"),
            '\n' => body.push_str("&#10;"),
            '\r' => body.push_str("&#13;"),
            // XML 1.0 §2.2 has no way to write these characters.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => body.push('\u{fffd}'),
            other => body.push(other),
        }
    }
}

fn push_form(text: &str, body: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => body.push(byte.into()),
            b' ' => body.push('+'),
            other => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                body.push('%');
                body.push(HEX[usize::from(other >> 4)].into());
                body.push(HEX[usize::from(other & 15)].into());
            }
        }
    }
}

#[cfg(test)]
mod tests;
