//! Bodies of Alertmanager and Grafana: each alert is an alarm, or refused by its index and member.

use crate::grammar::{deep_json, json_value, near_miss_object, text};
use crate::{Checked, cases};
use model::catalog::LEVELS;
use model::occurrence::Occurrence;
use model::source::Source;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const LABELS: &[&str] = &["instance", "host", "node", "vm", "severity", "level", "priority"];

fn labels() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        2 => "[a-z0-9.-]{1,8}(:[0-9]{0,5})?",
        1 => "\\[[0-9a-f:]{1,10}\\](:[0-9]{0,5})?",
        1 => "(critical|WARN|info|debug|p1|strange)",
        1 => text(),
        1 => "[é日]{253,300}",
    ];
    let name = prop_oneof![3 => select(LABELS).prop_map(str::to_owned), 1 => text()];
    let value = prop_oneof![8 => value.prop_map(Value::from), 1 => json_value()];
    vec((name, value), 0..5).prop_map(|labels| labels.into_iter().collect::<Map<_, _>>().into())
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => "20[0-9]{2}-0[1-9]-(0[1-9]|1[0-9])T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,12})?Z",
        2 => Just("0001-01-01T00:00:00Z".to_owned()),
        1 => text(),
    ]
}

fn alert() -> impl Strategy<Value = Value> {
    let status = prop_oneof![12 => Just("firing"), 12 => Just("resolved"), 1 => Just("FIRING"), 1 => Just("")];
    let fingerprint = prop_oneof![24 => "[0-9a-f]{16}", 1 => "[0-9a-f]{62,67}", 1 => text()];
    (status, labels(), time(), time(), fingerprint).prop_map(|(status, labels, starts, ends, fingerprint)| {
        json!({
            "status": status, "labels": labels, "annotations": { "summary": "Disk \"full\"" }, "startsAt": starts,
            "endsAt": ends, "fingerprint": fingerprint,
        })
    })
}

fn document() -> impl Strategy<Value = Value> {
    let alert = prop_oneof![12 => alert(), 12 => near_miss_object(alert()), 1 => json_value(), 1 => deep_json()];
    let title = prop_oneof![3 => text(), 1 => "[a-z]{1020,1030}"];
    let group = (vec(alert, 0..4), text(), title).prop_map(|(alerts, receiver, title)| {
        json!({ "status": "firing", "receiver": receiver, "title": title, "orgId": 1, "alerts": alerts })
    });
    prop_oneof![8 => near_miss_object(group), 1 => json_value()]
}

/// Fails unless an accepted alert is taken over completely, within the limits of an occurrence.
fn check_alarm(alert: &Value, read: &Occurrence) -> Checked {
    prop_assert_eq!(&read.type_id, "alarms");
    prop_assert!(matches!(read.event_id.as_str(), "raised" | "lowered"));
    let fingerprint = alert["fingerprint"].as_str().expect("accepted");
    let id = read.external_id.as_deref().expect("an id");
    prop_assert!(id.starts_with(fingerprint) && id.contains(&read.event_id) && !id.contains('\0'), "{:?}", id);
    prop_assert!(id.len() <= 255 && read.time.is_some());
    prop_assert!(read.level().is_some_and(|level| LEVELS.contains(&level)));
    if let Some(object) = &read.object {
        let name = object.name.as_deref().expect("a name");
        prop_assert!((1..=255).contains(&name.chars().count()) && !name.contains(char::is_control), "{:?}", name);
    }
    let found = |name: &String| read.data.as_ref().and_then(|data| data.get(name));
    for (name, value) in alert.as_object().expect("accepted").iter().filter(|(name, _)| *name != "level") {
        prop_assert_eq!(found(name), Some(value), "{}", name);
    }
    Ok(())
}

fn check(source: Source, document: &Value) -> Checked {
    let alerts = document.get("alerts").and_then(Value::as_array);
    let errors = match source.parse(document) {
        Ok(batch) => {
            let alerts = alerts.expect("accepted");
            prop_assert!(batch.is_array && batch.is_lenient && batch.occurrences.len() == alerts.len());
            return alerts.iter().zip(&batch.occurrences).try_for_each(|(alert, read)| check_alarm(alert, read));
        }
        Err(errors) => errors,
    };
    prop_assert!(!errors.is_empty());
    for error in &errors.0 {
        let member = (0..alerts.map_or(0, Vec::len)).find_map(|at| error.field.strip_prefix(&format!("alerts[{at}]")));
        let is_named = matches!(member, Some("" | ".status" | ".startsAt" | ".fingerprint"));
        prop_assert!(is_named || alerts.is_none() && error.field == "alerts", "{}", error.field);
    }
    Ok(())
}

fn id_of(alert: &Value) -> Option<String> {
    Source::Alertmanager.parse(&json!({ "alerts": [alert] })).ok()?.occurrences.remove(0).external_id
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn any_json_is_read_whole_or_refused_by_alert_and_member(
        document in document(),
        source in select(&Source::ALL[..]),
    ) {
        check(source, &document)?;
    }

    #[test]
    fn a_reminder_has_the_id_of_the_alert_whatever_else_has_changed(
        alert in alert(),
        labels in labels(),
        ends in text(),
    ) {
        let mut again = alert.clone();
        (again["labels"], again["endsAt"]) = (labels, ends.into());
        prop_assert_eq!(id_of(&again), id_of(&alert));
    }
}
