//! Looks that an idle server does not repeat.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestStore, eventually};
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use server::store::connect::SQLITE_FILE;
use server::store::look::LastLook;
use server::store::{listen, setting};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const NOW: Timestamp = Timestamp(1_000_000_000);

/// The write-ahead log.
struct Log(PathBuf);

impl Log {
    /// Returns the log, as old as it is after some idle minutes.
    fn of(test: &TestStore) -> Self {
        let log = Self(test.dir.path().join(format!("{SQLITE_FILE}-wal")));
        log.write_at(Timestamp(NOW.0 - 60_000));
        log
    }

    /// Sets the time at which the log was written.
    fn write_at(&self, at: Timestamp) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs());
        std::fs::File::open(&self.0).expect("a log").set_modified(time).expect("set");
    }
}

#[tokio::test]
async fn look_is_repeated_after_a_write_by_any_process() {
    let test = TestStore::sqlite().await;
    let (log, mut last) = (Log::of(&test), LastLook::default());
    assert!(!last.is_current(&test.store, NOW), "the first look");
    assert!(last.is_current(&test.store, NOW));
    setting::put(test.store.write(), "a", "b").await.expect("written");
    log.write_at(Timestamp(NOW.0 - 1999));
    assert!(!last.is_current(&test.store, NOW));
    assert!(!last.is_current(&test.store, NOW), "a further write within the second might not show");
    assert!(!last.is_current(&test.store, Timestamp(NOW.0 + 1)), "the first look after the write has settled");
    assert!(last.is_current(&test.store, Timestamp(NOW.0 + 1)));
    let url = format!("sqlite://{}", test.dir.path().join(SQLITE_FILE).display());
    let other = sea_orm::Database::connect(url).await.expect("opens");
    other.execute_unprepared("DELETE FROM setting WHERE key = 'a'").await.expect("written");
    assert!(!last.is_current(&test.store, Timestamp(NOW.0 + 1)));
}

#[tokio::test]
async fn look_is_repeated_while_the_log_is_of_the_future_and_after_one_that_has_failed() {
    let test = TestStore::sqlite().await;
    let (log, mut last) = (Log::of(&test), LastLook::default());
    log.write_at(Timestamp(NOW.0 + 3_600_000));
    assert!(!last.is_current(&test.store, NOW));
    assert!(!last.is_current(&test.store, NOW), "the clock was set back");
    log.write_at(Timestamp(NOW.0 - 60_000));
    assert!(!last.is_current(&test.store, NOW));
    assert!(last.is_current(&test.store, NOW));
    assert!(!last.is_current(&test.store, Timestamp(NOW.0 - 1000)), "the clock was set back since the look");
    assert!(last.is_current(&test.store, NOW));
    last.forget();
    assert!(!last.is_current(&test.store, NOW));
}

#[rstest]
#[tokio::test]
async fn look_is_repeated_after_ten_seconds(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let mut last = LastLook::default();
    if let Sqlite = database {
        Log::of(&test);
    }
    assert!(!last.is_current(&test.store, NOW));
    let soon = Timestamp(NOW.0 + 9999);
    assert_eq!(last.is_current(&test.store, soon), !test.store.is_postgres(), "nobody listens to PostgreSQL");
    assert!(!last.is_current(&test.store, Timestamp(NOW.0 + 10_000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_is_repeated_after_a_notification_and_while_one_may_be_missed() {
    let test = TestStore::postgres().await;
    let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let listening = tokio::spawn(listen::run(test.store.clone(), wake.clone(), stop.clone()));
    let mut last = LastLook::default();
    eventually("the store listens", async || last.is_current(&test.store, NOW)).await;
    let txn = test.store.begin_change().await.expect("a change");
    assert!(last.is_current(&test.store, NOW), "not committed");
    test.store.commit(txn).await.expect("committed");
    eventually("the change is heard", async || !last.is_current(&test.store, NOW)).await;
    assert!(last.is_current(&test.store, NOW));
    // The connection is lost, and notifications in the meantime may be lost with it.
    let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    test.store.write().execute_unprepared(end).await.expect("ended");
    eventually("the loss is noticed", async || !last.is_current(&test.store, NOW)).await;
    stop.cancel();
    listening.await.expect("no panic");
}
