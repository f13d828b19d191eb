//! Turns of the embedded database's writer: their transactions are the server's own, and no library ends them.

use crate::harness::TestStore;
use crate::rows;
use model::id::{DestinationId, OccurrenceId};
use model::run::Cause;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use server::store::current::{self, Unchanged};
use server::store::delivery::{self, NewDelivery, Occurred};
use server::store::run::NewRun;
use server::store::{Store, connect, revision};
use std::task::Poll;

const NOW: Timestamp = Timestamp(1_000_000_000);

/// Returns occurrences that queue these deliveries, one each, while nothing has changed since now.
async fn occurred(store: &Store, deliveries: Vec<NewDelivery>) -> Occurred {
    let webhook = deliveries[0].destination_id;
    let now = current::read(store.read(), &[], &[webhook]).await.expect("read");
    let run = |place| NewRun {
        task_id: None,
        task_name: "t".into(),
        cause: Cause::Occurrence(Some(OccurrenceId(place))),
        event_ids: Vec::new(),
    };
    Occurred {
        occurrences: deliveries.iter().map(|_| rows::occurrence()).collect(),
        receipts: Vec::new(),
        new: (1..).map(run).zip(deliveries).collect(),
        has_queued: true,
        unchanged: Some(Unchanged {
            mark: revision::newest(store.read()).await.expect("asked"),
            keys: Vec::new(),
            destinations: now.destinations.into_iter().map(|(id, now)| (id, now.text)).collect(),
            objects: Vec::new(),
            new: Vec::new(),
        }),
    }
}

/// Returns each run with its delivery, and its place among the occurrences.
async fn stored(store: &Store) -> Vec<(i64, i64)> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        place: i64,
    }
    let sql = "SELECT r.id, o.id - (SELECT MIN(id) FROM occurrence) AS place FROM run r JOIN delivery d ON d.id = r.id \
               JOIN occurrence o ON o.id = r.occurrence_id ORDER BY r.id";
    let rows = Row::find_by_statement(Statement::from_string(DbBackend::Sqlite, sql)).all(store.read()).await;
    rows.expect("listed").into_iter().map(|row| (row.id, row.place)).collect()
}

async fn store() -> (TestStore, DestinationId) {
    let test = TestStore::sqlite().await;
    let webhook = rows::webhook(test.store.write(), "w", "http://127.0.0.1:9/").await;
    (test, webhook.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_a_turn_is_stored_whole_whatever_its_size() {
    let (test, webhook) = store().await;
    for count in [1, 2, 17, 150] {
        let before = stored(&test.store).await.len();
        let group = occurred(&test.store, (0..count).map(|_| rows::delivery(webhook)).collect()).await;
        let turn = test.store.turn().await.expect("a turn").expect("SQLite");
        let started = delivery::start_in_turn(turn, group, NOW).await.expect("started").expect("unchanged");
        let now = stored(&test.store).await;
        assert_eq!(
            started.runs.iter().map(|run| run.0).collect::<Vec<_>>(),
            now[before..].iter().map(|(id, _)| *id).collect::<Vec<_>>()
        );
        assert_eq!(now.len(), before + count);
        assert!(now.iter().zip(0..).all(|((_, place), expected)| *place == expected), "{now:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_a_turn_that_fails_leaves_nothing_and_the_next_one_is_stored() {
    let (test, webhook) = store().await;
    let one = rows::delivery(webhook);
    let twice = occurred(&test.store, vec![one.clone(), one]).await;
    let turn = test.store.turn().await.expect("a turn").expect("SQLite");
    delivery::start_in_turn(turn, twice, NOW).await.expect_err("two of one id");
    assert_eq!(stored(&test.store).await, []);
    for runs in 1..=2 {
        let group = occurred(&test.store, vec![rows::delivery(webhook)]).await;
        let turn = test.store.turn().await.expect("a turn").expect("SQLite");
        delivery::start_in_turn(turn, group, NOW).await.expect("started").expect("unchanged");
        assert_eq!(stored(&test.store).await.len(), runs);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_a_turn_is_not_stored_once_the_state_has_changed() {
    let (test, webhook) = store().await;
    let group = occurred(&test.store, vec![rows::delivery(webhook)]).await;
    test.store.write().execute_unprepared("UPDATE destination SET paused_at = 1").await.expect("paused");
    let turn = test.store.turn().await.expect("a turn").expect("SQLite");
    assert!(delivery::start_in_turn(turn, group, NOW).await.expect("asked").is_none());
    // The writer is free, and nothing is left of the group.
    let txn = test.store.begin().await.expect("a transaction");
    test.store.commit(txn).await.expect("committed");
    assert_eq!(stored(&test.store).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_of_a_turn_is_not_stored_after_its_caller_has_given_up() {
    let (test, webhook) = store().await;
    let group = occurred(&test.store, vec![rows::delivery(webhook)]).await;
    // Another process writes, so that the turn has to wait.
    let other = connect::open_sqlite(test.dir.path()).await.expect("opened");
    let txn = other.begin().await.expect("a transaction");
    let turn = test.store.turn().await.expect("a turn").expect("SQLite");
    let mut start = Box::pin(delivery::start_in_turn(turn, group, NOW));
    assert!(std::future::poll_fn(|cx| Poll::Ready(start.as_mut().poll(cx))).await.is_pending());
    drop(start);
    other.commit(txn).await.expect("committed");
    let txn = test.store.begin().await.expect("the turn is over");
    test.store.commit(txn).await.expect("committed");
    assert_eq!(stored(&test.store).await, []);
}
