//! Webhook bodies of monitoring systems as occurrences: Prometheus Alertmanager (version 4), and Grafana alerting,
//! which sends the same shape with more members.
//!
//! Each alert becomes an `alarms.raised` or `alarms.lowered`, with the whole alert as its data. These senders send
//! reminders: the same alert again, with newer values. Each alert counts once.

use crate::field_error::FieldErrors;
use crate::occurrence::{Batch, ITEMS_MAX, ObjectReference, Occurrence, TEXT_MAX};
use crate::text::shown;
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// The monitoring system that sends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Prometheus Alertmanager.
    Alertmanager,
    /// Grafana alerting.
    Grafana,
}

/// The labels that name the object of an alert, the most specific one first.
const OBJECT_LABELS: [&str; 8] = ["object", "vm", "pod", "hostname", "host", "node", "device", "instance"];
/// The labels that have the severity of an alert.
const LEVEL_LABELS: [&str; 3] = ["severity", "level", "priority"];
/// The members of the group that are copied to each of its alerts if they are short. A long message about all alerts,
/// copied to each of them, would grow with the square of their number.
const GROUP_MEMBERS: [&str; 7] = ["receiver", "groupKey", "externalURL", "orgId", "title", "state", "message"];

/// The most bytes of a member that is copied from the group to each alert.
const GROUP_MEMBER_MAX_BYTES: usize = 1024;

impl Source {
    /// All sources.
    pub const ALL: [Self; 2] = [Self::Alertmanager, Self::Grafana];

    /// Returns the source's name in the path of its endpoint.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
        }
    }

    /// Returns the source with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// Reads a body. One wrong alert refuses all.
    ///
    /// # Errors
    /// Each wrong member by its path, `alerts[2].startsAt`.
    pub fn parse(self, document: &Value) -> Result<Batch, FieldErrors> {
        let Some(alerts) = document.get("alerts").and_then(Value::as_array) else {
            let message = format!("There is no list of alerts, as {} sends it.", self.as_str());
            return Err(FieldErrors::one("alerts", message));
        };
        if alerts.len() > ITEMS_MAX {
            let message = format!("There are {} alerts; {ITEMS_MAX} are the most. Set max_alerts.", alerts.len());
            return Err(FieldErrors::one("alerts", message));
        }
        let mut errors = FieldErrors::default();
        let read = |(index, alert)| read_alert(alert, document, &format!("alerts[{index}]"), &mut errors);
        let found: Vec<_> = alerts.iter().enumerate().filter_map(read).collect();
        let batch = Batch { occurrences: found, is_array: true, is_lenient: true };
        if errors.is_empty() { Ok(batch) } else { Err(errors) }
    }
}

fn read_alert(alert: &Value, group: &Value, path: &str, errors: &mut FieldErrors) -> Option<Occurrence> {
    let Value::Object(members) = alert else {
        errors.add(path, "This is not a JSON object.");
        return None;
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let event_id = match text("status").or_else(|| group.get("status").and_then(Value::as_str)) {
        Some("firing") => Some("raised"),
        Some("resolved") => Some("lowered"),
        _ => {
            errors.add(format!("{path}.status"), "This is neither firing nor resolved.");
            None
        }
    };
    let start = text("startsAt").unwrap_or_default();
    let started = errors.check(&format!("{path}.startsAt"), Timestamp::parse_rfc3339(start));
    let fingerprint = text("fingerprint").filter(|text| text.len() <= 64 && !text.contains('\0'));
    if fingerprint.is_none() {
        errors.add(format!("{path}.fingerprint"), "Each alert has one; it tells repeats from other alerts.");
    }
    let (event_id, started, fingerprint) = (event_id?, started?, fingerprint?);
    let ended = text("endsAt").and_then(|text| Timestamp::parse_rfc3339(text).ok()).filter(|_| event_id == "lowered");
    let labels = members.get("labels").and_then(Value::as_object);
    Some(Occurrence {
        type_id: "alarms".to_owned(),
        event_id: event_id.to_owned(),
        object: labels.and_then(object_of),
        // A resolved alert still has the time at which it began to fire.
        external_id: Some(format!("{fingerprint} {event_id} {}", started.to_rfc3339())),
        source: None,
        time: Some(ended.unwrap_or(started)),
        data: Some(data_of(members, labels, group)),
    })
}

/// Returns the object of an alert, by the first label that names one. For `host:port` it is the host.
fn object_of(labels: &Map<String, Value>) -> Option<ObjectReference> {
    let named = |label: &&'static str| Some((*label, labels.get(*label)?.as_str().filter(|name| !name.is_empty())?));
    let (label, name) = OBJECT_LABELS.iter().find_map(named)?;
    let may_have_port = matches!(label, "instance" | "host" | "hostname" | "node");
    let name = if may_have_port { host_of(name) } else { name };
    let name: String = shown(name).chars().take(TEXT_MAX).collect();
    (!name.is_empty()).then_some(ObjectReference { external_id: None, name: Some(name), tags: None, is_subject: false })
}

/// Returns the host of `host:port` or `[address]:port`. Another text is unchanged.
fn host_of(text: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match text.rsplit_once(':') {
        Some((host, port)) if is_port(port) && !host.contains(':') => host,
        Some((host, port)) if is_port(port) => {
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text)
        }
        _ => text,
    }
}

/// Returns the data of an alarm: the alert, the members copied from its group, and its level.
fn data_of(members: &Map<String, Value>, labels: Option<&Map<String, Value>>, group: &Value) -> Value {
    let mut data = members.clone();
    for name in GROUP_MEMBERS {
        let is_short =
            |value: &&Value| value.as_str().map_or(value.is_number(), |text| text.len() <= GROUP_MEMBER_MAX_BYTES);
        if let (None, Some(value)) = (data.get(name), group.get(name).filter(is_short)) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    let severity = labels.and_then(|labels| LEVEL_LABELS.iter().find_map(|label| labels.get(*label)?.as_str()));
    let level = match severity.unwrap_or_default().to_ascii_lowercase().as_str() {
        "critical" | "crit" | "page" | "fatal" | "emergency" | "alert" | "p1" | "disaster" => "critical",
        "warning" | "warn" | "minor" | "p3" | "average" => "warning",
        "info" | "information" | "informational" | "notice" | "none" | "ok" | "low" | "p4" | "p5" => "message",
        "debug" => "debug",
        // A level that is missing or unknown counts as an error.
        _ => "error",
    };
    data.insert("level".to_owned(), level.into());
    Value::Object(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(alert: &Value) -> Value {
        json!({"version": "4", "groupKey": "{}:{alertname=\"Disk\"}", "status": "firing", "receiver": "hookwright",
            "groupLabels": {"alertname": "Disk"}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://alertmanager.example", "alerts": [alert.clone()]})
    }

    fn alert() -> Value {
        json!({"status": "firing", "labels": {"alertname": "Disk", "instance": "web-01:9100", "severity": "Critical"},
            "annotations": {"summary": "Disk \"full\""}, "startsAt": "2025-10-16T15:38:07.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus.example/graph",
            "fingerprint": "8c3d4ba18b2d5d2f"})
    }

    fn one(alert: &Value) -> Occurrence {
        Source::Alertmanager.parse(&body(alert)).expect("valid").occurrences.remove(0)
    }

    #[test]
    fn alert_becomes_an_alarm_about_the_object_of_its_label() {
        let raised = one(&alert());
        assert_eq!((raised.type_id.as_str(), raised.event_id.as_str()), ("alarms", "raised"));
        assert_eq!(raised.object.expect("an object").name.as_deref(), Some("web-01"));
        assert_eq!(raised.time, Some(Timestamp(1_760_629_087_123)));
        let data = raised.data.expect("data");
        assert_eq!((data["level"].as_str(), data["receiver"].as_str()), (Some("critical"), Some("hookwright")));
        assert_eq!(data["annotations"]["summary"], "Disk \"full\"");
        let mut resolved = alert();
        (resolved["status"], resolved["endsAt"]) = ("resolved".into(), "2025-10-16T16:00:00Z".into());
        let lowered = one(&resolved);
        assert_eq!((lowered.event_id.as_str(), lowered.time), ("lowered", Some(Timestamp(1_760_630_400_000))));
        assert_ne!(lowered.external_id, raised.external_id);
    }

    #[test]
    fn reminder_keeps_the_id_and_the_next_firing_has_another() {
        let (first, mut again, mut next) = (one(&alert()), alert(), alert());
        again["annotations"]["summary"] = "fuller".into();
        assert_eq!(one(&again).external_id, first.external_id);
        next["startsAt"] = "2025-10-17T15:38:07Z".into();
        assert_ne!(one(&next).external_id, first.external_id);
    }

    #[test]
    fn level_and_object_come_from_the_labels() {
        for (labels, level, object) in [
            (json!({"severity": "warning", "vm": "db", "instance": "h:1"}), "warning", Some("db")),
            (json!({"severity": "info", "instance": "[2001:db8::1]:9100"}), "message", Some("2001:db8::1")),
            (json!({"level": "debug", "node": "n1"}), "debug", Some("n1")),
            (json!({"node": "2001:db8::1"}), "error", Some("2001:db8::1")),
            (json!({"device": "0000:03"}), "error", Some("0000:03")),
            (json!({"severity": "strange", "host": ""}), "error", None),
            (json!({"priority": "P1", "instance": "https://a.example/"}), "critical", Some("https://a.example/")),
            (json!({}), "error", None),
        ] {
            let mut alert = alert();
            alert["labels"] = labels.clone();
            let found = one(&alert);
            assert_eq!(found.level(), Some(level), "{labels}");
            assert_eq!(found.object.and_then(|object| object.name).as_deref(), object, "{labels}");
        }
    }

    #[test]
    fn long_member_of_the_group_is_not_copied_to_its_alerts() {
        let mut document = body(&alert());
        document["message"] = "x".repeat(100_000).into();
        document["title"] = "[FIRING:1]".into();
        let data = Source::Grafana.parse(&document).expect("valid").occurrences.remove(0).data.expect("data");
        assert_eq!((data.get("message"), data["title"].as_str()), (None, Some("[FIRING:1]")));
    }

    #[test]
    fn each_wrong_member_is_refused_by_path() {
        for (name, value) in [
            ("status", json!("sleeping")),
            ("startsAt", json!("yesterday")),
            ("startsAt", json!(null)),
            ("fingerprint", json!("")),
        ] {
            let mut alert = alert();
            alert[name] = value;
            let wrong = Source::Grafana.parse(&body(&alert)).expect_err(name);
            assert_eq!(wrong.0[0].field, format!("alerts[0].{name}"));
        }
        for document in [json!({}), json!([]), json!({"alerts": {}}), json!(null)] {
            assert_eq!(Source::Grafana.parse(&document).expect_err("refused").0[0].field, "alerts", "{document}");
        }
        assert_eq!(Source::Grafana.parse(&body(&json!(7))).expect_err("refused").0[0].field, "alerts[0]");
    }
}
