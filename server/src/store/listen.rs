//! Wakes between the nodes on one PostgreSQL: a `NOTIFY` in the transaction that queues, and a connection that listens.
//! The dispatcher looks once a second anyway, so a lost wake costs a second, never a delivery.

use super::{Result, Store};
use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, DbBackend};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(super) const CHANNEL: &str = "hookwright_due";
/// The wait before listening again after the database was away.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Wakes every node when this transaction commits. Called once for a group, since commits with a `NOTIFY` wait for each
/// other.
pub async fn notify(db: &impl ConnectionTrait) -> Result<()> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("NOTIFY {CHANNEL}")).await?;
    }
    Ok(())
}

/// Notifies `wake` whenever a node has queued a delivery, until `stop` is cancelled. Returns at once on SQLite.
pub async fn run(store: Store, wake: Arc<Notify>, stop: CancellationToken) {
    if !store.is_postgres() {
        return;
    }
    while !stop.is_cancelled() {
        let listening = listen(&store, &wake);
        tokio::select! {
            () = stop.cancelled() => return,
            result = listening => {
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
    listener.listen(CHANNEL).await?;
    loop {
        // `None` means that the connection was lost and is back: a wake may have been missed.
        listener.try_recv().await?;
        wake.notify_one();
    }
}
