//! Retention removes rows that are settled and old, and keeps all others. A jump of the clock removes nothing.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore, begin_holding};
use crate::search::{numbers, reading};
use app::view::delivery::DeliveryLine;
use model::access::Scope;
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::json;
use server::retention::{Limits, Retention};
use server::store::retention::Old;
use server::store::{entity, setting};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

fn retention(server: &TestServer, per_destination: u32) -> Retention {
    let kept = Limits { settled: DAY * 70, per_destination, unmatched: DAY * 14 };
    Retention::new(server.services.store.clone(), server.services.clock.clone(), kept)
}

/// Returns the numbers of deliveries, runs and occurrences.
async fn count(server: &TestServer) -> (u64, u64, u64) {
    let db = server.services.store.read();
    let deliveries = entity::delivery::Entity::find().count(db).await.expect("counted");
    let runs = entity::run::Entity::find().count(db).await.expect("counted");
    (deliveries, runs, entity::occurrence::Entity::find().count(db).await.expect("counted"))
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_removes_only_settled_and_old_rows(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let good = server.webhook("good", &inbox.url, |_| ()).await;
    server.event(server.task("sent", good, "", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    server.post(&key, &json!({"type": "logs", "event": "created"})).await;
    server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    let retention = retention(&server, 100_000);
    assert_eq!(retention.sweep().await.expect("the first sweep"), 0);

    // A clock that was ahead at the last sweep delays the next one by a day at most.
    let ahead = server.now().after(DAY * 3650).0.to_string();
    setting::put(server.services.store.write(), "retention_from", &ahead).await.expect("put");
    assert_eq!(retention.sweep().await.expect("a sweep"), 0);
    server.advance(DAY);
    // After a jump by months nothing is removed for a day.
    server.advance(DAY * 71);
    for _ in 0..24 {
        assert_eq!(retention.sweep().await.expect("a jump"), 0);
        server.advance(DAY / 24);
    }
    // A young delivery, and one that waits for its retry.
    let bad = server.webhook("bad", &format!("{}/status/503", inbox.url), |_| ()).await;
    server.event(server.task("waits", bad, "", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    server.deliveries_until(|rows| rows.len() == 3 && rows.iter().all(|row| row.attempts == 1)).await;
    let removed = retention.sweep().await.expect("a sweep");
    assert_eq!(removed, 4, "a delivery, its run, its occurrence, and the occurrence that started nothing");
    let rows = server.deliveries_until(|_| true).await;
    let mut left: Vec<_> = rows
        .iter()
        .map(|row| (row.task.as_str(), row.status.map(model::delivery::Status::as_str).expect("readable")))
        .collect();
    left.sort_unstable();
    assert_eq!(left, [("sent", "sent"), ("waits", "queued")]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_keeps_the_newest_deliveries_of_each_webhook(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let (busy, idle) =
        (server.webhook("busy", &inbox.url, |_| ()).await, server.webhook("idle", &inbox.url, |_| ()).await);
    server.event(server.task("often", busy, "", false).await).await;
    let off = server.task("seldom", idle, "", false).await;
    server.event_of(off, |draft| draft.event = "vms.poweroff".into()).await;
    server.post(&key, &json!([{"type": "vms", "event": "poweroff"}, {"type": "logs", "event": "created"}])).await;
    // Too many for one step.
    let often = json!({"type": "vms", "event": "poweron"});
    for _ in 0..6 {
        server.post(&key, &json!(vec![often.clone(); 100])).await;
    }
    let paused = server.webhook("paused", &inbox.url, |_| ()).await;
    server.services.backend().webhooks.pause(paused).await.expect("paused");
    server.event(server.task("waits", paused, "", false).await).await;
    server.post(&key, &json!(vec![often; 4])).await;
    server.deliveries_until(|rows| rows.iter().filter(|row| row.task != "waits").all(DeliveryLine::is_settled)).await;
    let all = 604 + 1 + 4;
    assert_eq!(count(&server).await, (all, all, 604 + 2));

    let removed = retention(&server, 3).sweep().await.expect("a sweep");
    // The last four occurrences have a delivery that waits.
    assert_eq!(count(&server).await, (3 + 1 + 4, 3 + 1 + 4, 4 + 2));
    assert_eq!(removed, 601 + 601 + 600);
    assert_eq!(retention(&server, 3).sweep().await.expect("another"), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_wait_do_not_push_the_history_out(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "", false).await).await;
    let one = json!({"type": "vms", "event": "poweron"});
    server.post(&key, &json!(vec![one.clone(); 5])).await;
    server.deliveries_until(|rows| rows.len() == 5 && rows.iter().all(DeliveryLine::is_settled)).await;
    server.services.backend().webhooks.pause(webhook).await.expect("paused");
    server.post(&key, &json!(vec![one; 10])).await;
    retention(&server, 3).sweep().await.expect("a sweep");
    let rows = server.deliveries_until(|rows| rows.len() == 10 + 3).await;
    assert_eq!(rows.iter().filter(|row| row.is_settled()).count(), 3, "of the settled ones, as many as are to be kept");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn occurrences_that_started_nothing_are_removed_after_two_weeks(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    server.post(&key, &json!({"type": "logs", "event": "created"})).await;
    let retention = retention(&server, 100_000);
    let mut removed = 0;
    for day in 0..=15 {
        assert_eq!(removed, 0, "day {day}");
        removed += retention.sweep().await.expect("a sweep");
        server.advance(DAY);
    }
    assert_eq!(removed, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn occurrences_without_runs_are_found_behind_many_with_runs(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let uuid = if test.store.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    // Ten at each instant. The last two before the limit have no runs.
    for sql in [
        format!(
            "INSERT INTO occurrence (id, uuid, type_id, event_id, source, received_at, tasks_started, reasons, depth, \
             revision_mark) {} SELECT i, {uuid}, 'vms', 'poweron', 's', i / 10, 1, '', 0, 0 FROM n",
            numbers(2020)
        ),
        format!(
            "INSERT INTO run (id, task_name, cause, occurrence_id, event_ids, status, started_at) {} SELECT i, 't', \
             'occurrence', i, '', 'succeeded', 0 FROM n WHERE i <= 1997",
            numbers(2000)
        ),
    ] {
        db.execute_unprepared(&sql).await.expect("filled");
    }
    if test.store.is_postgres() {
        db.execute_unprepared("VACUUM ANALYZE occurrence, run").await.expect("analysed");
    }
    let mut old = Old::Occurrences(Timestamp(200), (i64::MIN, i64::MIN));
    let (mut steps, mut removed) = (0, 0);
    loop {
        let step = reading(&test, "occurrence", 350, async |txn| old.remove(txn, 100).await).await.expect("removed");
        (steps, removed) = (steps + 1, removed + step.removed);
        old = old.after(step);
        if step.counted < 100 {
            break;
        }
    }
    assert_eq!((steps, removed), (20, 2));
}

/// Otherwise every kind of rows after this one would grow for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_that_another_transaction_holds_does_not_keep_rows_of_other_kinds() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "", false).await).await;
    server.post(&key, &json!(vec![json!({"type": "vms", "event": "poweron"}); 3])).await;
    server.post(&key, &json!({"type": "logs", "event": "created"})).await;
    server.deliveries_until(|rows| rows.len() == 3 && rows.iter().all(DeliveryLine::is_settled)).await;
    for _ in 0..15 {
        assert_eq!(retention(&server, 3).sweep().await.expect("a sweep"), 0);
        server.advance(DAY);
    }
    let holder = begin_holding(&server.services.store).await;
    holder.execute_unprepared("SELECT id FROM delivery FOR UPDATE").await.expect("held");
    assert_eq!(retention(&server, 1).sweep().await.expect("a sweep"), 1, "the occurrence that started nothing");
    holder.rollback().await.expect("released");
    retention(&server, 1).sweep().await.expect("a sweep");
    assert_eq!(count(&server).await, (1, 1, 1), "the next sweep removes the rest");
}
