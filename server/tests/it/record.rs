//! Records of occurrences, runs and deliveries: reasons, notes and responses; and rows that cannot be read.

use crate::console::page;
use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore, eventually};
use app::view::delivery::DeliveryLine;
use app::view::inventory::ObjectQuery;
use model::access::{Role, Scope};
use model::delivery::Status;
use model::destination::Kind;
use rstest::rstest;
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use serde_json::{Value, json};
use server::store::destination::unreadable;
use server::store::{delivery, entity};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Starts a receiver that responds with these bytes, and then closes the connection or keeps it open.
async fn receiver(response: &'static [u8], closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(response).await;
            if !closes {
                open.push(stream);
            }
        }
    });
    url
}

async fn occurrences(server: &TestServer) -> Vec<entity::occurrence::Model> {
    let by_id = entity::occurrence::Entity::find().order_by_asc(entity::occurrence::Column::Id);
    by_id.all(server.services.store.read()).await.expect("rows")
}

async fn all_settled(server: &TestServer) {
    server.deliveries_until(|rows| !rows.is_empty() && rows.iter().all(DeliveryLine::is_settled)).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_lists_its_events_and_its_occurrence_counts_the_others(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let occurrence = json!({"type": "vms", "event": "poweron", "object": {"id": "vm-1"}});
    server.post(&key, &occurrence).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron", "object": {"id": "vm-2"}})).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let (first, other) =
        (server.task("first", webhook, "", false).await, server.task("other", webhook, "", false).await);
    let any = server.event(first).await;
    let one = server.event_of(first, |draft| draft.object = "1".into()).await;
    for (object, enabled) in [("2", "true"), ("1", ""), ("2", "true")] {
        server.event_of(other, |draft| (draft.object, draft.enabled) = (object.into(), enabled.into())).await;
    }
    server.post(&key, &occurrence).await;
    all_settled(&server).await;
    let runs = entity::run::Entity::find().all(server.services.store.read()).await.expect("runs");
    let named: Vec<_> = runs.iter().map(|run| run.event_ids.clone()).collect();
    assert_eq!(named, [format!("{any},{one}")]);
    let reasons: Vec<Value> =
        occurrences(&server).await.iter().map(|row| serde_json::from_str(&row.reasons).expect("JSON")).collect();
    assert_eq!(reasons, [json!({}), json!({}), json!({"other_object": 2, "event_disabled": 1})]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_uses_the_object_name_of_its_own_occurrence(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "${NAME}", false).await).await;
    let named = |name: &str| json!({"type": "vms", "event": "poweron", "object": {"id": "a", "name": name}});
    server.post(&key, &json!([named("web"), named("web-02")])).await;
    server.deliveries_until(|rows| rows.len() == 2 && rows.iter().all(DeliveryLine::is_settled)).await;
    let mut bodies: Vec<_> = inbox.received().into_iter().map(|one| one.body).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["\"web\"", "\"web-02\""]);
    let recorded: Vec<_> = occurrences(&server).await.into_iter().filter_map(|row| row.object_name).collect();
    assert_eq!(recorded, ["web", "web-02"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_sent_digit_by_digit_as_reported(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let message = "[${data.large}, ${data.price}, \"${data.price}\", ${data.all}]";
    server.event(server.task("t", webhook, message, false).await).await;
    let body = r#"{"type": "vms", "event": "poweron", "data": {"large": 123456789012345678901234567890,
            "price": 12.10, "all": [1e+5, -0, 0.1000000000000000055511151231257827]}}"#;
    let post = server.http.post(format!("{}/api/v1/events", server.url)).bearer_auth(&key);
    let response = post.header("content-type", "application/json").body(body).send().await.expect("a response");
    assert_eq!(response.status(), 202);
    all_settled(&server).await;
    let expected = "[123456789012345678901234567890, 12.10, \"12.10\", [1e+5,-0,0.1000000000000000055511151231257827]]";
    assert_eq!(inbox.received()[0].body, expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unresolved_variables_are_noted_on_the_delivery(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "\"${data.a} ${data.b.c} ${data.d}${VM}${VM NAME}\"", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron", "data": {"a": 1}})).await;
    all_settled(&server).await;
    let uuid = server.deliveries_until(|_| true).await[0].uuid.clone();
    let detail = server.services.backend().deliveries.detail(uuid).await.expect("there");
    let expected = [
        "The occurrence has nothing at data.b.c: an empty value is sent.",
        "The occurrence has nothing at data.d: an empty value is sent.",
        "${VM} is not a variable: it is sent as typed.",
        "${VM NAME} is not a variable: it is sent as typed.",
    ];
    assert_eq!(detail.notes, expected);
    assert_eq!(inbox.received()[0].body, "\"1  ${VM}${VM NAME}\"");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unescaped_value_that_may_break_the_message_is_noted(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for (name, headers) in [("csv", "Content-Type: text/csv"), ("none", ""), ("plain", "Content-Type: text/plain")] {
        let webhook = server.webhook(name, &inbox.url, |draft| draft.headers = headers.into()).await;
        server.event(server.task(name, webhook, "x,${NAME},${TYPE}", false).await).await;
    }
    let mut noted = Vec::new();
    for name in ["a \"b\"", "web01"] {
        server.post(&key, &json!({"type": "vms", "event": "poweron", "object": {"name": name}})).await;
        all_settled(&server).await;
        for row in server.deliveries_until(|_| true).await {
            let detail = server.services.backend().deliveries.detail(row.uuid).await.expect("there");
            noted.push((row.destination.name, detail.body, detail.notes.len()));
        }
    }
    noted.sort();
    noted.dedup();
    let noted: Vec<_> = noted.iter().map(|(name, body, notes)| (name.as_str(), body.as_str(), *notes)).collect();
    let (raw, calm) = ("x,a \"b\",vms", "x,web01,vms");
    let expected = ["csv", "none", "plain"].map(|name| [(name, raw, usize::from(name != "plain")), (name, calm, 0)]);
    assert_eq!(noted, expected.concat());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_response_is_noted_and_not_retried(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
    for (name, closes) in [("the connection broke", true), ("the time was up", false)] {
        let url = receiver(cut, closes).await;
        let webhook = server.webhook(name, &url, |draft| draft.timeout = "3".into()).await;
        server.event(server.task(name, webhook, "", false).await).await;
    }
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    all_settled(&server).await;
    let rows = entity::delivery::Entity::find().all(server.services.store.read()).await.expect("rows");
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((row.status.as_str(), row.attempts, row.status_code), ("sent", 1, Some(200)));
        let attempts = delivery::list_attempts(server.services.store.read(), model::id::DeliveryId(row.id)).await;
        let attempt = attempts.expect("read").remove(0);
        assert_eq!(attempt.response_note, Some(format!("response incomplete: {}", row.destination_name)));
        assert_eq!(attempt.response_body, b"only this");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_with_a_date_delays_the_next_attempt(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    // Two minutes after the beginning of the test.
    let busy = b"HTTP/1.1 429 Slow\r\nRetry-After: Thu, 16 Oct 2025 15:40:07 GMT\r\nContent-Length: 0\r\n\r\n";
    let webhook = server.webhook("w", &receiver(busy, false).await, |_| ()).await;
    server.event(server.task("t", webhook, "", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let rows = server.deliveries_until(|rows| rows.iter().any(|row| row.attempts == 1)).await;
    assert_eq!(rows[0].next.as_ref().map(|next| next.machine.as_str()), Some("2025-10-16T15:40:07.000Z"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_of_a_type_without_objects_is_stored_as_text(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("t", webhook, "${NAME} ${OBJECT_ID}", false).await;
    server.event_of(task, |draft| draft.event = "alarms.raised".into()).await;
    let alarm = json!({"type": "alarms", "event": "raised", "object": {"id": "sda", "name": "Disk A"}});
    let unknown = json!({"type": "nobody_knows", "event": "it", "object": {"name": "line 4711"}});
    assert_eq!(server.post(&key, &json!([alarm, unknown, alarm])).await.0, 202);
    server.deliveries_until(|rows| rows.len() == 2 && rows.iter().all(DeliveryLine::is_settled)).await;
    assert_eq!(inbox.received()[0].body, "\"Disk A\" \"sda\"");
    let objects = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    assert!(objects.iter().all(|object| object.type_id == "webhooks"), "{objects:?}");
    let objects: Vec<_> = occurrences(&server).await.into_iter().map(|row| (row.object_name, row.object_id)).collect();
    let named = |name: &str| (Some(name.to_owned()), None);
    assert_eq!(objects, [named("Disk A"), named("line 4711"), named("Disk A")]);
    let tagged = json!({"type": "alarms", "event": "raised", "object": {"id": "sda", "tags": ["Environment/x"]}});
    assert_eq!(server.post(&key, &tagged).await.0, 422);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_with_an_unreadable_revision_fails_without_a_loop(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |draft| draft.retries = "0".into()).await;
    server.event(server.task("t", webhook, "", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    all_settled(&server).await;
    let uuid = server.deliveries_until(|_| true).await[0].uuid.clone();
    let damage = "UPDATE revision SET document = '{\"of\": \"a later version\"}' WHERE kind = 'webhook'";
    server.services.store.write().execute_unprepared(damage).await.expect("damaged");
    server.services.backend().deliveries.replay(uuid, true, "maria".into()).await.expect("queued");
    let rows = server.deliveries_until(|rows| rows.len() == 2 && rows.iter().all(DeliveryLine::is_settled)).await;
    let replayed = rows.iter().find(|row| row.status == Some(Status::Error)).expect("the replay");
    assert_eq!(replayed.error.as_deref(), Some("The revision of the webhook cannot be read any more."));
    assert_eq!(inbox.received().len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_webhook_fails_its_deliveries_and_blocks_no_other(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for (name, event) in [("good", "poweron"), ("damaged", "poweroff")] {
        let webhook = server.webhook(name, &inbox.url, |_| ()).await;
        let task = server.task(name, webhook, "", false).await;
        server.event_of(task, |draft| draft.event = format!("vms.{event}")).await;
        server.services.backend().webhooks.pause(webhook).await.expect("paused");
    }
    let report = async |event: &str| server.post(&key, &json!({"type": "vms", "event": event})).await.0;
    assert_eq!((report("poweroff").await, report("poweron").await), (202, 202));
    // A row of an earlier or a later version may look like this.
    let damage = "UPDATE webhook SET method = 'BREW' WHERE id = (SELECT id FROM destination WHERE name = 'damaged')";
    let db = server.services.store.write();
    db.execute_unprepared(damage).await.expect("damaged");
    db.execute_unprepared("UPDATE destination SET paused_at = NULL, revision = revision + 1").await.expect("resumed");
    server.services.wake.notify_one();
    let rows = server
        .deliveries_until(|rows| rows.len() == 2 && rows.iter().any(|row| row.status == Some(Status::Sent)))
        .await;
    assert_eq!(rows.iter().find(|row| row.status == Some(Status::Sent)).map(|row| row.task.as_str()), Some("good"));
    // The waiting and the new deliveries of that webhook end as errors, which can be replayed.
    assert_eq!((report("poweroff").await, report("poweron").await), (202, 202));
    let rows = server.deliveries_until(|rows| rows.len() == 4 && rows.iter().all(DeliveryLine::is_settled)).await;
    let unsent: Vec<_> = rows.iter().filter(|row| row.status == Some(Status::Error)).collect();
    assert_eq!(unsent.len(), 2);
    assert!(
        unsent.iter().all(|row| row.task == "damaged" && row.error == Some(unreadable(Kind::Webhook))),
        "{unsent:?}"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_event_and_report_block_no_other(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("t", webhook, "x", false).await;
    let damaged = server.event(task).await;
    server.event(task).await;
    let db = server.services.store.write();
    // A later version, whose schema permits this, may write such events.
    let allow = if server.services.store.is_postgres() {
        "ALTER TABLE event DROP CONSTRAINT event_check"
    } else {
        "PRAGMA ignore_check_constraints = ON"
    };
    db.execute_unprepared(allow).await.expect("allowed");
    db.execute_unprepared(&format!("UPDATE event SET scope = 'folder' WHERE id = {damaged}")).await.expect("damaged");
    db.execute_unprepared("INSERT INTO internal_event (document, created_at) VALUES ('{\"of\": \"later\"}', 0)")
        .await
        .expect("damaged");
    assert_eq!(server.post(&key, &json!({"type": "vms", "event": "poweron"})).await.0, 202);
    all_settled(&server).await;
    assert_eq!(inbox.received().len(), 1, "sent by the other event");
    assert_eq!(server.services.backend().events.list().await.expect("a list").len(), 1);
    // Other internal events are still accepted.
    let breaker = model::breaker::Breaker { failures: 9, ..model::breaker::Breaker::default() };
    let failing =
        server.webhook("failing", &format!("{}/status/500", inbox.url), |draft| draft.retries = "0".into()).await;
    server::store::hold::save_breaker(db, failing.into(), &breaker).await.expect("saved");
    let task = server.task("to failing", failing, "x", false).await;
    server.services.backend().tasks.execute(task, "maria".into()).await.expect("started");
    eventually("the failure is an occurrence", async || {
        occurrences(&server).await.iter().any(|row| row.event_id == "failing")
    })
    .await;
    let kept = entity::internal_event::Entity::find().all(server.services.store.read()).await.expect("rows");
    assert_eq!(kept.len(), 1, "the unreadable row stays for a version that can read it");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_responses_can_be_recorded(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let odd = b"HTTP/1.1 200 OK\r\nX-Odd: \xff\xfe\x80\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\n\
                \0\xff\xc0\x80a\0";
    let flood =
        [b"HTTP/1.1 102 Processing\r\n\r\n".repeat(2_000).as_slice(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
            .concat();
    for (name, response) in [("odd", odd.as_slice()), ("flood", Vec::leak(flood))] {
        let webhook = server.webhook(name, &receiver(response, false).await, |_| ()).await;
        server.event(server.task(name, webhook, "", false).await).await;
    }
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    all_settled(&server).await;
    for row in entity::delivery::Entity::find().all(server.services.store.read()).await.expect("rows") {
        assert_eq!((row.status.as_str(), row.attempts), ("sent", 1), "{}", row.destination_name);
        let attempts = delivery::list_attempts(server.services.store.read(), model::id::DeliveryId(row.id)).await;
        let body = attempts.expect("read").remove(0).response_body;
        assert_eq!(body, if row.destination_name == "odd" { b"\0\xff\xc0\x80a\0".as_slice() } else { b"" });
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chain_of_failure_reports_stops_after_the_third(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let mut webhooks = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let id = server.webhook(name, &format!("{}/status/500", inbox.url), |draft| draft.retries = "0".into()).await;
        // The next failure is the tenth and opens the breaker.
        let breaker = model::breaker::Breaker { failures: 9, ..model::breaker::Breaker::default() };
        server::store::hold::save_breaker(server.services.store.write(), id.into(), &breaker).await.expect("saved");
        webhooks.push(id);
    }
    server.event(server.task("to a", webhooks[0], "", false).await).await;
    let objects = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    for (about, to) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        let object = objects.iter().find(|object| object.name == about).expect("there").id.to_string();
        let task = server.task(&format!("about {about}"), webhooks[to], "", false).await;
        server.event_of(task, |draft| (draft.event, draft.object) = ("webhooks.failing".into(), object)).await;
    }
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    eventually("the fourth failure is an occurrence", async || occurrences(&server).await.len() == 5).await;
    let all = occurrences(&server).await;
    let told: Vec<_> = all.iter().map(|row| (row.depth, row.tasks_started, row.reasons.as_str())).collect();
    let quiet = "{\"other_object\":3}";
    let expected =
        [(0, 1, "{}"), (1, 1, quiet), (2, 1, quiet), (3, 1, quiet), (4, 0, "{\"other_object\":3,\"too_deep\":1}")];
    assert_eq!(told, expected);
    assert_eq!(inbox.received().len(), 4, "nothing was sent to the fifth");
    let rows = server.deliveries_until(|_| true).await;
    assert!(rows.iter().all(|row| row.status == Some(Status::Error)));
    server.advance(Duration::from_hours(1));
}

/// SQLite stores any value in any column, so a text may stand in a column for numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_delivery_fails_and_blocks_no_other() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let inbox = TestInbox::start().await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let backend = server.services.backend();
    backend.webhooks.pause(webhook).await.expect("paused");
    let task = server.task("t", webhook, "x", false).await;
    for _ in 0..3 {
        backend.tasks.execute(task, "maria".into()).await.expect("started");
    }
    let db = server.services.store.write();
    db.execute_unprepared("UPDATE delivery SET depth = 'deep' WHERE id = 2").await.expect("damaged");
    db.execute_unprepared("UPDATE destination SET paused_at = NULL").await.expect("resumed");
    eventually("all are settled", async || {
        let sql = "SELECT COUNT(*) AS left_over FROM delivery WHERE settled_at IS NULL";
        let row = db.query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, sql)).await;
        row.expect("asked").expect("a row").try_get::<i64>("", "left_over").expect("a number") == 0
    })
    .await;
    let rows = server.deliveries_until(|rows| rows.len() == 3).await;
    let states: Vec<_> = rows.iter().map(|row| row.status).collect();
    assert_eq!(states, [Status::Sent, Status::Error, Status::Sent].map(Some));
    assert_eq!(inbox.received().len(), 2);
    let runs = entity::run::Entity::find().all(server.services.store.read()).await.expect("runs");
    let states: Vec<_> = runs.iter().map(|run| run.status.as_str()).collect();
    assert_eq!(states, ["succeeded", "failed", "succeeded"], "the run ends with its delivery");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_that_cannot_be_read_is_not_shown_as_failed(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "x", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let uuid = server.deliveries_until(|rows| rows.iter().any(DeliveryLine::is_settled)).await.remove(0).uuid;
    let db = server.services.store.write();
    for damage in ["UPDATE delivery SET status = 'archived'", "UPDATE run SET status = 'archived', cause = 'weather'"] {
        db.execute_unprepared(damage).await.expect("damaged");
    }
    let cookie = server.sign_in("maria", Role::Admin).await;
    for path in ["/deliveries".to_owned(), format!("/deliveries/{uuid}"), "/runs".to_owned()] {
        let (status, page) = page(&server, &cookie, &path).await;
        assert_eq!(status, 200, "{path}");
        assert!(page.contains("Unreadable") && !page.contains("c-status--error"), "{path}");
    }
}
