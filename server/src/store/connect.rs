//! Opens a database, and brings its schema up to date. The connections of a store are described in `store`.

mod postgres;
mod sqlite;

pub use postgres::{open_postgres, open_postgres_logging};
pub(super) use sqlite::{BUSY_TIMEOUT, WRITER_CACHE};
pub use sqlite::{SQLITE_FILE, open_sqlite, open_sqlite_logging};

use super::{Result, Store};
use migrations::Migrator;
use sea_orm::{ConnectionTrait, DbErr, RuntimeErr, SqlxPostgresConnector, TransactionTrait};
use sea_orm_migration::MigratorTrait;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::time::Duration;

/// The advisory lock that keeps two processes from migrating one PostgreSQL at once: "hookwrig" in ASCII. It is the
/// only lock of its transaction, so it is not in the lock order.
const MIGRATION_LOCK: i64 = 0x686f_6f6b_7772_6967;

/// The number of prepared statements that a connection caches: each size of a group has a statement of its own.
const STATEMENTS_CACHED: usize = 400;

/// The connections for pages, on both databases. They are few, so that a core is left for deliveries however many
/// people look at pages.
pub(super) const PAGE_READERS: u32 = 2;
/// The connections for searches, on both databases.
pub(super) const SEARCHERS: u32 = 1;

/// The time limit of a query of a page, and of its wait for a connection.
pub(super) const PAGE_PATIENCE: Duration = Duration::from_secs(5);
/// The time limit of a transaction: longer than that of a statement.
const PATIENCE: Duration = Duration::from_secs(40);

/// Runs every missing migration, one process at a time.
#[expect(clippy::disallowed_methods, reason = "the lock's transaction writes nothing")]
pub async fn migrate(store: &Store) -> Result<()> {
    if !store.is_postgres() {
        return Ok(Migrator::up(store.write(), None).await?);
    }
    // Separate connections without time limits: a migration of a large table may take long.
    let options = store.write().get_postgres_connection_pool().connect_options();
    let unlimited =
        ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"].map(|name| (name, "0"));
    let pool = PgPoolOptions::new().max_connections(2).connect_with((*options).clone().options(unlimited)).await;
    let pool = pool.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    // A separate transaction holds the lock, which is released when the transaction ends, also when this process dies.
    let lock = connection.begin().await?;
    lock.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
    Migrator::up(&connection, None).await?;
    lock.commit().await?;
    Ok(connection.close().await?)
}

/// Returns true when a migration is missing.
pub async fn is_outdated(store: &Store) -> Result<bool> {
    // This needs the writer, since the library creates the table of migrations if there is none.
    Ok(!Migrator::get_pending_migrations(store.write()).await?.is_empty())
}
