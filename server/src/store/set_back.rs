//! Corrects times that a clock which was set back has left in the future, so that nothing waits for as long as the
//! clock was ahead.
//!
//! A due time is corrected if it is later than the longest possible wait of the delivery ([`longest_wait`]). A
//! correction depends on the row alone, so it can stop anywhere and be repeated, also by another node. Nothing here may
//! end or send a delivery.

use super::hold::execute;
use super::steps::Steps;
use super::{Result, Store, group};
use model::delivery::longest_wait;
use model::hold::HoldReason;
use model::id::DestinationId;
use model::number::{to_u32, to_u64};
use model::time::Timestamp;
use model::webhook::TIMEOUT_MAX_SECONDS;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// Corrects the times of destinations, leases, receipts and waiting deliveries. `margin` is the time for which a lease
/// lasts beyond its destination's timeout. `clock` is read for each step, since the wait of a delivery whose attempt
/// has just failed begins then.
pub async fn correct(store: &Store, clock: impl Fn() -> Timestamp, margin: Duration) -> Result<()> {
    let now = clock();
    let txn = store.begin().await?;
    store.in_time(correct_destinations(&txn, now)).await?;
    store.in_time(shorten_leases(&txn, now, margin)).await?;
    store.commit(txn).await?;
    correct_receipts(store, now).await?;
    for part in list_parts(store.read(), now).await? {
        correct_part(store, &part, &clock).await?;
    }
    Ok(())
}

/// Moves the times of breakers, of releases at a rate and of nodes that lie in the future to now. Probes are due after
/// one wait at the latest.
///
/// Takes lock 4 of 9 on several rows in any order. If PostgreSQL ends the transaction because of a deadlock, the caller
/// tries again.
async fn correct_destinations(txn: &DatabaseTransaction, now: Timestamp) -> Result<()> {
    for sql in [
        "UPDATE destination SET breaker_opened_at = $1 WHERE breaker_opened_at > $1",
        "UPDATE destination SET breaker_probe_at = $1 + breaker_wait_ms WHERE breaker_probe_at > $1 + breaker_wait_ms",
        "UPDATE destination SET released_at = $1 WHERE released_at > $1",
        // Otherwise a node that died while the clock was ahead would still count for that long.
        "UPDATE node SET seen_at = $1 WHERE seen_at > $1",
    ] {
        execute(txn, sql, [now.0.into()]).await?;
    }
    Ok(())
}

/// Shortens leases to the longest possible lease, since their node may have died.
///
/// Takes lock 5 of 9.
async fn shorten_leases(txn: &DatabaseTransaction, now: Timestamp, margin: Duration) -> Result<()> {
    let latest = now.after(Duration::from_secs(TIMEOUT_MAX_SECONDS.into()) + margin);
    let sql = "UPDATE delivery SET lease_until = $1 WHERE status = 'running' AND lease_until > $1";
    execute(txn, sql, [latest.0.into()]).await?;
    Ok(())
}

/// Sets the times of receipts that lie in the future to now, so that these receipts expire after 24 h. Otherwise a
/// sender that uses an id again would be taken for a repeat for longer.
///
/// Takes lock 9 of 9.
async fn correct_receipts(store: &Store, now: Timestamp) -> Result<()> {
    let some = group::among("SELECT id FROM receipt WHERE created_at > $1 LIMIT $2 + 0", store.is_postgres());
    let sql = format!("UPDATE receipt SET created_at = $1 WHERE {some}");
    let mut steps = Steps::new();
    while let Some(size) = steps.next().await {
        let txn = store.begin().await?;
        steps.begin();
        steps.end(store.in_time(execute(&txn, &sql, [now.0.into(), size.into()])).await?);
        store.commit(txn).await?;
    }
    Ok(())
}

/// The waiting deliveries of one destination that are queued, or held for one reason: a range of an index.
#[derive(Debug)]
pub struct Part {
    destination: DestinationId,
    which: String,
}

/// Lists the parts in which a delivery is due later than now.
pub async fn list_parts(db: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<Part>> {
    #[derive(FromQueryResult)]
    struct Id {
        id: i64,
    }
    let held = HoldReason::ALL.map(|reason| format!("status = 'held' AND hold_reason = '{}'", reason.as_str()));
    let mut parts = Vec::new();
    for which in ["status = 'queued'".to_owned()].into_iter().chain(held) {
        // MAX and EXISTS are not used: PostgreSQL may read all waiting deliveries for them.
        let sql = format!(
            "SELECT id FROM (SELECT w.id, (SELECT d.next_attempt_at FROM delivery d WHERE d.destination_id = w.id \
             AND {which} ORDER BY d.next_attempt_at DESC LIMIT 1) AS latest FROM destination w) AS part \
             WHERE latest > $1 ORDER BY id"
        );
        let rows =
            Id::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.0.into()]));
        let part = |row: Id| Part { destination: DestinationId(row.id), which: which.clone() };
        parts.extend(rows.all(db).await?.into_iter().map(part));
    }
    Ok(parts)
}

/// A delivery that is due later than now.
#[derive(Debug, FromQueryResult)]
struct Later {
    id: i64,
    next_attempt_at: i64,
    attempts: i64,
    status_code: Option<i64>,
}

impl Later {
    /// Returns the latest instant at which the delivery can be due.
    fn latest(&self, now: Timestamp) -> Timestamp {
        let status_code = self.status_code.and_then(|code| u16::try_from(code).ok());
        now.after(longest_wait(to_u32(self.attempts), status_code))
    }
}

/// Corrects the due times of a part, in as many transactions as that takes, the earliest due first.
async fn correct_part(store: &Store, part: &Part, clock: impl Fn() -> Timestamp) -> Result<()> {
    let mut steps = Steps::new();
    let mut last = (clock().0, i64::MAX);
    while let Some(size) = steps.next().await {
        let txn = store.begin().await?;
        steps.begin();
        let rows = store.in_time(list_later(&txn, part, last, size)).await?;
        store.in_time(pull_in(&txn, &rows, clock())).await?;
        steps.end(to_u64(rows.len()));
        store.commit(txn).await?;
        // A corrected row moves to before this position.
        last = rows.last().map_or(last, |row| (row.next_attempt_at, row.id));
    }
    Ok(())
}

/// Lists up to `size` deliveries of a part that are due after this due time and id.
async fn list_later(txn: &DatabaseTransaction, part: &Part, last: (i64, i64), size: i64) -> Result<Vec<Later>> {
    let sql = format!(
        "SELECT id, next_attempt_at, attempts, status_code FROM delivery WHERE destination_id = $1 AND {} \
         AND (next_attempt_at, id) > ($2, $3) ORDER BY next_attempt_at, id LIMIT $4 + 0",
        part.which
    );
    let values = [part.destination.0.into(), last.0.into(), last.1.into(), size.into()];
    let rows = Later::find_by_statement(Statement::from_sql_and_values(txn.get_database_backend(), sql, values));
    Ok(rows.all(txn).await?)
}

/// Sets the due times of these deliveries back to the latest possible ones.
///
/// Takes lock 5 of 9.
async fn pull_in(txn: &DatabaseTransaction, rows: &[Later], now: Timestamp) -> Result<()> {
    let is_postgres = txn.get_database_backend() == DbBackend::Postgres;
    let mut wrong = BTreeMap::<Timestamp, Vec<i64>>::new();
    for row in rows.iter().filter(|row| row.next_attempt_at > row.latest(now).0) {
        wrong.entry(row.latest(now)).or_default().push(row.id);
    }
    for (latest, ids) in wrong {
        // A delivery whose attempt has failed meanwhile may then be retried early.
        let sql = format!(
            "UPDATE delivery SET next_attempt_at = $1 WHERE {} AND next_attempt_at > $1",
            group::id_in("id", "$2", is_postgres)
        );
        execute(txn, &sql, [Value::from(latest.0), group::ids(ids.into_iter(), is_postgres)]).await?;
    }
    Ok(())
}
