//! The store: the only code that builds queries, and the only code that knows that there are two databases.
//!
//! There is one module per table, or for a few tables that belong together, with functions over a connection or a
//! transaction. The embedded database (SQLite) is a file of one server; PostgreSQL is shared by any number of nodes.
//!
//! # Connections
//!
//! * [`Store::write`] and [`Store::begin`] write: one connection on SQLite, a pool of 9 on PostgreSQL, of which one
//!   listens (`listen`).
//! * [`Store::autocommit`] is for the statements of each occurrence and each attempt that commit themselves: 3 more
//!   connections on PostgreSQL. The pool is small because each connection is a process with caches of its own. On
//!   SQLite a [`Store::turn`] has one more connection for them, used only while the turn holds the writing one.
//! * [`Store::read`] reads for the engine, the API and sessions: 3 connections on SQLite, the same pool on PostgreSQL.
//! * [`Store::pages`] reads for the pages: 2 connections, each query limited to 5 s. [`Store::searches`] has one more
//!   for searches that no index serves. So the engine never waits for pages. On SQLite the threads of both have a lower
//!   priority.
//!
//! # Transactions
//!
//! A transaction that may write begins IMMEDIATE on SQLite, since a deferred one that begins to write fails at once
//! while another transaction writes. PostgreSQL reads committed rows. [`Store::begin_change`] is for changes of the
//! configuration. No transaction is open while the server waits for the network, and those of the engine time out after
//! 40 s ([`Store::in_time`]). [`Store::commit`] returns when the commit is on disk. A crash leaves nothing of an open
//! transaction: SQLite ignores it in its log when the file is opened again, PostgreSQL rolls it back.
//!
//! When the database goes away during a commit, the outcome of the commit is unknown. The intake then looks up its
//! first occurrence, and the dispatcher its attempts and the leases that it does not know. A person is told to reload.
//! Steps (`arrange`, `sweep`, `retention`) depend on the rows alone and are simply repeated.
//!
//! # Lock order
//!
//! On PostgreSQL a transaction takes the locks that it needs in this order and holds them until it ends. The comment
//! "Takes lock 3 of 9" marks each place. On SQLite the one writer makes these locks unnecessary.
//!
//! 1. Changes: the advisory lock of the configuration (`revision`). A transaction may take it more than once.
//! 2. Internal events: the row that the intake deletes.
//! 3. Object names: 64 advisory locks for each type (`object`), by type and number.
//! 4. Destinations: rows, by id.
//! 5. Deliveries: rows of the locked destinations or of a worker's own leases, with their attempts.
//! 6. Runs: rows.
//! 7. Tasks, events and schedules with their triggers: rows.
//! 8. Objects and tags: rows.
//! 9. Receipts, then unknown kinds: rows.
//!
//! A claim takes no lock that another node could wait for: it picks deliveries with `SKIP LOCKED`.
//!
//! Foreign keys lock the rows that they refer to against deletion only. Rows of one statement are locked in no certain
//! order. PostgreSQL ends a deadlock after a second with an error that [`Error::is_passing`]; the engine tries again.
//! Two rare paths rely on that, since they learn late that a task ends, and take lock 1 after others: a claim that
//! finds a damaged row, and a sweep whose destination is deleted between its listing and its visit.

pub mod access;
pub mod arrange;
pub mod catalog;
pub mod choice;
pub mod claim;
pub mod connect;
pub mod current;
pub mod delivery;
pub mod destination;
pub mod entity;
mod error;
pub mod event;
pub mod figures;
mod group;
pub mod hold;
pub mod internal;
pub mod lease;
pub mod listen;
pub mod log;
pub mod look;
pub mod mailer;
pub mod node;
pub mod object;
pub mod occurrence;
pub mod ready;
pub mod receipt;
pub mod retention;
pub mod revision;
mod rows;
pub mod run;
pub mod schedule;
pub mod search;
mod searching;
pub mod set_back;
pub mod setting;
pub mod steps;
pub mod suspect;
pub mod sweep;
pub mod tag;
pub mod task;
pub mod trigger;
pub mod turn;
pub mod webhook;
mod window;

pub use error::{Error, Result};

use model::time::Timestamp;
use ready::LastCommit;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait, FromQueryResult,
    QueryResult, QueryTrait, Select, SelectTwo, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The database of one process.
#[derive(Debug, Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    /// For statements that commit themselves. On SQLite this is `writer`.
    autocommit: DatabaseConnection,
    /// A second writer, on SQLite.
    turns: Option<turn::Turns>,
    /// Separate connections, so that the engine does not wait for queries of pages.
    pages: DatabaseConnection,
    /// One more connection, for queries that read whole tables.
    searches: DatabaseConnection,
    search_queue: searching::SearchQueue,
    /// The file of the embedded database's write-ahead log.
    log: Option<PathBuf>,
    /// The notifications of PostgreSQL.
    heard: Arc<listen::Heard>,
    last_commit: Arc<LastCommit>,
    /// The time limit of a transaction, after which the database counts as unavailable.
    pub patience: Duration,
}

impl Store {
    /// Returns the connections for queries of the engine, the API and sessions: short ones, each by index.
    pub fn read(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Returns the connections for pages. They are few, and a query times out after some seconds ([`Error::is_late`]).
    pub fn pages(&self) -> &DatabaseConnection {
        &self.pages
    }

    /// Returns the connection for searches, which is used within [`Store::search`]. Queries time out as on
    /// [`Store::pages`].
    pub fn searches(&self) -> &DatabaseConnection {
        &self.searches
    }

    /// Returns the connection for a single statement that writes.
    ///
    /// Makes the turns return the connection to its pool, so that the caller gets it at once.
    pub fn write(&self) -> &DatabaseConnection {
        self.want_writer();
        &self.writer
    }

    /// Returns the connections for the statements of the intake and the dispatcher that need no transaction (PostgreSQL).
    pub fn autocommit(&self) -> &DatabaseConnection {
        self.want_writer();
        &self.autocommit
    }

    /// Begins a transaction that may write. It ends with [`Store::commit`], and is never held while waiting for the
    /// network.
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let _waiting = self.wait_for_writer();
        self.in_time(async { Ok(self.writer.begin_with_options(options).await?) }).await
    }

    /// Begins a transaction that waits for a lock for a second at most (PostgreSQL): for a part of a group that was
    /// blocked before.
    pub async fn begin_impatient(&self) -> Result<DatabaseTransaction> {
        let txn = self.begin().await?;
        if self.is_postgres() {
            txn.execute_unprepared("SET LOCAL lock_timeout = '1s'").await?;
        }
        Ok(txn)
    }

    /// Runs the work of a transaction within the time limit. When a host has vanished, the connection itself would
    /// notice only after a quarter of an hour.
    ///
    /// # Errors
    /// Fails when the time limit is over. Where the work contains a commit, its outcome is unknown then.
    pub async fn in_time<T, E: From<Error>>(
        &self,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        tokio::time::timeout(self.patience, work).await.unwrap_or_else(|_| Err(Error::out_of_time().into()))
    }

    /// Begins a transaction that changes the configuration: webhooks, tasks, events, schedules, types, tags, objects by
    /// hand. There is one such transaction at a time over all nodes, so that its checks stay true until it ends.
    ///
    /// Takes lock 1 of 9.
    pub async fn begin_change(&self) -> Result<DatabaseTransaction> {
        let txn = self.begin().await?;
        revision::lock_changes(&txn).await?;
        listen::notify(&txn).await?;
        Ok(txn)
    }

    /// Commits, and notes the outcome for the readiness probe.
    ///
    /// # Errors
    /// The outcome is unknown when the database went away ([`Error::Unavailable`]): the commit may have succeeded, and
    /// only its response may be lost.
    #[expect(clippy::disallowed_methods, reason = "the one home of commits")]
    pub async fn commit(&self, txn: DatabaseTransaction) -> Result<()> {
        let done = self.in_time(async { Ok(txn.commit().await?) }).await;
        self.last_commit.note_failure(&done);
        done
    }

    /// Runs a statement that commits itself, or a turn, and notes the outcome like [`Store::commit`].
    ///
    /// # Errors
    /// The outcome is unknown when the database went away.
    pub async fn alone<T>(&self, statement: impl Future<Output = Result<T>>) -> Result<T> {
        let done = self.in_time(statement).await;
        self.last_commit.note_failure(&done);
        done
    }

    /// Returns true on PostgreSQL, and false on SQLite.
    pub fn is_postgres(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Postgres
    }

    /// Returns the time by PostgreSQL's clock.
    ///
    /// # Errors
    /// Fails on SQLite, which has no clock.
    pub async fn now(&self) -> Result<Timestamp> {
        #[derive(FromQueryResult)]
        struct Now {
            now: i64,
        }
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
        let row = Now::find_by_statement(Statement::from_string(DbBackend::Postgres, sql)).one(&self.reader).await?;
        row.map(|row| Timestamp(row.now)).ok_or_else(|| Error::Other(DbErr::Custom("no time was returned".to_owned())))
    }

    /// Closes every connection, so that the embedded database is one file again. Waits at most two seconds for running
    /// queries: the files are just as safe if the process is killed.
    pub async fn close(self) {
        let close = async {
            // Moves most of the log, also while connections still read from it.
            if self.log.is_some() {
                let _ = log::truncate(self.write()).await;
            }
            // The writer is closed last: the last connection moves the log into the database and removes it.
            self.searches.close_by_ref().await?;
            self.pages.close_by_ref().await?;
            self.reader.close_by_ref().await?;
            if self.is_postgres() {
                self.autocommit.close_by_ref().await?;
            }
            if let Some(turns) = &self.turns {
                turns.close().await;
            }
            if self.log.is_some()
                && let Err(error) = log::truncate(self.write()).await
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

/// Returns the rows of a query. A row with a value that does not fit its column, which only a change by hand can have
/// written, is logged and left out, so that the others can be read.
async fn readable<E: EntityTrait>(db: &impl ConnectionTrait, query: Select<E>) -> Result<Vec<E::Model>> {
    let rows = db.query_all_raw(query.build(db.get_database_backend())).await?;
    Ok(rows.iter().filter_map(|row| read::<E>(row, "")).collect())
}

/// Returns the rows of a query over two tables, like [`readable`].
async fn readable_pairs<E: EntityTrait, F: EntityTrait>(
    db: &impl ConnectionTrait,
    query: SelectTwo<E, F>,
) -> Result<Vec<(E::Model, F::Model)>> {
    let rows = db.query_all_raw(query.build(db.get_database_backend())).await?;
    Ok(rows.iter().filter_map(|row| read::<E>(row, "A_").zip(read::<F>(row, "B_"))).collect())
}

fn read<E: EntityTrait>(row: &QueryResult, prefix: &str) -> Option<E::Model> {
    let model = E::Model::from_query_result(row, prefix).ok();
    if model.is_none() {
        let id: Option<i64> = row.try_get(prefix, "id").ok();
        tracing::error!(table = E::default().table_name(), id, "a row cannot be read and is left out");
    }
    model
}
