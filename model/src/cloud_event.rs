//! CloudEvents 1.0 as occurrences: structured, batched, and in HTTP headers.
//!
//! `type` is `<object type>.<event>`, split at its last dot. A type without a dot is both. `subject` is the object.
//! `id` and `source` identify repeats. The reader is written by hand, because a refusal has to name the item and the
//! attribute.

use crate::content_type::is_json;
use crate::field_error::FieldErrors;
use crate::occurrence::{Batch, ObjectReference, Occurrence, is_type_id, is_word, read_optional};
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Reads one event in the JSON format (`application/cloudevents+json`).
///
/// # Errors
/// Each wrong attribute by its name.
pub fn parse_structured(document: &Value) -> Result<Batch, FieldErrors> {
    parse_items(std::slice::from_ref(document), false)
}

/// Reads a batch in the JSON format (`application/cloudevents-batch+json`). One wrong event refuses all.
///
/// # Errors
/// Each wrong attribute by its path, `[2].subject`.
pub fn parse_batch(document: &Value) -> Result<Batch, FieldErrors> {
    match document {
        Value::Array(items) => parse_items(items, true),
        _ => Err(FieldErrors::one("", "A batch is a JSON array of events.")),
    }
}

/// Reads an event in binary mode: attributes from `ce-…` headers, percent-decoded, and data from the body.
///
/// # Errors
/// Each wrong attribute by its name.
pub fn parse_binary(attributes: &[(String, String)], data: Option<Value>) -> Result<Batch, FieldErrors> {
    let mut members: Map<String, Value> =
        attributes.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    members.remove("data");
    members.remove("data_base64");
    if let Some(data) = data {
        members.insert("data".to_owned(), data);
    }
    parse_items(&[Value::Object(members)], false)
}

fn parse_items(items: &[Value], is_array: bool) -> Result<Batch, FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = if is_array { format!("[{index}].") } else { String::new() };
        found.extend(parse_item(item, &path, &mut errors));
    }
    if errors.is_empty() { Ok(Batch { occurrences: found, is_array, is_lenient: false }) } else { Err(errors) }
}

fn parse_item(item: &Value, path: &str, errors: &mut FieldErrors) -> Option<Occurrence> {
    let Value::Object(members) = item else {
        errors.add(path.trim_end_matches('.'), "This is not a JSON object.");
        return None;
    };
    if members.get("specversion").and_then(Value::as_str) != Some("1.0") {
        errors.add(format!("{path}specversion"), "This has to be \"1.0\".");
    }
    let mut required = |name: &str| {
        let before = errors.len();
        let found = read_optional(members, name, path, errors);
        if found.is_none() && errors.len() == before {
            errors.add(format!("{path}{name}"), "This attribute is required.");
        }
        found
    };
    let external_id = required("id");
    let source = required("source");
    let kind = required("type");
    let kind = kind.as_deref().map(|kind| kind.rsplit_once('.').unwrap_or((kind, kind)));
    let kind = kind.and_then(|(type_id, event_id)| {
        if is_type_id(type_id) && is_word(event_id) {
            return Some((type_id.to_owned(), event_id.to_owned()));
        }
        errors.add(
            format!("{path}type"),
            "This has to be an object type, a dot and an event, like vms.poweron: A-Z, a-z, 0-9, _, -, / and :.",
        );
        None
    });
    let subject = read_optional(members, "subject", path, errors);
    let time = read_optional(members, "time", path, errors)
        .and_then(|text| errors.check(&format!("{path}time"), Timestamp::parse_rfc3339(&text)));
    let data = read_data(members, path, errors);
    let (type_id, event_id) = kind?;
    let object =
        subject.map(|subject| ObjectReference { external_id: Some(subject), name: None, tags: None, is_subject: true });
    Some(Occurrence { type_id, event_id, object, external_id, source, time, data })
}

/// Reads the data of an event (JSON format §3.1): a JSON value, or bytes in base64. Bytes are decoded if they are JSON
/// by the content type, or text. Other bytes stay in base64, so that a message can pass them on.
fn read_data(members: &Map<String, Value>, path: &str, errors: &mut FieldErrors) -> Option<Value> {
    let plain = members.get("data");
    let encoded = members.get("data_base64").filter(|data| !data.is_null());
    match (plain, encoded) {
        // `null` counts as data.
        (plain, None) => plain.cloned(),
        (Some(plain), Some(_)) if !plain.is_null() => {
            errors.add(format!("{path}data_base64"), "An event has data or data_base64, not both.");
            None
        }
        (_, Some(encoded)) => {
            let decoded = encoded.as_str().and_then(|text| STANDARD.decode(text).ok());
            let Some(bytes) = decoded else {
                errors.add(format!("{path}data_base64"), "This is not a text in base64 (RFC 4648 §4).");
                return None;
            };
            let kind = members.get("datacontenttype").and_then(Value::as_str);
            let document = if kind.is_none_or(is_json) { serde_json::from_slice(&bytes).ok() } else { None };
            Some(document.unwrap_or_else(|| text_of(bytes)))
        }
    }
}

/// Returns data that is not JSON as a text: UTF-8 decoded, other bytes in base64.
pub fn text_of(bytes: Vec<u8>) -> Value {
    String::from_utf8(bytes).unwrap_or_else(|error| STANDARD.encode(error.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn valid() -> Value {
        json!({"specversion": "1.0", "id": "e1", "source": "/dc-1", "type": "vms.poweron", "subject": "vm-101",
            "time": "2025-10-16T15:38:07Z", "datacontenttype": "application/json", "data": {"a": 1}, "myextension": "x"})
    }

    fn wrong(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<String> {
        let mut document = valid();
        change(document.as_object_mut().expect("an object"));
        match parse_structured(&document) {
            Ok(found) => panic!("accepted {found:?}"),
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
        }
    }

    #[test]
    fn structured_batch_and_binary_mode_read_the_same_event() {
        let structured = parse_structured(&valid()).expect("valid");
        let first = &structured.occurrences[0];
        assert_eq!((first.type_id.as_str(), first.event_id.as_str(), structured.is_array), ("vms", "poweron", false));
        assert_eq!(parse_batch(&json!([valid()])), Ok(Batch { is_array: true, ..structured.clone() }));
        let text = |name: &str| valid()[name].as_str().expect("text").to_owned();
        let names = ["specversion", "id", "source", "type", "subject", "time"];
        let headers: Vec<_> = names.iter().map(|name| ((*name).to_owned(), text(name))).collect();
        assert_eq!(parse_binary(&headers, Some(json!({"a": 1}))), Ok(structured));
    }

    #[test]
    fn base64_data_is_decoded_if_it_is_json_or_text() {
        let read = |kind: Option<&str>, bytes: &[u8]| {
            let mut document = valid();
            let members = document.as_object_mut().expect("an object");
            members.remove("data");
            members.insert("data_base64".into(), json!(STANDARD.encode(bytes)));
            match kind {
                Some(kind) => members.insert("datacontenttype".into(), json!(kind)),
                None => members.remove("datacontenttype"),
            };
            parse_structured(&document).expect("valid").occurrences.remove(0).data.expect("data")
        };
        assert_eq!(read(Some("application/json"), br#"{"a": 1}"#), json!({"a": 1}));
        assert_eq!(read(Some("application/vnd.x+json; charset=utf-8"), b"[1]"), json!([1]));
        assert_eq!(read(None, b"{\"a\": 1}"), json!({"a": 1}), "JSON is the default");
        assert_eq!(read(Some("text/plain"), b"{}"), json!("{}"));
        assert_eq!(read(Some("application/json"), b"no json"), json!("no json"));
        assert_eq!(read(Some("application/octet-stream"), &[0xff, 0]), json!("/wA="));
        for wrong_data in [json!("no base64!"), json!("eA"), json!(7)] {
            let change = |event: &mut Map<String, Value>| {
                event.remove("data");
                event.insert("data_base64".into(), wrong_data.clone());
            };
            assert_eq!(wrong(change), ["data_base64"], "{wrong_data}");
        }
    }

    #[test]
    fn type_is_split_at_its_last_dot() {
        for (kind, type_id, event_id) in [
            ("com.github.pull_request.opened", "com.github.pull_request", "opened"),
            ("Vendor.Storage.BlobCreated", "Vendor.Storage", "BlobCreated"),
        ] {
            let mut document = valid();
            document["type"] = json!(kind);
            let found = parse_structured(&document).expect(kind).occurrences.remove(0);
            assert_eq!((found.type_id.as_str(), found.event_id.as_str()), (type_id, event_id));
        }
    }

    #[test]
    fn each_wrong_attribute_is_refused_by_name() {
        assert_eq!(wrong(|event| drop(event.remove("specversion"))), ["specversion"]);
        assert_eq!(wrong(|event| drop(event.insert("specversion".into(), json!("0.3")))), ["specversion"]);
        assert_eq!(wrong(|event| drop(event.remove("id"))), ["id"]);
        assert_eq!(wrong(|event| drop(event.insert("id".into(), json!("")))), ["id"]);
        assert_eq!(wrong(|event| drop(event.remove("source"))), ["source"]);
        assert_eq!(wrong(|event| drop(event.insert("type".into(), json!("power on")))), ["type"]);
        assert_eq!(wrong(|event| drop(event.insert("type".into(), json!("com..on")))), ["type"]);
        assert_eq!(wrong(|event| drop(event.insert("subject".into(), json!(7)))), ["subject"]);
        assert_eq!(wrong(|event| drop(event.insert("time".into(), json!("noon")))), ["time"]);
        assert_eq!(wrong(|event| drop(event.insert("data_base64".into(), json!("eA==")))), ["data_base64"]);
        assert!(parse_batch(&valid()).is_err());
        assert!(parse_batch(&json!([valid(), 7])).is_err());
    }
}
