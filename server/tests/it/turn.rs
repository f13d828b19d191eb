//! Turns of the embedded database's writer: their transactions are the server's own, and no library ends them.

use crate::harness::{TestStore, pause};
use crate::rows;
use model::delivery::{ErrorCode, Next, Outcome, Status};
use model::id::{DestinationId, OccurrenceId};
use model::run::Cause;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use server::store::current::{self, Unchanged};
use server::store::delivery::{self, Attempted, Lease, NewDelivery, Occurred, PlainRow, Settlement};
use server::store::run::NewRun;
use server::store::turn::Along;
use server::store::{self, Store, connect, revision};
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_writers_get_the_connection_that_a_turn_keeps_for_the_next() {
    let (test, webhook) = store().await;
    // `early` asked for the connection long ago. The other writers ask for it below.
    let early = test.store.write();
    for _ in 0..5 {
        pause().await;
    }
    for runs in 1..=3 {
        let group = occurred(&test.store, vec![rows::delivery(webhook)]).await;
        let turn = test.store.turn().await.expect("a turn").expect("SQLite");
        delivery::start_in_turn(turn, group, NOW).await.expect("started").expect("unchanged");
        if runs == 1 {
            early.execute_unprepared("UPDATE destination SET updated_at = updated_at").await.expect("written");
        } else {
            let txn = test.store.begin().await.expect("a transaction");
            test.store.commit(txn).await.expect("committed");
        }
        assert_eq!(stored(&test.store).await.len(), runs);
    }
    test.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turn_that_waits_is_not_overtaken_by_a_later_one() {
    let (test, webhook) = store().await;
    let group = occurred(&test.store, vec![rows::delivery(webhook)]).await;
    // After this wait, no other writer has asked lately.
    for _ in 0..5 {
        pause().await;
    }
    let first = test.store.turn().await.expect("a turn").expect("SQLite");
    let (mut second, mut third) = (Box::pin(test.store.turn()), Box::pin(test.store.turn()));
    assert!(std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx))).await.is_pending());
    delivery::start_in_turn(first, group, NOW).await.expect("started").expect("unchanged");
    assert!(std::future::poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx))).await.is_pending());
    drop(second.await.expect("a turn"));
    third.await.expect("a turn");
}

/// Records that go along with turns, about deliveries that earlier turns have leased.
struct Records {
    test: TestStore,
    webhook: DestinationId,
    owner: Uuid,
}

impl Records {
    async fn new() -> Self {
        let (test, webhook) = store().await;
        Self { test, webhook, owner: Uuid::from_u128(7) }
    }

    /// Starts a delivery in a turn, and returns the end of its attempt. `None` where the turn fails.
    async fn start(&self) -> store::Result<Settlement> {
        let lease =
            Lease { owner: self.owner, until: NOW.after(Duration::from_mins(1)), revision: 1, ends_task: false };
        let new = NewDelivery { lease: Some(lease), ..rows::delivery(self.webhook) };
        let group = occurred(&self.test.store, vec![new]).await;
        let turn = self.test.store.turn().await?.expect("SQLite");
        let mut started = delivery::start_in_turn(turn, group, NOW).await?.expect("unchanged");
        let failed = Attempted::failed(NOW, Duration::from_millis(1), ErrorCode::Internal, String::new());
        let sent = Attempted { outcome: Outcome::Sent, error: None, ..failed };
        Ok(Settlement::new(started.claimed.pop().expect("leased"), sent, Next::Settle(Status::Sent), 1))
    }

    fn record(&self, one: &Settlement) -> Option<Along<PlainRow>> {
        delivery::settle_along(&self.test.store, self.owner, vec![PlainRow::new(one, NOW)])
    }

    /// Returns the number of deliveries, of those that are sent with their run ended, and of attempts.
    async fn counts(&self) -> (i64, i64, i64) {
        let sql = "SELECT COUNT(*) AS number, (SELECT COUNT(*) FROM delivery d JOIN run r ON r.id = d.id \
                   WHERE d.status = 'sent' AND d.lease_owner IS NULL AND r.status = 'succeeded') AS sent, \
                   (SELECT COUNT(*) FROM attempt) AS attempts FROM delivery";
        let row = self.test.store.read().query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await;
        let row = row.expect("asked").expect("a row");
        let count = |name| row.try_get("", name).expect("a number");
        (count("number"), count("sent"), count("attempts"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_goes_along_with_the_next_turn() {
    let records = Records::new().await;
    let (one, other) = (records.start().await.expect("started"), records.start().await.expect("started"));
    let mut along = records.record(&one).expect("a place");
    assert!(records.record(&other).is_none(), "two records would go along");
    assert!(along.add(PlainRow::new(&other, NOW)).is_none());
    assert_eq!(records.counts().await, (2, 0, 0));
    let third = records.start().await.expect("started");
    along.made().await.expect("made");
    assert_eq!(records.counts().await, (3, 2, 2));
    assert!(!along.take_back() && along.add(PlainRow::new(&third, NOW)).is_some());
    // There is room for a record again, and a record that is taken back is not made.
    assert!(records.record(&third).expect("a place").take_back());
    drop(records.record(&third).expect("a place"));
    records.start().await.expect("started");
    assert_eq!(records.counts().await, (4, 2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_that_fails_does_not_prevent_the_turn() {
    let records = Records::new().await;
    let (one, refused) = (records.start().await.expect("started"), records.start().await.expect("started"));
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON attempt WHEN NEW.delivery_id = 2 \
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    records.test.store.write().execute_unprepared(refuse).await.expect("made");
    let mut along = records.record(&one).expect("a place");
    assert!(along.add(PlainRow::new(&refused, NOW)).is_none());
    records.start().await.expect("started");
    along.made().await.expect_err("an attempt is refused");
    assert_eq!(records.counts().await, (3, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_still_waits_after_a_turn_that_stores_nothing() {
    let records = Records::new().await;
    let one = records.start().await.expect("started");
    let mut along = records.record(&one).expect("a place");
    let group = occurred(&records.test.store, vec![rows::delivery(records.webhook)]).await;
    records.test.store.write().execute_unprepared("UPDATE destination SET paused_at = 1").await.expect("paused");
    let turn = records.test.store.turn().await.expect("a turn").expect("SQLite");
    assert!(delivery::start_in_turn(turn, group, NOW).await.expect("asked").is_none());
    assert_eq!(records.counts().await, (1, 0, 0));
    records.start().await.expect("started");
    along.made().await.expect("made");
    assert_eq!(records.counts().await, (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_is_not_made_along_with_a_turn_whose_caller_has_given_up() {
    let records = Records::new().await;
    let one = records.start().await.expect("started");
    let mut along = records.record(&one).expect("a place");
    let group = occurred(&records.test.store, vec![rows::delivery(records.webhook)]).await;
    // Another process writes, so that the turn has to wait.
    let other = connect::open_sqlite(records.test.dir.path()).await.expect("opened");
    let txn = other.begin().await.expect("a transaction");
    let turn = records.test.store.turn().await.expect("a turn").expect("SQLite");
    let mut start = Box::pin(delivery::start_in_turn(turn, group, NOW));
    assert!(std::future::poll_fn(|cx| Poll::Ready(start.as_mut().poll(cx))).await.is_pending());
    drop(start);
    other.commit(txn).await.expect("committed");
    along.made().await.expect_err("nobody waits for the turn");
    assert_eq!(records.counts().await, (1, 0, 0));
}

/// The disk fills up with the record. What the turn stores still fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_that_fills_the_disk_does_not_prevent_the_turn() {
    let records = Records::new().await;
    let mut one = records.start().await.expect("started");
    one.attempted.response_body = vec![b'x'; 1 << 20];
    let sql = Statement::from_string(DbBackend::Sqlite, "SELECT page_count FROM pragma_page_count");
    let row = records.test.store.read().query_one_raw(sql).await.expect("asked").expect("a row");
    let count: i64 = row.try_get("", "page_count").expect("a number");
    let most = u32::try_from(count).expect("small") + 20;
    let turn = records.test.store.turn().await.expect("a turn").expect("SQLite");
    turn.limit_pages(most).await.expect("limited");
    let mut along = records.record(&one).expect("a place");
    let started = records.start().await;
    along.made().await.expect_err("the disk is full");
    started.expect("the record leaves nothing");
    assert_eq!(records.counts().await, (2, 0, 0));
    let turn = records.test.store.turn().await.expect("a turn").expect("SQLite");
    turn.limit_pages(u32::MAX).await.expect("unlimited");
    let mut along = records.record(&one).expect("a place");
    records.start().await.expect("started");
    along.made().await.expect("made");
    assert_eq!(records.counts().await, (3, 1, 1));
}
