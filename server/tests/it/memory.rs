//! The memory that one large request needs. `cargo xtask bench memory` measures the same on the release binary.

use crate::harness::{TestStore, client};
use crate::process::{Process, prepare, serve};
use model::access::Scope;
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;
use server::clock::Clock;
use server::service::account;

/// Highest growth of a server's peak memory by one request, in MiB.
const BOUND: u64 = 200;

/// Returns the growth of the server's peak memory during `work`, in MiB.
async fn mib_of(server: &Process, work: impl Future<Output = ()>) -> u64 {
    let before = server.peak_mib();
    work.await;
    server.peak_mib() - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_occurrences_with_forty_tasks_each_need_little_memory() {
    let test = TestStore::sqlite().await;
    let key = prepare(&test, "http://127.0.0.1:9/", "3").await;
    let writer = test.store.write();
    // The deliveries are held, so that only the request is measured.
    writer.execute_unprepared("UPDATE destination SET paused_at = 1").await.expect("paused");
    let numbers = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 39) SELECT i FROM n)";
    for (table, columns, values) in [
        (
            "task",
            "name, description, is_enabled, deletes_after_running, destination_id, settings, revision, created_at, \
             updated_at",
            "name || i, description, is_enabled, deletes_after_running, destination_id, settings, revision, created_at, \
             updated_at",
        ),
        (
            "event",
            "type_id, event_id, scope, task_id, is_enabled, revision, created_at, updated_at",
            "type_id, event_id, scope, task_id + i, is_enabled, revision, created_at, updated_at",
        ),
    ] {
        let sql =
            format!("INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, {numbers} WHERE {table}.id = 1");
        writer.execute_unprepared(&sql).await.expect("made");
    }
    let server = serve(&test);
    let batch = json!(vec![json!({"type": "vms", "event": "poweron", "object": {"id": "vm-1", "name": "web"}}); 1000]);
    let used = mib_of(&server, async {
        let post = client().post(format!("{}/api/v1/events", server.url)).bearer_auth(&key);
        let response =
            post.header("content-type", "application/json").body(batch.to_string()).send().await.expect("a response");
        assert_eq!(response.status(), 202);
        assert!(response.text().await.expect("text").contains("\"tasks_started\":40"));
    })
    .await;
    assert!(used < BOUND, "{used} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_inventory_with_tags_needs_little_memory() {
    let test = TestStore::sqlite().await;
    prepare(&test, "http://127.0.0.1:9/", "3").await;
    let key = account::add_key(&test.store, &Clock::system(), "cmdb", &[Scope::Inventory]).await.expect("a key");
    for number in 1..=8 {
        let sql = format!(
            "INSERT INTO tag_category (name, description, is_single, type_ids, revision, created_at, updated_at) \
             VALUES ('c{number}', '', FALSE, 'vms', 1, 0, 0); \
             INSERT INTO tag (category_id, name, created_at) VALUES ({number}, 't', 0)"
        );
        test.store.write().execute_unprepared(&sql).await.expect("made");
    }
    let server = serve(&test);
    let tags: Vec<_> = (1..=8).map(|number| format!("c{number}/t")).collect();
    let objects: Vec<_> =
        (0..10_000).map(|id| json!({"id": format!("vm-{id}"), "name": format!("web-{id}"), "tags": tags})).collect();
    let body = json!(objects).to_string();
    let used = mib_of(&server, async {
        let put = client().put(format!("{}/api/v1/inventory/vms", server.url)).bearer_auth(&key);
        let response = put.header("content-type", "application/json").body(body).send().await.expect("a response");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
    })
    .await;
    assert!(used < BOUND, "{used} MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_of_millions_of_wrong_values_needs_little_memory() {
    let test = TestStore::sqlite().await;
    prepare(&test, "http://127.0.0.1:9/", "3").await;
    let scopes = [Scope::Inventory, Scope::Ingest];
    let key = account::add_key(&test.store, &Clock::system(), "cmdb", &scopes).await.expect("a key");
    let server = serve(&test);
    let members: Vec<_> = (0..1_000_000).map(|number| format!("\"{number:x}\":0")).collect();
    let unknown = format!("[{{{}}}]", members.join(","));
    for (path, body, status) in [
        ("inventory/vms", unknown.clone(), 422),
        ("inventory/vms", format!("[{}0]", "0,".repeat(7_000_000)), 413),
        ("inventory/vms", format!("[{}{{}}]", "{\"a\":0},".repeat(1_500_000)), 413),
        ("events", format!("[{}0]", "[],".repeat(300_000)), 413),
        ("events", format!("{{\"data\":[{}0]}}", "{\"a\":0},".repeat(100_000)), 413),
    ] {
        let used = mib_of(&server, async {
            let request = client().request(
                if path == "events" { Method::POST } else { Method::PUT },
                format!("{}/api/v1/{path}", server.url),
            );
            let response = request
                .bearer_auth(&key)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await
                .expect("a response");
            assert_eq!(response.status(), status, "{path}");
            assert!(response.text().await.expect("text").len() < 100_000);
        })
        .await;
        assert!(used < BOUND, "{used} MiB");
    }
}
