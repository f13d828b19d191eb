//! The state that a group of occurrences depends on and that may have changed since the last group, read by one
//! statement: most of a statement's cost is the way to the database and back.

use super::destination::hold_state;
use super::entity::destination;
use super::rows::{self, Columns, INT};
use super::{Result, group};
use model::hold::HoldState;
use model::id::{ApiKeyId, DestinationId};
use model::number::to_i64;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::collections::HashMap;

/// The current state.
#[derive(Debug, Default)]
pub struct Current {
    /// The newest revision.
    pub mark: i64,
    /// True when no key was revoked or replaced.
    pub has_valid_keys: bool,
    /// The revision and the hold of each destination, also of deleted ones.
    pub destinations: HashMap<DestinationId, (i64, HoldState)>,
    /// Ids for new occurrences.
    pub reserved: Vec<i64>,
}

const KEY: Columns<2> = [("id", INT), ("created_at", INT)];

/// Reads the current state of these keys and destinations. A key is named by its id and the instant at which it was made.
/// On PostgreSQL it also takes so many ids for new occurrences from their sequence.
pub async fn read(
    db: &impl ConnectionTrait,
    keys: &[(ApiKeyId, Timestamp)],
    destinations: &[DestinationId],
    reserve: usize,
) -> Result<Current> {
    let backend = db.get_database_backend();
    let is_postgres = backend == DbBackend::Postgres;
    let mut values = Vec::with_capacity(keys.len() * 2 + 1);
    let valid = if keys.is_empty() {
        "CAST(0 AS BIGINT)".to_owned()
    } else {
        let rows = keys.iter().map(|(id, created_at)| [id.0.into(), created_at.0.into()]).collect();
        let named = rows::table(is_postgres, &KEY, rows, &mut values);
        format!(
            "(SELECT COUNT(*) FROM {named} JOIN api_key k ON k.id = v.id AND k.created_at = v.created_at \
             WHERE k.revoked_at IS NULL)"
        )
    };
    let parameter = if is_postgres { format!("${}", values.len() + 1) } else { "?".to_owned() };
    values.push(group::ids(destinations.iter().map(|id| id.0), is_postgres));
    let mut columns = format!("(SELECT MAX(id) FROM revision) AS mark, {valid} AS valid");
    if reserve > 0 {
        values.push(to_i64(reserve).into());
        columns += &format!(
            ", ARRAY(SELECT nextval('occurrence_id_seq') FROM generate_series(1, CAST(${} AS BIGINT))) AS reserved",
            values.len()
        );
    }
    let sql = format!(
        "WITH now AS MATERIALIZED (SELECT {columns}) SELECT now.*, d.* FROM now LEFT JOIN destination d ON {}",
        group::id_in("d.id", &parameter, is_postgres)
    );
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let mut current = Current::default();
    for row in &rows {
        current.mark = row.try_get::<Option<i64>>("", "mark")?.unwrap_or_default();
        current.has_valid_keys = row.try_get::<i64>("", "valid")? == to_i64(keys.len());
        if reserve > 0 && current.reserved.is_empty() {
            current.reserved = row.try_get("", "reserved")?;
        }
        if row.try_get::<Option<i64>>("", "id")?.is_some()
            && let Some(row) = super::read::<destination::Entity>(row, "")
        {
            current.destinations.insert(DestinationId(row.id), (row.revision, hold_state(&row)));
        }
    }
    Ok(current)
}
