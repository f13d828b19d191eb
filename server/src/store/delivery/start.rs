//! Runs and their deliveries, written together. A run has one delivery, with the same id.

use super::{COLUMNS, NewDelivery, columns, recipients_json};
use crate::store::claim::Claimed;
use crate::store::run::{self, NewRun};
use crate::store::{Result, rows};
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

/// Stores runs that start now, and queues the delivery of each.
pub async fn start_many(db: &impl ConnectionTrait, new: Vec<(NewRun, NewDelivery)>, now: Timestamp) -> Result<Started> {
    if new.is_empty() {
        return Ok(Started::default());
    }
    let (runs, deliveries): (Vec<_>, Vec<_>) = new.into_iter().unzip();
    if db.get_database_backend() == DbBackend::Postgres {
        return start_by_one_statement(db, runs, deliveries, now).await;
    }
    let runs = run::insert_many(db, runs, now).await?;
    let ids: Vec<_> = runs.iter().map(|run| run.0).collect();
    let (rows, claimed) = delivery_rows(deliveries, &ids, now)?;
    rows::insert(db, "delivery", &COLUMNS, rows, "").await?;
    Ok(Started { runs, claimed })
}

/// Saves a round trip: the statement takes the ids from the sequence of the runs, and the rows name them by their places.
async fn start_by_one_statement(
    db: &impl ConnectionTrait,
    runs: Vec<NewRun>,
    deliveries: Vec<NewDelivery>,
    now: Timestamp,
) -> Result<Started> {
    let places: Vec<_> = (1..=to_i64(runs.len())).collect();
    let mut values = vec![Value::from(to_i64(runs.len()))];
    let run_rows = places.iter().zip(runs).map(|(place, new)| run::numbered_columns(*place, new, now)).collect();
    let run_sql = rows::insert_numbered_sql("run", &run::NUMBERED, run_rows, &mut values);
    let (delivery_rows, claimed) = delivery_rows(deliveries, &places, now)?;
    let delivery_sql = rows::insert_numbered_sql("delivery", &COLUMNS, delivery_rows, &mut values);
    let sql = format!(
        "WITH made AS MATERIALIZED (SELECT ARRAY(SELECT nextval('run_id_seq') \
         FROM generate_series(1, CAST($1 AS BIGINT))) AS id), started AS ({run_sql}) {delivery_sql} RETURNING id"
    );
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let ids = rows::read_ids(db, statement).await?;
    let claimed = claimed.into_iter().map(|one| one.with_id_at(&ids)).collect();
    Ok(Started { runs: ids.into_iter().map(RunId).collect(), claimed })
}

/// Returns the rows of deliveries with these ids, and the leased ones among them.
fn delivery_rows(new: Vec<NewDelivery>, ids: &[i64], now: Timestamp) -> Result<(Vec<[Value; 30]>, Vec<Claimed>)> {
    let mut claimed = Vec::new();
    let mut rows = Vec::with_capacity(new.len());
    for (mut one, id) in new.into_iter().zip(ids) {
        if one.failed.is_some() || one.hold.is_some() {
            one.lease = None;
        }
        let recipients = recipients_json(&one.recipients)?;
        if let Some(lease) = one.lease {
            claimed.push(Claimed::of_new(*id, &one, recipients.clone(), lease));
        }
        rows.push(columns(*id, one, recipients, now));
    }
    Ok((rows, claimed))
}
