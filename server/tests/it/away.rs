//! The database fails while deliveries are in flight: nothing is lost, nothing is sent twice, and it goes on by itself.

use crate::harness::{Gate, TestServer, TestStore, eventually};
use model::access::Scope;
use model::delivery::Status;
use sea_orm::ConnectionTrait;
use serde_json::json;

/// So many deliveries in flight through one webhook each.
async fn in_flight(server: &TestServer, gate: &Gate, count: usize) -> String {
    let key = server.key("dc", &[Scope::Ingest]).await;
    for number in 0..count {
        let webhook = server.webhook(&format!("w{number}"), &format!("{}/{number}", gate.url), |_| ()).await;
        server.event(server.task(&format!("t{number}"), webhook, &format!("\"{number}\""), false).await).await;
    }
    assert_eq!(post(server, &key).await, 202);
    eventually("all are in flight", async || gate.waiting() == count).await;
    key
}

async fn post(server: &TestServer, key: &str) -> u16 {
    server.post(key, &json!({"type": "vms", "event": "poweron"})).await.0
}

/// Refuses what comes, for longer than anything else is tried.
async fn stays_away(server: &TestServer, key: &str) {
    let since = std::time::Instant::now();
    while since.elapsed() < std::time::Duration::from_secs(5) {
        assert_eq!(post(server, key).await, 503);
        crate::harness::pause().await;
    }
}

async fn assert_all_sent_once(server: &TestServer, gate: &Gate, count: usize) {
    let rows = server.deliveries_until(|rows| rows.iter().all(|row| row.status.is_settled())).await;
    assert_eq!(rows.len(), count);
    assert!(rows.iter().all(|row| (row.status, row.attempts) == (Status::Sent, 1)), "{rows:?}");
    assert_eq!(gate.bodies().len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_repeats_nothing() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let gate = Gate::closed().await;
    let key = in_flight(&server, &gate, 20).await;
    let writer = server.services.store.write();
    // As many pages as there are: the next one is refused as on a full disk.
    writer.execute_unprepared("PRAGMA max_page_count = 1").await.expect("limited");
    let mut refused = 0;
    for _ in 0..100 {
        let status = post(&server, &key).await;
        assert!(status == 202 || status == 503, "{status}");
        refused += usize::from(status == 503);
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "it is full");
    gate.answer(10_000);
    eventually("all are answered", async || gate.waiting() == 0).await;
    stays_away(&server, &key).await;
    writer.execute_unprepared("PRAGMA max_page_count = 1000000").await.expect("room again");
    eventually("everything is recorded", async || {
        let queue = server::store::figures::queue(server.services.store.read()).await.expect("counted");
        queue.queued + queue.running == 0
    })
    .await;
    assert_eq!(post(&server, &key).await, 202);
    // Some were accepted before it was full.
    let accepted = server.deliveries_until(|rows| rows.iter().all(|row| row.status.is_settled())).await.len();
    assert_all_sent_once(&server, &gate, accepted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_goes_away_loses_nothing_and_repeats_nothing() {
    let test = TestStore::postgres().await;
    let url = test.url.clone().expect("a URL");
    let server = TestServer::start(test).await;
    let gate = Gate::closed().await;
    let key = in_flight(&server, &gate, 20).await;
    let name = url.split('?').next().and_then(|url| url.rsplit('/').next()).expect("a name");
    let admin =
        sea_orm::Database::connect(std::env::var("HOOKWRIGHT_TEST_POSTGRES").expect("set")).await.expect("connects");
    let run = async |sql: String| admin.execute_unprepared(&sql).await.expect("done");
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
    assert_eq!(post(&server, &key).await, 503);
    gate.answer(10_000);
    eventually("all are answered", async || gate.waiting() == 0).await;
    stays_away(&server, &key).await;
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    eventually("it goes on by itself", async || {
        let queue = server::store::figures::queue(server.services.store.read()).await;
        queue.is_ok_and(|queue| queue.queued + queue.running == 0)
    })
    .await;
    assert_all_sent_once(&server, &gate, 20).await;
    assert_eq!(post(&server, &key).await, 202);
    assert_all_sent_once(&server, &gate, 40).await;
}
