//! `POST /api/v1/events`: accepted occurrences, repetitions, and every refusal.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore};
use app::view::delivery::DeliveryLine;
use app::view::inventory::ObjectQuery;
use model::access::Scope;
use model::occurrence::parse_json;
use rstest::rstest;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use server::auth::api_key::Keys;
use server::engine::lane::Lanes;
use server::intake::{self, Intake};
use server::retention::{Limits, Retention};
use server::service::Services;
use server::store::entity;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

async fn status(server: &TestServer, key: Option<&str>, content_type: &str, body: String) -> (u16, Value) {
    let mut request =
        server.http.post(format!("{}/api/v1/events", server.url)).header("content-type", content_type).body(body);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.expect("a response");
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.expect("a body")).unwrap_or_default())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_a_status_and_a_reason(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let other = server.key("inventory", &[Scope::Inventory]).await;
    let valid = json!({"type": "vms", "event": "poweron"}).to_string();
    let json_type = "application/json; charset=utf-8";
    for (key, content_type, body, expected, text) in [
        (None, json_type, valid.clone(), 401, "API key"),
        (Some("hwk_wrong"), json_type, valid.clone(), 401, "API key"),
        (Some(other.as_str()), json_type, valid.clone(), 403, "scope ingest"),
        (Some(key.as_str()), "text/plain", valid.clone(), 415, "application/json"),
        (Some(key.as_str()), "application/jsonx", valid.clone(), 415, "application/json"),
        (Some(key.as_str()), json_type, "{\"type\":".into(), 400, "line 1, column 8"),
        (Some(key.as_str()), json_type, "\u{feff}{}".into(), 422, "2 fields"),
        (Some(key.as_str()), json_type, "[".repeat(200), 400, "valid JSON"),
        (Some(key.as_str()), json_type, " ".repeat(1024 * 1024 + 1), 413, "1 MiB"),
        (Some(key.as_str()), json_type, Value::from(vec![json!({}); 1001]).to_string(), 413, "1000"),
        (Some(key.as_str()), json_type, "{}".into(), 422, "2 fields"),
        (Some(key.as_str()), json_type, json!({"type": "users", "event": "login"}).to_string(), 422, "1 field"),
    ] {
        let (status, response) = status(&server, key, content_type, body.clone()).await;
        assert_eq!(status, expected, "{} {response}", body.chars().take(60).collect::<String>());
        let message = response["error"]["message"].as_str().expect("a message");
        assert!(message.contains(text), "{message}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_with_an_invalid_item_stores_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "x", false).await).await;
    let good = json!({"type": "vms", "event": "poweron", "object": {"id": "a"}});
    let (status, response) = server.post(&key, &json!([good, {"type": "vms"}])).await;
    assert_eq!((status, &response["error"]["fields"][0]["field"]), (422, &json!("[1].event")));
    let users = json!({"type": "users", "event": "login", "object": {"name": "maria"}});
    let (status, response) = server.post(&key, &json!([good, users])).await;
    assert_eq!((status, &response["error"]["fields"][0]["field"]), (422, &json!("[1].type")));
    let (status, response) = server.post(&key, &json!([users])).await;
    assert_eq!((status, &response["error"]["fields"][0]["field"]), (422, &json!("[0].type")), "an array with one item");
    assert!(server.deliveries_until(|_| true).await.is_empty());
    let (status, response) = server.post(&key, &json!([good, good])).await;
    assert_eq!((status, &response["occurrences"][1]["tasks_started"]), (202, &json!(1)));
    assert_eq!(server.deliveries_until(|rows| rows.len() == 2).await.len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_batch_does_not_affect_others_in_its_commit(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let key = Keys::look_up(&server.services.store, &key).await.expect("looked up").expect("a key");
    let Services { store, clock, zone, wake, .. } = server.services.clone();
    let intake = Intake::start(store, clock, zone, wake, Lanes::default());
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "${NAME}", false).await).await;
    let vm = |name: &str| json!({"type": "vms", "event": "poweron", "id": "e1", "object": {"id": "a", "name": name}});
    let users = json!({"type": "users", "event": "login"});
    // Batches that wait for the writer share a commit.
    let open = crate::harness::begin_holding(&server.services.store).await;
    if server.services.store.is_postgres() {
        open.execute_unprepared("LOCK TABLE occurrence").await.expect("locked");
    }
    let parsed = |document: Value| parse_json(&document).expect("valid");
    let refused = intake.accept(key.clone(), parsed(json!([vm("refused"), vm("refused"), users])));
    let accepted = intake.accept(key, parsed(json!([vm("web"), vm("web")])));
    let commit = async {
        crate::harness::pause().await;
        open.commit().await.expect("committed");
    };
    let (refused, accepted, ()) = tokio::join!(refused, accepted, commit);
    let Err(intake::Error::Invalid(fields)) = refused else { panic!("{refused:?}") };
    assert_eq!(fields.0[0].field, "[2].type");
    assert_eq!(accepted.expect("accepted")[1].tasks_started, 1);
    server.deliveries_until(|rows| rows.len() == 1 && rows[0].is_settled()).await;
    assert_eq!(inbox.received()[0].body, "\"web\"");
    let objects = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    assert_eq!(
        objects.iter().filter(|object| object.type_id == "vms").map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["web"]
    );
}

/// The limit is a number of rows. To count them for each group made deliveries five times as expensive.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_a_type_are_counted_once_a_second_at_most(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let store = &server.services.store;
    let sql = "INSERT INTO object (type_id, external_id, name, created_at, updated_at) \
               WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
               SELECT 'vms', 'old-' || i, 'old', 1, 1 FROM n";
    store.write().execute_unprepared(sql).await.expect("objects");
    let made = async |id: &str| {
        let vm = json!({"type": "vms", "event": "poweron", "object": {"id": id}});
        assert_eq!(server.post(&key, &vm).await.0, 202);
        let found = entity::object::Entity::find().filter(entity::object::Column::ExternalId.eq(id));
        found.one(store.read()).await.expect("read").is_some()
    };
    assert!(!made("a").await, "the type is full");
    store.write().execute_unprepared("DELETE FROM object").await.expect("deleted");
    assert!(!made("b").await, "the count of this second still holds");
    server.advance(Duration::from_mins(1));
    assert!(made("c").await, "there is room again");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_object_name_is_refused_and_an_id_is_accepted(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let about = |object: Value| json!({"type": "vms", "event": "poweron", "object": object});
    for object in [json!({"id": "a", "name": "web"}), json!({"id": "b", "name": "web"})] {
        assert_eq!(server.post(&key, &about(object)).await.0, 202);
    }
    let (status, response) = server.post(&key, &about(json!({"name": "web"}))).await;
    assert_eq!((status, &response["error"]["fields"][0]["field"]), (422, &json!("object.name")));
    assert_eq!(server.post(&key, &about(json!({"id": "a"}))).await.0, 202);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_event_subject_is_an_id_or_a_unique_name(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let put =
        json!([{"id": "vm-101", "name": "web-01"}, {"id": "vm-102", "name": "db"}, {"id": "vm-103", "name": "db"}]);
    assert_eq!(server.call("PUT", "/api/v1/inventory/vms", &key, Some(&put)).await.0, 200);
    let webhook = server.webhook("w", "http://127.0.0.1:9/", |_| ()).await;
    let objects = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    let web = objects.iter().find(|object| object.name == "web-01").expect("there").id.to_string();
    let task = server.task("t", webhook, "", false).await;
    server.event_of(task, |draft| draft.object = web).await;
    let about = async |subject: &str| {
        let event =
            json!({"specversion": "1.0", "id": subject, "source": "/dc", "type": "vms.poweron", "subject": subject});
        let (code, response) = status(&server, Some(&key), "application/cloudevents+json", event.to_string()).await;
        (code, response["occurrences"][0]["tasks_started"].clone())
    };
    assert_eq!(about("web-01").await, (202, json!(1)));
    assert_eq!(about("vm-101").await, (202, json!(1)));
    assert_eq!(about("db").await.0, 422, "two objects have this name");
    assert_eq!(about("new").await, (202, json!(0)));
    let after = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    assert_eq!(after.len(), objects.len() + 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_key_is_refused_within_a_second(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let one = json!({"type": "vms", "event": "poweron"});
    assert_eq!(server.post(&key, &one).await.0, 202);
    server.services.store.write().execute_unprepared("DELETE FROM api_key").await.expect("gone");
    server.advance(Duration::from_secs(1));
    for _ in 0..2 {
        assert_eq!(server.post(&key, &one).await.0, 401);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_sign_out_and_failed_sign_in_are_occurrences(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("t", webhook, "${EVENT} ${NAME} ${data.name}", false).await;
    for event in ["login", "logout", "login_failed"] {
        let draft = model::event::EventDraft {
            event: format!("users.{event}"),
            task: task.to_string(),
            ..model::event::EventDraft::new_form()
        };
        server.services.backend().events.save(None, draft).await.expect("an event");
    }
    let cookie = server.sign_in("maria", model::access::Role::Admin).await;
    server.post_form("/sign-in", "", &[("name", "maria"), ("password", "wrong")]).await;
    server.post_form("/sign-in", "", &[("name", "nobody"), ("password", "wrong")]).await;
    server.post_form("/sign-out", &cookie, &[]).await;
    server.deliveries_until(|rows| rows.len() == 4).await;
    server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    let mut bodies: Vec<_> = inbox.received().into_iter().map(|request| request.body).collect();
    bodies.sort_unstable();
    let quoted = |event: &str, name: &str, typed: &str| format!("\"{event}\" \"{name}\" \"{typed}\"");
    let expected = [
        quoted("login", "maria", "maria"),
        quoted("login_failed", "maria", "maria"),
        quoted("login_failed", "t", "nobody"),
        quoted("logout", "maria", "maria"),
    ];
    assert_eq!(bodies, expected);
    let users = server.services.backend().events.find_objects("users".into(), String::new()).await.expect("found");
    let users: Vec<_> = users.choices.iter().map(|object| object.label.as_str()).collect();
    assert_eq!(users, ["maria"], "a failed sign-in makes no object");
}

/// Makes a webhook, a task and an event that fires for each VM that is powered on. Returns a key.
async fn fires(server: &TestServer) -> String {
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", "http://127.0.0.1:9/", |draft| draft.retries = "0".into()).await;
    server.event(server.task("t", webhook, "${NAME} ${data.a}", false).await).await;
    key
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_posts_with_one_id_are_one_occurrence(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = Arc::new(TestServer::start(test).await);
    let key = fires(&server).await;
    let post = |_| {
        let (server, key) = (server.clone(), key.clone());
        tokio::spawn(async move { server.post(&key, &json!({"type": "vms", "event": "poweron", "id": "e1"})).await })
    };
    let mut responses = Vec::new();
    for response in (0..50).map(post).collect::<Vec<_>>() {
        responses.push(response.await.expect("no panic"));
    }
    assert!(responses.iter().all(|response| response == &responses[0]), "{responses:?}");
    assert_eq!((responses[0].0, &responses[0].1["occurrences"][0]["tasks_started"]), (202, &json!(1)));
    assert_eq!(server.deliveries_until(|rows| !rows.is_empty()).await.len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeat_is_recognised_by_key_source_and_id_for_a_day(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = fires(&server).await;
    let other = server.key("other", &[Scope::Ingest]).await;
    let one = json!({"type": "vms", "event": "poweron", "id": "e1", "data": {"a": 1, "b": 2}});
    let id = async |key: &str, one: &Value| server.post(key, one).await.1["occurrences"][0]["id"].clone();
    let first = id(&key, &one).await;
    assert_eq!(id(&key, &one).await, first);
    assert_ne!(id(&other, &one).await, first, "another key");
    let mut elsewhere = one.clone();
    elsewhere["source"] = json!("elsewhere");
    assert_ne!(id(&key, &elsewhere).await, first, "another source");
    let mut named = one.clone();
    named["source"] = json!("dc");
    assert_eq!(id(&key, &named).await, first, "the default source, written out");
    let (status, response) = server
        .post(&key, &json!([{"type": "logs", "event": "created"}, {"type": "vms", "event": "poweroff", "id": "e1"}]))
        .await;
    assert_eq!((status, &response["error"]["fields"][0]["field"]), (409, &json!("[1].id")));
    for (member, value) in [("object", json!({"id": "x"})), ("time", json!("2025-10-16T15:38:07Z")), ("data", json!(1))]
    {
        let mut other = one.clone();
        other[member] = value;
        assert_eq!(server.post(&key, &other).await.0, 409, "another {member}");
    }
    // Retention does not shorten the day.
    let kept = Limits { settled: Duration::ZERO, per_destination: 1, unmatched: Duration::ZERO };
    let retention = Retention::new(server.services.store.clone(), server.services.clock.clone(), kept);
    for _ in 0..23 {
        server.advance(Duration::from_hours(1));
        retention.sweep().await.expect("a sweep");
    }
    assert_eq!(id(&key, &one).await, first);
    server.advance(Duration::from_hours(2));
    assert_ne!(id(&key, &one).await, first, "a day later");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeat_within_a_batch_is_one_occurrence(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = fires(&server).await;
    let one = json!({"type": "vms", "event": "poweron", "id": "e1", "object": {"id": "vm-1"}});
    let (status, response) = server.post(&key, &json!([one, one])).await;
    assert_eq!(status, 202);
    assert_eq!(response["occurrences"][0], response["occurrences"][1]);
    assert_eq!(server.deliveries_until(|rows| !rows.is_empty()).await.len(), 1);
    let without_id = json!({"type": "vms", "event": "poweron"});
    let (_, response) = server.post(&key, &json!([without_id, without_id])).await;
    assert_ne!(response["occurrences"][0]["id"], response["occurrences"][1]["id"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_events_are_read_in_all_three_modes(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = fires(&server).await;
    let event = |id: &str| {
        json!({"specversion": "1.0", "id": id, "source": "/dc", "type": "vms.poweron",
        "subject": "vm 1", "data": {"a": "x"}})
    };
    let structured = "application/cloudevents+json; charset=utf-8";
    let (code, response) = status(&server, Some(&key), structured, event("1").to_string()).await;
    assert_eq!((code, &response["occurrences"][0]["tasks_started"]), (202, &json!(1)));
    let batch = Value::from(vec![event("1"), event("2")]).to_string();
    let (code, response) = status(&server, Some(&key), "application/cloudevents-batch+json", batch).await;
    assert_eq!((code, response["occurrences"].as_array().map(Vec::len)), (202, Some(2)));
    let binary = |content_type: &'static str, body: &'static str, id: &'static str| {
        let headers = [("ce-specversion", "1.0"), ("ce-id", id), ("ce-source", "/dc"), ("ce-type", "vms.poweron")];
        let request = server.http.post(format!("{}/api/v1/events", server.url)).bearer_auth(&key).body(body);
        let request = request.header("content-type", content_type).header("ce-subject", "vm%201");
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let same = binary("application/json", "{\"a\": \"x\"}", "1").await.expect("a response");
    assert_eq!(same.status(), 202, "the same event in another mode is a repeat, no conflict");
    assert_eq!(binary("text/plain", "words", "3").await.expect("a response").status(), 202);
    assert_eq!(binary("application/cloudevents+avro", "x", "4").await.expect("a response").status(), 415);
    let rows = server.deliveries_until(|rows| rows.len() == 3).await;
    assert!(rows.iter().all(|row| row.object == "vm 1"));
    let long = Box::leak(Value::from(vec![0; 1_001]).to_string().into_boxed_str());
    assert_eq!(
        binary("application/json", long, "6").await.expect("a response").status(),
        202,
        "long data is one event"
    );
    let batch =
        json!([event("7"), {"specversion": "1.0", "source": "/dc", "type": "users.login", "id": "8"}]).to_string();
    let (code, response) = status(&server, Some(&key), "application/cloudevents-batch+json", batch).await;
    assert_eq!((code, &response["error"]["fields"][0]["field"]), (422, &json!("[1].type")));
    let (code, response) = status(&server, Some(&key), structured, json!({"id": "5"}).to_string()).await;
    assert_eq!((code, &response["error"]["fields"][0]["field"]), (422, &json!("specversion")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_store_concurrent_occurrences_like_one() {
    let test = TestStore::postgres().await;
    let other = Arc::new(TestServer::start(test.again()).await);
    let server = Arc::new(TestServer::start(test).await);
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("once", webhook, "once", true).await).await;
    let often = server.task("often", webhook, "often", false).await;
    server.event_of(often, |draft| draft.event = "vms.poweroff".into()).await;
    let post = |number: usize| {
        let (node, key) = (if number.is_multiple_of(2) { server.clone() } else { other.clone() }, key.clone());
        tokio::spawn(async move {
            let once = json!({"type": "vms", "event": "poweron", "object": {"name": format!("vm-{number}")}});
            let same = json!({"type": "vms", "event": "poweroff", "id": "e1", "object": {"name": "web"}});
            (node.post(&key, &once).await, node.post(&key, &same).await)
        })
    };
    let (mut started, mut responses) = (0, Vec::new());
    for answers_of in (0..50).map(post).collect::<Vec<_>>() {
        let (once, same) = answers_of.await.expect("no panic");
        assert_eq!((once.0, same.0), (202, 202));
        started += once.1["occurrences"][0]["tasks_started"].as_u64().expect("a number");
        responses.push(same.1);
    }
    assert_eq!(started, 1, "the one-time task");
    assert!(responses.iter().all(|response| response == &responses[0]), "one occurrence: {responses:?}");
    server.deliveries_until(|rows| rows.len() == 2 && rows.iter().all(DeliveryLine::is_settled)).await;
    let mut bodies: Vec<_> = inbox.received().into_iter().map(|one| one.body).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["often", "once"]);
    let wanted = ObjectQuery { name: "web".into(), ..ObjectQuery::default() };
    let objects = server.services.backend().inventory.list_objects(wanted).await.expect("objects").rows;
    assert_eq!(objects.iter().filter(|object| object.name == "web").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_utf_8_is_refused_and_never_replaced() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for (subject, content_type, body, expected) in [
        ("vm-%FF", "application/json", b"{}".as_slice(), 422),
        ("vm-1", "text/plain", b"caf\xe9".as_slice(), 400),
        ("vm-1", "application/json", b"{\"a\": \"caf\xe9\"}".as_slice(), 400),
        ("vm-%C3%A9", "text/plain", "café".as_bytes(), 202),
    ] {
        let request = server.http.post(format!("{}/api/v1/events", server.url)).bearer_auth(&key).body(body);
        let headers = [
            ("content-type", content_type),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/dc"),
            ("ce-type", "vms.poweron"),
            ("ce-subject", subject),
        ];
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), expected, "{subject} {content_type}");
        if expected == 422 {
            assert!(response.text().await.expect("text").contains("\"subject\""));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_body_times_out_with_408() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let response = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(&address).expect("connects");
        let head = format!(
            "POST /api/v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).expect("writes");
        let mut response = [0; 12];
        stream.read_exact(&mut response).expect("a response without the rest of the body");
        String::from_utf8_lossy(&response).into_owned()
    });
    assert_eq!(response.await.expect("no panic"), "HTTP/1.1 408");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_api_paths_and_methods_get_a_json_error() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let document = json!({"type": "vms", "event": "poweron"});
    for (method, path, status, text) in [
        ("POST", "/api/v1/events/", 404, "Did you mean /api/v1/events?"),
        ("POST", "/api/v1/event", 404, "Did you mean /api/v1/events?"),
        ("PUT", "/api/v1/inventory", 404, "Did you mean /api/v1/inventory/TYPE?"),
        ("GET", "/api/v1/occurrences/7", 404, "Did you mean /api/v1/occurrences/ID/why?"),
        ("POST", "/api/v2/events", 404, "There are /api/v1/events"),
        ("GET", "/api/v1/events", 405, "GET is not for /api/v1/events"),
        ("POST", "/api/v1/inventory/vms", 405, "the header Allow says what is"),
    ] {
        let request = server.http.request(method.parse().expect("a method"), format!("{}{path}", server.url));
        let request = request.bearer_auth(&key).header("content-type", "application/json").body(document.to_string());
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{method} {path}");
        let envelope: Value = serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
        let message = envelope["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(text), "{method} {path}: {envelope}");
    }
    let response = server.http.post(format!("{}/api/v1/events", server.url)).send().await.expect("a response");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["www-authenticate"]),
        (401, &"Bearer".parse().expect("a value"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloud_events_options_request_allows_the_origin() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let asked = server.http.request("OPTIONS".parse().expect("a method"), format!("{}/api/v1/events", server.url));
    let response = asked.header("webhook-request-origin", "eventemitter.example.com").send().await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["webhook-allowed-origin"], "eventemitter.example.com");
    assert_eq!(response.headers()["webhook-allowed-rate"], "*");
    assert_eq!(response.headers()["allow"], "POST, OPTIONS");
}
