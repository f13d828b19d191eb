//! From the occurrence to the receiver: arrival, retries, and the messages about failures.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Gate, TestInbox, TestServer, TestStore, eventually};
use crate::wire::find;
use app::view::delivery::DeliveryLine;
use model::access::Scope;
use model::delivery::Status;
use rstest::rstest;
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use serde_json::json;
use server::store::{delivery, entity};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Makes a webhook to `url` with a task and an event, and reports one occurrence.
async fn fire(server: &TestServer, url: &str, retries: &str) {
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", url, |draft| (draft.retries, draft.timeout) = (retries.into(), "3".into())).await;
    server.event(server.task("t", webhook, "{\"n\": \"${NAME}\"}", false).await).await;
    let (status, _) = server.post(&key, &json!({"type": "vms", "event": "poweron", "object": {"name": "web"}})).await;
    assert_eq!(status, 202);
}

pub(crate) fn all_settled(rows: &[DeliveryLine]) -> bool {
    !rows.is_empty() && rows.iter().all(DeliveryLine::is_settled)
}

/// Sends to `url` without retries, and fails. Returns the error and the HTTP status.
async fn failure(server: &TestServer, url: &str) -> (String, Option<u16>) {
    fire(server, url, "0").await;
    let row = server.deliveries_until(all_settled).await.remove(0);
    assert_eq!(row.status, Some(Status::Error));
    (row.error.expect("an error"), row.status_code)
}

/// Starts a receiver that responds to any request with these bytes, then closes. Returns its URL.
async fn raw_receiver(response: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(response).await;
        }
    });
    url
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_delivery_is_retried_on_schedule_with_the_same_id(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    fire(&server, &format!("{}/status/503", inbox.url), "2").await;
    let rows = server.deliveries_until(|rows| rows.iter().any(|row| row.attempts == 1)).await;
    assert_eq!((rows[0].status, rows[0].status_code), (Some(Status::Queued), Some(503)));
    assert!(rows[0].next.is_some());

    server.advance(Duration::from_millis(4_999));
    assert_eq!(inbox.received().len(), 1);
    server.advance(Duration::from_millis(501));
    server.deliveries_until(|rows| rows.iter().any(|row| row.attempts == 2)).await;
    server.advance(Duration::from_secs(11));
    let rows = server.deliveries_until(all_settled).await;
    assert_eq!((rows[0].status, rows[0].attempts), (Some(Status::Error), 3));
    assert_eq!(rows[0].error.as_deref(), Some("Returned 503 Service Unavailable."));
    let ids: Vec<_> = inbox.received().iter().map(|request| find(&request.headers, "Webhook-Id")).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "retries have the same id");
    let stamps: Vec<_> = inbox.received().iter().map(|request| find(&request.headers, "Webhook-Timestamp")).collect();
    assert_ne!(stamps[0], stamps[2], "each attempt has its own timestamp");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successful_delivery_is_sent_once(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    fire(&server, &inbox.url, "3").await;
    let rows = server.deliveries_until(all_settled).await;
    assert_eq!((rows[0].status, rows[0].attempts, rows[0].status_code), (Some(Status::Sent), 1, Some(200)));
    server.advance(Duration::from_hours(1));
    assert_eq!(inbox.received().len(), 1);
    assert_eq!(inbox.received()[0].body, "{\"n\": \"web\"}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_time_task_is_deleted_only_after_its_success(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let bad = server.webhook("bad", &format!("{}/status/500", inbox.url), |draft| draft.retries = "0".into()).await;
    let good = server.webhook("good", &inbox.url, |_| ()).await;
    server.event(server.task("fails", bad, "", true).await).await;
    server.event(server.task("works", good, "", true).await).await;
    let occurrence = json!({"type": "vms", "event": "poweron"});
    let (_, response) = server.post(&key, &json!([occurrence, occurrence, occurrence])).await;
    let started: Vec<_> =
        response["occurrences"].as_array().expect("items").iter().map(|one| one["tasks_started"].clone()).collect();
    assert_eq!(started, [json!(2), json!(0), json!(0)]);
    server.deliveries_until(all_settled).await;
    let tasks = server.services.backend().tasks.list().await.expect("tasks");
    let left: Vec<_> = tasks.iter().map(|task| (task.name.as_str(), task.is_enabled)).collect();
    assert_eq!(left, [("fails", false)]);
    assert_eq!(server.services.backend().events.list().await.expect("events").len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_with_two_matching_events_runs_once(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let occurrence = json!({"type": "vms", "event": "poweron", "object": {"id": "vm-1", "name": "web"}});
    server.post(&key, &occurrence).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    // Two tasks use one webhook. Two events start the first task, and both fire.
    let (first, second) =
        (server.task("first", webhook, "${TASK}", false).await, server.task("second", webhook, "${TASK}", false).await);
    server.event(first).await;
    server.event(second).await;
    let about_it = model::event::EventDraft {
        event: "vms.poweron".into(),
        object: "1".into(),
        task: first.to_string(),
        ..model::event::EventDraft::new_form()
    };
    server.services.backend().events.save(None, about_it).await.expect("an event");
    let (_, response) = server.post(&key, &occurrence).await;
    assert_eq!(response["occurrences"][0]["tasks_started"], 2);
    server.deliveries_until(all_settled).await;
    let mut bodies: Vec<_> = inbox.received().into_iter().map(|request| request.body).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["\"first\"", "\"second\""]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_fail_together_are_retried_at_different_times(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &format!("{}/status/503", inbox.url), |_| ()).await;
    server.event(server.task("t", webhook, "x", false).await).await;
    server.post(&key, &json!(vec![json!({"type": "vms", "event": "poweron"}); 9])).await;
    server.deliveries_until(|rows| rows.iter().all(|row| row.attempts == 1)).await;
    let due: Vec<_> = stored(&server).await.into_iter().filter_map(|row| row.next_attempt_at).collect();
    let waits: std::collections::BTreeSet<_> = due.iter().map(|due| due - server.now().0).collect();
    assert!(waits.iter().all(|wait| (5_000..=5_500).contains(wait)), "{waits:?}");
    assert!(waits.len() > 1, "{waits:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_taken_away_in_flight_records_its_attempt_only(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let gate = Gate::closed().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &gate.url, |_| ()).await;
    server.event(server.task("t", webhook, "x", false).await).await;
    server.post(&key, &json!([{"type": "vms", "event": "poweron"}, {"type": "vms", "event": "poweron"}])).await;
    eventually("both are in flight", async || gate.waiting() == 2).await;
    let db = server.services.store.write();
    // The first is discarded. The lease of the second belongs to another worker by now.
    let other = uuid::Uuid::nil();
    let sql = format!(
        "UPDATE delivery SET status = 'discarded' WHERE id = 1; UPDATE delivery SET lease_owner = {} WHERE id = 2",
        if server.services.store.is_postgres() { format!("'{other}'") } else { "zeroblob(16)".to_owned() }
    );
    db.execute_unprepared(&sql).await.expect("changed");
    gate.respond(2);
    eventually("both attempts are recorded", async || {
        entity::attempt::Entity::find().all(db).await.expect("read").len() == 2
    })
    .await;
    let rows: Vec<_> = stored(&server).await.into_iter().map(|row| (row.status, row.lease_owner)).collect();
    assert_eq!(rows[0].0, "discarded");
    assert_eq!(rows[1], ("running".to_owned(), Some(other)));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_in_seconds_delays_the_next_attempt(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let busy = raw_receiver(b"HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n").await;
    fire(&server, &busy, "1").await;
    let rows = server.deliveries_until(|rows| rows.iter().any(|row| row.attempts == 1)).await;
    let next = rows[0].next.clone().expect("a next attempt");
    assert_eq!(next.machine, "2025-10-16T15:39:07.000Z", "a minute after the beginning");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_response_is_truncated_at_64_kib_and_marked(#[values(Sqlite, Postgres)] database: Database) {
    use sea_orm::{ConnectionTrait, Statement};
    static RESPONSE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        [&b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"[..], &[b'x'; 1_000_000]].concat()
    });
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    fire(&server, &raw_receiver(&RESPONSE).await, "3").await;
    let rows = server.deliveries_until(all_settled).await;
    assert_eq!((rows[0].status, rows[0].attempts), (Some(Status::Sent), 1));
    let db = server.services.store.read();
    let sql = "SELECT length(response_body) AS bytes, response_note FROM attempt";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let row = row.expect("asked").expect("an attempt");
    // `length` is a 32-bit integer on PostgreSQL and not on SQLite.
    let bytes = row.try_get::<i32>("", "bytes").expect("a number");
    assert_eq!(bytes, 64 * 1024);
    assert_eq!(row.try_get::<String>("", "response_note").expect("a note"), "truncated at 64 KiB");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_message_fails_at_once_and_is_not_sent(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, &"${data.x}".repeat(20), false).await).await;
    let data = json!({"x": "x".repeat(100_000)});
    server.post(&key, &json!({"type": "vms", "event": "poweron", "data": data})).await;
    let rows = server.deliveries_until(all_settled).await;
    assert_eq!((rows[0].status, rows[0].attempts), (Some(Status::Error), 0));
    assert!(rows[0].error.as_deref().is_some_and(|error| error.contains("larger than")));
    assert!(inbox.received().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_have_a_code_and_a_plain_message() {
    let inbox = TestInbox::start().await;
    // Bound and not listening: a released port could belong to another test by now.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any_port: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    bound.bind(&any_port.into()).expect("a port");
    let closed = bound.local_addr().expect("an address").as_socket().expect("an address");
    let garbage = raw_receiver(b"SSH-2.0-not-http\r\n").await;
    for (url, code, expected, status_code) in [
        (format!("{}/status/404", inbox.url), "status", "Returned 404 Not Found.", Some(404)),
        (
            format!("{}/redirect?to=http://evil.example/", inbox.url),
            "redirect",
            "to http://evil.example. Redirects are not followed",
            Some(302),
        ),
        (format!("{}/reset", inbox.url), "reset", "closed before a response arrived", None),
        (format!("{}/delay/60000", inbox.url), "timeout", "No response within 3 s.", None),
        (format!("http://{closed}/"), "connect", "nothing accepts connections", None),
        (inbox.url.replace("http:", "https:"), "tls", "No encrypted connection", None),
        (garbage.clone(), "unreadable", "Does the receiver speak http on this port?", None),
        ("http://nobody.invalid/".to_owned(), "dns", "The name nobody.invalid has no address", None),
    ] {
        let server = TestServer::start(TestStore::sqlite().await).await;
        let (error, status) = failure(&server, &url).await;
        assert!(error.contains(expected), "{url}: {error}");
        assert_eq!(status, status_code, "{url}");
        assert_eq!(stored(&server).await[0].error_code.as_deref(), Some(code), "{url}");
    }
}

/// Returns the rows of the deliveries in their order.
pub(crate) async fn stored(server: &TestServer) -> Vec<entity::delivery::Model> {
    let by_id = entity::delivery::Entity::find().order_by_asc(entity::delivery::Column::Id);
    by_id.all(server.services.store.read()).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_with_malformed_or_large_headers_counts_as_sent() {
    let many = "X-Line: 1\r\n".repeat(300);
    let large = format!("X-Large: {}\r\n", "a".repeat(1_000)).repeat(100);
    for header in ["Bad Name: x\r\n", "X-Space : x\r\n", "X-Folded: a\r\n b\r\n", &many, &large] {
        let response = format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 0\r\n\r\n");
        let url = raw_receiver(Box::leak(response.into_boxed_str()).as_bytes()).await;
        let server = TestServer::start(TestStore::sqlite().await).await;
        fire(&server, &url, "3").await;
        server.deliveries_until(all_settled).await;
        let row = stored(&server).await.remove(0);
        assert_eq!((row.status.as_str(), row.attempts), ("sent", 1), "{}", &header[..8]);
        let attempts = delivery::list_attempts(server.services.store.read(), model::id::DeliveryId(row.id)).await;
        let attempt = attempts.expect("read").remove(0);
        assert!(attempt.response_headers.len() <= 16 * 1024);
        let is_cut = attempt.response_note.as_deref() == Some("headers truncated at 16 KiB");
        assert_eq!(is_cut, header == large, "{:?}", attempt.response_note);
    }
}

/// Starts a receiver that responds 200 with this certificate and key, in PEM. Returns its URL.
pub(crate) async fn tls_receiver(certificate: String, key: String) -> String {
    // Fails when another test of the process has installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (certificate, key) = (certificate.into_bytes(), key.into_bytes());
    let config = axum_server::tls_rustls::RustlsConfig::from_pem(certificate, key).await.expect("a configuration");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let router = axum::Router::new().fallback(async || "ok");
    let receiver = axum_server::from_tcp_rustls(listener, config).expect("a receiver");
    tokio::spawn(receiver.serve(router.into_make_service()));
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn untrusted_certificate_is_accepted_only_by_the_webhook_that_allows_it() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let url = tls_receiver(made.cert.pem(), made.signing_key.serialize_pem()).await;
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for (name, allow) in [("strict", ""), ("insecure", "true")] {
        let change = |draft: &mut model::webhook::WebhookDraft| {
            (draft.retries, draft.allow_insecure) = ("0".into(), allow.into());
        };
        let webhook = server.webhook(name, &url, change).await;
        server.event(server.task(name, webhook, "", false).await).await;
    }
    // Twice: the strict webhook must not use the connection that the insecure one has left open.
    for count in [2, 4] {
        server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
        server.deliveries_until(|rows| rows.len() == count && all_settled(rows)).await;
    }
    for row in stored(&server).await {
        let expected = if row.destination_name == "strict" { ("error", Some("tls")) } else { ("sent", None) };
        assert_eq!((row.status.as_str(), row.error_code.as_deref()), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_during_the_handshake_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 16]).await;
            // Closing with a linger of zero and unread bytes sends RST.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    });
    let server = TestServer::start(TestStore::sqlite().await).await;
    let (error, _) = failure(&server, &url).await;
    assert!(error.contains("No encrypted connection: the receiver hung up"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn success_with_a_broken_body_is_a_success() {
    for response in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"[..],
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let server = TestServer::start(TestStore::sqlite().await).await;
        fire(&server, &raw_receiver(response).await, "3").await;
        let rows = server.deliveries_until(all_settled).await;
        assert_eq!((rows[0].status, rows[0].attempts), (Some(Status::Sent), 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_response_body_ends_at_the_timeout_and_counts_as_sent() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let inbox = TestInbox::start().await;
    fire(&server, &format!("{}/slow-body", inbox.url), "3").await;
    let rows = server.deliveries_until(all_settled).await;
    assert_eq!(rows[0].status, Some(Status::Sent));
    assert!(rows[0].duration_ms.is_some_and(|ms| (2_900..6_000).contains(&ms)), "{:?}", rows[0].duration_ms);
    // The webhook counts as hanging and gets one slot until a response comes in time.
    let restless = server::store::destination::list_restless(server.services.store.read()).await.expect("read");
    assert_eq!(restless.into_values().collect::<Vec<_>>(), [true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_stored_sealed_and_sent_unchanged() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for (name, expected, change) in [
        ("basic", ("Authorization", "Basic bWFyaWE6Y2FuYXJ5LTRmN2E="), ("basic", "password")),
        ("bearer", ("Authorization", "Bearer canary-4f7a"), ("bearer", "token")),
        ("key", ("X-Api-Key", "Key canary-4f7a"), ("api_key", "api_key")),
    ] {
        let webhook = server
            .webhook(name, &inbox.url, |draft| {
                draft.auth_type = change.0.into();
                draft.username = "maria".into();
                draft.api_key_prefix = "Key".into();
                match change.1 {
                    "password" => draft.password = "canary-4f7a".into(),
                    "token" => draft.token = "canary-4f7a".into(),
                    _ => draft.api_key = "canary-4f7a".into(),
                }
            })
            .await;
        server.event(server.task(name, webhook, name, false).await).await;
        let before = inbox.received().len();
        server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
        server.deliveries_until(all_settled).await;
        let received = inbox.received();
        let request = received[before..].iter().find(|request| request.body == name).expect("arrived");
        assert_eq!(find(&request.headers, expected.0), expected.1);
    }
    for entry in std::fs::read_dir(server.dir.path()).expect("the directory") {
        let path = entry.expect("an entry").path();
        let content = std::fs::read(&path).expect("readable");
        assert!(!content.windows(11).any(|window| window == b"canary-4f7a"), "{}", path.display());
    }
}
