//! The only code that builds queries, and the only code that knows there are two databases.
//!
//! One module per table (or few that belong together), each with functions over a connection or a transaction. On
//! SQLite there is one writer connection beside a pool of readers, and every transaction that may write begins
//! IMMEDIATE: a deferred one that upgrades fails at once when another writes. On PostgreSQL both are one pool.

pub mod access;
pub mod arrange;
pub mod catalog;
pub mod choice;
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
mod searching;
pub mod setting;
pub mod steps;
pub mod sweep;
pub mod tag;
pub mod task;
pub mod webhook;

use model::time::Timestamp;
use ready::LastCommit;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait, FromQueryResult,
    QueryResult, QueryTrait, RuntimeErr, Select, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
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

    /// Whether the database is there, and a statement waited too long for a lock or took too long: what the statement is
    /// about may be why, and a part of the rows may be free.
    pub fn is_blocked(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        database_error(error)
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| matches!(&*code, "55P03" | "57014"))
    }

    /// Whether a query was given up because it took too long, or waited too long for a connection.
    pub fn is_late(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        // SQLITE_INTERRUPT.
        let is_interrupted =
            database_error(error).and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "9");
        is_interrupted || self.is_blocked() || matches!(error, DbErr::ConnectionAcquire(_))
    }

    /// The database has not answered in time, as when its host has vanished.
    fn out_of_time() -> Self {
        Self::Unavailable(DbErr::Custom("the database has not answered in time".to_owned()))
    }
}

/// What the database itself said, if that is what went wrong.
fn database_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = error else {
        return None;
    };
    inner.as_database_error()
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

/// The rows of a query. One with a value of another type than its column's, which only a hand can have written, is left
/// out and said: it must not keep the others from being read.
async fn readable<E: EntityTrait>(db: &impl ConnectionTrait, query: Select<E>) -> Result<Vec<E::Model>> {
    let rows = db.query_all_raw(query.build(db.get_database_backend())).await?;
    let read = |row: QueryResult| match E::Model::from_query_result(&row, "") {
        Ok(model) => Some(model),
        Err(_) => {
            let id: Option<i64> = row.try_get("", "id").ok();
            tracing::error!(table = E::default().table_name(), id, "a row cannot be read and is left out");
            None
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
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

/// BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN and PROTOCOL, each with what its extended codes add.
fn is_sqlite_away(code: &str) -> bool {
    code.parse::<i64>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 9 | 10 | 13 | 14 | 15))
}

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// The database of one process.
#[derive(Debug, Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    /// Connections of their own: whatever pages ask for, the engine does not wait for it.
    pages: DatabaseConnection,
    /// Fewer still, for what reads much.
    searches: DatabaseConnection,
    turns: searching::Turns,
    /// The write-ahead log of the embedded database.
    log: Option<PathBuf>,
    last_commit: Arc<LastCommit>,
    /// How long a transaction may take before the database counts as gone.
    pub patience: Duration,
}

impl Store {
    /// For queries of the engine and the API, and of who is signed in. They are short, each by index.
    pub fn read(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For what people look at: few connections, and each query is given up after some seconds ([`Error::is_late`]).
    pub fn pages(&self) -> &DatabaseConnection {
        &self.pages
    }

    /// As [`Store::pages`], within [`Store::search`].
    pub fn searches(&self) -> &DatabaseConnection {
        &self.searches
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
        self.in_time(async { Ok(self.writer.begin_with_options(options).await?) }).await
    }

    /// The same for a part of something that was blocked before: it does not wait for locks for long.
    pub async fn begin_impatient(&self) -> Result<DatabaseTransaction> {
        let txn = self.begin().await?;
        if self.is_postgres() {
            txn.execute_unprepared("SET LOCAL lock_timeout = '1s'").await?;
        }
        Ok(txn)
    }

    /// Has a transaction end with an error when the database does not answer any more, as when its host has vanished:
    /// the connection itself would notice after a quarter of an hour. Where the work contains a commit, its outcome is
    /// unknown then.
    pub async fn in_time<T, E: From<Error>>(
        &self,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        tokio::time::timeout(self.patience, work).await.unwrap_or_else(|_| Err(Error::out_of_time().into()))
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
        let done = self.in_time(async { Ok(txn.commit().await?) }).await;
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
            // Most of it, whatever is still reading.
            if self.log.is_some() {
                let _ = log::truncate(&self.writer).await;
            }
            // The writer last: the last connection moves the log into the database and removes it.
            self.searches.close_by_ref().await?;
            self.pages.close_by_ref().await?;
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
