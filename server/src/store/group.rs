//! Writing rows in groups: the cost of a write is its statements, not its commit.
//!
//! A group of each size is another SQL text, and the statement cache holds a few hundred. So small groups, the usual
//! ones, have a text for each size, and larger ones are composed of a few sizes. The largest stays far below SQLite's
//! 32,766 bind parameters.

use super::Result;
use model::number::to_i64;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Insert, IntoActiveModel, PrimaryKeyTrait,
    QueryTrait, Value,
    sea_query::{Expr, OnConflict, SimpleExpr},
};

/// The largest number of rows that are one statement whatever their number.
const SMALL: usize = 16;
/// The sizes that larger groups are composed of.
const LARGE: [usize; 4] = [100, 64, 32, SMALL];

/// Splits rows into groups that are written with a statement each. Keeps the order.
pub(super) fn split<T>(rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let left = rows.len();
        let size = if left <= SMALL { left } else { LARGE.into_iter().find(|size| *size <= left).unwrap_or(SMALL) };
        // One group at a time: the caller drops a group before the next one is made.
        let group: Vec<_> = rows.by_ref().take(size).collect();
        (!group.is_empty()).then_some(group)
    })
}

/// Returns values for an `IN`, with the last one repeated up to a power of two: few sizes mean few SQL texts.
pub(super) fn padded<T: Clone>(mut values: Vec<T>) -> Vec<T> {
    if let Some(last) = values.last().cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
    values
}

/// Returns any number of ids as one value, for [`ids_in`].
pub(super) fn json_ids(ids: impl Iterator<Item = i64>) -> Value {
    let ids: Vec<_> = ids.map(|id| id.to_string()).collect();
    format!("[{}]", ids.join(",")).into()
}

/// Returns a table expression with one column, `id`, of the ids in the value of this parameter: one SQL text whatever
/// their number.
pub(super) fn ids_in(parameter: &str, is_postgres: bool) -> String {
    if is_postgres {
        format!("(SELECT CAST(v AS BIGINT) AS id FROM json_array_elements_text(CAST({parameter} AS JSON)) AS v)")
    } else {
        format!("(SELECT value AS id FROM json_each({parameter}))")
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

/// Returns the condition that `id` is among the ids of a `SELECT` with a `LIMIT`. PostgreSQL takes an unknown limit for
/// a tenth of the table, and would read all of the table for a join; it knows that an array is short.
pub(super) fn among(select: &str, is_postgres: bool) -> String {
    if is_postgres { format!("id = ANY(ARRAY({select}))") } else { format!("id IN ({select})") }
}

/// Returns the parameters of `count` values: `$first, …`.
pub(super) fn parameters(first: usize, count: usize) -> String {
    let parameters: Vec<_> = (first..first + count).map(|number| format!("${number}")).collect();
    parameters.join(", ")
}

/// Inserts rows and returns their ids, in the order of the rows: both databases number the rows of a statement upwards.
pub(super) async fn insert_for_ids<A>(db: &impl ConnectionTrait, rows: Vec<A>) -> Result<Vec<i64>>
where
    A: ActiveModelTrait + Send,
    <A::Entity as EntityTrait>::PrimaryKey: PrimaryKeyTrait<ValueType = i64>,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    let mut ids = Vec::with_capacity(rows.len());
    for group in split(rows) {
        let count = to_i64(group.len());
        let insert = Insert::many(group);
        if db.get_database_backend() == DbBackend::Sqlite {
            // SQLite has one writer, so the ids have no gaps and the last one gives them all. Returned rows would each
            // switch threads.
            let done = db.execute(&insert.into_query()).await?;
            let last = i64::try_from(done.last_insert_id()).unwrap_or_default();
            if done.rows_affected() != count.unsigned_abs() {
                return Err(DbErr::RecordNotInserted.into());
            }
            ids.extend(last - count + 1..=last);
        } else {
            let mut of_group = insert.exec_with_returning_keys(db).await?;
            of_group.sort_unstable();
            ids.extend(of_group);
        }
    }
    Ok(ids)
}

/// Inserts rows, and treats conflicts as `on_conflict` says. Returns how many rows were written.
pub(super) async fn insert<A>(db: &impl ConnectionTrait, rows: Vec<A>, on_conflict: Option<OnConflict>) -> Result<u64>
where
    A: ActiveModelTrait + Send,
{
    let mut written = 0;
    for group in split(rows) {
        let mut insert = Insert::many(group);
        if let Some(rule) = &on_conflict {
            insert = insert.on_conflict(rule.clone());
        }
        written += insert.exec_without_returning(db).await?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    #[test]
    fn groups_have_few_sizes_and_keep_the_order() {
        for count in 0..1000 {
            let groups: Vec<_> = super::split((0..count).collect()).collect();
            assert_eq!(groups.concat(), (0..count).collect::<Vec<_>>());
        }
        let sizes = |count: usize| super::split(vec![(); count]).map(|group| group.len()).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0; 0]);
        assert_eq!(sizes(15), [15]);
        assert_eq!(sizes(17), [16, 1]);
        assert_eq!(sizes(243), [100, 100, 32, 11]);
    }
}
