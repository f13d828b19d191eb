//! When a clock is set back, no delivery waits for as long as the clock was ahead.

use crate::delivery::all_settled;
use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Gate, TestInbox, TestServer, TestStore, eventually};
use crate::rows;
use model::access::Scope;
use model::breaker::{Breaker, Open};
use model::hold::HoldReason;
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use serde_json::json;
use server::clock::new_uuid;
use server::store::delivery::NewDelivery;
use server::store::{Store, claim, entity, hold, lease, node, set_back, webhook};
use std::collections::HashSet;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);
const HOUR: Duration = Duration::from_hours(1);

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_behind_a_busy_receiver_are_sent_after_the_clock_was_set_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let gate = Gate::closed().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &gate.url, |_| ()).await;
    server.event(server.task("t", webhook, "", false).await).await;
    server.post(&key, &json!(vec![json!({"type": "vms", "event": "poweron"}); 60])).await;
    eventually("eight are under way", async || gate.waiting() == 8).await;
    server.set_clock(Timestamp(server.now().0 - 3_600_000));
    gate.respond(100);
    server.deliveries_until(|rows| rows.len() == 60 && all_settled(rows)).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_sent_although_the_clock_was_set_back_while_no_server_ran(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    let webhook = rows::webhook(test.store.write(), "w", &inbox.url).await;
    let new = (0..3).map(|_| rows::delivery(webhook)).collect();
    // Beyond the test server's own clock.
    rows::start(test.store.write(), new, Timestamp(i64::from(u32::MAX) * 1000)).await;
    let server = TestServer::start(test).await;
    server.deliveries_until(|rows| rows.len() == 3 && all_settled(rows)).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn id_of_a_sender_is_not_taken_for_a_repeat_for_as_long_as_the_clock_was_ahead(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let before = server.now();
    server.set_clock(before.after(Duration::from_hours(24 * 365 * 4)));
    server.post(&key, &json!({"type": "vms", "event": "poweron", "id": "a"})).await;
    server.set_clock(before);
    eventually("the receipt is of now", async || {
        let rows = entity::receipt::Entity::find().all(server.services.store.read()).await.expect("read");
        rows.len() == 1 && rows[0].created_at <= server.now().0
    })
    .await;
}

/// Returns the due times in order of id, in milliseconds after [`NOW`].
async fn due_times(store: &Store) -> Vec<Option<i64>> {
    let all = entity::delivery::Entity::find().order_by_asc(entity::delivery::Column::Id);
    let rows = all.all(store.read()).await.expect("read");
    rows.into_iter().map(|row| row.next_attempt_at.map(|due| due - NOW.0)).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_are_no_longer_than_they_can_be_after_the_clock_was_set_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let (store, db) = (&test.store, test.store.write());
    let webhook = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    let holds = [None, Some(HoldReason::Paused), Some(HoldReason::Breaker)];
    let new = holds.iter().flat_map(|hold| (0..7).map(|_| NewDelivery { hold: *hold, ..rows::delivery(webhook) }));
    rows::start(db, new.collect(), NOW.after(HOUR)).await;
    // Each seven deliveries are two without an attempt, a first retry, a late one, one that the receiver asked to wait,
    // one that is due, and one that is due soon.
    let changes = [
        (2, "attempts = 1, status_code = 500"),
        (3, "attempts = 9"),
        (4, "attempts = 1, status_code = 503"),
        (5, "next_attempt_at = 999999"),
        (6, "attempts = 2, next_attempt_at = 1004000"),
    ];
    for (number, change) in changes {
        let sql = format!("UPDATE delivery SET {change} WHERE (id - 1) % 7 = {number}");
        db.execute_unprepared(&sql).await.expect("changed");
    }
    for _ in 0..2 {
        set_back::correct(store, || NOW, Duration::ZERO).await.expect("corrected");
        let one = [0, 0, 5_500, 990_000, 3_600_000, -1, 4_000].map(Some);
        assert_eq!(due_times(store).await, [one, one, one].concat());
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_due_time_of_a_large_backlog_is_corrected(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let (store, db) = (&test.store, test.store.write());
    let webhook = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    rows::start(db, (0..500).map(|_| rows::delivery(webhook)).collect(), NOW.after(HOUR)).await;
    // Retries stay in the future, and the correction passes them by.
    db.execute_unprepared("UPDATE delivery SET attempts = 1 WHERE id % 2 = 0").await.expect("changed");
    set_back::correct(store, || NOW, Duration::ZERO).await.expect("corrected");
    assert_eq!(due_times(store).await, [Some(0), Some(5_500)].repeat(250));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaker_lease_and_release_begin_anew_after_the_clock_was_set_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let (store, db) = (&test.store, test.store.write());
    let ids = [
        rows::webhook(db, "opened later", "http://127.0.0.1:9/").await,
        rows::webhook(db, "opened before", "http://127.0.0.1:9/").await,
    ];
    let later = NOW.after(HOUR);
    for (id, since) in [(ids[0], later), (ids[1], Timestamp(1))] {
        let open = Open { since, wait: Duration::from_mins(1), probe_at: later, is_probing: false };
        let breaker = Breaker { failures: 10, open: Some(open), is_hanging: false };
        hold::save_breaker(db, id.into(), &breaker).await.expect("opened");
    }
    rows::start(db, vec![rows::delivery(ids[0])], NOW).await;
    let sql = format!(
        "UPDATE destination SET release_per_second = 1, released_at = {0}; \
         UPDATE delivery SET status = 'running', next_attempt_at = NULL, lease_until = {0}",
        later.0
    );
    db.execute_unprepared(&sql).await.expect("far ahead");
    set_back::correct(store, || NOW, Duration::from_secs(10)).await.expect("corrected");
    for (id, since) in [(ids[0], NOW), (ids[1], Timestamp(1))] {
        let state = webhook::find(store.read(), id).await.expect("read").expect("there").hold;
        let open = state.breaker.open.expect("open");
        assert_eq!((open.since, open.probe_at), (since, NOW.after(Duration::from_mins(1))));
    }
    let destinations = entity::destination::Entity::find().all(store.read()).await.expect("read");
    assert!(destinations.iter().all(|row| row.released_at == Some(NOW.0) || row.release_per_second.is_none()));
    let leased = entity::delivery::Entity::find_by_id(1).one(store.read()).await.expect("read").expect("there");
    assert_eq!(leased.lease_until, Some(NOW.0 + 130_000), "the longest timeout and the margin");
}

/// A leased delivery was due when it was claimed, whatever the clock said.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_that_returns_after_the_clock_was_set_back_does_not_wait_for_as_long_as_it_was_ahead(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let (store, owner) = (&test.store, new_uuid(NOW));
    let webhook = rows::webhook(store.write(), "w", "http://127.0.0.1:9/").await;
    let ahead = NOW.after(HOUR);
    rows::start(store.write(), vec![rows::delivery(webhook), rows::delivery(webhook)], ahead).await;
    let plan = [(webhook.into(), 2)];
    let claimed = claim::claim(store.write(), owner, ahead, ahead.after(HOUR), &plan).await.expect("claimed");
    assert_eq!(claimed.len(), 2);
    let returned = [(lease::Returned { due: None, until: claimed[0].lease_until() }, vec![claimed[0].id()])].into();
    lease::give_back(store.write(), owner, &returned, NOW).await.expect("returned");
    let none = || Some(HashSet::new());
    assert_eq!(lease::give_back_unknown(store.write(), NOW, owner, none).await.expect("returned"), Some(1));
    assert_eq!(claim::next_due(store.read()).await.expect("asked"), Some(NOW));
    assert_eq!(claim::claim(store.write(), owner, NOW, ahead, &plan).await.expect("claimed").len(), 2);
}

/// The response to the commit that gives a delivery back may be lost, so that the record is made again, and later than
/// the next claim.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_that_is_sent_again_is_not_given_back_by_the_record_of_its_last_claim(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let (db, owner) = (test.store.write(), new_uuid(NOW));
    let webhook = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    rows::start(db, vec![rows::delivery(webhook)], NOW).await;
    let plan = [(webhook.into(), 1)];
    let claim = async |now: Timestamp| {
        claim::claim(db, owner, now, now.after(HOUR), &plan).await.expect("claimed").pop().expect("one")
    };
    let first = claim(NOW).await;
    let returned = [(lease::Returned { due: None, until: first.lease_until() }, vec![first.id()])].into();
    lease::give_back(db, owner, &returned, NOW).await.expect("returned");
    claim(NOW.after(Duration::from_millis(1))).await;
    lease::give_back(db, owner, &returned, NOW).await.expect("returned");
    let row = entity::delivery::Entity::find_by_id(1).one(test.store.read()).await.expect("read").expect("there");
    assert_eq!((row.status.as_str(), row.claims), ("running", 1));
}

/// A dead node takes its share of the limits until it has been silent for five seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_died_before_the_clock_was_set_back_does_not_count_for_as_long_as_it_was_ahead() {
    let test = TestStore::postgres().await;
    let (dead, here) = (new_uuid(Timestamp(1)), new_uuid(Timestamp(2)));
    node::beat(test.store.write(), dead, NOW.after(HOUR)).await.expect("noted");
    set_back::correct(&test.store, || NOW, Duration::ZERO).await.expect("corrected");
    let later = NOW.after(Duration::from_secs(6));
    assert_eq!(node::beat(test.store.write(), here, later).await.expect("noted").count, 1);
}
