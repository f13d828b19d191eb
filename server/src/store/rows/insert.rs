//! Inserting rows: many by one statement.

use super::{Columns, insert_sql, split, statements};
use crate::store::Result;
use model::number::to_i64;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};
use std::ops::RangeInclusive;

/// Inserts rows into two tables of SQLite, and returns their ids: both rows of a pair have the same id. Both tables get
/// their rows in one call, since each call switches threads twice.
pub(in crate::store) async fn insert_pairs<const N: usize, const M: usize>(
    db: &impl ConnectionTrait,
    one: (&str, &Columns<N>),
    other: (&str, &Columns<M>),
    rows: Vec<([Value; N], [Value; M])>,
) -> Result<Vec<i64>> {
    let mut ids = Vec::with_capacity(rows.len());
    for pairs in split(rows) {
        let count = to_i64(pairs.len());
        let done = db.execute_raw(pair_of_statements(one, other, pairs)).await?;
        if done.rows_affected() != 2 * count.unsigned_abs() {
            return Err(DbErr::RecordNotInserted.into());
        }
        ids.extend(last_ids(i64::try_from(done.last_insert_id()).unwrap_or_default(), count));
    }
    Ok(ids)
}

fn pair_of_statements<const N: usize, const M: usize>(
    (table, columns): (&str, &Columns<N>),
    (other, other_columns): (&str, &Columns<M>),
    pairs: Vec<([Value; N], [Value; M])>,
) -> Statement {
    let count = to_i64(pairs.len());
    let (rows, other_rows): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let mut values = Vec::with_capacity(rows.len() * (N + M + 1));
    let sql = insert_sql(false, table, columns, rows, &mut values);
    // SQLite has one writer, so the new rows have the highest ids, without gaps.
    let row = format!("((SELECT MAX(id) FROM {table}) - ?,{})", ["?"; M].join(","));
    let names = other_columns.map(|(name, _)| name).join(", ");
    let other_values = vec![row.as_str(); other_rows.len()].join(",");
    for (place, row) in (1..).zip(other_rows) {
        values.push(Value::from(count - place));
        values.extend(row);
    }
    let sql = format!("{sql}; INSERT INTO {other} (id, {names}) VALUES {other_values}");
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
}

/// Returns the ids of the `count` rows that were inserted last into SQLite.
pub(in crate::store) fn last_ids(last: i64, count: i64) -> RangeInclusive<i64> {
    last - count + 1..=last
}

/// Inserts rows. `rest` is the rest of the statement, such as what happens at a conflict. Returns how many were
/// written.
pub(in crate::store) async fn insert<const N: usize>(
    db: &impl ConnectionTrait,
    table: &str,
    columns: &Columns<N>,
    rows: Vec<[Value; N]>,
    rest: &str,
) -> Result<u64> {
    let backend = db.get_database_backend();
    let mut written = 0;
    for rows in statements(db, rows) {
        let mut values = Vec::with_capacity(rows.len() * N);
        let sql = insert_sql(backend == DbBackend::Postgres, table, columns, rows, &mut values) + rest;
        written += db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?.rows_affected();
    }
    Ok(written)
}

/// Inserts rows and returns their ids, in the order of the rows: both databases number the rows of a statement upwards.
pub(in crate::store) async fn insert_for_ids<const N: usize>(
    db: &impl ConnectionTrait,
    table: &str,
    columns: &Columns<N>,
    rows: Vec<[Value; N]>,
) -> Result<Vec<i64>> {
    let backend = db.get_database_backend();
    let mut ids = Vec::with_capacity(rows.len());
    for rows in statements(db, rows) {
        let count = to_i64(rows.len());
        let mut values = Vec::with_capacity(rows.len() * N);
        let sql = insert_sql(backend == DbBackend::Postgres, table, columns, rows, &mut values);
        if backend == DbBackend::Postgres {
            let statement = Statement::from_sql_and_values(backend, sql + " RETURNING id", values);
            ids.extend(read_ids(db, statement).await?);
        } else {
            // SQLite has one writer, so the ids have no gaps, and all follow from the last one. If the statement
            // returned rows, each would switch threads.
            let done = db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            let last = i64::try_from(done.last_insert_id()).unwrap_or_default();
            if done.rows_affected() != count.unsigned_abs() {
                return Err(DbErr::RecordNotInserted.into());
            }
            ids.extend(last_ids(last, count));
        }
    }
    Ok(ids)
}

/// Returns the ids that a statement returns, sorted.
pub(in crate::store) async fn read_ids(db: &impl ConnectionTrait, statement: Statement) -> Result<Vec<i64>> {
    #[derive(FromQueryResult)]
    struct Id {
        id: i64,
    }
    let mut ids: Vec<_> = Id::find_by_statement(statement).all(db).await?.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    Ok(ids)
}
