//! Waiting for a condition, and transactions that others wait for.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};
use server::store::Store;
use std::time::Duration;

/// Waits 25 ms between two looks at a condition. Tests sleep nowhere else.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(25)).await;
}

/// Waits until the condition is true, and panics with its description when it takes too long.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if is_so().await {
            return;
        }
        pause().await;
    }
    panic!("this never happened: {what}");
}

/// Begins a transaction that a test may hold for as long as it needs. The store's own sessions end a transaction that
/// is idle for ten seconds.
pub(crate) async fn begin_holding(store: &Store) -> DatabaseTransaction {
    let txn = store.begin().await.expect("a transaction");
    if store.is_postgres() {
        txn.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0").await.expect("set");
    }
    txn
}

/// Waits until a session waits for a lock in this PostgreSQL database.
pub(crate) async fn until_lock_is_awaited(store: &Store) {
    eventually("a session waits for a lock", async || {
        let sql = "SELECT COUNT(*) AS waiting FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
        let row = store.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        row.expect("asked").expect("a row").try_get::<i64>("", "waiting").expect("a number") > 0
    })
    .await;
}
