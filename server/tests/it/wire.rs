//! The request on the wire: the order of its headers, its body, configured and added headers.

use crate::delivery::all_settled;
use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore};
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use model::access::Scope;
use model::delivery::Status;
use rstest::rstest;
use serde_json::json;

/// Returns the value of a header.
pub(crate) fn find(headers: &[(String, String)], name: &str) -> String {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).expect(name)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_headers_are_sent_in_their_order(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server
        .webhook("w", &format!("{}/hook?a=1", inbox.url), |draft| {
            draft.headers = "x-b: 1\nContent-Type: text/plain\nX-A: 2\nX-B: 3".into();
            (draft.auth_type, draft.api_key, draft.method) = ("api_key".into(), "canary".into(), "PUT".into());
        })
        .await;
    server.event(server.task("t", webhook, "${NAME}", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron", "object": {"name": "web"}})).await;
    server.deliveries_until(all_settled).await;
    let request = inbox.received().remove(0);
    let names: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}={value}")).take(6).collect();
    let host = format!("Host={}", inbox.url.trim_start_matches("http://"));
    let expected = [host.as_str(), "X-B=1", "X-B=3", "Content-Type=text/plain", "X-A=2", "X-Api-Key=canary"];
    assert_eq!(names, expected);
    // The headers of the server follow the configured ones, then the one that the client must add. There are no others.
    let ours: Vec<_> = request.headers[6..].iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["Webhook-Id", "Webhook-Timestamp", "User-Agent", "Accept", "Accept-Encoding", "Content-Length"];
    assert_eq!(ours, expected);
    assert_eq!(find(&request.headers, "Accept-Encoding"), "identity");
    assert!(find(&request.headers, "User-Agent").starts_with("Hookwright/"));
    assert_eq!((request.method.as_str(), request.path.as_str(), request.body.as_str()), ("PUT", "/hook?a=1", "web"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_except_get_sends_the_message(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        let webhook = server
            .webhook(method, &inbox.url, |draft| {
                draft.method = method.into();
                (draft.sign, draft.signing_secret) = ("true".into(), format!("whsec_{secret}"));
            })
            .await;
        server.event(server.task(method, webhook, "\"x\"", false).await).await;
    }
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    server.deliveries_until(all_settled).await;
    let base64 = base64::engine::general_purpose::STANDARD;
    let received = inbox.received();
    assert_eq!(received.len(), 5);
    for request in received {
        let is_get = request.method == "GET";
        assert_eq!(request.body, if is_get { "" } else { "\"x\"" }, "{}", request.method);
        assert_eq!(request.headers.iter().any(|(name, _)| name == "Content-Length"), !is_get);
        // The signature covers the bytes that were sent.
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&base64.decode(secret).expect("base64")).expect("a key");
        let (id, at) = (find(&request.headers, "Webhook-Id"), find(&request.headers, "Webhook-Timestamp"));
        mac.update(format!("{id}.{at}.{}", request.body).as_bytes());
        let expected = format!("v1,{}", base64.encode(mac.finalize().into_bytes()));
        assert_eq!(find(&request.headers, "Webhook-Signature"), expected, "{}", request.method);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_headers_are_not_added_again(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server
        .webhook("w", &inbox.url, |draft| {
            draft.headers = "User-Agent: mine/1\nAccept: text/plain\naccept-encoding: gzip".into();
        })
        .await;
    server.event(server.task("t", webhook, "x", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    server.deliveries_until(all_settled).await;
    let headers = inbox.received().remove(0).headers;
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["Host", "User-Agent", "Accept", "Accept-Encoding", "Webhook-Id", "Webhook-Timestamp", "Content-Length"];
    assert_eq!(names, expected);
    assert_eq!((find(&headers, "User-Agent").as_str(), find(&headers, "Accept").as_str()), ("mine/1", "text/plain"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsendable_header_is_named_and_not_retried(#[values(Sqlite, Postgres)] database: Database) {
    use sea_orm::ConnectionTrait;
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |draft| draft.headers = "X-A: plain".into()).await;
    server.event(server.task("t", webhook, "x", false).await).await;
    // Every form refuses this value. Only a row that something else has written can contain it.
    let damage = "UPDATE webhook SET headers = replace(headers, 'plain', 'a\\r\\nX-Evil: 1')";
    server.services.store.write().execute_unprepared(damage).await.expect("damaged");
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let rows = server.deliveries_until(all_settled).await;
    assert_eq!((rows[0].status, rows[0].attempts), (Some(Status::Error), 1));
    assert_eq!(rows[0].error.as_deref(), Some("The header X-A cannot be sent. Edit the webhook."));
    assert!(inbox.received().is_empty());
}
