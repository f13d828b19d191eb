//! The nodes on one PostgreSQL. Each node writes its presence once a second, so that the nodes can share the limits of
//! destinations without a lock. A node that has been silent for some seconds, since it is frozen or dead, no longer
//! counts.

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
    /// The number of nodes, including this one.
    pub count: usize,
    /// The number of nodes before this one, in an order that all nodes share.
    pub rank: usize,
    /// True while deliveries are queued or leased, or a destination hangs or has a breaker that has counted failures.
    pub is_busy: bool,
}

/// Notes the presence of a node, counts the nodes, and checks whether there is anything to do.
pub async fn beat(db: &impl ConnectionTrait, id: Uuid, now: Timestamp) -> Result<Nodes> {
    #[derive(FromQueryResult)]
    struct Counted {
        others: i64,
        earlier: i64,
        is_busy: bool,
    }
    // The parts of a statement see the rows as they were before it, so this node is left out of the count and added
    // below.
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
    // An aggregate always returns a row.
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
