//! Parts of statements: conditions and parameters that both databases understand.

use sea_orm::{
    DbBackend, Value,
    sea_query::{Expr, SimpleExpr},
};

/// Returns values for an `IN`, with the last one repeated up to a power of two, so that there are only a few SQL texts.
pub(super) fn padded<T: Clone>(mut values: Vec<T>) -> Vec<T> {
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

/// Returns any number of numbers as one value of PostgreSQL.
pub(super) fn array(numbers: impl Iterator<Item = i64>) -> Value {
    numbers.collect::<Vec<_>>().into()
}

/// Returns any number of ids as one value, for [`id_in`]: an array on PostgreSQL, whose planner assumes that arrays are
/// short and uses the index; JSON on SQLite.
pub(super) fn ids(ids: impl Iterator<Item = i64>, is_postgres: bool) -> Value {
    if is_postgres {
        return array(ids);
    }
    let ids: Vec<_> = ids.map(|id| id.to_string()).collect();
    format!("[{}]", ids.join(",")).into()
}

/// Returns the condition that a column is among the ids in the value of this parameter. The SQL text is the same for
/// any number of ids.
pub(super) fn id_in(column: &str, parameter: &str, is_postgres: bool) -> String {
    if is_postgres {
        format!("{column} = ANY({parameter})")
    } else {
        format!("{column} IN (SELECT value FROM json_each({parameter}))")
    }
}

/// Returns the condition that `text`, an SQL expression, contains `wanted`. No character of `wanted` is a wildcard.
pub(super) fn holds(backend: DbBackend, text: &str, wanted: String) -> SimpleExpr {
    let function = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
    Expr::cust_with_values(format!("{function}({text}, {}) > 0", first_parameter(backend)), [wanted])
}

/// Returns the parameter for the only value of a custom expression. The query builder replaces it by a number of its
/// own, and expects the database's own form.
pub(super) fn first_parameter(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { "$1" } else { "?" }
}

/// Returns the condition that `id` is among the ids of a `SELECT` with a `LIMIT`. PostgreSQL assumes that an unknown
/// limit is a tenth of the table, and would read the whole table for a join. It assumes that an array is short.
pub(super) fn among(select: &str, is_postgres: bool) -> String {
    if is_postgres { format!("id = ANY(ARRAY({select}))") } else { format!("id IN ({select})") }
}

/// Returns the parameters of `count` values: `$first, …`.
pub(super) fn parameters(first: usize, count: usize) -> String {
    let parameters: Vec<_> = (first..first + count).map(|number| format!("${number}")).collect();
    parameters.join(", ")
}
