//! The only code that builds queries, and the only code that knows there are two databases.
//!
//! One module per table (or few that belong together), each with functions over a connection or a transaction. On
//! SQLite there is one writer connection beside a pool of readers, and every transaction that may write begins
//! IMMEDIATE: a deferred one that upgrades fails at once when another writes. On PostgreSQL both are one pool.

pub mod access;
pub mod catalog;
pub mod claim;
pub mod connect;
pub mod delivery;
pub mod entity;
pub mod event;
pub mod figures;
mod group;
pub mod hold;
pub mod internal;
pub mod listen;
pub mod log;
pub mod object;
pub mod occurrence;
pub mod ready;
pub mod receipt;
pub mod retention;
pub mod revision;
pub mod search;
pub mod setting;
pub mod sweep;
pub mod tag;
pub mod task;
pub mod webhook;

use model::time::Timestamp;
use ready::LastCommit;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, FromQueryResult, RuntimeErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong with the database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A unique rule was broken: the constraint's name, or `table.column` where the database only says that.
    #[error("the value is already taken ({constraint})")]
    Conflict {
        /// Which rule.
        constraint: String,
    },
    /// Another row refers to this one.
    #[error("the row is in use")]
    InUse,
    /// The database cannot be reached or is busy.
    #[error("the database is unavailable")]
    Unavailable(#[source] DbErr),
    /// Anything else: a fault of ours.
    #[error("the database refused a statement")]
    Other(#[source] DbErr),
}

impl Error {
    /// Whether somebody else's change may be why, or two who waited for each other: what was done may succeed if it is
    /// done again from the start.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::InUse | Self::Unavailable(_))
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) {
            return Self::Unavailable(error);
        }
        let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = &error else {
            return Self::Other(error);
        };
        let Some(database) = inner.as_database_error() else {
            return if is_lost(inner) { Self::Unavailable(error) } else { Self::Other(error) };
        };
        if database.is_unique_violation() {
            // SQLite names the columns ("UNIQUE constraint failed: webhook.name"), PostgreSQL the constraint.
            let constraint =
                database.constraint().or_else(|| database.message().rsplit(": ").next()).unwrap_or_default().to_owned();
            return Self::Conflict { constraint };
        }
        if database.is_foreign_key_violation() {
            return Self::InUse;
        }
        let code = database.code().unwrap_or_default();
        let is_away = match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            Some(_) => is_postgres_away(&code),
            None => is_sqlite_away(&code),
        };
        if is_away { Self::Unavailable(error) } else { Self::Other(error) }
    }
}

/// Whether the connection was lost or could not be had. A value that cannot be decoded stays what it is however often it is
/// read.
fn is_lost(error: &sqlx::Error) -> bool {
    use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    matches!(error, Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed | BeginFailed)
}

/// Serialization failure, deadlock, read-only standby or database, a lock or a statement that took too long or was
/// cancelled; connection lost, disk or memory or connections used up, shutting down or starting, I/O failed.
fn is_postgres_away(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "25006" | "55P03" | "57014" | "25P02" | "25P03" | "25P04")
        || ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class))
}

/// BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN and PROTOCOL, each with what its extended codes add.
fn is_sqlite_away(code: &str) -> bool {
    code.parse::<i64>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14 | 15))
}

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// The database of one process.
#[derive(Debug, Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    /// The write-ahead log of the embedded database.
    log: Option<PathBuf>,
    last_commit: Arc<LastCommit>,
}

impl Store {
    /// For queries that change nothing.
    pub fn read(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For a single statement that changes something.
    pub fn write(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// A transaction that may write. Never held while waiting for the network. Ends with [`Store::commit`].
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.writer.begin_with_options(options).await?)
    }

    /// A transaction that changes what people configure: webhooks, tasks, events, types, tags, objects by hand. One after
    /// the other over all nodes, so that what one has checked no other changes before it has ended.
    pub async fn begin_change(&self) -> Result<DatabaseTransaction> {
        let txn = self.begin().await?;
        revision::take_turn(&txn).await?;
        Ok(txn)
    }

    /// Commits, and notes for the readiness probe how that went.
    ///
    /// # Errors
    /// The outcome is unknown when the database went away: the commit may have succeeded and only its answer be lost.
    #[expect(clippy::disallowed_methods, reason = "the one home of commits")]
    pub async fn commit(&self, txn: DatabaseTransaction) -> Result<()> {
        let done = txn.commit().await.map_err(Error::from);
        self.last_commit.note_failure(&done);
        done
    }

    /// Which database it is.
    pub fn is_postgres(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Postgres
    }

    /// What time it is by PostgreSQL's clock.
    ///
    /// # Errors
    /// On SQLite, which has no clock of its own.
    pub async fn now(&self) -> Result<Timestamp> {
        #[derive(FromQueryResult)]
        struct Now {
            now: i64,
        }
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
        let row = Now::find_by_statement(Statement::from_string(DbBackend::Postgres, sql)).one(&self.reader).await?;
        row.map(|row| Timestamp(row.now)).ok_or_else(|| Error::Other(DbErr::Custom("no time was answered".to_owned())))
    }

    /// Closes every connection, so that the embedded database is one file again. Waits for what is under way, but not
    /// for long: what a killed process leaves is as safe.
    pub async fn close(self) {
        let close = async {
            // The writer last: the last connection moves the log into the database and removes it.
            self.reader.close_by_ref().await?;
            if self.log.is_some()
                && let Err(error) = log::truncate(&self.writer).await
            {
                tracing::warn!(%error, "the database's log could not be emptied; nothing is lost");
            }
            self.writer.close_by_ref().await
        };
        match tokio::time::timeout(Duration::from_secs(2), close).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the database could not be closed; nothing is lost"),
            Err(_) => tracing::warn!("the database was still in use when the program ended; nothing is lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_passes_by_itself_is_away_and_what_never_will_is_not() {
        for code in ["40001", "40P01", "25006", "55P03", "57014", "08006", "53100", "53300", "57P01", "57P03", "58030"]
        {
            assert!(super::is_postgres_away(code), "{code}");
        }
        for code in ["23505", "22021", "42P01", ""] {
            assert!(!super::is_postgres_away(code), "{code}");
        }
        // SQLITE_BUSY, LOCKED, BUSY_SNAPSHOT, NOMEM, READONLY, IOERR_FSYNC, IOERR_NOMEM, FULL, CANTOPEN.
        for code in ["5", "6", "517", "7", "8", "1034", "3082", "13", "14"] {
            assert!(super::is_sqlite_away(code), "{code}");
        }
        // SQLITE_CONSTRAINT, CONSTRAINT_UNIQUE, ERROR.
        for code in ["19", "2067", "1", ""] {
            assert!(!super::is_sqlite_away(code), "{code}");
        }
    }
}
