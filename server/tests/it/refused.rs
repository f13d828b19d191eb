//! Attempts that cannot be recorded, claims without an attempt, and faults of the server. Each ends visibly, once, and
//! without effect on other deliveries.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Gate, TestInbox, TestServer, TestStore, begin_holding, eventually, until_lock_is_awaited};
use crate::process::{prepare, serve, serve_changed, serve_logging};
use app::view::delivery::DeliveryLine;
use app::view::destination::{Held, ReleaseChoice};
use model::access::Scope;
use model::delivery::Status;
use model::id::WebhookId;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryOrder, Statement};
use serde_json::{Value, json};
use server::store::{Store, connect, entity};
use std::process::Stdio;

/// Makes the database refuse this change of rows under this condition, by a trigger.
async fn refuse(store: &Store, event: &str, condition: &str) {
    let table = event.rsplit(' ').next().expect("a table");
    let sql = if store.is_postgres() {
        format!(
            "CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF {condition} THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuse_{table} BEFORE {event} FOR EACH ROW EXECUTE FUNCTION refuse_{table}()"
        )
    } else {
        format!(
            "CREATE TRIGGER refuse_{table} BEFORE {event} FOR EACH ROW WHEN {condition} \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    };
    store.write().execute_unprepared(&sql).await.expect("a trigger");
}

/// Makes three tasks with a webhook each, of which the second is called `culprit`. One occurrence starts them all.
/// Returns a key.
async fn three(server: &TestServer, inbox: &TestInbox) -> String {
    for name in ["one", "culprit", "two"] {
        let webhook = server.webhook(name, &format!("{}/{name}", inbox.url), |draft| draft.retries = "0".into()).await;
        server.event(server.task(name, webhook, "x", false).await).await;
    }
    server.key("dc", &[Scope::Ingest]).await
}

async fn statuses(server: &TestServer) -> Vec<(String, Status)> {
    let rows = server.deliveries_until(|rows| rows.len() == 3 && rows.iter().all(DeliveryLine::is_settled)).await;
    let mut all: Vec<_> = rows.into_iter().map(|row| (row.destination.name, row.status.expect("readable"))).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

const OF_CULPRIT: &str = "(SELECT destination_name FROM delivery WHERE delivery.id = NEW.delivery_id) = 'culprit'";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_with_an_unstorable_response_is_recorded_without_it(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = three(&server, &inbox).await;
    refuse(&server.services.store, "INSERT ON attempt", &format!("NEW.response_headers <> '' AND {OF_CULPRIT}")).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let expected = [("culprit", Status::Sent), ("one", Status::Sent), ("two", Status::Sent)];
    assert_eq!(statuses(&server).await, expected.map(|(name, status)| (name.to_owned(), status)));
    assert_eq!(inbox.received().len(), 3, "each was sent once");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unrecordable_attempt_ends_as_internal_and_is_not_repeated(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = three(&server, &inbox).await;
    refuse(&server.services.store, "INSERT ON attempt", OF_CULPRIT).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let expected = [("culprit", Status::Error), ("one", Status::Sent), ("two", Status::Sent)];
    assert_eq!(statuses(&server).await, expected.map(|(name, status)| (name.to_owned(), status)));
    let rows = entity::delivery::Entity::find().all(server.services.store.read()).await.expect("rows");
    let culprit = rows.iter().find(|row| row.destination_name == "culprit").expect("there");
    assert_eq!(culprit.error_code.as_deref(), Some("internal"));
    let runs = entity::run::Entity::find().all(server.services.store.read()).await.expect("runs");
    assert!(runs.iter().all(|run| run.status != "running"), "the run has ended too");
    assert_eq!(inbox.received().len(), 3, "each was sent once");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_that_kills_its_server_is_not_sent_for_ever(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let gate = Gate::closed().await;
    let key = prepare(&test, &gate.url, "120").await;
    test.store.write().execute_unprepared("UPDATE destination SET retries = 0").await.expect("changed");
    // The lease of a killed server has to expire. The test lets it expire at once.
    let expire = "UPDATE delivery SET lease_until = 0 WHERE status = 'running'";
    let mut server = serve(&test);
    let post = crate::harness::client().post(format!("{}/api/v1/events", server.url)).bearer_auth(&key);
    let post = post.header("content-type", "application/json");
    let response = post.body(json!({"type": "vms", "event": "poweron"}).to_string()).send().await;
    assert_eq!(response.expect("a response").status(), 202);
    for sent in 1..=6 {
        eventually("the delivery is sent", async || gate.bodies().len() == sent).await;
        drop(server);
        test.store.write().execute_unprepared(expire).await.expect("changed");
        server = serve(&test);
    }
    let row = async || {
        let mut rows = entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
        rows.remove(0)
    };
    eventually("the delivery ends", async || row().await.status == "error").await;
    let row = row().await;
    assert_eq!((row.error_code.as_deref(), gate.bodies().len()), (Some("internal"), 6));
    let error = row.error.expect("an error");
    assert!(error.contains("could not be recorded"), "{error}");
}

/// A node leases deliveries ahead, and some of those that it leased when it was killed were never sent.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_leased_by_many_killed_servers_is_still_sent(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = three(&server, &inbox).await;
    let webhooks = server.services.backend().webhooks;
    let store = &server.services.store;
    let rows = entity::destination::Entity::find().all(store.read()).await.expect("rows");
    let ids: Vec<_> = rows.into_iter().map(|row| WebhookId(row.id)).collect();
    for &id in &ids {
        webhooks.pause(id).await.expect("paused");
    }
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    server.deliveries_until(|rows| rows.len() == 3).await;
    store.write().execute_unprepared("UPDATE delivery SET claims = 1000").await.expect("changed");
    for id in ids {
        webhooks.resume(id, ReleaseChoice { held: Held::All, per_second: None }).await.expect("resumed");
    }
    let expected = [("culprit", Status::Sent), ("one", Status::Sent), ("two", Status::Sent)];
    assert_eq!(statuses(&server).await, expected.map(|(name, status)| (name.to_owned(), status)));
    assert_eq!(inbox.received().len(), 3, "each was sent once");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_in_a_delivery_ends_only_that_delivery_as_internal(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, &inbox.url, "3").await;
    let mut server = serve_changed(&test, &[], |command| {
        command.env("HOOKWRIGHT_FAULT", "send.before=panic@1").stderr(Stdio::null());
    });
    let client = crate::harness::client();
    for _ in 0..2 {
        let post = client.post(format!("{}/api/v1/events", server.url)).bearer_auth(&key);
        let post = post.header("content-type", "application/json");
        let response = post.body(json!({"type": "vms", "event": "poweron"}).to_string()).send().await;
        assert_eq!(response.expect("a response").status(), 202);
        eventually("the deliveries are settled", async || {
            let rows = entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
            rows.iter().all(|row| row.settled_at.is_some())
        })
        .await;
    }
    let query = entity::delivery::Entity::find().order_by_asc(entity::delivery::Column::Id);
    let rows = query.all(test.store.read()).await.expect("rows");
    let states: Vec<_> = rows.iter().map(|row| (row.status.as_str(), row.error_code.as_deref())).collect();
    assert_eq!(states, [("error", Some("internal")), ("sent", None)]);
    assert!(server.ended().is_none(), "the server is still running");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_panic_ends_the_process_and_the_next_start_continues(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, &inbox.url, "3").await;
    for (fault, is_stored) in [("intake.before-commit", false), ("settle.before-commit", true)] {
        let log = test.dir.path().join(fault);
        let file = std::fs::File::create(&log).expect("a file");
        let mut server = serve_changed(&test, &[], |command| {
            // The fault is at the second pass, so that the first occurrence is stored or the first attempt recorded.
            command.env("HOOKWRIGHT_FAULT", format!("{fault}=panic@2")).stderr(file);
        });
        let client = crate::harness::client();
        let mut accepted = 0;
        eventually("the server ends", async || {
            let post = client.post(format!("{}/api/v1/events", server.url)).bearer_auth(&key);
            let post = post.header("content-type", "application/json");
            let response = post.body(json!({"type": "vms", "event": "poweron"}).to_string()).send().await;
            accepted += usize::from(response.is_ok_and(|response| response.status() == 202));
            server.ended().is_some()
        })
        .await;
        let status = server.ended().expect("ended");
        assert_eq!(status.code(), Some(1), "{fault}");
        let text = std::fs::read_to_string(&log).expect("a log");
        assert!(text.contains("has failed; the log says why"), "{text}");
        assert!(accepted > 0 || !is_stored, "{fault}");
    }
    let before = entity::occurrence::Entity::find().all(test.store.read()).await.expect("rows").len();
    let _server = serve(&test);
    eventually("all accepted occurrences are sent", async || {
        let rows = entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
        rows.len() == before && rows.iter().all(|row| row.status == "sent")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settlement_blocked_by_a_lock_is_repeated_until_it_succeeds() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let inbox = TestInbox::start().await;
    let key = three(&server, &inbox).await;
    let store = &server.services.store;
    let lock = begin_holding(store).await;
    lock.execute_unprepared("LOCK TABLE attempt IN EXCLUSIVE MODE").await.expect("locked");
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    // A statement over its time limit ends in this way. A refused statement would be tried less often than twenty
    // times.
    let cancel = "SELECT COUNT(pg_cancel_backend(pid)) AS cancelled FROM pg_stat_activity \
                  WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut cancelled = 0;
    eventually("twenty waits are cancelled", async || {
        let row = store.read().query_one_raw(Statement::from_string(DbBackend::Postgres, cancel)).await;
        cancelled += row.expect("asked").expect("a row").try_get::<i64>("", "cancelled").expect("a number");
        cancelled >= 20
    })
    .await;
    lock.commit().await.expect("released");
    assert!(statuses(&server).await.iter().all(|(_, status)| *status == Status::Sent));
    assert_eq!(inbox.received().len(), 3, "each was sent once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_settings_override_those_of_the_database() {
    let test = TestStore::postgres().await;
    let url = test.url.clone().expect("a URL");
    let name = url.split('?').next().and_then(|url| url.rsplit('/').next()).expect("a name");
    for setting in
        ["statement_timeout = 1", "lock_timeout = 1", "synchronous_commit = off", "default_transaction_read_only = on"]
    {
        let sql = format!("ALTER DATABASE {name} SET {setting}");
        test.store.write().execute_unprepared(&sql).await.expect("set");
    }
    let store = connect::open_postgres(&url).await.expect("opens");
    for (setting, expected) in [
        ("statement_timeout", "30s"),
        ("lock_timeout", "5s"),
        ("synchronous_commit", "on"),
        ("default_transaction_read_only", "off"),
        ("default_transaction_isolation", "read committed"),
    ] {
        let row =
            store.read().query_one_raw(Statement::from_string(DbBackend::Postgres, format!("SHOW {setting}"))).await;
        let value: String = row.expect("asked").expect("a row").try_get("", setting).expect("text");
        assert_eq!(value, expected, "{setting}");
    }
}

/// Begins another transaction that locks the selected rows.
async fn lock(store: &Store, select: &str) -> DatabaseTransaction {
    let txn = begin_holding(store).await;
    txn.execute_unprepared(&format!("{select} FOR UPDATE")).await.expect("locked");
    txn
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_delivery_row_blocks_no_other_delivery() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let gate = Gate::closed().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for number in 0..10 {
        let webhook = server.webhook(&format!("w{number}"), &format!("{}/{number}", gate.url), |_| ()).await;
        server.event(server.task(&format!("t{number}"), webhook, "1", false).await).await;
    }
    let statuses = async || {
        let rows = server.services.backend().deliveries.list_newest().await.expect("deliveries");
        rows.into_iter().map(|row| row.status).collect::<Vec<_>>()
    };
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    eventually("all are in flight", async || gate.waiting() == 10).await;
    let held = lock(&server.services.store, "SELECT id FROM delivery WHERE destination_name = 'w3'").await;
    gate.respond(1000);
    let sent = async || statuses().await.iter().filter(|status| **status == Some(Status::Sent)).count();
    eventually("the others are recorded", async || sent().await == 9).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    eventually("the new deliveries are sent", async || sent().await == 19).await;
    held.rollback().await.expect("released");
    eventually("the locked one is recorded", async || sent().await == 20).await;
    assert_eq!(gate.bodies().len(), 20, "each was sent once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_object_row_blocks_no_other_occurrence() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let post = async |name: &str| {
        let object = json!({"id": name, "name": name, "tags": []});
        server.post(&key, &json!({"type": "vms", "event": "poweron", "object": object})).await.0
    };
    assert_eq!((post("one").await, post("two").await), (202, 202));
    let held = lock(&server.services.store, "SELECT id FROM object WHERE external_id = 'one'").await;
    let renamed = json!({"type": "vms", "event": "poweron", "object": {"id": "one", "name": "another", "tags": []}});
    let batch = json!([renamed, {"type": "vms", "event": "poweron"}]);
    let (blocked, ()) = tokio::join!(server.post(&key, &batch), async {
        until_lock_is_awaited(&server.services.store).await;
        // These two wait for the first and form a group.
        let (other, same) = tokio::join!(post("two"), server.post(&key, &renamed));
        assert_eq!((other, same.0), (202, 503));
    });
    assert_eq!(blocked.0, 503);
    held.rollback().await.expect("released");
    assert_eq!(server.post(&key, &batch).await.0, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locked_receipt_blocks_no_other_occurrence() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let with_id = |id: &str| json!({"type": "vms", "event": "poweron", "id": id});
    let post = async |occurrence: Value| server.post(&key, &occurrence).await.0;
    assert_eq!((post(with_id("a")).await, post(with_id("b")).await), (202, 202));
    let held = begin_holding(&server.services.store).await;
    held.execute_unprepared("UPDATE receipt SET external_id = external_id || '-locked'").await.expect("changed");
    let locked = async { tokio::join!(post(with_id("a-locked")), post(with_id("b-locked"))) };
    let (locked, ()) = tokio::join!(locked, async {
        until_lock_is_awaited(&server.services.store).await;
        // These two wait for the workers and form a group.
        let without_id = json!({"type": "vms", "event": "poweron"});
        assert_eq!(tokio::join!(post(without_id), post(with_id("a-locked"))), (202, 503));
    });
    assert_eq!(locked, (503, 503));
    held.rollback().await.expect("released");
    assert_eq!(post(with_id("a-locked")).await, 202);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_without_free_files_waits_and_counts_no_attempt(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, "http://first.hookwright.test/", "3").await;
    let other = inbox.url.clone();
    test.store.write().execute_unprepared("UPDATE destination SET retries = 0").await.expect("changed");
    let log = test.dir.path().join("log");
    let server = serve_logging(&test, "warn", &log);
    let client = crate::harness::client();
    let post = async || {
        let post = client.post(format!("{}/api/v1/events", server.url)).bearer_auth(&key);
        let post = post.header("content-type", "application/json");
        let response = post.body(json!({"type": "vms", "event": "poweron"}).to_string()).send().await;
        response.expect("a response").status()
    };
    let rows = async || entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
    // After the first delivery all lasting files and connections are open.
    assert_eq!(post().await, 202);
    eventually("the deliveries are settled", async || rows().await.iter().all(|row| row.settled_at.is_some())).await;
    for url in ["http://second.hookwright.test/", &other] {
        test.store
            .write()
            .execute_unprepared(&format!(
                "UPDATE webhook SET url = '{url}'; UPDATE destination SET revision = revision + 1"
            ))
            .await
            .expect("changed");
        let before = std::fs::read_to_string(&log).expect("a log").len();
        server.limit_files(&server.lowest_free_file().to_string());
        assert_eq!(post().await, 202);
        eventually("the delivery waits", async || {
            std::fs::read_to_string(&log).expect("a log")[before..].contains("a resource of this machine is used up")
        })
        .await;
        let row = rows().await.pop().expect("a row");
        assert_eq!((row.attempts, row.settled_at), (0, None));
        let claimed_often = "UPDATE delivery SET claims = 1000 WHERE settled_at IS NULL";
        test.store.write().execute_unprepared(claimed_often).await.expect("changed");
        eventually("a note of an attempt is taken back", async || {
            let sql = "SELECT id FROM delivery WHERE settled_at IS NULL AND begins = 0";
            let statement = Statement::from_string(test.store.read().get_database_backend(), sql);
            test.store.read().query_one_raw(statement).await.expect("read").is_some()
        })
        .await;
        server.limit_files("1024");
        eventually("the deliveries are settled", async || rows().await.iter().all(|row| row.settled_at.is_some()))
            .await;
    }
    let ends: Vec<_> = rows().await.into_iter().map(|row| (row.status, row.attempts)).collect();
    assert_eq!(ends, [("error".to_owned(), 1), ("error".to_owned(), 1), ("sent".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_with_a_column_of_another_type_blocks_no_other() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let inbox = TestInbox::start().await;
    let key = three(&server, &inbox).await;
    let sql = "UPDATE destination SET retries = 'many', paused_at = 1 WHERE name = 'culprit'";
    server.services.store.write().execute_unprepared(sql).await.expect("changed");
    let sql = "UPDATE destination SET paused_at = 1, release_per_second = NULL WHERE name = 'two'";
    server.services.store.write().execute_unprepared(sql).await.expect("changed");
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let status = async |name: &str| {
        let rows = entity::delivery::Entity::find().all(server.services.store.read()).await.expect("rows");
        rows.into_iter().find(|row| row.destination_name == name).map(|row| row.status)
    };
    eventually("one is sent", async || status("one").await.as_deref() == Some("sent")).await;
    let sql = "UPDATE delivery SET status = 'queued', hold_reason = NULL WHERE destination_name = 'two'";
    server.services.store.write().execute_unprepared(sql).await.expect("changed");
    eventually("the sweep continues", async || status("two").await.as_deref() == Some("held")).await;
}
