//! Matching: tags, filters, kinds that admins add, and the explanation (*why*) afterwards.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore};
use app::view::delivery::DeliveryLine;
use model::access::Scope;
use model::catalog::{EventKindDraft, TypeDraft};
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

fn vm(id: &str) -> Value {
    json!({"type": "vms", "event": "poweron", "object": {"id": id, "name": id}})
}

async fn started(server: &TestServer, key: &str, occurrence: &Value) -> u64 {
    let (status, response) = server.post(key, occurrence).await;
    assert_eq!(status, 202, "{response}");
    response["occurrences"][0]["tasks_started"].as_u64().expect("a number")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_count_as_of_the_time_of_the_occurrence(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let owner = server.key("inventory", &[Scope::Inventory, Scope::Ingest]).await;
    let tag = server.tag("Environment", "production").await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("t", webhook, "${NAME}", false).await;
    server.event_of(task, |draft| (draft.use_tag, draft.tag) = ("true".into(), tag.clone())).await;
    let inventory = json!([{"id": "a", "tags": ["Environment/production"]}, {"id": "b", "tags": []}]);
    let (status, response) = server.call("PUT", "/api/v1/inventory/vms", &owner, Some(&inventory)).await;
    assert_eq!((status, &response["objects"]), (200, &json!(2)));
    assert_eq!(started(&server, &key, &vm("a")).await, 1);
    assert_eq!(started(&server, &key, &vm("b")).await, 0);
    assert_eq!(started(&server, &key, &vm("new")).await, 0);

    // A key without the scope changes no tag, and the response says so.
    let mut with_tags = vm("b");
    with_tags["object"]["tags"] = json!(["Environment/production"]);
    let (_, response) = server.post(&key, &with_tags).await;
    assert_eq!(response["occurrences"][0]["tasks_started"], 0);
    assert!(response["occurrences"][0]["notes"][0].as_str().expect("a note").contains("tags were ignored"));
    assert_eq!(started(&server, &owner, &with_tags).await, 1, "the tag counts for the occurrence that brings it");
    assert_eq!(started(&server, &key, &vm("b")).await, 1, "the tag stays");
    with_tags["object"]["tags"] = json!([]);
    assert_eq!(started(&server, &owner, &with_tags).await, 0);
    with_tags["object"]["tags"] = json!(["Environment/staging"]);
    let (status, response) = server.post(&owner, &with_tags).await;
    assert_eq!((status, &response["error"]["fields"][0]["field"]), (422, &json!("object.tags")));
    server.deliveries_until(|rows| rows.len() == 3 && rows.iter().all(DeliveryLine::is_settled)).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_and_logs_are_filtered_by_level_and_source(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("t", webhook, "${data.text}", false).await;
    server
        .event_of(task, |draft| {
            (draft.event, draft.level, draft.source) = ("logs.created".into(), "error".into(), "kernel".into());
        })
        .await;
    let log = |level: &str, source: Option<&str>| {
        let mut log = json!({"type": "logs", "event": "created", "data": {"level": level, "text": "x"}});
        if let Some(source) = source {
            log["data"]["source"] = json!(source);
        }
        log
    };
    assert_eq!(started(&server, &key, &log("error", Some("kernel"))).await, 1);
    assert_eq!(started(&server, &key, &log("warning", Some("kernel"))).await, 0);
    assert_eq!(started(&server, &key, &log("error", Some("cron"))).await, 0);
    assert_eq!(started(&server, &key, &log("error", None)).await, 0, "its source is the key, dc");
    let mut from_kernel = log("error", None);
    from_kernel["source"] = json!("kernel");
    assert_eq!(started(&server, &key, &from_kernel).await, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_kind_is_stored_noted_and_can_be_added(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let catalogue = server.services.backend().catalog;
    let backup = json!({"type": "backups", "event": "failed", "object": {"id": "b1"}});
    assert_eq!(started(&server, &key, &backup).await, 0);
    assert_eq!(started(&server, &key, &backup).await, 0);
    let db = server.services.store.read();
    let unknown = server::store::catalog::list_unknown(db).await.expect("listed");
    assert_eq!((unknown.len(), unknown[0].type_id.as_str(), unknown[0].seen), (1, "backups", 2));
    let draft = TypeDraft {
        id: "backups".into(),
        singular: "Backup".into(),
        plural: "Backups".into(),
        has_objects: "true".into(),
        has_tags: String::new(),
    };
    catalogue.add_type(draft.clone()).await.expect("added");
    assert!(catalogue.add_type(draft).await.is_err(), "the id is taken");
    let kind = EventKindDraft { id: "failed".into(), label: "Failed".into() };
    catalogue.add_event("backups".into(), kind).await.expect("added");
    assert!(server::store::catalog::list_unknown(db).await.expect("listed").is_empty());
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("t", webhook, "${TYPE}", false).await;
    let event = server.event_of(task, |draft| draft.event = "backups.failed".into()).await;
    assert_eq!(started(&server, &key, &backup).await, 1);
    let refused = catalogue.delete_type("backups".into()).await.expect_err("in use");
    assert_eq!(
        (refused.code.http_status(), refused.links[0].href.as_str()),
        (409, format!("/events/{event}").as_str())
    );
    assert!(catalogue.delete_event("backups".into(), "failed".into()).await.is_err());
    assert!(catalogue.delete_type("vms".into()).await.is_err(), "built in");
    server.services.backend().events.delete(vec![event]).await.expect("deleted");
    catalogue.delete_type("backups".into()).await.expect("deleted");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_lists_every_event_with_its_reason_at_the_time(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let reader = server.key("audit", &[Scope::Read]).await;
    let tag = server.tag("Environment", "production").await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("fires", webhook, "", false).await;
    let off = server.task("off", webhook, "", false).await;
    server.post(&key, &vm("other")).await;
    // Nothing listens there, so that its run does not end and the task stays.
    let nowhere = server.webhook("nowhere", "http://127.0.0.1:9/", |draft| draft.retries = "5".into()).await;
    let once = server.task("once", nowhere, "", true).await;
    let by = [
        ("fires", server.event(task).await),
        ("tag_missing", server.event_of(task, |draft| (draft.use_tag, draft.tag) = ("true".into(), tag.clone())).await),
        ("other_object", server.event_of(task, |draft| draft.object = "2".into()).await),
        ("event_disabled", server.event_of(task, |draft| draft.enabled = String::new()).await),
        ("already_run", server.event(once).await),
        ("task_disabled", server.event(off).await),
    ];
    let form = server.services.backend().tasks.load_form(Some(off), None).await.expect("a form");
    let disabled = model::task::TaskDraft { enabled: String::new(), ..form.draft };
    server.services.backend().tasks.save(Some(off), disabled).await.expect("saved");
    assert_eq!(started(&server, &key, &vm("web")).await, 2);
    let (_, response) = server.post(&key, &vm("web")).await;
    let id = response["occurrences"][0]["id"].as_str().expect("an id").to_owned();
    server.deliveries_until(|rows| rows.iter().filter(|row| row.is_settled()).count() == 2).await;
    // Later changes do not change the explanation.
    server.services.backend().events.delete(by.iter().map(|(_, id)| *id).take(3).collect()).await.expect("deleted");
    let (status, why) = server.call("GET", &format!("/api/v1/occurrences/{id}/why"), &reader, None).await;
    assert_eq!(status, 200, "{why}");
    let considered = why["considered"].as_array().expect("a list");
    assert_eq!(considered.len(), by.len());
    for (expected, event) in by {
        let found = considered.iter().find(|one| one["event_id"] == event.0).expect("considered");
        let reason = found["reason"].as_str().unwrap_or("fires");
        assert_eq!(reason, expected, "{found}");
    }
    assert_eq!(considered[0]["deliveries"][0]["status"], "sent");
    assert_eq!((&why["object"], &why["object_id"]), (&json!("web"), &json!("web")));
    for (key, id, status) in
        [(&key, id.as_str(), 403), (&reader, "nonsense", 404), (&reader, "0199f2c4-0000-7000-8000-000000000000", 404)]
    {
        assert_eq!(server.call("GET", &format!("/api/v1/occurrences/{id}/why"), key, None).await.0, status);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_time_task_starts_once_for_fifty_concurrent_occurrences(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = std::sync::Arc::new(TestServer::start(test).await);
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("once", webhook, "", true).await;
    server.event(task).await;
    let post = |_| {
        let (server, key) = (server.clone(), key.clone());
        tokio::spawn(async move { started(&server, &key, &vm("web")).await })
    };
    let mut all = 0;
    for response in (0..50).map(post).collect::<Vec<_>>() {
        all += response.await.expect("no panic");
    }
    assert_eq!(all, 1);
    server.deliveries_until(|rows| rows.len() == 1 && rows[0].is_settled()).await;
    assert!(server.services.backend().tasks.list().await.expect("tasks").is_empty());
    assert_eq!(inbox.received().len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_tells_a_removed_run_from_a_task_that_had_already_run(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Read]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    for (name, is_one_time) in [("often", false), ("once", true)] {
        server.event(server.task(name, webhook, "", is_one_time).await).await;
    }
    let mut asked = Vec::new();
    for _ in 0..2 {
        let (_, response) = server.post(&key, &vm("web")).await;
        asked.push(response["occurrences"][0]["id"].as_str().expect("an id").to_owned());
        server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
        if asked.len() == 1 {
            // The second occurrence has to find this task claimed, and not deleted yet.
            server.event(server.task("once again", webhook, "", true).await).await;
            let claimed = "UPDATE task SET claimed_at = 1 WHERE name = 'once again'";
            server.services.store.write().execute_unprepared(claimed).await.expect("claimed");
        }
    }
    let db = server.services.store.write();
    db.execute_unprepared("DELETE FROM attempt; DELETE FROM delivery; DELETE FROM run").await.expect("removed");
    let explanations = async |id: &str| {
        let (_, why) = server.call("GET", &format!("/api/v1/occurrences/{id}/why"), &key, None).await;
        let considered = why["considered"].as_array().expect("a list").clone();
        considered.iter().map(|one| one["words"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    let gone = "Fired. Its run is no longer retained.";
    assert_eq!(explanations(&asked[0]).await, [gone, gone]);
    assert_eq!(
        explanations(&asked[1]).await,
        [gone, "The task is deleted after running, and had already been started."]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_unknown_kinds_does_not_hide_a_new_one(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let of = |number: usize| json!({"type": "made-up", "event": format!("n{number}")});
    for batch in [0..1000, 1000..1200] {
        server.post(&key, &json!(batch.map(of).collect::<Vec<_>>())).await;
        server.advance(std::time::Duration::from_secs(1));
    }
    server.post(&key, &of(7)).await;
    server.post(&key, &json!({"type": "backups", "event": "failed"})).await;
    let known = server::store::catalog::list_unknown(server.services.store.read()).await.expect("listed");
    assert_eq!((known.len(), known[0].type_id.as_str()), (1000, "backups"));
    assert!(known.iter().any(|kind| kind.event_id == "n1199"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_counts_repeats(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Read]).await;
    let one = json!({"type": "vms", "event": "poweron", "id": "e1"});
    let (_, response) = server.post(&key, &one).await;
    server.post(&key, &one).await;
    server.post(&key, &json!([one, one])).await;
    let id = response["occurrences"][0]["id"].as_str().expect("an id");
    let (_, why) = server.call("GET", &format!("/api/v1/occurrences/{id}/why"), &key, None).await;
    assert_eq!(why["repeats"], 3);
}
