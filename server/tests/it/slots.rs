//! The slots of a node are shared: many webhooks with a backlog, or with slow receivers, lose no delivery and do not keep
//! another webhook waiting.

use crate::delivery::{all_settled, stored};
use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Gate, TestInbox, TestServer, TestStore, eventually, pause};
use crate::rows;
use model::access::Scope;
use model::time::Timestamp;
use rstest::rstest;
use serde_json::json;
use server::store::figures;
use std::time::Duration;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_of_more_webhooks_than_are_cached_are_sent(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let txn = server.services.store.begin().await.expect("a transaction");
    let mut webhooks = Vec::new();
    for number in 0..1_002 {
        webhooks.push(rows::webhook(&txn, &number.to_string(), &inbox.url).await);
    }
    txn.commit().await.expect("committed");
    // The first round fills the cache. The second has a webhook that is cached and one that is not.
    let last = webhooks.pop().expect("one");
    for wanted in [webhooks.clone(), vec![webhooks[0], last]] {
        let new = wanted.into_iter().map(rows::delivery).collect();
        rows::start(server.services.store.write(), new, Timestamp(0)).await;
        server.services.wake.notify_one();
        eventually("all are settled", async || {
            let queue = figures::queue(server.services.store.read()).await.expect("counted");
            queue.queued + queue.running == 0
        })
        .await;
    }
    assert_eq!(inbox.received().len(), 1_003);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backlog_of_more_webhooks_than_are_cached_is_sent(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_limited(TestStore::new(database).await, crate::node::local(), 1).await;
    // Unlike an inbox, a gate takes any number of connections.
    let url = format!("{}/open", Gate::closed().await.url);
    let txn = server.services.store.begin().await.expect("a transaction");
    let mut new = Vec::new();
    for number in 0..1_010 {
        let webhook = rows::webhook(&txn, &number.to_string(), &url).await;
        new.extend((0..4).map(|_| rows::delivery(webhook)));
    }
    rows::start(&txn, new, Timestamp(0)).await;
    txn.commit().await.expect("committed");
    server.services.wake.notify_one();
    eventually("all are settled", async || {
        let queue = figures::queue(server.services.store.read()).await.expect("counted");
        queue.queued + queue.running == 0
    })
    .await;
    let failed: Vec<_> = stored(&server).await.into_iter().filter(|row| row.status != "sent").collect();
    assert!(failed.is_empty(), "{} of them: {:?}", failed.len(), failed.first().map(|row| &row.error));
}

/// Returns an occurrence whose message is this number.
fn numbered(number: usize) -> serde_json::Value {
    json!({"type": "vms", "event": "poweron", "data": {"n": number}})
}

/// Makes a webhook whose receiver has responded to the message 0 at once, so that more deliveries are leased ahead.
/// Then posts `count` messages, from 1 on, of which eight wait for longer than a quick response takes. Returns the
/// webhook's receiver, and a key.
async fn slow_after_quick(database: Database, count: usize) -> (TestServer, Gate, String) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let gate = Gate::closed().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &gate.url, |_| ()).await;
    server.event(server.task("t", webhook, "${data.n}", false).await).await;
    gate.respond(1);
    server.post(&key, &numbered(0)).await;
    server.deliveries_until(all_settled).await;
    server.post(&key, &json!((1..=count).map(numbered).collect::<Vec<_>>())).await;
    eventually("eight are under way", async || gate.waiting() == 8).await;
    for _ in 0..8 {
        pause().await;
    }
    (server, gate, key)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_delivery_does_not_overtake_those_that_a_slow_response_returned(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, gate, key) = slow_after_quick(database, 60).await;
    gate.respond(8);
    server.deliveries_until(|rows| rows.iter().filter(|row| row.is_settled()).count() == 9).await;
    server.post(&key, &numbered(61)).await;
    gate.respond(100);
    server.deliveries_until(|rows| rows.len() == 62 && all_settled(rows)).await;
    // Eight are sent at once.
    let last = gate.bodies().split_off(62 - 8);
    assert!(last.iter().any(|body| body == "61"), "{:?}", gate.bodies());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_a_slow_response_returned_come_before_those_that_queued_later(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, gate, _) = slow_after_quick(database, 300).await;
    // The deliveries return a second after they were made.
    server.advance(Duration::from_secs(1));
    gate.respond(1000);
    eventually("all are sent", async || gate.bodies().len() == 301).await;
    let numbers: Vec<usize> = gate.bodies().iter().map(|body| body.parse().expect("a number")).collect();
    let farthest = numbers.iter().enumerate().map(|(place, number)| place.abs_diff(*number)).max();
    // Eight are under way at once, and groups are recorded together.
    assert!(farthest.is_some_and(|most| most < 50), "{numbers:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_is_served_beside_ninety_that_are_slow(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let (gate, inbox) = (Gate::closed().await, TestInbox::start().await);
    let key = server.key("dc", &[Scope::Ingest]).await;
    let good = server.webhook("good", &inbox.url, |_| ()).await;
    server.event(server.task("good", good, "", false).await).await;
    let mut new = Vec::new();
    for number in 0..90 {
        let change = |draft: &mut model::webhook::WebhookDraft| draft.timeout = "120".into();
        let slow = server.webhook(&format!("slow {number}"), &gate.url, change).await;
        new.extend((0..10).map(|_| rows::delivery(slow)));
    }
    rows::start(server.services.store.write(), new, Timestamp(0)).await;
    server.services.wake.notify_one();
    eventually("most slots are busy", async || gate.waiting() > 400).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    eventually("the good one is served", async || inbox.received().len() == 1).await;
    assert!(gate.waiting() > 400, "the others are under way");
    gate.respond(1000);
    server.deliveries_until(all_settled).await;
}
