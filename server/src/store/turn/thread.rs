//! The thread of the turns, with its connection to the embedded database.

use super::along::{Made, Place};
use crate::store::connect::{BUSY_TIMEOUT, WRITER_CACHE};
use crate::store::{Error, Result};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags};
use sea_orm::{DbErr, Value, sea_query::Values};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The number of prepared statements that are cached: a group of each size has others.
const STATEMENTS_CACHED: usize = 200;

/// The work of a turn.
type Work = Box<dyn FnOnce(&mut Writer) + Send>;

/// The way to the thread. The thread ends with the last of them.
#[derive(Debug, Clone)]
pub(in crate::store) struct Turns {
    works: mpsc::Sender<Work>,
    pub(super) place: Place,
}

impl Turns {
    /// Starts the thread. `file` is opened by the first turn. With `is_logging`, the text of each statement is logged.
    pub(in crate::store) fn start(file: PathBuf, is_logging: bool) -> std::io::Result<Self> {
        let (works, waiting) = mpsc::channel::<Work>();
        let run = move || {
            let mut writer = Writer { file, is_logging, connection: None };
            for work in waiting {
                work(&mut writer);
            }
        };
        thread::Builder::new().name("turns".to_owned()).spawn(run)?;
        Ok(Self { works, place: Place::default() })
    }

    /// Runs `write` in a transaction. The transaction is committed where `write` returns a number and the caller still waits,
    /// and rolled back otherwise. `excludes` is held meanwhile. A record that waits goes along.
    pub(super) async fn run(
        &self,
        excludes: PoolConnection<Sqlite>,
        write: impl FnOnce(&Session<'_>) -> rusqlite::Result<Option<i64>> + Send + 'static,
    ) -> Result<Option<i64>> {
        let (respond, response) = oneshot::channel();
        let (runtime, place) = (Handle::current(), self.place.clone());
        let work = move |writer: &mut Writer| {
            let mut made: Option<Made> = None;
            let go_along = |session: &Session<'_>| {
                let Some((record, outcome)) = place.make(session) else { return Ok(()) };
                made = Some(record);
                outcome
            };
            let transact = || writer.transact(write, || !respond.is_closed(), go_along);
            let done = catch_unwind(AssertUnwindSafe(transact)).unwrap_or_else(|_| Err(Error::Other(interrupted())));
            writer.end();
            if let Some(made) = made {
                made.end(done.as_ref().map(|_| ()).map_err(Clone::clone));
            }
            if let Err((_, excludes)) = respond.send((done, excludes)) {
                // The caller waits no longer. A connection returns to its pool by a task.
                let _entered = runtime.enter();
                drop(excludes);
            }
        };
        self.works.send(Box::new(work)).map_err(|_| Error::Unavailable(interrupted()))?;
        let (done, _excludes) = response.await.map_err(|_| Error::Unavailable(interrupted()))?;
        done
    }

    /// Closes the connection. A later turn would open another one.
    pub(in crate::store) async fn close(&self) {
        let (respond, response) = oneshot::channel();
        let close = move |writer: &mut Writer| {
            writer.connection = None;
            // The caller may have run out of patience.
            let _ = respond.send(());
        };
        if self.works.send(Box::new(close)).is_ok() {
            let _ = response.await;
        }
    }
}

/// The error of a transaction that panicked, or that nobody waits for.
pub(super) fn interrupted() -> DbErr {
    DbErr::Custom("a transaction was interrupted".to_owned())
}

/// The state of the thread.
struct Writer {
    file: PathBuf,
    is_logging: bool,
    connection: Option<Connection>,
}

impl Writer {
    fn transact(
        &mut self,
        write: impl FnOnce(&Session<'_>) -> rusqlite::Result<Option<i64>>,
        is_waited_for: impl FnOnce() -> bool,
        go_along: impl FnOnce(&Session<'_>) -> Result<()>,
    ) -> Result<Option<i64>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open(&self.file)?),
        };
        let session = Session { connection, is_logging: self.is_logging };
        session.execute("BEGIN IMMEDIATE", None)?;
        let Some(id) = write(&session)? else { return Ok(None) };
        go_along(&session)?;
        // A caller that has run out of patience may have told a sender that nothing is stored. The record that goes along
        // is told that it is not made.
        if !is_waited_for() {
            return Err(Error::Unavailable(interrupted()));
        }
        session.execute("COMMIT", None)?;
        Ok(Some(id))
    }

    /// Rolls back a transaction that was not committed. Where that fails, closes the connection, of which nothing is left.
    fn end(&mut self) {
        let has_ended = |one: &Connection| one.is_autocommit() || one.execute_batch("ROLLBACK").is_ok();
        if !self.connection.as_ref().is_none_or(has_ended) {
            self.connection = None;
        }
    }
}

/// Opens the database as `connect` does for the other writer.
fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let pragmas = format!("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = {WRITER_CACHE}");
    connection.execute_batch(&pragmas)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(connection)
}

/// The connection, within a transaction.
pub(super) struct Session<'a> {
    connection: &'a Connection,
    is_logging: bool,
}

impl Session<'_> {
    /// Runs a statement that returns no rows.
    pub(super) fn execute(&self, sql: &str, values: Option<Values>) -> rusqlite::Result<()> {
        self.prepare(sql, values)?.raw_execute().map(drop)
    }

    /// Runs a query. Returns true where there is a row.
    pub(super) fn has_row(&self, sql: &str, values: Option<Values>) -> rusqlite::Result<bool> {
        Ok(self.prepare(sql, values)?.raw_query().next()?.is_some())
    }

    /// Does work of which nothing is left where it fails. Returns the outcome of the work.
    ///
    /// # Errors
    /// The rest of the transaction must not be committed: the work could not be undone, or its error has ended the whole
    /// transaction, as a full disk does.
    pub(super) fn apart(&self, work: impl FnOnce() -> rusqlite::Result<()>) -> Result<Result<()>> {
        self.execute("SAVEPOINT apart", None)?;
        let done = work().map_err(Error::from);
        if done.is_err() && self.execute("ROLLBACK TO apart", None).is_err() {
            return done.map(Ok);
        }
        self.execute("RELEASE apart", None)?;
        Ok(done)
    }

    /// Returns the id of the row that was inserted last.
    pub(super) fn last_id(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    fn prepare(&self, sql: &str, values: Option<Values>) -> rusqlite::Result<CachedStatement<'_>> {
        if self.is_logging {
            // As the other connections log their statements.
            tracing::event!(target: "sqlx::query", tracing::Level::INFO, db.statement = sql);
        }
        let mut statement = self.connection.prepare_cached(sql)?;
        for (value, number) in values.into_iter().flat_map(|values| values.0).zip(1..) {
            statement.raw_bind_parameter(number, ToSqlOutput::Borrowed(bound(&value)?))?;
        }
        Ok(statement)
    }
}

/// Returns a value as SQLite stores it.
///
/// # Errors
/// Fails for a type that no column of these statements has.
fn bound(value: &Value) -> rusqlite::Result<ValueRef<'_>> {
    Ok(match value {
        Value::BigInt(Some(number)) => ValueRef::Integer(*number),
        Value::Bool(Some(is_true)) => ValueRef::Integer((*is_true).into()),
        Value::String(Some(text)) => ValueRef::Text(text.as_bytes()),
        Value::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
        Value::Uuid(Some(uuid)) => ValueRef::Blob(uuid.as_bytes()),
        Value::BigInt(None) | Value::Bool(None) | Value::String(None) | Value::Bytes(None) | Value::Uuid(None) => {
            ValueRef::Null
        }
        _ => return Err(rusqlite::Error::ToSqlConversionFailure("a column of another type".into())),
    })
}
