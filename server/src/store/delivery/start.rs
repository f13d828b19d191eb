//! Runs and their deliveries, written together. A run has one delivery, with the same id.

use super::{COLUMNS, NewDelivery, columns, recipients_json};
use crate::store::claim::Claimed;
use crate::store::current::Unchanged;
use crate::store::listen::CHANNEL;
use crate::store::receipt::{self, Identity, Receipt};
use crate::store::rows::{self, Columns, RowStatement};
use crate::store::run::{self, NewRun};
use crate::store::turn::{Session, Turn};
use crate::store::{Result, occurrence};
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
    /// Replaces the ids of deliveries, which are still their positions, by the real ones.
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
        let sql = with_runs(&mut parts, (runs, rows), (None, ""), now, &mut values);
        rows::read_ids(db, statement(&parts, &sql, values)).await?
    } else {
        let runs = runs.into_iter().map(|new| run::columns_of_new(new, now));
        rows::insert_pairs(db, RUN, DELIVERY, runs.zip(rows).collect()).await?
    };
    Ok(Started::of(claimed, ids))
}

/// The tables whose rows have the same ids.
const RUN: (&str, &Columns<11>) = ("run", &run::COLUMNS);
const DELIVERY: (&str, &Columns<29>) = ("delivery", &COLUMNS);

/// Occurrences that are stored together with the runs that they cause.
#[derive(Debug)]
pub struct Occurred {
    /// The occurrences, at least one.
    pub occurrences: Vec<occurrence::Row>,
    /// The receipts of the occurrences that have an id from their sender.
    pub receipts: Vec<(Identity, Receipt)>,
    /// The runs with their deliveries. A run names the occurrence that caused it by the position in `occurrences`, from
    /// 1.
    pub new: Vec<(NewRun, NewDelivery)>,
    /// True when other nodes have to look for a queued delivery.
    pub has_queued: bool,
    /// The state that the group was prepared by. `None` where that state was read just now.
    pub unchanged: Option<Unchanged>,
}

/// Stores occurrences and their runs by one statement of PostgreSQL, which needs no transaction around it. `None` where
/// nothing was stored because the state has changed.
///
/// Takes lock 9 of 9.
///
/// # Errors
/// [`Conflict`](crate::store::Error::Conflict) when another node has just stored one of the receipts.
pub async fn start_alone(db: &impl ConnectionTrait, occurred: Occurred, now: Timestamp) -> Result<Option<Started>> {
    const HAPPENED: &str = "SELECT id FROM happened";
    let Occurred { occurrences, receipts, new, has_queued, unchanged } = occurred;
    let (mut parts, mut values) = (Vec::new(), Vec::new());
    let condition = match unchanged {
        Some(unchanged) => {
            parts.push(format!("unchanged AS MATERIALIZED ({})", unchanged.sql(true, &mut values)));
            " WHERE EXISTS (SELECT 1 FROM unchanged)"
        }
        None => "",
    };
    parts.push(new_ids("happened", "occurrence", occurrences.len(), &mut values));
    let occurrence_sql = occurrence::insert_sql(HAPPENED, occurrences, &mut values) + condition;
    if !receipts.is_empty() {
        parts.push(format!("received AS ({}{condition})", receipt::insert_sql(receipts, now, &mut values)));
    }
    if new.is_empty() {
        let done = db.execute_raw(statement(&parts, &occurrence_sql, values)).await?;
        return Ok((done.rows_affected() > 0).then(Started::default));
    }
    parts.push(format!("occurred AS ({occurrence_sql})"));
    let (runs, deliveries): (Vec<_>, Vec<_>) = new.into_iter().unzip();
    let (rows, claimed) = delivery_rows(deliveries, now)?;
    let places = Some(("occurrence_id", HAPPENED));
    let mut sql = with_runs(&mut parts, (runs, rows), (places, condition), now, &mut values);
    if has_queued {
        // PostgreSQL sends equal notifications of a transaction once.
        sql += &format!(", pg_notify('{CHANNEL}', '')");
    }
    let ids = rows::read_ids(db, statement(&parts, &sql, values)).await?;
    Ok((!ids.is_empty()).then(|| Started::of(claimed, ids)))
}

/// Stores occurrences and their runs in a turn of the embedded database. `None` where nothing was stored because the
/// state has changed, or because no state is given.
pub async fn start_in_turn(turn: Turn, occurred: Occurred, now: Timestamp) -> Result<Option<Started>> {
    let Occurred { occurrences, receipts, new, unchanged, .. } = occurred;
    let Some(unchanged) = unchanged else { return Ok(None) };
    let mut values = Vec::new();
    let condition = unchanged.sql(false, &mut values);
    let condition = Statement::from_sql_and_values(DbBackend::Sqlite, condition, values);
    let occurrence_count = to_i64(occurrences.len());
    let (receipts, occurrences) = (receipt::insert_statement(receipts, now), occurrence::insert_statement(occurrences));
    let (runs, deliveries): (Vec<_>, Vec<_>) = new.into_iter().unzip();
    let (rows, claimed) = delivery_rows(deliveries, now)?;
    let run_count = to_i64(runs.len());
    let write = move |session: &Session<'_>| {
        session.write_all([receipts, occurrences])?;
        // SQLite has one writer, so the ids of the last rows have no gaps.
        let ids: Vec<_> = rows::last_ids(session.last_id(), occurrence_count).collect();
        let runs = runs.into_iter().map(|new| run::columns_of_new(new.with_occurrence_at(&ids), now)).collect();
        session.write(&RowStatement::insert(RUN.0, RUN.1, runs))?;
        let ids = rows::last_ids(session.last_id(), run_count);
        session.write(&RowStatement::insert_with_ids(DELIVERY.0, DELIVERY.1, ids, rows))?;
        Ok(session.last_id())
    };
    let last = turn.write_if(condition, write).await?;
    Ok(last.map(|last| Started::of(claimed, rows::last_ids(last, run_count).collect())))
}

/// Returns the part of a statement that takes ids of a table from its sequence, as one array.
fn new_ids(name: &str, table: &str, count: usize, values: &mut Vec<Value>) -> String {
    values.push(to_i64(count).into());
    format!(
        "{name} AS MATERIALIZED (SELECT ARRAY(SELECT nextval('{table}_id_seq') \
         FROM generate_series(1, CAST(${} AS BIGINT))) AS id)",
        values.len()
    )
}

/// Adds the parts of a statement that store runs. Returns its main part, which stores their deliveries and returns the
/// ids. The statement takes the ids from the sequence of the runs, and each row gets the id at its own position.
/// `places` is as for [`rows::insert_with_ids_sql`], and `condition` is added to each INSERT.
fn with_runs(
    parts: &mut Vec<String>,
    (runs, deliveries): (Vec<NewRun>, Vec<[Value; 29]>),
    (places, condition): (Option<(&str, &str)>, &str),
    now: Timestamp,
    values: &mut Vec<Value>,
) -> String {
    const MADE: &str = "SELECT id FROM made";
    parts.push(new_ids("made", "run", runs.len(), values));
    let runs = runs.into_iter().map(|new| run::columns_of_new(new, now)).collect();
    let run_sql = rows::insert_with_ids_sql("run", &run::COLUMNS, MADE, places, runs, values);
    parts.push(format!("started AS ({run_sql}{condition})"));
    let delivery_sql = rows::insert_with_ids_sql("delivery", &COLUMNS, MADE, None, deliveries, values);
    format!("{delivery_sql}{condition} RETURNING id")
}

/// Returns the rows of deliveries, and the leased deliveries with their positions, from 1, as ids.
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
