//! Occurrences as other systems post them in JSON: one, or an array.
//!
//! Reading is strict: an unknown member is refused, so that the sender learns of the mistake.

use crate::field_error::{self, FieldErrors};
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// The most tags one object may carry.
pub const TAGS_MAX: usize = 64;

/// The most items in one request.
pub const ITEMS_MAX: usize = 1000;
/// The most characters of a name, id or source.
pub const TEXT_MAX: usize = 255;

/// A checked occurrence.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Occurrence {
    /// The object type's id, `vms`.
    pub type_id: String,
    /// The event's id within the type, `poweron`.
    pub event_id: String,
    /// The object it is about.
    pub object: Option<ObjectReference>,
    /// The sender's id for it, which identifies repeats.
    pub external_id: Option<String>,
    /// The system it comes from. The key's name if absent.
    pub source: Option<String>,
    /// Time of the occurrence, by the sender's clock.
    pub time: Option<Timestamp>,
    /// Any further data, for `${data.PATH}`.
    pub data: Option<Value>,
}

/// The occurrences of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The occurrences, in order.
    pub occurrences: Vec<Occurrence>,
    /// The sender wrote an array. Errors then name the item: `[2].object.id`.
    pub is_array: bool,
    /// True if an occurrence with an earlier id is a repeat even when other members differ: some senders send reminders
    /// with newer values.
    pub is_lenient: bool,
}

impl Batch {
    /// Returns a batch of one occurrence that was not written as an array.
    pub fn single(occurrence: Occurrence) -> Self {
        Self { occurrences: vec![occurrence], is_array: false, is_lenient: false }
    }
}

/// The object that an occurrence names: by id, by name, or both.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ObjectReference {
    /// Id of the object in the managed system.
    pub external_id: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
    /// The new tags, as `Category/tag`. The object keeps its tags if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// The id is the subject of a CloudEvent, which may also be the name of an object with another id.
    #[serde(skip)]
    pub is_subject: bool,
}

impl Occurrence {
    /// Returns its `data.level`, by which alarms and logs are filtered.
    pub fn level(&self) -> Option<&str> {
        self.data.as_ref()?.get("level")?.as_str()
    }

    /// Returns its `data.source`, by which logs are filtered.
    pub fn data_source(&self) -> Option<&str> {
        self.data.as_ref()?.get("source")?.as_str()
    }
}

/// Reads an occurrence or an array of them. One wrong occurrence refuses all.
///
/// # Errors
/// Each wrong member by its path: `type`, or `[2].object.id` in an array.
pub fn parse_json(document: &Value) -> Result<Batch, FieldErrors> {
    let mut errors = FieldErrors::default();
    let found = match document {
        Value::Array(items) if items.is_empty() => return Err(FieldErrors::one("", "The array is empty.")),
        Value::Array(items) => {
            let parse = |(index, item)| parse_item(item, &format!("[{index}]."), &mut errors);
            items.iter().enumerate().map(parse).collect()
        }
        item => vec![parse_item(item, "", &mut errors)],
    };
    let found: Option<Vec<_>> = found.into_iter().collect();
    let batch = |occurrences| Batch { occurrences, is_array: document.is_array(), is_lenient: false };
    found.filter(|_| errors.is_empty()).map(batch).ok_or(errors)
}

fn parse_item(item: &Value, path: &str, errors: &mut FieldErrors) -> Option<Occurrence> {
    let Value::Object(members) = item else {
        errors.add(path.trim_end_matches('.'), "This is not a JSON object.");
        return None;
    };
    refuse_unknown(members, &["type", "event", "object", "id", "source", "time", "data"], path, errors);
    let type_id = read_id(members, "type", is_type_id, path, errors);
    let event_id = read_id(members, "event", is_word, path, errors);
    let object = match members.get("object") {
        None | Some(Value::Null) => None,
        Some(Value::Object(object)) => parse_object(object, path, errors),
        Some(_) => {
            errors.add(format!("{path}object"), "This is not a JSON object with an id or a name.");
            None
        }
    };
    let external_id = read_id_or_number(members, "id", path, errors);
    let source = read_optional(members, "source", path, errors);
    let time = read_optional(members, "time", path, errors)
        .and_then(|text| errors.check(&format!("{path}time"), Timestamp::parse_rfc3339(&text)));
    let data = members.get("data").filter(|data| !data.is_null()).cloned();
    Some(Occurrence { type_id: type_id?, event_id: event_id?, object, external_id, source, time, data })
}

fn parse_object(members: &Map<String, Value>, path: &str, errors: &mut FieldErrors) -> Option<ObjectReference> {
    let path = format!("{path}object.");
    refuse_unknown(members, &["id", "name", "tags"], &path, errors);
    parse_object_members(members, &path, errors)
}

/// Reads `id`, `name` and `tags` of an object. `path` ends with a dot.
pub(crate) fn parse_object_members(
    members: &Map<String, Value>,
    path: &str,
    errors: &mut FieldErrors,
) -> Option<ObjectReference> {
    let external_id = read_id_or_number(members, "id", path, errors);
    let name = read_optional(members, "name", path, errors);
    let tags = read_tags(members, path, errors);
    let is_absent = |member: &str| members.get(member).is_none_or(Value::is_null);
    if is_absent("id") && is_absent("name") {
        errors.add(path.trim_end_matches('.'), "An object needs an id or a name.");
        return None;
    }
    Some(ObjectReference { external_id, name, tags, is_subject: false })
}

fn read_tags(members: &Map<String, Value>, path: &str, errors: &mut FieldErrors) -> Option<Vec<String>> {
    let value = members.get("tags").filter(|value| !value.is_null())?;
    let read = |value: &Value| {
        let text = value.as_str().filter(|text| text.len() <= 2 * TEXT_MAX && !text.contains('\0'))?;
        text.split_once('/').map(|_| text.to_owned())
    };
    let tags: Option<Vec<_>> = value.as_array().and_then(|items| items.iter().map(read).collect());
    let tags = tags.filter(|tags| tags.len() <= TAGS_MAX);
    if tags.is_none() {
        let message = format!("Write tags as an array of at most {TAGS_MAX} \"Category/tag\".");
        errors.add(format!("{path}tags"), message);
    }
    tags
}

pub(crate) fn refuse_unknown(members: &Map<String, Value>, known: &[&str], path: &str, errors: &mut FieldErrors) {
    let unknown = members.keys().filter(|name| !known.contains(&name.as_str()));
    for name in unknown.take(field_error::MAX + 1) {
        let shown: String = name.chars().filter(|c| !crate::text::is_invisible(*c)).take(40).collect();
        errors.add(format!("{path}{shown}"), format!("Unknown member. Known here: {}.", known.join(", ")));
    }
}

/// Returns true for the id of an event: 1 to 64 of `A-Z a-z 0-9 _ - / :`. The last two are in types of CloudEvents that
/// are paths or URNs.
pub(crate) fn is_word(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b':');
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Returns true for the id of a type: words with dots between them, at most 64 characters in all.
pub(crate) fn is_type_id(text: &str) -> bool {
    text.len() <= 64 && text.split('.').all(is_word)
}

/// Reads the required id of a type or event.
fn read_id(
    members: &Map<String, Value>,
    name: &str,
    is_id: impl Fn(&str) -> bool,
    path: &str,
    errors: &mut FieldErrors,
) -> Option<String> {
    let id = members.get(name).and_then(Value::as_str).filter(|text| is_id(text)).map(str::to_owned);
    if id.is_none() {
        let (article, dots) = if name == "event" { ("An", "") } else { ("A", ", with dots between") };
        errors.add(
            format!("{path}{name}"),
            format!("{article} {name} is required: 1 to 64 of A-Z, a-z, 0-9, _, -, / and :{dots}."),
        );
    }
    id
}

/// Reads an optional id, which may be a number: many systems count their ids.
fn read_id_or_number(members: &Map<String, Value>, name: &str, path: &str, errors: &mut FieldErrors) -> Option<String> {
    match members.get(name) {
        Some(Value::Number(number)) => {
            let member = (name.to_owned(), Value::String(number.to_string()));
            read_optional(&Map::from_iter([member]), name, path, errors)
        }
        _ => read_optional(members, name, path, errors),
    }
}

/// Reads an optional text of 1 to [`TEXT_MAX`] characters.
pub(crate) fn read_optional(
    members: &Map<String, Value>,
    name: &str,
    path: &str,
    errors: &mut FieldErrors,
) -> Option<String> {
    let text = match members.get(name)? {
        Value::Null => return None,
        Value::String(text) => text,
        _ => {
            errors.add(format!("{path}{name}"), "This is not a string.");
            return None;
        }
    };
    let count = text.chars().count();
    if count == 0 || count > TEXT_MAX {
        errors.add(format!("{path}{name}"), format!("This has {count} characters; 1 to {TEXT_MAX} are allowed."));
        return None;
    }
    errors.check(&format!("{path}{name}"), crate::text::refuse_nul(text)).map(|()| text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong_fields(document: &Value) -> Vec<String> {
        match parse_json(document) {
            Ok(found) => panic!("accepted {found:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn parse_reads_one_occurrence_or_an_array() {
        let one = json!({"type": "vms", "event": "poweron", "object": {"id": "vm-1", "name": "web-01"},
            "id": "e1", "source": "dc-1", "time": "2025-10-16T15:38:07Z", "data": {"a": 1}});
        let found = parse_json(&one).expect("valid");
        assert_eq!((found.occurrences[0].time, found.is_array), (Some(Timestamp(1_760_629_087_000)), false));
        let found = parse_json(&json!([one, {"type": "logs", "event": "created"}])).expect("valid");
        assert_eq!((found.occurrences.len(), found.is_array), (2, true));
        assert!(parse_json(&json!([one])).expect("valid").is_array);
        let dotted = parse_json(&json!({"type": "Vendor.Storage", "event": "BlobCreated"})).expect("valid");
        assert_eq!(dotted.occurrences[0].type_id, "Vendor.Storage");
        let counted = parse_json(&json!({"type": "vms", "event": "poweron", "id": 7, "object": {"id": 12.50}}));
        let counted = counted.expect("valid").occurrences.remove(0);
        assert_eq!(counted.external_id.as_deref(), Some("7"));
    }

    #[test]
    fn each_wrong_member_is_refused_by_path() {
        for (document, fields) in [
            (json!(null), vec![""]),
            (json!([]), vec![""]),
            (json!({}), vec!["type", "event"]),
            (json!([{"type": "vms", "event": "poweron"}, 7]), vec!["[1]"]),
            (json!({"type": "v ms", "event": "power on"}), vec!["type", "event"]),
            (json!({"type": "com..vms", "event": "vms.on"}), vec!["type", "event"]),
            (json!({"type": ".vms", "event": ""}), vec!["type", "event"]),
            (json!({"type": "x".repeat(65), "event": 1}), vec!["type", "event"]),
            (json!({"type": "vms", "event": "poweron", "objects": {}}), vec!["objects"]),
            (json!({"type": "vms", "event": "poweron", "object": "web"}), vec!["object"]),
            (json!({"type": "vms", "event": "poweron", "object": {}}), vec!["object"]),
            (json!({"type": "vms", "event": "poweron", "object": {"id": null, "name": null}}), vec!["object"]),
            (json!({"type": "vms", "event": "poweron", "object": {"id": "a", "tags": "x"}}), vec!["object.tags"]),
            (json!({"type": "vms", "event": "poweron", "object": {"id": "a", "tags": ["x"]}}), vec!["object.tags"]),
            (json!({"type": "vms", "event": "poweron", "object": {"id": true}}), vec!["object.id"]),
            (json!({"type": "vms", "event": "poweron", "object": {"id": "a", "name": ""}}), vec!["object.name"]),
            (json!([{"type": "vms", "event": "poweron", "id": "x".repeat(256)}]), vec!["[0].id"]),
            (json!({"type": "vms", "event": "poweron", "source": "a\0"}), vec!["source"]),
            (json!({"type": "vms", "event": "poweron", "time": "yesterday"}), vec!["time"]),
        ] {
            assert_eq!(wrong_fields(&document), fields, "{document}");
        }
    }
}
