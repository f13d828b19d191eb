//! `POST /api/v1/events`: what is accepted, and every refusal.

use crate::harness::{TestInbox, TestServer, TestStore};
use crate::on_both;
use model::access::Scope;
use serde_json::{Value, json};
use std::io::{Read, Write};

async fn status(server: &TestServer, key: Option<&str>, content_type: &str, body: String) -> (u16, Value) {
    let mut request =
        server.http.post(format!("{}/api/v1/events", server.url)).header("content-type", content_type).body(body);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default())
}

on_both! {
    async fn each_refusal_has_its_status_and_says_why(test: TestStore) {
        let server = TestServer::start(test).await;
        let key = server.key("dc", &[Scope::Ingest]).await;
        let other = server.key("inventory", &[Scope::Inventory]).await;
        let valid = json!({"type": "vms", "event": "poweron"}).to_string();
        let json_type = "application/json; charset=utf-8";
        for (key, content_type, body, expected, words) in [
            (None, json_type, valid.clone(), 401, "API key"),
            (Some("hwk_wrong"), json_type, valid.clone(), 401, "API key"),
            (Some(other.as_str()), json_type, valid.clone(), 403, "scope ingest"),
            (Some(key.as_str()), "text/plain", valid.clone(), 415, "application/json"),
            (Some(key.as_str()), "application/jsonx", valid.clone(), 415, "application/json"),
            (Some(key.as_str()), json_type, "{\"type\":".into(), 400, "line 1, column 8"),
            (Some(key.as_str()), json_type, "\u{feff}{}".into(), 400, "valid JSON"),
            (Some(key.as_str()), json_type, "[".repeat(200), 400, "valid JSON"),
            (Some(key.as_str()), json_type, " ".repeat(1024 * 1024 + 1), 413, "1 MiB"),
            (Some(key.as_str()), json_type, Value::from(vec![json!({}); 1001]).to_string(), 413, "1000"),
            (Some(key.as_str()), json_type, "{}".into(), 422, "2 fields"),
            (Some(key.as_str()), json_type, json!({"type": "users", "event": "login"}).to_string(), 422, "1 field"),
        ] {
            let (status, answer) = status(&server, key, content_type, body.clone()).await;
            assert_eq!(status, expected, "{} {answer}", body.chars().take(60).collect::<String>());
            let message = answer["error"]["message"].as_str().expect("a message");
            assert!(message.contains(words), "{message}");
        }
    }

    async fn a_batch_with_one_wrong_item_stores_nothing(test: TestStore) {
        let server = TestServer::start(test).await;
        let inbox = TestInbox::start().await;
        let key = server.key("dc", &[Scope::Ingest]).await;
        let webhook = server.webhook("w", &inbox.url, |_| ()).await;
        server.event(server.task("t", webhook, "x", false).await).await;
        let good = json!({"type": "vms", "event": "poweron", "object": {"id": "a"}});
        let (status, answer) = server.post(&key, &json!([good, {"type": "vms"}])).await;
        assert_eq!((status, &answer["error"]["fields"][0]["field"]), (422, &json!("[1].event")));
        let users = json!({"type": "users", "event": "login", "object": {"name": "maria"}});
        let (status, answer) = server.post(&key, &json!([good, users])).await;
        assert_eq!((status, &answer["error"]["fields"][0]["field"]), (422, &json!("[1].type")));
        assert!(server.deliveries_until(|_| true).await.is_empty());
        let (status, answer) = server.post(&key, &json!([good, good])).await;
        assert_eq!((status, &answer["occurrences"][1]["tasks_started"]), (202, &json!(1)));
        assert_eq!(server.deliveries_until(|rows| rows.len() == 2).await.len(), 2);
    }

    async fn an_ambiguous_name_is_refused_and_an_id_decides(test: TestStore) {
        let server = TestServer::start(test).await;
        let key = server.key("dc", &[Scope::Ingest]).await;
        let about = |object: Value| json!({"type": "vms", "event": "poweron", "object": object});
        for object in [json!({"id": "a", "name": "web"}), json!({"id": "b", "name": "web"})] {
            assert_eq!(server.post(&key, &about(object)).await.0, 202);
        }
        let (status, answer) = server.post(&key, &about(json!({"name": "web"}))).await;
        assert_eq!((status, &answer["error"]["fields"][0]["field"]), (422, &json!("object.name")));
        assert_eq!(server.post(&key, &about(json!({"id": "a"}))).await.0, 202);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_ends_is_cut_off() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(&address).expect("connects");
        let head = format!(
            "POST /api/v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).expect("writes");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer without the rest of the body");
        String::from_utf8_lossy(&answer).into_owned()
    });
    assert_eq!(answer.await.expect("no panic"), "HTTP/1.1 408");
}
