//! CloudEvents: each event of a batch is read whole, or refused by its index and attribute.

use crate::grammar::{deep_json, json_value, near_miss_object, text};
use crate::{Checked, cases};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::cloud_event::{parse_batch, parse_binary, parse_structured};
use model::occurrence::Occurrence;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The attributes that a refusal may name.
const ATTRIBUTES: [&str; 7] = ["specversion", "id", "source", "type", "subject", "time", "data_base64"];
/// Stands in each payload. No refusal may repeat it.
const CANARY: &str = "canary7f3a";

fn short() -> impl Strategy<Value = String> {
    prop_oneof![12 => "[a-zA-Z0-9/_-]{1,12}", 4 => "[^\\x00]{1,8}", 1 => text(), 1 => "[é日]{253,257}"]
}

fn time() -> impl Strategy<Value = String> {
    let date = "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])";
    let rest = "T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?(Z|[+-][01][0-9]:[0-5][0-9])";
    prop_oneof![12 => (date, rest).prop_map(|(date, rest)| date + &rest), 1 => text()]
}

/// Returns an event whose attributes are there, but may be too long or malformed.
fn event() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![12 => "[a-z]{1,6}(\\.[a-zA-Z_/:-]{1,6}){0,3}", 1 => "[a-z.]{60,70}", 1 => text()];
    let data = prop_oneof![4 => json_value(), 1 => deep_json()];
    (short(), short(), kind, short(), time(), data).prop_map(|(id, source, kind, subject, time, data)| {
        json!({
            "specversion": "1.0", "id": id, "source": source, "type": kind, "subject": subject, "time": time,
            "data": data,
        })
    })
}

fn document() -> impl Strategy<Value = Value> {
    prop_oneof![8 => near_miss_object(event()), 1 => json_value(), 1 => deep_json()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..24),
        text().prop_map(String::into_bytes),
        json_value().prop_map(|data| data.to_string().into_bytes()),
    ]
}

/// Fails unless an accepted event keeps its attributes to the letter.
fn check_whole(event: &Value, read: &Occurrence) -> Checked {
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    prop_assert_eq!(event["specversion"].as_str(), Some("1.0"));
    prop_assert_eq!(&read.external_id, &text("id"));
    prop_assert_eq!(&read.source, &text("source"));
    let kind = text("type").expect("accepted");
    let is_split = kind.contains('.') && kind == format!("{}.{}", read.type_id, read.event_id);
    prop_assert!(is_split || kind == read.type_id && kind == read.event_id, "{}", kind);
    prop_assert_eq!(read.object.as_ref().and_then(|object| object.external_id.clone()), text("subject"));
    prop_assert_eq!(read.time.is_some(), text("time").is_some());
    if event.get("data_base64").is_none_or(Value::is_null) {
        prop_assert_eq!(&read.data, &event.get("data").cloned());
    }
    for text in [&read.external_id, &read.source] {
        let count = text.as_ref().map_or(0, |text| text.chars().count());
        prop_assert!((1..=255).contains(&count), "{}", count);
    }
    Ok(())
}

fn check_structured(document: &Value) -> Checked {
    match parse_structured(document) {
        Ok(batch) => {
            prop_assert!(!batch.is_array && batch.occurrences.len() == 1);
            check_whole(document, &batch.occurrences[0])?;
        }
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            for error in &errors.0 {
                let is_attribute = ATTRIBUTES.contains(&error.field.as_str());
                prop_assert!(is_attribute || error.field.is_empty() && !document.is_object(), "{}", error.field);
                prop_assert!(error.message.ends_with('.'), "{}", error.message);
            }
        }
    }
    Ok(())
}

fn check_batch(documents: Vec<Value>) -> Checked {
    let (mut occurrences, mut wrong) = (Vec::new(), Vec::new());
    for (index, document) in documents.iter().enumerate() {
        let path = |field: String| if field.is_empty() { format!("[{index}]") } else { format!("[{index}].{field}") };
        match parse_structured(document) {
            Ok(batch) => occurrences.extend(batch.occurrences),
            Err(errors) => wrong.extend(errors.0.into_iter().map(|error| (path(error.field), error.message))),
        }
    }
    match parse_batch(&Value::Array(documents)) {
        Ok(batch) => {
            prop_assert!(batch.is_array && wrong.is_empty());
            prop_assert_eq!(batch.occurrences, occurrences);
        }
        Err(errors) => {
            let errors: Vec<_> = errors.0.into_iter().map(|error| (error.field, error.message)).collect();
            prop_assert_eq!(errors, wrong);
        }
    }
    Ok(())
}

fn check_headers(members: &Map<String, Value>) -> Checked {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let headers: Vec<_> = members.iter().filter_map(text).filter(|(name, _)| !name.starts_with("data")).collect();
    let data = members.get("data").cloned();
    let mut structured: Map<String, Value> =
        headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    structured.extend(data.clone().map(|data| ("data".to_owned(), data)));
    prop_assert_eq!(parse_binary(&headers, data), parse_structured(&Value::Object(structured)));
    Ok(())
}

fn check_base64(bytes: &[u8], kind: &str) -> Checked {
    let mut event = json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "vms.on" });
    event["data_base64"] = STANDARD.encode(bytes).into();
    if !kind.is_empty() {
        event["datacontenttype"] = kind.into();
    }
    let data = parse_structured(&event).expect("valid").occurrences.remove(0).data.expect("data");
    let as_json = serde_json::from_slice(bytes).ok().filter(|_| kind != "text/plain");
    let as_text = String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| STANDARD.encode(bytes));
    prop_assert_eq!(data, as_json.unwrap_or(Value::from(as_text)));
    Ok(())
}

/// Checks a document whose members all have the canary, and texts also a NUL, which is refused.
fn check_discreet(members: &Map<String, Value>) -> Checked {
    let spoil = |value: &Value| match value {
        Value::String(text) => Value::from(format!("{text}{CANARY}\0")),
        _ => json!([CANARY]),
    };
    let spoilt: Map<String, Value> = members.iter().map(|(name, value)| (name.clone(), spoil(value))).collect();
    let errors = parse_structured(&Value::Object(spoilt)).expect_err("no text may have NUL");
    prop_assert!(!errors.to_string().contains(CANARY), "{}", errors);
    Ok(())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn any_json_is_read_whole_or_refused_by_attribute(document in document()) {
        check_structured(&document)?;
    }

    #[test]
    fn a_batch_equals_its_events_read_one_by_one(documents in vec(document(), 0..4)) {
        check_batch(documents)?;
    }

    #[test]
    fn a_batch_is_an_array(document in json_value()) {
        prop_assert!(document.is_array() || parse_batch(&document).is_err());
    }

    #[test]
    fn an_event_in_headers_equals_the_same_event_in_json(document in document()) {
        check_headers(document.as_object().unwrap_or(&Map::new()))?;
    }

    #[test]
    fn bytes_in_base64_are_read_as_json_or_text_or_stay_base64(
        bytes in bytes(),
        kind in "(application/json|text/plain|a/b\\+json)?",
    ) {
        check_base64(&bytes, &kind)?;
    }

    #[test]
    fn a_refusal_never_repeats_a_payload(document in document()) {
        check_discreet(document.as_object().unwrap_or(&Map::new()))?;
    }
}
