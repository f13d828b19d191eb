//! The embedded database's write-ahead log: kept short, so that it neither fills the disk nor slows reading.
//!
//! SQLite starts its log anew only at a moment when nobody reads from it, and under steady reading that moment never
//! comes by itself. So the log is emptied from time to time by the writer's own connection, which nobody else uses
//! meanwhile; a checkpoint from elsewhere would have writers sleep and try again. It must not wait long for readers: only
//! when the log is very long are pages kept waiting until it is empty, and never the engine.

use super::connect::{PAGE_READERS, SEARCHERS};
use super::{Error, Result, Store};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use sqlx::Executor;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The time between two looks at the size.
const EVERY: Duration = Duration::from_secs(1);
/// How long the writer is waited for; then the next look tries again.
const PATIENCE: Duration = Duration::from_millis(500);
/// A log of this size in bytes is emptied if nobody reads from it right now.
const LONG: u64 = 16 << 20;
/// From this size on, new queries of pages wait until it is empty.
const TOO_LONG: u64 = 48 << 20;

/// Keeps the log short, until `stop` is cancelled. Returns at once on PostgreSQL.
pub async fn run(store: Store, stop: CancellationToken) {
    while store.log.is_some() && !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = store.shorten_log().await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "the database's log cannot be emptied");
        }
    }
}

impl Store {
    /// The log's size in bytes; 0 where there is none.
    fn log_size(&self) -> u64 {
        self.log.as_ref().and_then(|file| file.metadata().ok()).map(|data| data.len()).unwrap_or_default()
    }

    /// Empties the log if it is long.
    pub async fn shorten_log(&self) -> Result<()> {
        let size = self.log_size();
        if size < LONG {
            return Ok(());
        }
        if size < TOO_LONG {
            return truncate(&self.writer).await.map_err(unavailable);
        }
        // Pages wait meanwhile, since theirs are the queries that last; those of the engine are short. What is under way
        // ends within some seconds.
        let mut taken = Vec::new();
        for (connection, count) in [(&self.pages, PAGE_READERS), (&self.searches, SEARCHERS)] {
            for _ in 0..count {
                taken.push(connection.get_sqlite_connection_pool().acquire().await.map_err(unavailable)?);
            }
        }
        truncate(&self.writer).await.map_err(unavailable)
    }
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}

/// Moves the log into the database and empties it; gives up soon where somebody reads an older state from it.
pub(super) async fn truncate(writer: &DatabaseConnection) -> std::result::Result<(), sqlx::Error> {
    // The holder of the writer may wait for a reader, and this may hold all of them: not for long.
    let acquired = tokio::time::timeout(PATIENCE, writer.get_sqlite_connection_pool().acquire()).await;
    let Ok(connection) = acquired else { return Ok(()) };
    let mut connection = connection?;
    connection.execute("PRAGMA busy_timeout = 15").await?;
    let done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    // As `connect` has set it.
    connection.execute("PRAGMA busy_timeout = 10000").await?;
    done.map(drop)
}
