//! Wake-ups between the nodes on one PostgreSQL: a NOTIFY in the transaction that queues, a connection of its own that
//! listens. Polling stays the floor: a lost wake-up costs a second, never a delivery.

use super::{Result, Store};
use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, DbBackend};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const CHANNEL: &str = "hookwright_due";
/// How long to wait before listening again after the database was away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Wakes every node when this transaction commits. One for each group: commits with a NOTIFY wait for each other.
pub async fn notify(db: &impl ConnectionTrait) -> Result<()> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("NOTIFY {CHANNEL}")).await?;
    }
    Ok(())
}

/// Rings `bell` whenever another node has queued something, until `stop` is cancelled. Returns at once on SQLite.
pub async fn run(store: Store, bell: Arc<Notify>, stop: CancellationToken) {
    if !store.is_postgres() {
        return;
    }
    while !stop.is_cancelled() {
        let listening = listen(&store, &bell);
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
            () = tokio::time::sleep(PATIENCE) => {}
        }
    }
}

async fn listen(store: &Store, bell: &Notify) -> std::result::Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(store.write().get_postgres_connection_pool()).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // None: the connection was lost and is back; something may have been missed.
        listener.try_recv().await?;
        bell.notify_one();
    }
}
