//! The figures of the dashboard are counted once, and not anew by each look.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::TestStore;
use crate::rows;
use model::id::DestinationId;
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use server::service::dashboard::settled::{HOURS, Settled, SettledCounts};
use server::store::Store;
use std::task::Poll;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Half past an hour.
const NOW: Timestamp = Timestamp(500_000 * HOUR + 30 * MINUTE);

/// Adds a delivery that was settled with this status this long before `NOW`.
async fn settle(store: &Store, webhook: DestinationId, status: &str, before: i64) {
    rows::start(store.write(), vec![rows::delivery(webhook)], NOW).await;
    let sql = format!(
        "UPDATE delivery SET status = '{status}', next_attempt_at = NULL, settled_at = {} WHERE settled_at IS NULL",
        NOW.0 - before
    );
    store.write().execute_unprepared(&sql).await.expect("settled");
}

/// Returns the hours with settled deliveries: the number of hours before the last one, and the numbers of deliveries
/// that were sent and that failed.
fn by_hour(hours: &[Settled; HOURS]) -> Vec<(usize, u64, u64)> {
    let of = |(ago, hour): (usize, &Settled)| (*hour != Settled::default()).then_some((ago, hour.sent, hour.failed));
    hours.iter().rev().enumerate().filter_map(of).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settled_deliveries_are_counted_once_in_an_hour(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let store = &test.store;
    let webhook = rows::webhook(store.write(), "w", "http://127.0.0.1:9/").await.into();
    let mut counts = SettledCounts::default();
    let mut look =
        async |after: i64| by_hour(&counts.count(store.pages(), Timestamp(NOW.0 + after)).await.expect("counted"));
    assert_eq!(look(0).await, []);
    for (status, before) in [
        ("sent", 0),
        ("sent", 30 * MINUTE),
        ("discarded", 30 * MINUTE + 1),
        ("error", 5 * HOUR),
        ("sent", 23 * HOUR + 30 * MINUTE),
        ("sent", 23 * HOUR + 30 * MINUTE + 1),
    ] {
        settle(store, webhook, status, before).await;
    }
    assert_eq!(look(0).await, [(0, 1, 0)], "the others were settled before what was counted");
    assert_eq!(look(-2 * MINUTE).await, [(0, 2, 0), (1, 0, 1), (5, 0, 1), (23, 1, 0)], "a clock that is set back");
    assert_eq!(look(0).await, [(0, 2, 0), (1, 0, 1), (5, 0, 1), (23, 1, 0)]);
    settle(store, webhook, "error", -4 * MINUTE).await;
    assert_eq!(look(6 * MINUTE).await, [(0, 2, 1), (1, 0, 1), (5, 0, 1), (23, 1, 0)]);
    store.write().execute_unprepared("DELETE FROM delivery").await.expect("deleted");
    settle(store, webhook, "sent", -7 * MINUTE).await;
    assert_eq!(look(9 * MINUTE).await, [(0, 3, 1), (1, 0, 1), (5, 0, 1), (23, 1, 0)], "remembered");
    assert_eq!(look(31 * MINUTE).await, [(1, 1, 0)], "counted anew in a new hour");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn count_that_is_cut_off_goes_on_where_it_was(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let webhook = rows::webhook(test.store.write(), "w", "http://127.0.0.1:9/").await.into();
    settle(&test.store, webhook, "sent", 23 * HOUR).await;
    settle(&test.store, webhook, "sent", 2 * HOUR).await;
    let mut counts = SettledCounts::default();
    // Each look is cut off one wait later than the one before. A look that begins anew needs a wait for each of the
    // hours.
    for waits in 1..HOURS {
        let mut count = std::pin::pin!(counts.count(test.store.pages(), NOW));
        let mut waited = 0;
        let done = std::future::poll_fn(|context| match count.as_mut().poll(context) {
            Poll::Ready(hours) => Poll::Ready(Some(hours)),
            Poll::Pending if waited == waits => Poll::Ready(None),
            Poll::Pending => {
                waited += 1;
                Poll::Pending
            }
        });
        if let Some(hours) = done.await {
            assert!(waits > 1, "nothing was cut off");
            assert_eq!(by_hour(&hours.expect("counted")), [(2, 1, 0), (23, 1, 0)]);
            return;
        }
    }
    panic!("each look began anew");
}
