//! The state that a group of occurrences depends on and that may have changed since the last group. One statement reads
//! all of it, since most of a statement's cost is the round trip to the database. With [`Unchanged`] even this
//! statement is not needed.

mod unchanged;

pub use unchanged::Unchanged;

use super::destination::hold_state;
use super::entity::destination;
use super::rows::{self, Columns, INT};
use super::{Result, group};
use model::hold::HoldState;
use model::id::{ApiKeyId, DestinationId};
use model::number::to_i64;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use std::collections::HashMap;

/// The current state.
#[derive(Debug, Default)]
pub struct Current {
    /// The newest revision.
    pub mark: i64,
    /// True when no key was revoked or replaced.
    pub has_valid_keys: bool,
    /// The destinations, also deleted ones.
    pub destinations: HashMap<DestinationId, DestinationNow>,
}

/// The state of a destination.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationNow {
    /// The current revision.
    pub revision: i64,
    /// Whether deliveries are held.
    pub hold: HoldState,
    /// The state as text, which differs after each change. On PostgreSQL this is the whole row.
    pub text: String,
}

const KEY: Columns<2> = [("id", INT), ("created_at", INT)];
/// An expression for the newest revision.
const NEWEST: &str = "(SELECT COALESCE(MAX(id), 0) FROM revision)";

/// Reads the current state of these keys and destinations. A key is named by its id and the instant at which it was
/// made.
pub async fn read(
    db: &impl ConnectionTrait,
    keys: &[(ApiKeyId, Timestamp)],
    destinations: &[DestinationId],
) -> Result<Current> {
    let backend = db.get_database_backend();
    let is_postgres = backend == DbBackend::Postgres;
    let mut values = Vec::with_capacity(keys.len() * 2 + 1);
    let valid = count_valid(keys, is_postgres, &mut values);
    let parameter = if is_postgres { format!("${}", values.len() + 1) } else { "?".to_owned() };
    values.push(group::ids(destinations.iter().map(|id| id.0), is_postgres));
    let text = state_text(is_postgres);
    let sql = format!(
        "WITH now AS MATERIALIZED (SELECT {NEWEST} AS mark, {valid} AS valid) \
         SELECT now.*, d.*, {text} AS state_text FROM now LEFT JOIN destination d ON {}",
        group::id_in("d.id", &parameter, is_postgres)
    );
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    let mut current = Current::default();
    for row in &rows {
        current.mark = row.try_get::<Option<i64>>("", "mark")?.unwrap_or_default();
        current.has_valid_keys = row.try_get::<i64>("", "valid")? == to_i64(keys.len());
        if row.try_get::<Option<i64>>("", "id")?.is_some()
            && let Some(read) = super::read::<destination::Entity>(row, "")
        {
            let text = row.try_get("", "state_text")?;
            let now = DestinationNow { revision: read.revision, hold: hold_state(&read), text };
            current.destinations.insert(DestinationId(read.id), now);
        }
    }
    Ok(current)
}

/// Returns an expression for the state of a destination `d` as text. It contains the revision, which changes with the
/// settings of a webhook or mailer.
fn state_text(is_postgres: bool) -> &'static str {
    if is_postgres {
        return "CAST(d AS TEXT)";
    }
    "json_array(d.revision, d.deleted_at, d.paused_at, d.release_per_second, d.target_revision, d.arranging, d.is_hanging, \
     d.breaker_failures, d.breaker_opened_at, d.breaker_wait_ms, d.breaker_probe_at, d.breaker_is_probing)"
}

/// Returns an expression for the number of these keys that are neither revoked nor replaced. Adds its values to
/// `values`.
fn count_valid(keys: &[(ApiKeyId, Timestamp)], is_postgres: bool, values: &mut Vec<Value>) -> String {
    if keys.is_empty() {
        return "CAST(0 AS BIGINT)".to_owned();
    }
    let rows = keys.iter().map(|(id, created_at)| [id.0.into(), created_at.0.into()]).collect();
    let named = rows::listed(is_postgres, &KEY, rows, values);
    format!(
        "(SELECT COUNT(*) FROM {named} JOIN api_key k ON k.id = v.id AND k.created_at = v.created_at \
         WHERE k.revoked_at IS NULL)"
    )
}
