//! Wakes between the nodes on one PostgreSQL: a `NOTIFY` in each transaction that queues a delivery or changes the
//! configuration, and a connection that listens. The dispatcher looks once a second anyway, so a lost wake costs a
//! second, never a delivery.

use super::{Result, Store};
use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, DbBackend};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(super) const CHANNEL: &str = "hookwright_due";
/// The wait before listening again after the database was away.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The silence after which the connection is tested: a host that has vanished closes no connection.
const SILENT: Duration = Duration::from_secs(5);
/// The time limit of a test.
const RESPONDS_IN: Duration = Duration::from_secs(2);

/// The notifications that this process has heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    count: AtomicU64,
    is_listening: AtomicBool,
}

impl Heard {
    /// Returns the number of notifications. `None` while one may be missed.
    pub(super) fn count(&self) -> Option<u64> {
        let count = self.count.load(Ordering::SeqCst);
        self.is_listening.load(Ordering::SeqCst).then_some(count)
    }

    fn note(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Wakes every node when this transaction commits. Called once for a group, since commits with a `NOTIFY` wait for each
/// other.
pub async fn notify(db: &impl ConnectionTrait) -> Result<()> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("NOTIFY {CHANNEL}")).await?;
    }
    Ok(())
}

/// Notifies `wake` whenever a node has queued a delivery or changed the configuration, until `stop` is cancelled.
/// Returns at once on SQLite.
pub async fn run(store: Store, wake: Arc<Notify>, stop: CancellationToken) {
    if !store.is_postgres() {
        return;
    }
    while !stop.is_cancelled() {
        let listening = listen(&store, &wake);
        tokio::select! {
            () = stop.cancelled() => return,
            result = listening => {
                store.heard.is_listening.store(false, Ordering::SeqCst);
                if let Err(error) = result {
                    tracing::warn!(%error, "cannot listen for other nodes; looking once a second instead");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_AFTER) => {}
        }
    }
}

async fn listen(store: &Store, wake: &Notify) -> std::result::Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(store.write().get_postgres_connection_pool()).await?;
    // Otherwise a lost connection could go unnoticed: the library would reconnect within a wait that is then abandoned.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    store.heard.is_listening.store(true, Ordering::SeqCst);
    loop {
        // The first wake follows at once, since one may have been missed before.
        store.heard.note();
        wake.notify_one();
        while !heard(&mut listener).await? {}
    }
}

/// Waits for a notification. Returns false after a silence in which the connection was tested.
async fn heard(listener: &mut PgListener) -> std::result::Result<bool, sqlx::Error> {
    let lost = |kind: ErrorKind| sqlx::Error::from(std::io::Error::from(kind));
    if let Ok(received) = tokio::time::timeout(SILENT, listener.try_recv()).await {
        return received?.map(|_| true).ok_or_else(|| lost(ErrorKind::ConnectionReset));
    }
    let test = sqlx::query("SELECT 1").execute(listener);
    tokio::time::timeout(RESPONDS_IN, test).await.unwrap_or_else(|_| Err(lost(ErrorKind::TimedOut)))?;
    Ok(false)
}
