//! A turn as the one writer of the embedded database. What most groups write needs no transaction of the query library:
//! the statements begin and end one themselves, and are sent in a call or two. Each call switches threads twice, and that
//! is much of the time of a small group.

use super::{Error, Result, Store};
use futures_util::{FutureExt, TryStreamExt};
use sea_orm::{DbErr, RuntimeErr, Value};
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Either, Executor, Sqlite};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The connection that writes, for one group.
#[derive(Debug)]
pub struct Turn(PoolConnection<Sqlite>);

/// Statements that are sent in one call.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// The statements, separated by semicolons. Their parameters have no numbers.
    pub(super) sql: String,
    /// The values of all parameters.
    pub(super) values: Vec<Value>,
}

impl Call {
    /// Joins statements with the first call after them.
    pub(super) fn with(mut self, calls: Vec<Self>) -> Vec<Self> {
        let mut calls = calls.into_iter();
        if let Some(Self { sql, values }) = calls.next() {
            self.sql = self.sql + "; " + &sql;
            self.values.extend(values);
        }
        [self].into_iter().chain(calls).collect()
    }
}

impl Store {
    /// Waits for a turn. `None` on PostgreSQL, which has many writers.
    pub async fn turn(&self) -> Result<Option<Turn>> {
        if self.is_postgres() {
            return Ok(None);
        }
        let acquired = async { self.writer.get_sqlite_connection_pool().acquire().await.map_err(failed) };
        Ok(Some(Turn(self.in_time(acquired).await?)))
    }
}

impl Turn {
    /// Makes these calls in a transaction.
    pub(super) async fn write(self, calls: Vec<Call>) -> Result<()> {
        self.keep(Vec::new(), |_| calls).await.map(drop)
    }

    /// Makes calls in a transaction: `first`, and then those that `then` returns for the id of the row that was inserted
    /// last. Returns the id of the last row of all. `None` where the first call returns no row: nothing is stored then.
    pub(super) async fn write_if(
        self,
        first: Vec<Call>,
        then: impl FnOnce(i64) -> Vec<Call> + Send + 'static,
    ) -> Result<Option<i64>> {
        self.keep(first, then).await
    }

    /// Makes the calls in a task of their own: the transaction ends, whatever becomes of the caller. Nothing else could
    /// end it, since the query library does not know of it.
    async fn keep(self, first: Vec<Call>, then: impl FnOnce(i64) -> Vec<Call> + Send + 'static) -> Result<Option<i64>> {
        let Self(mut connection) = self;
        let task = tokio::spawn(async move {
            let made = AssertUnwindSafe(make_all(&mut connection, first, then)).catch_unwind().await;
            let done = made.unwrap_or_else(|_| Err(interrupted()));
            let has_ended = matches!(done, Ok(Some(_))) || connection.execute("ROLLBACK").await.is_ok();
            if !has_ended {
                // Some errors end the transaction, so that there was nothing to roll back. Nothing is left of a closed
                // connection in any case.
                connection.close_on_drop();
            }
            done
        });
        task.await.unwrap_or_else(|_| Err(interrupted()))
    }
}

async fn make_all(
    connection: &mut SqliteConnection,
    mut first: Vec<Call>,
    then: impl FnOnce(i64) -> Vec<Call>,
) -> Result<Option<i64>> {
    let mut last_id = 0;
    let needs_row = !first.is_empty();
    begin(&mut first);
    for (number, call) in first.into_iter().enumerate() {
        let has_row;
        (has_row, last_id) = make(connection, call).await.map_err(failed)?;
        if number == 0 && !has_row {
            return Ok(None);
        }
    }
    let mut calls = then(last_id);
    if !needs_row {
        begin(&mut calls);
    }
    commit(&mut calls);
    for call in calls {
        (_, last_id) = make(connection, call).await.map_err(failed)?;
    }
    Ok(Some(last_id))
}

fn begin(calls: &mut [Call]) {
    if let Some(call) = calls.first_mut() {
        call.sql.insert_str(0, "BEGIN IMMEDIATE; ");
    }
}

fn commit(calls: &mut Vec<Call>) {
    match calls.last_mut() {
        Some(call) => call.sql += "; COMMIT",
        None => calls.push(Call { sql: "COMMIT".to_owned(), values: Vec::new() }),
    }
}

/// Makes a call. Returns true where it returns a row, and the id of the row that was inserted last.
async fn make(connection: &mut SqliteConnection, Call { sql, values }: Call) -> sqlx::Result<(bool, i64)> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        add(&mut arguments, value).map_err(sqlx::Error::Encode)?;
    }
    let mut results = connection.fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments));
    let (mut has_row, mut last_id) = (false, 0);
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(done) => last_id = done.last_insert_rowid(),
            Either::Right(_) => has_row = true,
        }
    }
    Ok((has_row, last_id))
}

fn add(arguments: &mut SqliteArguments, value: Value) -> std::result::Result<(), BoxDynError> {
    match value {
        Value::BigInt(number) => arguments.add(number),
        Value::Bool(is_true) => arguments.add(is_true),
        Value::String(text) => arguments.add(text),
        Value::Bytes(bytes) => arguments.add(bytes),
        Value::Uuid(uuid) => arguments.add(uuid),
        other => Err(format!("no column holds {other:?}").into()),
    }
}

/// Returns the error of a transaction that panicked.
fn interrupted() -> Error {
    Error::Other(DbErr::Custom("a transaction was interrupted".to_owned()))
}

fn failed(error: sqlx::Error) -> Error {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error))).into()
}
