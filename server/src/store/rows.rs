//! Rows that are written together, since most of the cost of a write is the number of its statements, not its commit.
//!
//! PostgreSQL takes the rows column by column, each column as one array, so any number of rows has one SQL text and one
//! plan. A single row has a text of its own, which spares the parsing of 80 arrays: at a few occurrences a second most
//! groups are a single row. SQLite takes `VALUES`, whose text differs for each number of rows, and the statement cache
//! holds a few hundred texts. So small groups, the usual ones, have a text for each size, and larger groups are
//! composed of a few sizes. The largest stays far below SQLite's 32,766 bind parameters. A turn of the embedded
//! database has no switch of threads for each statement, and runs a statement for each row instead ([`RowStatement`]).

mod each;
mod insert;

pub(super) use each::RowStatement;
pub(super) use insert::{insert, insert_for_ids, insert_pairs, last_ids, read_ids};

use sea_orm::{ConnectionTrait, DbBackend, Value};
use std::fmt::Write;

/// The largest group that has a statement of its own size.
const SMALL: usize = 16;
/// The sizes that larger groups are composed of.
const LARGE: [usize; 4] = [100, 64, 32, SMALL];

/// The columns of rows, each with its type on PostgreSQL.
pub(super) type Columns<const N: usize> = [(&'static str, &'static str); N];

/// The type of ids, instants and numbers.
pub(super) const INT: &str = "BIGINT";
/// The type of texts.
pub(super) const TEXT: &str = "TEXT";
/// The type of bytes.
pub(super) const BYTES: &str = "BYTEA";
/// The type of public ids.
pub(super) const UUID: &str = "UUID";

/// Splits rows into groups that SQLite writes with a statement each. Keeps the order.
pub(super) fn split<T>(rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let left = rows.len();
        let size = if left <= SMALL { left } else { LARGE.into_iter().find(|size| *size <= left).unwrap_or(SMALL) };
        // Groups are made one at a time, so that the caller drops each before the next one is made.
        let group: Vec<_> = rows.by_ref().take(size).collect();
        (!group.is_empty()).then_some(group)
    })
}

/// Splits rows into groups that are a statement each.
pub(super) fn statements<T>(db: &impl ConnectionTrait, rows: Vec<T>) -> Vec<Vec<T>> {
    match db.get_database_backend() {
        DbBackend::Postgres if rows.is_empty() => Vec::new(),
        DbBackend::Postgres => vec![rows],
        _ => split(rows).collect(),
    }
}

/// Returns `VALUES` of rows for SQLite, and adds them to `values`. The parameters have no numbers: SQLite would look up
/// the name of each among all of them.
fn sqlite_values<const N: usize>(rows: Vec<[Value; N]>, values: &mut Vec<Value>) -> String {
    let row = format!("({})", ["?"; N].join(","));
    let source = format!("VALUES {}", vec![row; rows.len()].join(","));
    values.extend(rows.into_iter().flatten());
    source
}

/// Returns rows as a table `v` of PostgreSQL, and adds their values to `values`. With `has_place`, the last column,
/// `place`, is the position of the row, from 1.
fn postgres_table<const N: usize>(
    columns: &Columns<N>,
    rows: Vec<[Value; N]>,
    has_place: bool,
    values: &mut Vec<Value>,
) -> String {
    let (first, is_single) = (values.len() + 1, rows.len() == 1);
    let cast = |(index, (_, of)): (usize, &(&str, &str))| {
        format!("CAST(${} AS {of}{})", first + index, if is_single { "" } else { "[]" })
    };
    let all = columns.iter().enumerate().map(cast).collect::<Vec<_>>().join(", ");
    let (place, value, ordinality) =
        if has_place { (", place", ", CAST(1 AS BIGINT)", " WITH ORDINALITY") } else { ("", "", "") };
    let names = columns.map(|(name, _)| name).join(", ");
    if is_single {
        values.extend(rows.into_iter().flatten());
        return format!("(VALUES ({all}{value})) AS v({names}{place})");
    }
    push_arrays(rows, values);
    format!("unnest({all}){ordinality} AS v({names}{place})")
}

/// Adds the values of rows, column by column, each as the text of an array of PostgreSQL.
fn push_arrays<const N: usize>(rows: Vec<[Value; N]>, values: &mut Vec<Value>) {
    let mut arrays = [const { String::new() }; N];
    for array in &mut arrays {
        array.push('{');
    }
    for (number, row) in rows.into_iter().enumerate() {
        for (array, cell) in arrays.iter_mut().zip(row) {
            if number > 0 {
                array.push(',');
            }
            push_element(array, cell);
        }
    }
    values.extend(arrays.into_iter().map(|array| Value::from(array + "}")));
}

/// Returns the columns of rows for a `SELECT` on PostgreSQL, each as an array with the name of the column, and adds
/// their values to `values`.
pub(super) fn arrays<const N: usize>(columns: &Columns<N>, rows: Vec<[Value; N]>, values: &mut Vec<Value>) -> String {
    let (first, is_single) = (values.len() + 1, rows.len() == 1);
    if is_single {
        values.extend(rows.into_iter().flatten());
    } else {
        push_arrays(rows, values);
    }
    let array = |(index, (name, of)): (usize, &(&str, &str))| {
        let number = first + index;
        if is_single {
            format!("ARRAY[CAST(${number} AS {of})] AS {name}")
        } else {
            format!("CAST(${number} AS {of}[]) AS {name}")
        }
    };
    columns.iter().enumerate().map(array).collect::<Vec<_>>().join(", ")
}

/// Adds a value to the text of an array of PostgreSQL. An array of the query builder cannot hold NULL.
fn push_element(array: &mut String, value: Value) {
    // Writing to a string does not fail.
    match value {
        Value::BigInt(Some(number)) => _ = write!(array, "{number}"),
        Value::Bool(Some(is_true)) => array.push(if is_true { 't' } else { 'f' }),
        Value::Uuid(Some(uuid)) => _ = write!(array, "{uuid}"),
        Value::String(Some(text)) => {
            array.reserve(text.len() + 2);
            array.push('"');
            for (number, part) in text.split(['"', '\\']).enumerate() {
                if number > 0 {
                    let at = part.as_ptr() as usize - text.as_ptr() as usize - 1;
                    array.push('\\');
                    array.push(char::from(text.as_bytes()[at]));
                }
                array.push_str(part);
            }
            array.push('"');
        }
        Value::Bytes(Some(bytes)) => {
            array.reserve(bytes.len() * 2 + 6);
            array.push_str("\"\\\\x");
            for byte in bytes {
                for digit in [byte >> 4, byte & 15] {
                    array.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
                }
            }
            array.push('"');
        }
        _ => array.push_str("NULL"),
    }
}

/// Returns rows as a table `v` for a `FROM` of SQLite, and adds their values to `values`. The columns have their names.
pub(super) fn sqlite_table<const N: usize>(
    columns: &Columns<N>,
    rows: Vec<[Value; N]>,
    values: &mut Vec<Value>,
) -> String {
    let source = sqlite_values(rows, values);
    let names = columns.iter().enumerate().map(|(index, (name, _))| format!("column{} AS {name}", index + 1));
    format!("(SELECT {} FROM ({source})) AS v", names.collect::<Vec<_>>().join(", "))
}

/// Returns rows as a table `v` for a `FROM`, and adds their values to `values`. The SQL text is the same for any number
/// of rows. On SQLite the rows are JSON, so their values may only be numbers and texts.
pub(super) fn listed<const N: usize>(
    is_postgres: bool,
    columns: &Columns<N>,
    rows: Vec<[Value; N]>,
    values: &mut Vec<Value>,
) -> String {
    if is_postgres {
        return postgres_table(columns, rows, false, values);
    }
    let json = |value: Value| match value {
        Value::BigInt(Some(number)) => number.into(),
        Value::String(Some(text)) => text.into(),
        _ => serde_json::Value::Null,
    };
    let rows: Vec<_> = rows.into_iter().map(|row| serde_json::Value::from_iter(row.map(json))).collect();
    values.push(serde_json::Value::from(rows).to_string().into());
    let columns = columns.iter().enumerate().map(|(index, (name, _))| format!("value ->> {index} AS {name}"));
    format!("(SELECT {} FROM json_each(?)) AS v", columns.collect::<Vec<_>>().join(", "))
}

/// Returns an INSERT of rows, and adds their values to `values`.
pub(super) fn insert_sql<const N: usize>(
    is_postgres: bool,
    table: &str,
    columns: &Columns<N>,
    rows: Vec<[Value; N]>,
    values: &mut Vec<Value>,
) -> String {
    let source = if is_postgres {
        format!("SELECT * FROM {}", postgres_table(columns, rows, false, values))
    } else {
        sqlite_values(rows, values)
    };
    format!("INSERT INTO {table} ({}) {source}", columns.map(|(name, _)| name).join(", "))
}

/// Returns an INSERT of rows with ids on PostgreSQL. `ids` is an expression for the array of the ids, in the order of
/// the rows. `places`, if any, names a column that holds positions, and an expression for the array that has the real
/// values at these positions. Adds the values of the rows to `values`.
pub(super) fn insert_with_ids_sql<const N: usize>(
    table: &str,
    columns: &Columns<N>,
    ids: &str,
    places: Option<(&str, &str)>,
    rows: Vec<[Value; N]>,
    values: &mut Vec<Value>,
) -> String {
    let source = postgres_table(columns, rows, true, values);
    let names = columns.map(|(name, _)| name);
    let read = names.map(|name| match places {
        Some((of, array)) if of == name => format!("({array})[{name}]"),
        _ => name.to_owned(),
    });
    let (names, read) = (names.join(", "), read.join(", "));
    format!("INSERT INTO {table} (id, {names}) SELECT ({ids})[place], {read} FROM {source}")
}

#[cfg(test)]
mod tests;
