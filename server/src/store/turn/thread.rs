//! The thread of the turns, with its connection to the embedded database.

use super::along::{Made, Place};
use super::spare::SpareConnection;
use crate::store::connect::{BUSY_TIMEOUT, WRITER_CACHE};
use crate::store::rows::RowStatement;
use crate::store::{Error, Result};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags};
use sea_orm::{DbErr, Statement, Value};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The number of prepared statements that are cached: the conditions of groups differ by the number of their keys,
/// destinations and objects.
const STATEMENTS_CACHED: usize = 200;

/// The work of a turn.
type Work = Box<dyn FnOnce(&mut Writer) + Send>;

/// A handle of the thread. The thread ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(in crate::store) struct Turns {
    works: mpsc::Sender<Work>,
    pub(super) place: Place,
    pub(super) spare: SpareConnection,
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
        Ok(Self { works, place: Place::default(), spare: SpareConnection::default() })
    }

    /// Runs `write` in a transaction if `condition` returns a row, and returns the result of `write`. The transaction
    /// is committed if the caller still waits, and rolled back otherwise. `excludes` is held meanwhile. A waiting
    /// record goes along.
    pub(super) async fn run(
        &self,
        excludes: PoolConnection<Sqlite>,
        condition: Option<Statement>,
        write: impl FnOnce(&Session<'_>) -> rusqlite::Result<i64> + Send + 'static,
    ) -> Result<Option<i64>> {
        let (respond, response) = oneshot::channel();
        let (runtime, place) = (Handle::current(), self.place.clone());
        let work = move |writer: &mut Writer| {
            let mut made: Option<Made> = None;
            let go_along = |session: &Session<'_>| {
                made = place.make(session);
                made.as_ref().is_none_or(|made| !made.has_failed())
            };
            let transact = || writer.transact(condition.as_ref(), go_along, write, || !respond.is_closed());
            let done = catch_unwind(AssertUnwindSafe(transact)).unwrap_or_else(|_| Err(Error::Other(interrupted())));
            writer.end();
            if let Some(made) = made {
                made.end(done.as_ref().map(|_| ()).map_err(Clone::clone));
            }
            if let Err((_, excludes)) = respond.send((done, excludes)) {
                // The caller no longer waits. Returning a connection to its pool spawns a task.
                let _entered = runtime.enter();
                drop(excludes);
            }
        };
        self.works.send(Box::new(work)).map_err(|_| Error::Unavailable(interrupted()))?;
        let (done, excludes) = response.await.map_err(|_| Error::Unavailable(interrupted()))?;
        self.spare.keep(excludes);
        done
    }

    /// Closes the connection of the thread, and returns the library's connection to its pool. A later turn would open a
    /// new one.
    pub(in crate::store) async fn close(&self) {
        self.spare.want();
        let (respond, response) = oneshot::channel();
        let close = move |writer: &mut Writer| {
            writer.connection = None;
            // The caller may have stopped waiting.
            let _ = respond.send(());
        };
        if self.works.send(Box::new(close)).is_ok() {
            let _ = response.await;
        }
    }
}

/// The error of a transaction that panicked, or whose caller has stopped waiting.
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
        condition: Option<&Statement>,
        go_along: impl FnOnce(&Session<'_>) -> bool,
        write: impl FnOnce(&Session<'_>) -> rusqlite::Result<i64>,
        is_waited_for: impl FnOnce() -> bool,
    ) -> Result<Option<i64>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open(&self.file)?),
        };
        let session = Session { connection, is_logging: self.is_logging };
        if !session.begin(condition)? {
            return Ok(None);
        }
        if !go_along(&session) {
            // The transaction may contain a part of the failed record.
            session.roll_back()?;
            if !session.begin(condition)? {
                return Ok(None);
            }
        }
        let id = write(&session)?;
        // A caller that has stopped waiting may have told a sender that nothing is stored. The record that goes along
        // is reported as not made.
        if !is_waited_for() {
            return Err(Error::Unavailable(interrupted()));
        }
        session.execute("COMMIT")?;
        Ok(Some(id))
    }

    /// Rolls back a transaction that was not committed. If that fails, closes the connection, which discards the
    /// transaction.
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
pub(in crate::store) struct Session<'a> {
    connection: &'a Connection,
    is_logging: bool,
}

impl Session<'_> {
    /// Begins the transaction. Returns true where `condition` returns a row.
    fn begin(&self, condition: Option<&Statement>) -> rusqlite::Result<bool> {
        self.execute("BEGIN IMMEDIATE")?;
        condition.map_or(Ok(true), |one| self.has_row(&one.sql, one.values.as_ref().map_or(&[], |values| &values.0)))
    }

    /// Rolls the transaction back. Some errors, such as a full disk, have already ended it.
    fn roll_back(&self) -> rusqlite::Result<()> {
        if self.connection.is_autocommit() { Ok(()) } else { self.execute("ROLLBACK") }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.prepare(sql)?.raw_execute().map(drop)
    }

    /// Runs statements that return no rows.
    pub(in crate::store) fn write_all(
        &self,
        statements: impl IntoIterator<Item = RowStatement>,
    ) -> rusqlite::Result<()> {
        statements.into_iter().try_for_each(|one| self.write(&one))
    }

    /// Runs a statement for each of its rows.
    pub(in crate::store) fn write(&self, statement: &RowStatement) -> rusqlite::Result<()> {
        if statement.is_empty() {
            return Ok(());
        }
        let mut prepared = self.prepare(statement.sql())?;
        for row in statement.rows() {
            bind(&mut prepared, row)?;
            prepared.raw_execute()?;
        }
        Ok(())
    }

    /// Runs a query. Returns true where there is a row.
    pub(super) fn has_row(&self, sql: &str, values: &[Value]) -> rusqlite::Result<bool> {
        let mut prepared = self.prepare(sql)?;
        bind(&mut prepared, values)?;
        Ok(prepared.raw_query().next()?.is_some())
    }

    /// Returns the id of the row that was inserted last.
    pub(in crate::store) fn last_id(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        if self.is_logging {
            // The other connections log their statements in the same form.
            tracing::event!(target: "sqlx::query", tracing::Level::INFO, db.statement = sql);
        }
        self.connection.prepare_cached(sql)
    }
}

fn bind(prepared: &mut CachedStatement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for (value, number) in values.iter().zip(1..) {
        prepared.raw_bind_parameter(number, ToSqlOutput::Borrowed(bound(value)?))?;
    }
    Ok(())
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
