//! Documents of revisions in every shape that a version has written. Databases may have them for ever: a page of an old
//! delivery, an explanation and a replay read them with the current types.
//!
//! `revisions/*.json` has the documents of each kind, oldest first. A document is added and never changed.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use model::email::{Email, parse_list};
use model::event::{Event, EventFilters, EventScope};
use model::header::HeaderList;
use model::id::{DestinationId, TagId, TaskId};
use model::mailer;
use model::task::{Action, Task};
use model::url::TargetUrl;
use model::webhook::{Authorization, Method, Settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const WEBHOOKS: &str = include_str!("revisions/webhook.json");
const MAILERS: &str = include_str!("revisions/mailer.json");
const TASKS: &str = include_str!("revisions/task.json");
const EVENTS: &str = include_str!("revisions/event.json");

fn documents(file: &str) -> Vec<Value> {
    serde_json::from_str(file).expect("an array of documents")
}

/// The members that have moved, with their current pointers (RFC 6901).
const MOVED: [(&str, &str); 2] = [("webhook_id", "/destination_id"), ("message", "/action/webhook/message")];

/// Reads each document, and checks that writing it again loses nothing.
fn check_reading<T: DeserializeOwned + Serialize>(file: &str) {
    for document in documents(file) {
        let read: T = serde_json::from_value(document.clone())
            .unwrap_or_else(|error| panic!("{error}. Give a new field #[serde(default)]: {document}"));
        let written = serde_json::to_value(read).expect("a document");
        let members = document.as_object().expect("a document is an object");
        for (name, value) in members {
            let moved = MOVED.iter().find(|(before, _)| before == name).map(|(_, now)| *now);
            let found = moved.map_or_else(|| written.get(name), |pointer| written.pointer(pointer));
            assert_eq!(found, Some(value), "{name} of {document}");
        }
    }
}

/// Compares the shape of a value with every field filled with that of the newest document.
fn check_writing<T: Serialize>(file: &str, filled: &T) {
    let written = serde_json::to_value(filled).expect("a document");
    let newest = documents(file).pop().expect("one document at least");
    assert_eq!(
        shape(&written),
        shape(&newest),
        "Revisions are written in a new shape. Add this document at the end of its file, leave the others as they are, \
         and give a new field #[serde(default)]:\n{written:#}"
    );
}

/// Returns the paths of all members: `headers[].name`.
fn shape(document: &Value) -> BTreeSet<String> {
    fn gather(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    gather(value, &format!("{path}.{name}"), paths);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, &format!("{path}[]"), paths)),
            _ => drop(paths.insert(path.trim_start_matches('.').to_owned())),
        }
    }
    let mut paths = BTreeSet::new();
    gather(document, "", &mut paths);
    paths
}

#[test]
fn revisions_of_every_version_are_read() {
    check_reading::<Settings>(WEBHOOKS);
    check_reading::<Task>(TASKS);
    check_reading::<mailer::Settings>(MAILERS);
    check_reading::<Event>(EVENTS);
}

#[test]
fn revisions_are_written_in_the_shape_of_the_newest_document() {
    let settings = Settings {
        name: "Chat".into(),
        url: TargetUrl::parse("https://chat.example/hook").expect("a URL"),
        method: Method::Post,
        authorization: Authorization::ApiKey { header: "X-Key".into(), prefix: "Key".into() },
        headers: HeaderList::parse("X-A: 1", "headers").expect("a header"),
        allows_insecure_tls: true,
        is_direct: true,
        timeout: Duration::from_secs(5),
        retries: 3,
        note: "What for".into(),
    };
    check_writing(WEBHOOKS, &settings);
    let task = Task {
        name: "Tell".into(),
        description: "What for".into(),
        is_enabled: true,
        deletes_after_running: true,
        destination_id: DestinationId(1),
        action: Action::Email(Email {
            from_address: "ops@example.com".into(),
            from_name: "Ops".into(),
            to: parse_list("A <a@example.com>").expect("a list"),
            cc: parse_list("C <c@example.com>").expect("a list"),
            bcc: parse_list("D <d@example.com>").expect("a list"),
            subject: "x".into(),
            body: "x".into(),
        }),
    };
    check_writing(TASKS, &task);
    let mailer = mailer::Settings {
        host: "mail.example.com".into(),
        port: 587,
        encryption: mailer::Encryption::Starttls,
        username: "ops".into(),
        from_address: "ops@example.com".into(),
        from_name: "Ops".into(),
        allows_insecure_tls: false,
        timeout: Duration::from_secs(30),
        retries: 10,
    };
    check_writing(MAILERS, &mailer);
    let event = Event {
        type_id: "logs".into(),
        event_id: "created".into(),
        scope: EventScope::Tag(TagId(1)),
        filters: EventFilters { level: Some("error".into()), source: Some("kernel".into()) },
        task_id: TaskId(1),
        is_enabled: true,
    };
    check_writing(EVENTS, &event);
}

#[test]
fn a_revision_whose_url_is_refused_now_is_read_all_the_same() {
    let mut document = documents(WEBHOOKS).remove(0);
    document["url"] = "http://user:password@chat.example/".into();
    let settings: Settings = serde_json::from_value(document).expect("a webhook");
    assert_eq!(settings.url, TargetUrl::unreadable());
}
