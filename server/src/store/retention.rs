//! Deleting old rows, in small steps. A step reads the rows that it deletes, or a limited number of others.

use super::revision::Kind;
use super::{Result, group, receipt};
use model::id::DestinationId;
use model::number::to_u64;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement, Value};

/// Rows that are no longer retained.
#[derive(Debug, Clone, Copy)]
pub enum Old {
    /// Deliveries that were settled before an instant, with their attempts, and the runs and occurrences that have no
    /// delivery left.
    Settled(Timestamp),
    /// Settled deliveries of one destination up to a delivery's id, in the same way. Deliveries up to the second id
    /// were visited by earlier steps, so that no step reads the waiting ones among them again.
    OfDestination(DestinationId, i64, i64),
    /// Missed runs that were recorded before an instant. They have no deliveries.
    EmptyRuns(Timestamp),
    /// Occurrences that were received before an instant, have started something and have no runs any more. Those up to
    /// the other instant and id were looked at already: most of them have runs.
    Occurrences(Timestamp, (i64, i64)),
    /// Occurrences that were received before an instant and started nothing.
    Unmatched(Timestamp),
    /// Occurrences up to an id that started nothing.
    UnmatchedUpTo(i64),
    /// Revisions of destinations, tasks and events that were superseded before an instant, or whose row was deleted
    /// before it.
    Revisions(Timestamp),
    /// Revisions of one row up to an id.
    RevisionsOf(Kind, i64, i64),
    /// Receipts that have expired at an instant.
    Receipts(Timestamp),
    /// Sessions that have expired at an instant.
    Sessions(Timestamp),
}

/// The result of one step.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    /// The number of deleted rows, in all tables.
    pub removed: u64,
    /// The number of rows that the step has deleted or, of occurrences, looked at. A step with fewer rows than its size
    /// is the last.
    pub counted: u64,
    /// The newest id of the deleted deliveries.
    pub last: Option<i64>,
    /// The instant and the id of the last occurrence that was looked at.
    pub seen: Option<(i64, i64)>,
}

#[derive(FromQueryResult)]
struct Id {
    id: Option<i64>,
}

/// Returns the column `id` of a statement's rows.
async fn ids(db: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<i64>> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(Id::find_by_statement(statement).all(db).await?.into_iter().filter_map(|row| row.id).collect())
}

async fn delete(db: &impl ConnectionTrait, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Step> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let removed = db.execute_raw(statement).await?.rows_affected();
    Ok(Step { removed, counted: removed, ..Step::default() })
}

impl Old {
    /// Returns the rows that are left after a step.
    #[must_use]
    pub fn after(self, step: Step) -> Self {
        match (self, step) {
            (Self::OfDestination(destination, newest, _), Step { last: Some(last), .. }) => {
                Self::OfDestination(destination, newest, last)
            }
            (Self::Occurrences(oldest, _), Step { seen: Some(seen), .. }) => Self::Occurrences(oldest, seen),
            _ => self,
        }
    }

    /// Deletes at most `size` of these rows.
    ///
    /// Takes lock 5 of 9 for settled deliveries, then lock 6 for their runs.
    pub async fn remove(self, txn: &DatabaseTransaction, size: i64) -> Result<Step> {
        let size = Value::from(size);
        let is_postgres = txn.get_database_backend() == DbBackend::Postgres;
        let some =
            |table: &str, select: &str| format!("DELETE FROM {table} WHERE {}", group::among(select, is_postgres));
        match self {
            Self::Settled(oldest) => {
                let which = "settled_at < $1 ORDER BY settled_at LIMIT $2";
                delete_deliveries(txn, which, [oldest.0.into(), size]).await
            }
            Self::OfDestination(destination, newest, last) => {
                // A range, as in `find_excess`.
                let which = "destination_id >= $1 AND destination_id <= $1 AND settled_at IS NOT NULL AND id > $2 \
                             AND id <= $3 ORDER BY destination_id, id LIMIT $4";
                delete_deliveries(txn, which, [destination.0.into(), last.into(), newest.into(), size]).await
            }
            Self::EmptyRuns(oldest) => {
                let sql = some(
                    "run",
                    "SELECT id FROM run WHERE note IS NOT NULL AND started_at < $1 \
                           AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.id = run.id) LIMIT $2",
                );
                delete(txn, &sql, [oldest.0.into(), size]).await
            }
            Self::Occurrences(oldest, after) => delete_occurrences(txn, oldest, after, size).await,
            Self::Unmatched(oldest) => {
                let sql = some(
                    "occurrence",
                    "SELECT id FROM occurrence WHERE received_at < $1 \
                           AND tasks_started = 0 ORDER BY received_at LIMIT $2",
                );
                delete(txn, &sql, [oldest.0.into(), size]).await
            }
            Self::UnmatchedUpTo(newest) => {
                let sql = some(
                    "occurrence",
                    "SELECT id FROM occurrence WHERE id <= $1 \
                           AND tasks_started = 0 ORDER BY received_at LIMIT $2",
                );
                delete(txn, &sql, [newest.into(), size]).await
            }
            Self::Revisions(oldest) => {
                // The newest revision of all is always retained, since caches compare its id.
                let sql = some(
                    "revision",
                    "SELECT r.id FROM revision r WHERE r.changed_at < $1 \
                           AND r.id < (SELECT MAX(id) FROM revision) AND (r.document IS NULL OR EXISTS (SELECT 1 \
                           FROM revision n WHERE n.kind = r.kind AND n.row_id = r.row_id AND n.id > r.id \
                           AND n.changed_at < $1)) ORDER BY r.changed_at, r.id LIMIT $2",
                );
                delete(txn, &sql, [oldest.0.into(), size]).await
            }
            Self::RevisionsOf(kind, row_id, newest) => {
                let sql = some(
                    "revision",
                    "SELECT id FROM revision WHERE kind = $1 AND row_id = $2 \
                           AND id <= $3 ORDER BY id LIMIT $4",
                );
                delete(txn, &sql, [kind.as_str().into(), row_id.into(), newest.into(), size]).await
            }
            Self::Receipts(now) => {
                let sql = some(
                    "receipt",
                    "SELECT id FROM receipt WHERE created_at <= $1 \
                           ORDER BY created_at LIMIT $2",
                );
                delete(txn, &sql, [receipt::oldest(now).into(), size]).await
            }
            Self::Sessions(now) => {
                let sql = "DELETE FROM session WHERE id_hash IN \
                           (SELECT id_hash FROM session WHERE expires_at <= $1 LIMIT $2)";
                delete(txn, sql, [now.0.into(), size]).await
            }
        }
    }
}

/// Returns the surplus settled deliveries of each destination that has more than `most`. Waiting deliveries do not
/// count: otherwise an outage would push out the history.
pub async fn find_excess(db: &impl ConnectionTrait, most: u32) -> Result<Vec<Old>> {
    // A range of one destination instead of an equality: for an equality PostgreSQL may walk through all deliveries to
    // find a few.
    let surplus = |which: &str| {
        format!(
            "SELECT id FROM delivery WHERE destination_id >= $1 AND destination_id <= $1 {which} \
             ORDER BY destination_id DESC, id DESC LIMIT 1 OFFSET $2"
        )
    };
    let (any, settled) = (surplus(""), surplus("AND settled_at IS NOT NULL"));
    let mut found = Vec::new();
    for destination in ids(db, "SELECT id FROM destination ORDER BY id", []).await? {
        let values = || [destination.into(), i64::from(most).into()];
        // The first query reads only the index. The second one has to read the rows to see which are settled.
        if ids(db, &any, values()).await?.is_empty() {
            continue;
        }
        let newest = ids(db, &settled, values()).await?;
        found.extend(newest.first().map(|newest| Old::OfDestination(DestinationId(destination), *newest, 0)));
    }
    Ok(found)
}

/// Returns the surplus revisions of each row that has more than `most`.
pub async fn find_revision_excess(db: &impl ConnectionTrait, most: u32) -> Result<Vec<Old>> {
    #[derive(FromQueryResult)]
    struct Revised {
        kind: String,
        row_id: i64,
    }
    let sql = "SELECT kind, row_id FROM revision GROUP BY kind, row_id HAVING COUNT(*) > $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [i64::from(most).into()]);
    let mut found = Vec::new();
    for Revised { kind, row_id } in Revised::find_by_statement(statement).all(db).await? {
        let Some(kind) = Kind::find(&kind) else { continue };
        let sql = "SELECT id FROM revision WHERE kind = $1 AND row_id = $2 ORDER BY id DESC LIMIT 1 OFFSET $3";
        let newest = ids(db, sql, [kind.as_str().into(), row_id.into(), i64::from(most).into()]).await?;
        found.extend(newest.first().map(|newest| Old::RevisionsOf(kind, row_id, *newest)));
    }
    Ok(found)
}

/// Returns the surplus when more than `most` occurrences have started nothing.
pub async fn find_unmatched_excess(db: &impl ConnectionTrait, most: u32) -> Result<Vec<Old>> {
    let sql = "SELECT id FROM occurrence WHERE tasks_started = 0 ORDER BY received_at DESC LIMIT 1 OFFSET $1";
    Ok(ids(db, sql, [i64::from(most).into()]).await?.into_iter().map(Old::UnmatchedUpTo).collect())
}

/// Deletes the deliveries that satisfy a condition, with their attempts and runs, then the occurrences that have no
/// runs left.
async fn delete_deliveries(
    txn: &DatabaseTransaction,
    which: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Step> {
    let is_postgres = txn.get_database_backend() == DbBackend::Postgres;
    let these = group::id_in("id", "$1", is_postgres);
    let some = group::among(&format!("SELECT id FROM delivery WHERE {which}"), is_postgres);
    let deliveries = ids(txn, &format!("DELETE FROM delivery WHERE {some} RETURNING id"), values).await?;
    let (counted, last) = (to_u64(deliveries.len()), deliveries.iter().max().copied());
    let attempts = format!("DELETE FROM attempt WHERE {}", group::id_in("delivery_id", "$1", is_postgres));
    delete(txn, &attempts, [group::ids(deliveries.iter().copied(), is_postgres)]).await?;
    let sql = format!(
        "DELETE FROM run WHERE {these} AND ended_at IS NOT NULL \
         RETURNING COALESCE(occurrence_id, 0) AS id"
    );
    let occurrences = ids(txn, &sql, [group::ids(deliveries.into_iter(), is_postgres)]).await?;
    let mut removed = counted + to_u64(occurrences.len());
    let sql = format!(
        "DELETE FROM occurrence WHERE {these} \
         AND NOT EXISTS (SELECT 1 FROM run WHERE run.occurrence_id = occurrence.id)"
    );
    removed += delete(txn, &sql, [group::ids(occurrences.into_iter(), is_postgres)]).await?.removed;
    Ok(Step { removed, counted, last, seen: None })
}

/// Looks at `size` occurrences that were received before an instant, after the one with this instant and id, and deletes
/// those that have started something and have no runs any more.
async fn delete_occurrences(
    txn: &DatabaseTransaction,
    oldest: Timestamp,
    after: (i64, i64),
    size: Value,
) -> Result<Step> {
    #[derive(FromQueryResult)]
    struct Seen {
        id: i64,
        received_at: i64,
        tasks_started: i64,
    }
    let backend = txn.get_database_backend();
    let sql = "SELECT id, received_at, tasks_started FROM occurrence WHERE received_at < $1 \
               AND (received_at, id) > ($2, $3) ORDER BY received_at, id LIMIT $4";
    let values = [oldest.0.into(), after.0.into(), after.1.into(), size];
    let rows = Seen::find_by_statement(Statement::from_sql_and_values(backend, sql, values)).all(txn).await?;
    let is_postgres = backend == DbBackend::Postgres;
    // `OFFSET`: PostgreSQL would otherwise join with all runs.
    let sql = format!(
        "DELETE FROM occurrence WHERE {} \
         AND NOT EXISTS (SELECT 1 FROM run WHERE run.occurrence_id = occurrence.id LIMIT 1 OFFSET 0)",
        group::id_in("id", "$1", is_postgres)
    );
    let started = rows.iter().filter(|row| row.tasks_started > 0).map(|row| row.id);
    let removed = delete(txn, &sql, [group::ids(started, is_postgres)]).await?.removed;
    let seen = rows.last().map(|row| (row.received_at, row.id));
    Ok(Step { removed, counted: to_u64(rows.len()), last: None, seen })
}
