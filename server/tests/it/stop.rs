//! Stopping and starting: the database is one file again, keys are whole, and no delivery in flight is lost.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Gate, TestInbox, TestStore, client, eventually};
use crate::process::{prepare, run, serve, serve_changed};
use crate::rows;
use model::id::WebhookId;
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use server::store::{connect, entity};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn post(url: &str, key: &str) {
    let post =
        client().post(format!("{url}/api/v1/events")).bearer_auth(key).header("content-type", "application/json");
    let response = post.body(json!({"type": "vms", "event": "poweron"}).to_string()).send().await;
    assert_eq!(response.expect("a response").status(), 202);
}

/// Starts a receiver that responds 200 and never ends the body. Returns its URL.
async fn stalling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
                while stream.read(&mut request).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    url
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_server_with_open_connections_stops_within_a_second(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = serve(&test);
    let address = server.url.split("/setup").next().expect("a url").trim_start_matches("http://").to_owned();
    let _silent = TcpStream::connect(&address).await.expect("connected");
    let mut kept = TcpStream::connect(&address).await.expect("connected");
    kept.write_all(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("sent");
    let mut response = [0; 1024];
    assert!(kept.read(&mut response).await.expect("a response") > 0);
    let took = server.stop();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_requeues_the_delivery_of_a_hanging_receiver(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let gate = Gate::closed().await;
    let key = prepare(&test, &gate.url, "120").await;
    let server = serve(&test);
    post(&server.url, &key).await;
    eventually("the delivery is in flight", async || gate.waiting() == 1).await;
    let took = server.stop();
    assert!(took < Duration::from_secs(8), "{took:?}");
    let rows = entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
    assert_eq!(
        (rows[0].status.as_str(), rows[0].attempts, rows[0].claims),
        ("queued", 0, 0),
        "the claim was given back"
    );
    gate.respond(2);
    let _server = serve(&test);
    eventually("the delivery is sent", async || {
        let rows = entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
        rows[0].status == "sent"
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_leaves_nothing_of_a_backlog_leased(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    prepare(&test, &inbox.url, "120").await;
    let destination = WebhookId(1);
    for _ in 0..20 {
        let many = (0..100).map(|_| rows::delivery(destination)).collect();
        rows::start(test.store.write(), many, Timestamp(1_000_000)).await;
    }
    let server = serve(&test);
    eventually("the backlog is being sent", async || inbox.received().len() >= 200).await;
    server.stop();
    let leased = entity::delivery::Entity::find().filter(entity::delivery::Column::Status.eq("running"));
    assert_eq!(leased.count(test.store.read()).await.expect("a count"), 0);
    let sent = entity::delivery::Entity::find().filter(entity::delivery::Column::Status.eq("sent"));
    let (sent, received) = (sent.count(test.store.read()).await.expect("a count"), inbox.received().len());
    assert_eq!(usize::try_from(sent), Ok(received));
    assert!(received < 2000, "the stop came too late to tell anything");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn success_status_before_a_stop_is_recorded_as_sent(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let key = prepare(&test, &stalling().await, "120").await;
    let server = serve(&test);
    post(&server.url, &key).await;
    eventually("the delivery is in flight", async || {
        let rows = entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
        rows[0].status == "running"
    })
    .await;
    let took = server.stop();
    assert!(took < Duration::from_secs(8), "{took:?}");
    let rows = entity::delivery::Entity::find().all(test.store.read()).await.expect("rows");
    assert_eq!((rows[0].status.as_str(), rows[0].attempts), ("sent", 1));
    let attempts = entity::attempt::Entity::find().all(test.store.read()).await.expect("rows");
    assert_eq!(attempts[0].response_note.as_deref(), Some("response incomplete: the server was stopped"));
}

/// After a stop, a copy of the file alone is a whole backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_is_one_file_after_a_stop() {
    let test = TestStore::sqlite().await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, &inbox.url, "3").await;
    let TestStore { store, dir, .. } = test;
    store.close().await;
    let log = dir.path().join("hookwright.db-wal");
    assert!(!log.exists(), "commands leave no log either");
    let again = connect::open_sqlite(dir.path()).await.expect("opens");
    again.clone().close().await;
    let test = TestStore { store: again, dir, url: None };
    let server = serve(&test);
    post(&server.url, &key).await;
    eventually("the delivery has arrived", async || inbox.received().len() == 1).await;
    server.stop();
    assert!(!log.exists());
    let copy = crate::harness::folder();
    std::fs::copy(test.dir.path().join("hookwright.db"), copy.path().join("hookwright.db")).expect("copied");
    let copied = connect::open_sqlite(copy.path()).await.expect("opens");
    let rows = entity::delivery::Entity::find().all(copied.read()).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.status.as_str()).collect::<Vec<_>>(), ["sent"]);
}

/// While one of two overlapping pages always reads, SQLite by itself never restarts its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_ahead_log_stays_short_while_readers_overlap() {
    let test = TestStore::sqlite().await;
    let store = &test.store;
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(server::store::log::run(store.clone(), stop.clone()));
    // A query takes 0.2 s or more. The first ones overlap by a third.
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) \
                SELECT COUNT(*), (SELECT COUNT(*) FROM setting) FROM n";
    for _ in 0..2 {
        let (store, stop) = (store.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                store.pages().execute_unprepared(slow).await.expect("read");
            }
        });
    }
    store.write().execute_unprepared("CREATE TABLE ballast (id INTEGER PRIMARY KEY, bytes BLOB)").await.expect("made");
    let log = test.dir.path().join("hookwright.db-wal");
    let (mut longest, mut written) = (0, 0);
    // More than four times the length to which the log may grow.
    while written < 300 << 20 {
        let sql = "INSERT INTO ballast (bytes) VALUES (randomblob(1000000)); DELETE FROM ballast WHERE id % 2 = 0";
        store.write().execute_unprepared(sql).await.expect("written");
        written += 1_000_000;
        longest = longest.max(log.metadata().expect("a log").len());
        if written % 10_000_000 == 0 {
            crate::harness::pause().await;
        }
    }
    stop.cancel();
    assert!(longest < 150 << 20, "{} MiB", longest >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_while_the_key_is_written_leaves_a_usable_directory() {
    let test = TestStore::sqlite().await;
    let serving = ["serve", "--listen", "https://127.0.0.1:0"];
    for at in 1..=3 {
        let fault = format!("key.before-rename=kill@{at}");
        let (is_done, _) = run(&test, &serving, |command| {
            _ = command.env("HOOKWRIGHT_FAULT", &fault).env_remove("HOOKWRIGHT_KEY");
        });
        assert!(!is_done, "{fault}");
        let server = serve_changed(&test, &["--listen", "https://127.0.0.1:0"], |command| {
            _ = command.env_remove("HOOKWRIGHT_KEY");
        });
        server.stop();
        // The master key stays, as the database is bound to it by now. The next kill is at the key of the certificate.
        for file in ["self-signed.key", "self-signed.crt"].iter().skip(usize::from(at == 2)) {
            std::fs::remove_file(test.dir.path().join(file)).expect("removed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_master_key_is_reported_and_not_replaced() {
    let test = TestStore::sqlite().await;
    let without = |command: &mut std::process::Command| _ = command.env_remove("HOOKWRIGHT_KEY");
    serve_changed(&test, &[], without).stop();
    let file = test.dir.path().join("master.key");
    let kept = std::fs::read(&file).expect("a key");
    std::fs::remove_file(&file).expect("removed");
    let (is_done, output) = run(&test, &["serve", "--listen", "http://127.0.0.1:0"], without);
    assert!(!is_done && output.contains("is missing") && output.contains("backup"), "{output}");
    assert!(!file.exists(), "no new key was made");
    std::fs::write(&file, kept).expect("put back");
    serve_changed(&test, &[], without).stop();
}
