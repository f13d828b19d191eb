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
}

/// Notes the presence of a node, and counts the nodes.
pub async fn beat(db: &impl ConnectionTrait, id: Uuid, now: Timestamp) -> Result<Nodes> {
    #[derive(FromQueryResult)]
    struct Counted {
        others: i64,
        earlier: i64,
    }
    // The parts of one statement see the rows from before it, so this node's own row is left out.
    let sql = "WITH beat AS (INSERT INTO node (id, seen_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen_at = $2), \
               gone AS (DELETE FROM node WHERE seen_at < $4) \
               SELECT COUNT(*) AS others, COUNT(*) FILTER (WHERE id < $1) AS earlier FROM node \
               WHERE id <> $1 AND seen_at >= $3";
    let since = |silence: Duration| now.0.saturating_sub(model::number::millis(silence));
    let values = [Value::from(id), now.0.into(), since(SILENT).into(), since(GONE).into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let counted = Counted::find_by_statement(statement).one(db).await?;
    let (others, rank) = counted.map_or((0, 0), |row| (to_usize(row.others), to_usize(row.earlier)));
    Ok(Nodes { count: others + 1, rank })
}

/// Notes that a node has stopped.
pub async fn leave(db: &impl ConnectionTrait, id: Uuid) -> Result<()> {
    let statement =
        Statement::from_sql_and_values(db.get_database_backend(), "DELETE FROM node WHERE id = $1", [id.into()]);
    db.execute_raw(statement).await?;
    Ok(())
}
