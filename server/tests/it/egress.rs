//! The guard at the socket. Each of these messages would reach a receiver without it.

use crate::harness::{TestInbox, TestServer, TestStore, pause};
use app::view::delivery::DeliveryLine;
use futures_util::future::join_all;
use model::access::Scope;
use model::delivery::Status;
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use serde_json::json;
use server::clock::new_uuid;
use server::outbound::client::Clients;
use server::outbound::secrets::{Opened, Secrets};
use server::outbound::send::{self, Outgoing};
use server::store::webhook;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

/// Stores a webhook without the check at save, as if the rules had changed since, and sends to it. Returns status and
/// error.
async fn send_unchecked(server: &TestServer, url: &str) -> (Status, String) {
    let draft = WebhookDraft { name: "w".into(), url: url.into(), retries: "0".into(), ..WebhookDraft::default() };
    let checked = draft.parse(None).expect("valid");
    let now = Timestamp(0);
    let db = server.services.store.write();
    let id = webhook::insert(db, &checked.settings, new_uuid(now), webhook::SealedSecrets::default(), now)
        .await
        .expect("a webhook");
    server.event(server.task("t", id, "x", false).await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let rows = server.deliveries_until(|rows| rows.iter().any(DeliveryLine::is_settled)).await;
    (rows[0].status.expect("readable"), rows[0].error.clone().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_in_any_notation_is_refused_unless_listed() {
    let inbox = TestInbox::start().await;
    let port = inbox.url.rsplit(':').next().expect("a port");
    for host in ["127.0.0.1", "localhost", "localhost.", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"] {
        let server = TestServer::start_with(TestStore::sqlite().await, Vec::new()).await;
        let (status, error) = send_unchecked(&server, &format!("http://{host}:{port}/")).await;
        assert_eq!(status, Status::Error, "{host}");
        assert!(error.contains("may not be called: it is a loopback address"), "{host}: {error}");
    }
    assert!(inbox.received().is_empty());
    let listed = vec!["127.0.0.0/8".parse().expect("a network")];
    let server = TestServer::start_with(TestStore::sqlite().await, listed).await;
    assert_eq!(send_unchecked(&server, &format!("http://127.0.0.1:{port}/")).await.0, Status::Sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_listener_is_never_called() {
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let server = TestServer::start(TestStore::sqlite().await).await;
        let port = server.url.rsplit(':').next().expect("a port").to_owned();
        let (status, error) = send_unchecked(&server, &format!("http://{host}:{port}/health/live")).await;
        assert_eq!(status, Status::Error, "{host}");
        assert!(error.contains("this console's own listener"), "{host}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saving_refuses_forbidden_addresses_with_the_message_of_sending() {
    let server = TestServer::start_with(TestStore::sqlite().await, Vec::new()).await;
    let save = async |url: &str| {
        let draft = WebhookDraft { name: url.into(), url: url.into(), ..WebhookDraft::default() };
        server.services.backend().webhooks.save(None, draft).await.map_err(|error| error.fields.0[0].message.clone())
    };
    for (url, expected) in [
        ("http://127.0.0.1/", "The host 127.0.0.1 may not be called: it is a loopback address"),
        ("http://localhost/", "The host localhost may not be called: it is a loopback address"),
        ("http://169.254.169.254/", "it is a link-local or metadata address"),
        ("http://[fd00:ec2::254]/", "it is a link-local or metadata address"),
        ("http://0.0.0.0/", "it is the unspecified address"),
    ] {
        let message = save(url).await.expect_err(url);
        assert!(message.contains(expected), "{url}: {message}");
    }
    assert!(!save("http://10.1.2.3/").await.expect("private addresses are allowed by default").is_unresolved);
    let saved = save("http://nobody.invalid/").await.expect("a name that does not resolve now may do so later");
    assert!(saved.is_unresolved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_reused_until_their_client_expires() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    for (lasts, is_reused) in [(Duration::from_mins(5), true), (Duration::ZERO, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                    }
                });
            }
        });
        let id = server.webhook(&format!("{lasts:?}"), &url, |draft| draft.method = "GET".into()).await;
        let row = webhook::find(server.services.store.read(), id).await.expect("read").expect("there");
        let (clients, never) = (Clients::new(server.services.guard.clone(), lasts, 16), CancellationToken::new());
        for _ in 0..20 {
            let outgoing = Outgoing { id: new_uuid(Timestamp(0)), body: b"", recipients: &[] };
            let opened = Opened::Webhook(&row, Secrets::default());
            let attempted = send::send(&server.services.clock, &clients, &opened, outgoing, &never).await;
            assert_eq!(attempted.expect("sent").status_code, Some(204));
        }
        // A connection is free a moment after its response, which is sometimes too late for the next delivery.
        let made = connections.load(Ordering::SeqCst);
        assert_eq!(made < 10, is_reused, "{made} connections in {lasts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_of_one_host_do_not_connect_again_for_each_delivery() {
    const AT_ONCE: usize = 60;
    let server = TestServer::start(TestStore::sqlite().await).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (connections, all_there) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(AT_ONCE)));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let all_there = all_there.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                    all_there.wait().await;
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                }
            });
        }
    });
    let id = server.webhook("w", &url, |draft| draft.method = "GET".into()).await;
    let row = webhook::find(server.services.store.read(), id).await.expect("read").expect("there");
    let clients = Clients::new(server.services.guard.clone(), Duration::from_mins(5), AT_ONCE);
    let never = CancellationToken::new();
    let send_one = async |_| {
        let outgoing = Outgoing { id: new_uuid(Timestamp(0)), body: b"", recipients: &[] };
        let opened = Opened::Webhook(&row, Secrets::default());
        send::send(&server.services.clock, &clients, &opened, outgoing, &never).await.expect("sent").status_code
    };
    for _ in 0..3 {
        let statuses = join_all((0..AT_ONCE).map(send_one)).await;
        assert!(statuses.iter().all(|status| *status == Some(204)), "{statuses:?}");
        // A connection is free a moment after its response.
        pause().await;
    }
    let made = connections.load(Ordering::SeqCst);
    assert!(made < 2 * AT_ONCE, "{made} connections for {AT_ONCE} requests at once");
}
