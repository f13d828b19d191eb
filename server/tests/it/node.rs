//! Limits on deliveries in flight, for each webhook, for hanging webhooks, and for several nodes together.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Gate, TestServer, TestStore, eventually};
use crate::process::{prepare, serve, serve_logging, serve_with};
use crate::rows;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use model::access::Scope;
use model::breaker::Breaker;
use model::egress::Rules;
use model::id::WebhookId;
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QueryOrder, Statement};
use serde_json::json;
use server::clock::new_uuid;
use server::store::delivery::NewDelivery;
use server::store::{Store, entity, figures, hold, listen, node};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) fn local() -> Rules {
    Rules { allowed: vec!["127.0.0.0/8".parse().expect("a network")], ..Rules::default() }
}

/// Queues `count` deliveries for each of these webhooks, each with a body of its own.
async fn queue(store: &Store, webhooks: &[WebhookId], count: usize) {
    let new = |index: usize, webhook: &WebhookId| NewDelivery {
        body: format!("{webhook}-{index}").into_bytes(),
        ..rows::delivery(*webhook)
    };
    let all = webhooks.iter().flat_map(|webhook| (0..count).map(move |index| new(index, webhook))).collect();
    rows::start(store.write(), all, Timestamp(0)).await;
}

/// Inserts `count` webhooks, each with a path of its own.
async fn webhooks(store: &Store, url: &str, count: usize) -> Vec<WebhookId> {
    let txn = store.begin().await.expect("a transaction");
    let mut made = Vec::new();
    for number in 0..count {
        made.push(rows::webhook(&txn, &format!("w{number}"), &format!("{url}/{number}")).await);
    }
    txn.commit().await.expect("committed");
    made
}

/// Returns the number of deliveries that wait or are in flight.
async fn waiting(store: &Store) -> i64 {
    let queue = figures::queue(store.read()).await.expect("counted");
    queue.queued + queue.running
}

async fn all_sent(store: &Store) {
    eventually("all are settled", async || waiting(store).await == 0).await;
}

/// Checks that each of `count` deliveries has arrived once.
fn assert_each_once(gate: &Gate, count: usize) {
    let bodies = gate.bodies();
    assert_eq!(bodies.iter().collect::<BTreeSet<_>>().len(), count);
    assert_eq!(bodies.len(), count, "nothing was sent twice");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_in_flight_stay_within_the_limit_per_webhook(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start_limited(test, local(), 3).await;
    let store = &server.services.store;
    let gate = Gate::closed().await;
    let webhooks = webhooks(store, &gate.url, 2).await;
    queue(store, &webhooks, 10).await;
    server.services.wake.notify_one();
    eventually("three of each wait", async || gate.waiting() == 6).await;
    for left in (0..20).rev() {
        gate.respond(1);
        eventually("one more is sent", async || waiting(store).await == left).await;
    }
    assert_eq!(gate.most(), 3);
    assert_each_once(&gate, 20);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_webhook_gets_its_slot_when_the_limit_is_one(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let gate = Gate::closed().await;
    let id = webhooks(&test.store, &gate.url, 1).await[0];
    let breaker = Breaker { failures: 1, is_hanging: true, open: None };
    hold::save_breaker(test.store.write(), id.into(), &breaker).await.expect("saved");
    queue(&test.store, &[id], 2).await;
    gate.respond(2);
    let server = TestServer::start_limited(test, local(), 1).await;
    all_sent(&server.services.store).await;
    assert_eq!(gate.most(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_webhooks_leave_slots_free_after_a_start(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let gate = Gate::closed().await;
    let hanging = webhooks(&test.store, &gate.url, 80).await;
    for id in &hanging {
        let breaker = Breaker { failures: 1, is_hanging: true, open: None };
        hold::save_breaker(test.store.write(), (*id).into(), &breaker).await.expect("saved");
    }
    queue(&test.store, &hanging, 8).await;
    let good = rows::webhook(test.store.write(), "good", &format!("{}/open", gate.url)).await;
    let server = TestServer::start(test).await;
    eventually("one of each is in flight", async || gate.waiting() == 80).await;
    queue(&server.services.store, &[good], 1).await;
    server.services.wake.notify_one();
    eventually("the delivery of the good webhook arrives", async || gate.bodies().contains(&format!("{good}-0"))).await;
    assert_eq!((gate.waiting(), gate.most()), (80, 1));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_in_flight_stay_within_512_in_total(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let gate = Gate::closed().await;
    // One of each: where slots are scarce, a webhook gets fewer than eight.
    let webhooks = webhooks(&test.store, &gate.url, 520).await;
    queue(&test.store, &webhooks, 1).await;
    let server = TestServer::start(test).await;
    let store = &server.services.store;
    let in_flight = async || figures::queue(store.read()).await.expect("counted").running;
    eventually("512 wait", async || gate.waiting() == 512).await;
    for left in (513..=519).rev() {
        gate.respond(1);
        eventually("one more is sent for each that ends", async || {
            gate.waiting() == 512 && in_flight().await == 512 && waiting(store).await == left
        })
        .await;
    }
    gate.respond(10_000);
    all_sent(store).await;
    assert_each_once(&gate, 520);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_that_times_out_gets_one_slot_also_after_a_restart(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let gate = Gate::closed().await;
    let webhook = webhooks(&test.store, &gate.url, 1).await[0];
    // The form does not permit such a short timeout. Only the timeout ends these attempts.
    test.store.write().execute_unprepared("UPDATE destination SET timeout_ms = 500").await.expect("changed");
    queue(&test.store, &[webhook], 9).await;
    let limit = ["--in-flight-per-webhook", "3"];
    let attempts = async || {
        let all = entity::attempt::Entity::find().order_by_asc(entity::attempt::Column::StartedAt);
        all.all(test.store.read()).await.expect("attempts")
    };
    let first = serve_with(&test, &limit);
    eventually("one is tried alone", async || attempts().await.len() >= 4).await;
    first.stop();
    let second = serve_with(&test, &limit);
    let before = attempts().await.len();
    eventually("two more are tried", async || attempts().await.len() >= before + 2).await;
    second.stop();
    let attempts = attempts().await;
    assert_eq!(gate.most(), 3);
    let first_end = attempts[0].started_at + attempts[0].duration_ms;
    assert!(attempts[2].started_at < first_end, "three at once before the webhook counts as hanging");
    for pair in attempts[2..].windows(2) {
        assert!(pair[1].started_at >= pair[0].started_at + pair[0].duration_ms, "one after the other from then on");
    }
}

/// A node has 512 slots. With more deliveries than that in flight, both nodes have some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_the_limit_per_webhook() {
    let server = TestServer::start(TestStore::postgres().await).await;
    server.start_second_dispatcher(8);
    let store = &server.services.store;
    eventually("the first makes room", async || server.services.lanes.count_nodes() == 2).await;
    let gate = Gate::closed().await;
    let webhooks = webhooks(store, &gate.url, 70).await;
    queue(store, &webhooks, 12).await;
    server.services.wake.notify_one();
    eventually("eight of each wait", async || gate.waiting() == 560).await;
    gate.respond(840);
    all_sent(store).await;
    assert_eq!(gate.most(), 8);
    assert_each_once(&gate, 840);
}

/// A frozen node holds no lock that others need, and its share passes to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_node_no_longer_counts() {
    let test = TestStore::postgres().await;
    let db = test.store.write();
    let (one, other) = (new_uuid(Timestamp(1)), new_uuid(Timestamp(2)));
    let beat = async |id, at| {
        let nodes = node::beat(db, id, Timestamp(at)).await.expect("noted");
        (nodes.count, nodes.rank)
    };
    assert_eq!(beat(one, 0).await, (1, 0));
    assert_eq!(beat(other, 10).await, (2, 1));
    assert_eq!(beat(one, 1000).await, (2, 0));
    assert_eq!(beat(one, 5010).await, (2, 0));
    assert_eq!(beat(one, 5011).await, (1, 0), "the other is silent");
    assert_eq!(beat(other, 5012).await, (2, 1), "and comes back");
    node::leave(db, other).await.expect("left");
    assert_eq!(beat(one, 5013).await, (1, 0));
}

/// An idle node does not search for deliveries when its beat says that there are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beat_tells_whether_there_is_anything_to_look_for() {
    let test = TestStore::postgres().await;
    let id = new_uuid(Timestamp(1));
    let is_busy = async || node::beat(test.store.write(), id, Timestamp(0)).await.expect("noted").is_busy;
    let set = async |sql: &str| test.store.write().execute_unprepared(sql).await.expect("set");
    let webhook = webhooks(&test.store, "http://127.0.0.1:9", 1).await;
    assert!(!is_busy().await, "empty");
    queue(&test.store, &webhook, 1).await;
    assert!(is_busy().await, "a queued delivery");
    set("UPDATE delivery SET status = 'running', lease_until = 0").await;
    assert!(is_busy().await, "a leased delivery");
    set("UPDATE delivery SET status = 'held', hold_reason = 'paused'").await;
    assert!(!is_busy().await, "a held delivery");
    set("UPDATE delivery SET status = 'delivered', hold_reason = NULL, settled_at = 0").await;
    assert!(!is_busy().await, "a settled delivery");
    set("UPDATE destination SET is_hanging = TRUE").await;
    assert!(is_busy().await, "a destination that hangs");
    set("UPDATE destination SET is_hanging = FALSE, breaker_failures = 1").await;
    assert!(is_busy().await, "a breaker that is not at rest");
}

/// A dead node sends no notification, so another node has to find its leases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_node_sends_what_a_dead_one_has_leased() {
    let (gate, server) = (Gate::closed().await, TestServer::start(TestStore::postgres().await).await);
    let store = &server.services.store;
    let webhook = rows::webhook(store.write(), "w", &format!("{}/open", gate.url)).await;
    let beats = async || {
        let sql = "SELECT 1 FROM node WHERE seen_at <> 0";
        store.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("read").is_some()
    };
    for _ in 0..2 {
        store.write().execute_unprepared("UPDATE node SET seen_at = 0").await.expect("set");
        eventually("the idle node beats", beats).await;
    }
    let txn = store.begin().await.expect("a transaction");
    rows::start(&txn, vec![rows::delivery(webhook)], Timestamp(0)).await;
    let leased = "UPDATE delivery SET status = 'running', lease_owner = gen_random_uuid(), lease_until = 0";
    txn.execute_unprepared(leased).await.expect("leased");
    txn.commit().await.expect("committed");
    all_sent(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_node_resends_nothing_that_another_has_in_flight() {
    let test = TestStore::postgres().await;
    let gate = Gate::closed().await;
    let key = prepare(&test, &gate.url, "30").await;
    let client = crate::harness::client();
    let post = async |url: &str, id: &str| {
        let document = json!({"type": "vms", "event": "poweron", "object": {"id": id}}).to_string();
        let post = client.post(format!("{url}/api/v1/events")).bearer_auth(&key);
        let response = post.header("content-type", "application/json").body(document).send().await;
        assert_eq!(response.expect("a response").status(), 202);
    };
    let first = serve(&test);
    for item in ["a", "b", "c"] {
        post(&first.url, item).await;
    }
    eventually("three are in flight", async || gate.waiting() == 3).await;
    let second = serve(&test);
    for item in ["d", "e"] {
        post(&second.url, item).await;
    }
    // Deliveries that were queued again would be claimed before these.
    eventually("the deliveries of the second node are in flight", async || {
        let bodies = gate.bodies();
        ["\"d\"", "\"e\""].iter().all(|item| bodies.iter().any(|body| body == item))
    })
    .await;
    gate.respond(100);
    all_sent(&test.store).await;
    assert_each_once(&gate, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_starts_on_an_empty_database_create_the_schema_once() {
    let test = TestStore::empty_postgres().await;
    let nodes = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(|| serve(&test))).collect();
        starting.into_iter().map(|node| node.join().expect("it prints its address")).collect::<Vec<_>>()
    });
    let client = crate::harness::client();
    for node in &nodes {
        let ready =
            client.get(format!("{}/health/ready", node.url.split("/setup").next().expect("a url"))).send().await;
        assert_eq!(ready.expect("a response").status(), 200);
    }
}

/// Otherwise a delivery would wait for the next poll of another node, a second later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queued_deliveries_wake_all_nodes() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", "http://127.0.0.1:9/", |_| ()).await;
    // A message that is too long to stay in memory: it is queued for the first node that claims it.
    let task = server.task("t", webhook, &"x".repeat(70_000), false).await;
    server.event(task).await;
    let wake = Arc::new(Notify::new());
    let stop = CancellationToken::new();
    tokio::spawn(listen::run(server.services.store.clone(), wake.clone(), stop.clone()));
    // The listener may still be connecting, so each action is repeated until it wakes.
    let wakes = async |act: &mut dyn FnMut() -> BoxFuture<'static, ()>| {
        for _ in 0..100 {
            let woken = wake.notified();
            act().await;
            if tokio::time::timeout(Duration::from_millis(100), woken).await.is_ok() {
                return true;
            }
        }
        false
    };
    let server = Arc::new(server);
    let mut post = || {
        let (server, key) = (server.clone(), key.clone());
        async move { _ = server.post(&key, &json!({"type": "vms", "event": "poweron"})).await }.boxed()
    };
    assert!(wakes(&mut post).await, "an occurrence wakes");
    let mut execute = || {
        let server = server.clone();
        async move { _ = server.services.backend().tasks.execute(task, "maria".into()).await.expect("started") }.boxed()
    };
    assert!(wakes(&mut execute).await, "a task executed by hand wakes");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn egress_options_reach_the_guard() {
    for (policy, is_permitted) in [("internal", true), ("internet", false), ("listed", false)] {
        let test = TestStore::sqlite().await;
        prepare(&test, "http://127.0.0.1:9/", "3").await;
        let node = serve_with(&test, &["--egress-policy", policy]);
        let client = crate::harness::client();
        let post = |path: &str, cookie: &str, body: String| {
            let post = client.post(format!("{}{path}", node.url)).header("cookie", cookie).body(body);
            post.header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin")
                .send()
        };
        let password = crate::harness::PASSWORD.replace(' ', "+");
        let response = post("/sign-in", "", format!("name=maria&password={password}")).await.expect("a response");
        let cookie =
            response.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("one").to_owned();
        let saved = post("/webhooks/new", &cookie, "name=n&url=http%3A%2F%2F10.1.2.3%2F".into()).await;
        assert_eq!(saved.expect("a response").status() == 303, is_permitted, "{policy}");
        let listed = post("/webhooks/new", &cookie, "name=l&url=http%3A%2F%2F127.0.0.2%2F".into()).await;
        assert_eq!(listed.expect("a response").status(), 303, "--egress-allow, {policy}");
    }
}

/// The log is at its most verbose level.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_contains_no_payload_header_or_secret() {
    let test = TestStore::sqlite().await;
    let gate = Gate::closed().await;
    let key = prepare(&test, &format!("{}/open", gate.url), "3").await;
    let change = "UPDATE webhook SET headers = '[{\"name\": \"X-Config\", \"value\": \"canary-header\"}]'";
    test.store.write().execute_unprepared(change).await.expect("changed");
    let log = test.dir.path().join("log");
    let node = serve_logging(&test, "trace", &log);
    let document =
        json!({"type": "vms", "event": "poweron", "object": {"id": "canary-name"}, "data": {"x": "canary-data"}});
    let client = crate::harness::client();
    let post = client.post(format!("{}/api/v1/events", node.url)).bearer_auth(&key);
    let response = post.header("content-type", "application/json").body(document.to_string()).send().await;
    assert_eq!(response.expect("a response").status(), 202);
    let wrong = client.post(format!("{}/sign-in", node.url)).header("sec-fetch-site", "same-origin");
    let wrong =
        wrong.header("content-type", "application/x-www-form-urlencoded").body("name=maria&password=canary-password");
    assert_eq!(wrong.send().await.expect("a response").status(), 422);
    all_sent(&test.store).await;
    node.stop();
    let logged = std::fs::read_to_string(&log).expect("a log");
    assert!(logged.contains("attempt") && logged.contains("TRACE"), "the log is not empty");
    let leaks: Vec<_> = logged.lines().filter(|line| line.contains("canary") || line.contains(&key)).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}
