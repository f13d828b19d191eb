//! Runs and their deliveries, written together. A run has one delivery, with the same id.

use super::{COLUMNS, NewDelivery, columns, recipients_json};
use crate::store::claim::Claimed;
use crate::store::listen::CHANNEL;
use crate::store::receipt::{self, Identity, Receipt};
use crate::store::run::{self, NewRun};
use crate::store::{Result, occurrence, rows};
use model::id::RunId;
use model::number::to_i64;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

/// The stored runs.
#[derive(Debug, Default)]
pub struct Started {
    /// The runs, in their order.
    pub runs: Vec<RunId>,
    /// The deliveries that are leased from the start.
    pub claimed: Vec<Claimed>,
}

impl Started {
    /// Joins deliveries, whose ids are their places yet, with their ids.
    fn of(claimed: Vec<Claimed>, ids: Vec<i64>) -> Self {
        let claimed = claimed.into_iter().map(|one| one.with_id_at(&ids)).collect();
        Self { runs: ids.into_iter().map(RunId).collect(), claimed }
    }
}

/// Stores runs that start now, and queues the delivery of each.
pub async fn start_many(db: &impl ConnectionTrait, new: Vec<(NewRun, NewDelivery)>, now: Timestamp) -> Result<Started> {
    if new.is_empty() {
        return Ok(Started::default());
    }
    let (runs, deliveries): (Vec<_>, Vec<_>) = new.into_iter().unzip();
    let (rows, claimed) = delivery_rows(deliveries, now)?;
    let ids = if db.get_database_backend() == DbBackend::Postgres {
        let (mut parts, mut values) = (Vec::new(), Vec::new());
        let sql = with_runs(&mut parts, (runs, rows), now, &mut values);
        rows::read_ids(db, statement(&parts, &sql, values)).await?
    } else {
        let ids: Vec<_> = run::insert_many(db, runs, now).await?.into_iter().map(|run| run.0).collect();
        rows::insert_with_ids(db, "delivery", &COLUMNS, &ids, rows).await?;
        ids
    };
    Ok(Started::of(claimed, ids))
}

/// Occurrences that are stored together with the runs that they cause.
#[derive(Debug)]
pub struct Occurred {
    /// The ids of the occurrences, reserved by [`read`](crate::store::current::read).
    pub ids: Vec<i64>,
    /// The occurrences, at least one.
    pub occurrences: Vec<occurrence::Row>,
    /// The receipts of those that have an id of their sender.
    pub receipts: Vec<(Identity, Receipt)>,
    /// The runs with their deliveries.
    pub new: Vec<(NewRun, NewDelivery)>,
    /// True when other nodes have to look for a queued delivery.
    pub has_queued: bool,
}

/// Stores occurrences and what they cause by one statement of PostgreSQL, which needs no transaction around it.
///
/// Takes lock 9 of 9.
///
/// # Errors
/// [`Conflict`](crate::store::Error::Conflict) when another node has just stored one of the receipts.
pub async fn start_alone(db: &impl ConnectionTrait, occurred: Occurred, now: Timestamp) -> Result<Started> {
    let Occurred { ids, occurrences, receipts, new, has_queued } = occurred;
    let mut values = Vec::new();
    let occurrence_sql = occurrence::insert_sql(&ids, occurrences, &mut values);
    let mut parts = Vec::new();
    if !receipts.is_empty() {
        parts.push(format!("received AS ({})", receipt::insert_sql(receipts, now, &mut values)));
    }
    if new.is_empty() {
        db.execute_raw(statement(&parts, &occurrence_sql, values)).await?;
        return Ok(Started::default());
    }
    parts.push(format!("occurred AS ({occurrence_sql})"));
    let (runs, deliveries): (Vec<_>, Vec<_>) = new.into_iter().unzip();
    let (rows, claimed) = delivery_rows(deliveries, now)?;
    let mut sql = with_runs(&mut parts, (runs, rows), now, &mut values);
    if has_queued {
        // PostgreSQL sends equal notifications of a transaction once.
        sql += &format!(", pg_notify('{CHANNEL}', '')");
    }
    Ok(Started::of(claimed, rows::read_ids(db, statement(&parts, &sql, values)).await?))
}

/// Adds the parts of a statement that store runs. Returns its main part, which stores their deliveries and returns the ids:
/// the statement takes them from the sequence of the runs, and the rows name them by their places.
fn with_runs(
    parts: &mut Vec<String>,
    (runs, deliveries): (Vec<NewRun>, Vec<[Value; 29]>),
    now: Timestamp,
    values: &mut Vec<Value>,
) -> String {
    const MADE: &str = "SELECT id FROM made";
    values.push(to_i64(runs.len()).into());
    parts.push(format!(
        "made AS MATERIALIZED (SELECT ARRAY(SELECT nextval('run_id_seq') \
         FROM generate_series(1, CAST(${} AS BIGINT))) AS id)",
        values.len()
    ));
    let runs = runs.into_iter().map(|new| run::columns_of_new(new, now)).collect();
    parts.push(format!("started AS ({})", rows::insert_with_ids_sql("run", &run::COLUMNS, MADE, runs, values)));
    rows::insert_with_ids_sql("delivery", &COLUMNS, MADE, deliveries, values) + " RETURNING id"
}

/// Returns the rows of deliveries, and the leased ones among them with their places, from 1, as ids.
fn delivery_rows(new: Vec<NewDelivery>, now: Timestamp) -> Result<(Vec<[Value; 29]>, Vec<Claimed>)> {
    let mut claimed = Vec::new();
    let mut rows = Vec::with_capacity(new.len());
    for (mut one, place) in new.into_iter().zip(1..) {
        if one.failed.is_some() || one.hold.is_some() {
            one.lease = None;
        }
        let recipients = recipients_json(&one.recipients)?;
        if let Some(lease) = one.lease {
            claimed.push(Claimed::of_new(place, &one, recipients.clone(), lease));
        }
        rows.push(columns(one, recipients, now));
    }
    Ok((rows, claimed))
}

fn statement(parts: &[String], main: &str, values: Vec<Value>) -> Statement {
    let with = if parts.is_empty() { String::new() } else { format!("WITH {} ", parts.join(", ")) };
    Statement::from_sql_and_values(DbBackend::Postgres, with + main, values)
}
