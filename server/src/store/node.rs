//! The nodes on one PostgreSQL. Each writes its presence once a second, so that they share the limits of destinations
//! without a lock. A node that is silent for some seconds, frozen or dead, no longer counts.

use super::Result;
use model::number::to_usize;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use std::time::Duration;
use uuid::Uuid;

/// The silence after which a node no longer counts.
const SILENT: Duration = Duration::from_secs(5);
/// The silence after which the row of a node is removed.
const GONE: Duration = Duration::from_hours(1);

/// The nodes that are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes {
    /// Their number, with the asking one.
    pub count: usize,
    /// The number of those before the asking one, in an order that all nodes share.
    pub rank: usize,
    /// True while deliveries are queued or leased, or a destination hangs or has a breaker that is not at rest.
    pub is_busy: bool,
}

/// Notes the presence of a node, counts the nodes, and tells whether there is anything to look for.
pub async fn beat(db: &impl ConnectionTrait, id: Uuid, now: Timestamp) -> Result<Nodes> {
    #[derive(FromQueryResult)]
    struct Counted {
        others: i64,
        earlier: i64,
        is_busy: bool,
    }
    // The parts of one statement see the rows from before it, so this node's own row is left out.
    let sql = "WITH beat AS (INSERT INTO node (id, seen_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen_at = $2), \
               gone AS (DELETE FROM node WHERE seen_at < $4) \
               SELECT COUNT(*) AS others, COUNT(*) FILTER (WHERE id < $1) AS earlier, \
               EXISTS (SELECT 1 FROM delivery WHERE status = 'queued') \
               OR EXISTS (SELECT 1 FROM delivery WHERE status = 'running') \
               OR EXISTS (SELECT 1 FROM destination WHERE breaker_failures > 0 OR is_hanging) AS is_busy \
               FROM node WHERE id <> $1 AND seen_at >= $3";
    let since = |silence: Duration| now.0.saturating_sub(model::number::millis(silence));
    let values = [Value::from(id), now.0.into(), since(SILENT).into(), since(GONE).into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let counted = Counted::find_by_statement(statement).one(db).await?;
    // An aggregate has a row, always.
    let Counted { others, earlier, is_busy } = counted.unwrap_or(Counted { others: 0, earlier: 0, is_busy: true });
    Ok(Nodes { count: to_usize(others) + 1, rank: to_usize(earlier), is_busy })
}

/// Notes that a node has stopped.
pub async fn leave(db: &impl ConnectionTrait, id: Uuid) -> Result<()> {
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), "DELETE FROM node WHERE id = $1", [id.into()]);
    db.execute_raw(statement).await?;
    Ok(())
}
