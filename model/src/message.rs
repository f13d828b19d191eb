//! Messages: the variables, and how their values are written into a body (`spec/engine.md` §3).
//!
//! Substitution only: no expressions, files, environment or recursion. One pass, linear in the size of template and
//! values, and a value is never scanned again. Escaping follows the webhook's content type, so that no value can
//! change the structure around it.

pub mod data;

use crate::content_type;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// The most bytes a rendered message may have.
pub const RENDERED_MAX_BYTES: usize = 1024 * 1024;

/// How values are written, by the content type of the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Whatever has `json` in its subtype: `application/json`, `+json`, `x-ndjson`, `json-seq`.
    Json,
    /// `application/xml`, `text/xml`, `+xml`, and HTML.
    Xml,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `text/plain`: as is.
    Plain,
    /// Everything else, and no content type: as is too, but the place around the value may be broken by it.
    Unknown,
}

impl Escape {
    /// The rule for a `Content-Type` value; parameters and case do not matter.
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

/// Something about a message that its receiver may stumble over, and that did not stop it from being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The occurrence had nothing at this path of `${data.PATH}`: nothing was filled in.
    Absent(String),
    /// `${NAME}` is no variable, and stands in the message as it was typed.
    NoVariable(String),
    /// A value with quotes, line ends or markup stands as it is, since no rule is known for the content type.
    AsItIs,
    /// There are more than are kept.
    More,
}

impl Note {
    /// The note as a line of text, as it is stored.
    pub fn to_line(&self) -> String {
        match self {
            Self::Absent(path) => format!("absent {path}"),
            Self::NoVariable(name) => format!("no-variable {name}"),
            Self::AsItIs => "as-it-is".to_owned(),
            Self::More => "more".to_owned(),
        }
    }

    /// Reads what [`Note::to_line`] wrote.
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
    /// `${DATE}`, written out in the system's time zone.
    pub date: &'a str,
    /// `${TIMESTAMP}`: the same instant in epoch seconds.
    pub timestamp: i64,
    /// `${NAME}`: the object that fired, or the task.
    pub name: &'a str,
    /// `${TYPE}`.
    pub type_id: &'a str,
    /// `${EVENT}`.
    pub event_id: &'a str,
    /// `${OBJECT_ID}`: the object's external id; empty without an object.
    pub object_id: &'a str,
    /// `${TASK}`.
    pub task: &'a str,
    /// `${ID}`: the delivery's UUID.
    pub id: &'a str,
    /// What `${data.PATH}` looks into.
    pub data: Option<&'a Value>,
}

/// A rendered message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// What will be sent, byte for byte.
    pub body: String,
    /// Paths of `${data.…}` that the occurrence does not have, each with its offset in the template.
    pub absent: Vec<(usize, String)>,
    /// The `${…}` that name no variable, each with its offset in the template.
    pub unknown: Vec<(usize, String)>,
    /// Whether a value stands as it is in a place that it may break: see [`Escape::Unknown`].
    pub is_raw: bool,
    /// Where values were filled in.
    pub spans: Vec<Span>,
}

/// The most notes that are kept of one message.
const NOTES_MAX: usize = 20;

impl Rendered {
    /// The notes for its record.
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

/// A value that was filled in, by the bytes of its variable and of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where the variable stands.
    pub template: Range<usize>,
    /// Where its value stands.
    pub body: Range<usize>,
}

/// The message grew over [`RENDERED_MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The message is larger than 1 MiB once its values are filled in.")]
pub struct TooLarge;

/// Fills in the variables. `random` yields one integer from 0 to 2147483647 for each `${RANDOM}`.
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
    let mut place = JsonPlace::default();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        let (text, tail) = rest.split_at(dollar);
        literal(text, &mut out.body, &mut place);
        rest = if let Some(after) = tail.strip_prefix("$${") {
            literal("${", &mut out.body, &mut place);
            after
        } else if let Some((name, after)) = variable_at(tail) {
            match lookup(name, variables, random) {
                Some(found) => {
                    let at = template.len() - tail.len();
                    if let Found::Absent(path) = &found {
                        out.absent.push((at, (*path).to_owned()));
                    }
                    if escape == Escape::Json && std::mem::take(&mut place.after_backslash) {
                        // It would take the value's first character for an escape, and the end of the string with it.
                        out.body.push('\\');
                    }
                    let start = out.body.len();
                    substitute(&found, escape, place.in_string, &mut out.body);
                    out.is_raw |= escape == Escape::Unknown && out.body[start..].contains(is_structure);
                    out.spans.push(Span { template: at..template.len() - after.len(), body: start..out.body.len() });
                }
                None => literal(&tail[..tail.len() - after.len()], &mut out.body, &mut place),
            }
            after
        } else {
            literal("$", &mut out.body, &mut place);
            &tail[1..]
        };
        if out.body.len() > RENDERED_MAX_BYTES {
            return Err(TooLarge);
        }
    }
    literal(rest, &mut out.body, &mut place);
    if out.body.len() > RENDERED_MAX_BYTES { Err(TooLarge) } else { Ok(out) }
}

/// The `${…}` of a template that name no variable, each by its offset, in order, without repeats: pointed out in the
/// form.
fn unknown_variables(template: &str) -> Vec<(usize, &str)> {
    let mut unknown: Vec<(usize, &str)> = Vec::new();
    let mut seen = HashSet::new();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        let tail = &rest[dollar..];
        rest = if let Some(after) = tail.strip_prefix("$${") {
            after
        } else if let Some((name, after)) = variable_at(tail).or_else(|| meant_at(tail)) {
            if !is_known(name) && seen.insert(name) {
                unknown.push((template.len() - tail.len(), name));
            }
            after
        } else {
            &tail[1..]
        };
    }
    unknown
}

/// `${NAME}` at the start of `tail`: the name, and what follows. Names have no braces, blanks or quotes but in brackets:
/// `${data.labels["app.kubernetes.io/name"]}`.
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

/// `["KEY"]`, `['KEY']` or `[0]` at the start of a text: the key, and what follows. A key with one kind of quotes in it
/// stands in the other.
fn bracket_at(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?;
    for quote in ['"', '\''] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote)?;
            return after.strip_prefix(']').filter(|_| !key.contains('\n')).map(|after| (key, after));
        }
    }
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let (place, after) = inner.split_at(digits);
    after.strip_prefix(']').filter(|_| digits > 0).map(|after| (place, after))
}

/// What looks meant for a variable at the start of `tail` and cannot be one, `${VM NAME}`: its text, and what follows.
fn meant_at(tail: &str) -> Option<(&str, &str)> {
    let inner = tail.strip_prefix("${")?;
    let end = inner.find(['$', '{', '}', '"', '\n', '\r'])?;
    let after = inner[end..].strip_prefix('}')?;
    Some((&inner[..end], after))
}

fn is_known(name: &str) -> bool {
    matches!(name, "DATE" | "TIMESTAMP" | "RANDOM" | "NAME" | "TYPE" | "EVENT" | "OBJECT_ID" | "TASK" | "ID")
        || data_path(name).is_some()
}

/// The path of `data.PATH` or `data["KEY"]…`, as it is written.
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

/// Follows `disk.0.free` or `labels["a.b/c"]`: object keys and array places, separated by dots or in brackets.
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

/// Where in a JSON document the template stands.
#[derive(Default)]
struct JsonPlace {
    in_string: bool,
    after_backslash: bool,
}

fn literal(text: &str, body: &mut String, place: &mut JsonPlace) {
    body.push_str(text);
    for byte in text.bytes() {
        match byte {
            _ if place.after_backslash => place.after_backslash = false,
            b'\\' if place.in_string => place.after_backslash = true,
            b'"' => place.in_string = !place.in_string,
            _ => {}
        }
    }
}

fn substitute(found: &Found<'_>, escape: Escape, in_string: bool, body: &mut String) {
    match (found, escape) {
        (Found::Number(number), _) => body.push_str(&number.to_string()),
        // JSON has no empty value but null.
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

/// Whether most formats give this character a meaning.
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
            // XML 1.0 §2.11 turns a bare CR into LF and attributes turn blanks into spaces: references survive both.
            '\t' => body.push_str("&#9;"),
            '\n' => body.push_str("&#10;"),
            '\r' => body.push_str("&#13;"),
            // XML 1.0 §2.2 has no way to write these at all.
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
