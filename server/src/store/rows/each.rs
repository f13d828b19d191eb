//! Statements of SQLite for one row each, so that any number of rows has one text. A statement for many rows would be
//! parsed for each number of rows, and SQLite copies each page that such a statement changes, to be able to undo a part
//! of it.

use super::Columns;
use sea_orm::Value;

/// A statement for one row, and the rows to run it for.
#[derive(Debug)]
pub(in crate::store) struct RowStatement {
    sql: String,
    /// The number of values of a row, at least one.
    width: usize,
    /// The values, row by row.
    values: Vec<Value>,
}

impl RowStatement {
    /// Returns a statement whose parameters, without numbers, are the values of a row.
    pub(in crate::store) fn new<R: IntoIterator<Item = Value>>(sql: String, rows: impl Iterator<Item = R>) -> Self {
        let (mut values, mut width) = (Vec::new(), 1);
        for row in rows {
            let before = values.len();
            values.extend(row);
            width = values.len() - before;
        }
        Self { sql, width, values }
    }

    /// Returns the insertion of rows.
    pub(in crate::store) fn insert<const N: usize>(table: &str, columns: &Columns<N>, rows: Vec<[Value; N]>) -> Self {
        let names = columns.map(|(name, _)| name).join(", ");
        Self::new(format!("INSERT INTO {table} ({names}) VALUES ({})", ["?"; N].join(",")), rows.into_iter())
    }

    /// Returns the insertion of rows with their ids. There must be as many ids as rows.
    pub(in crate::store) fn insert_with_ids<const N: usize>(
        table: &str,
        columns: &Columns<N>,
        ids: impl Iterator<Item = i64>,
        rows: Vec<[Value; N]>,
    ) -> Self {
        let names = columns.map(|(name, _)| name).join(", ");
        let sql = format!("INSERT INTO {table} (id, {names}) VALUES (?,{})", ["?"; N].join(","));
        Self::new(sql, ids.zip(rows).map(|(id, row)| [id.into()].into_iter().chain(row)))
    }

    /// Returns true where there is no row.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the text.
    pub(in crate::store) fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the values of each row.
    pub(in crate::store) fn rows(&self) -> impl Iterator<Item = &[Value]> {
        self.values.chunks(self.width)
    }
}
