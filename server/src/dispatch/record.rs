//! Recording the ends of deliveries. The receivers have already acted, so no record is dropped silently, even when the
//! database fails, and a refused record does not prevent the others.
//!
//! * The database is away: the group waits, and nothing is claimed meanwhile.
//! * The response to a commit is lost: the next try first looks for the rows that the commit would have written. The
//!   commit may still be under way (PostgreSQL), so the try waits for its locks before the look.
//! * The group is refused: halving it isolates the refused record. That attempt is recorded without the receiver's
//!   response. A delivery that was sent stays sent, and any other ends with the code `internal`. If that record is
//!   refused too, the delivery ends as an error without an attempt.
//! * A row of the group stays locked: halving isolates that row, too. Its record is tried again later, as after a lost
//!   response; until then the delivery keeps its slot.
//!
//! If every record of a delivery is refused, its lease runs out. After three such claims the delivery is suspect, and
//! the recorded beginnings of its attempts limit how often it is sent (`store::suspect`).

use super::cycle::{Claiming, Cycled, LEASE_MARGIN, POLL};
use super::{Dispatcher, Ended, chain, settle};
use crate::store;
use crate::store::claim::{self, Claimed};
use crate::store::delivery::{self, Attempted, Settlement};
use crate::store::destination::{self, Destination};
use crate::store::lease;
use crate::store::revision;
use crate::store::turn::Turn;
use model::delivery::{ErrorCode, Next, Outcome, Status};
use model::id::{DeliveryId, DestinationId};
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The number of tries for a group that conflicts with another change, or that is recorded while the server stops.
const TRIES: u32 = 5;
/// The error of a record without the response, because the database refused the response.
const REFUSED: &str = "The result of this attempt could not be stored.";

/// The beginning of a record.
pub(super) enum Begun {
    /// The transaction of a cycle.
    Transaction(DatabaseTransaction),
    /// No transaction: the record is one statement that commits itself, or on SQLite this turn.
    Alone(Option<Turn>),
    /// The record was made along with a turn, or that failed.
    Made(store::Result<()>),
}

impl Dispatcher {
    /// Records a group of ended deliveries and claims more, in one transaction.
    pub(super) async fn record(
        &self,
        begun: Result<Begun, store::Error>,
        group: &mut [Ended],
        claiming: Claiming<'_>,
        stop: &CancellationToken,
    ) -> Recorded {
        let done = match begun {
            Ok(Begun::Transaction(txn)) => self.store.in_time(self.transact(txn, group, claiming)).await,
            Ok(Begun::Alone(turn)) => self.record_alone(turn, group).await,
            Ok(Begun::Made(made)) => made.map(|()| {
                crate::fault::point("settle.after-commit");
                Cycled::default()
            }),
            Err(error) => Err(error),
        };
        match done {
            Ok(cycled) => return Recorded::All(cycled),
            Err(error) if group.is_empty() => tracing::warn!(error = chain(error), "the dispatcher cannot claim"),
            Err(error) => {
                for one in &mut *group {
                    if let Ended::Attempted(settlement) = one {
                        settlement.may_be_recorded = true;
                    }
                }
                return Recorded::But(self.record_again(group, error, stop).await);
            }
        }
        Recorded::But(HashSet::new())
    }

    /// Returns true for a group whose record needs no transaction around it: successes of destinations whose breaker is
    /// closed and has counted no failures.
    pub(super) fn is_plain(&self, group: &[Ended]) -> bool {
        let is_at_rest = |one: &Settlement| !self.restless.contains(one.claimed.destination_id());
        group.iter().all(|one| one.settlement().is_some_and(|one| one.is_plain() && is_at_rest(one)))
    }

    async fn record_alone(&self, turn: Option<Turn>, group: &[Ended]) -> Result<Cycled, store::Error> {
        crate::fault::point("settle.before-commit");
        let settled = async {
            match turn {
                Some(turn) => delivery::settle_in_turn(turn, self.owner, self.plain_rows(group).collect()).await,
                None => {
                    let settlements = group.iter().filter_map(Ended::settlement).cloned().collect();
                    delivery::settle_many(self.store.autocommit(), self.owner, settlements, self.clock.now()).await
                }
            }
        };
        self.store.alone(settled).await?;
        crate::fault::point("settle.after-commit");
        Ok(Cycled::default())
    }

    /// Records a group whose first try failed with `error`, without claiming. Returns the deliveries that are blocked.
    async fn record_again(
        &self,
        group: &[Ended],
        error: store::Error,
        stop: &CancellationToken,
    ) -> HashSet<DeliveryId> {
        let mut blocked = HashSet::new();
        let mut parts = vec![(group, self.until_decided(Record::Part(group), Some(error), stop).await)];
        while let Some((part, decision)) = parts.pop() {
            match (decision, part) {
                (Decision::Done | Decision::Abandoned, _) => {}
                (Decision::Refused, [one]) => self.record_as_internal(one, stop).await,
                (Decision::Blocked, [one]) => _ = blocked.insert(one.claimed().id()),
                (Decision::Refused | Decision::Blocked, _) => {
                    let (one, other) = part.split_at(part.len() / 2);
                    for half in [one, other] {
                        parts.push((half, self.until_decided(Record::Part(half), None, stop).await));
                    }
                }
            }
        }
        blocked
    }

    /// Records a delivery whose record the database refuses: first without the receiver's response, then without an
    /// attempt.
    async fn record_as_internal(&self, one: &Ended, stop: &CancellationToken) {
        let Ended::Attempted(settlement) = one else {
            tracing::error!(delivery = %one.claimed().uuid, "a delivery could not be put back; its lease runs out");
            return;
        };
        tracing::error!(delivery = %settlement.claimed.uuid, "the database refuses the record of an attempt");
        let plain = [Ended::Attempted(Box::new(without_response(settlement.as_ref().clone())))];
        let mut decision = self.until_decided(Record::Part(&plain), None, stop).await;
        if let Decision::Refused = decision {
            decision = self.until_decided(Record::End(&settlement.claimed), None, stop).await;
        }
        if !matches!(decision, Decision::Done) {
            tracing::error!(delivery = %settlement.claimed.uuid, "an attempt has no record; its lease runs out");
        }
    }

    async fn try_record(&self, record: Record<'_>) -> Result<(), store::Error> {
        let txn = self.store.begin_impatient().await?;
        match record {
            Record::Part(part) => {
                let nothing = Claiming { plan: &[], cached: &HashMap::new() };
                self.transact(txn, part, nothing).await.map(drop)
            }
            Record::End(claimed) => {
                if claimed.ends_task {
                    revision::lock_changes(&txn).await?;
                }
                let now = self.clock.now();
                lease::end_as_internal(&txn, self.owner, claimed.id(), REFUSED, now).await?;
                self.store.commit(txn).await
            }
        }
    }

    /// Tries until the record is made, refused or blocked. Waits for a database that is away, unless the server stops.
    /// `failed` is the error of the first try, if that was made already.
    async fn until_decided(
        &self,
        record: Record<'_>,
        mut failed: Option<store::Error>,
        stop: &CancellationToken,
    ) -> Decision {
        let mut tried = 0;
        loop {
            tried += 1;
            let done = match failed.take() {
                Some(error) => Err(error),
                None => self.store.in_time(self.try_record(record)).await,
            };
            let Err(error) = done else { return Decision::Done };
            let is_away = matches!(error, store::Error::Unavailable(_));
            let (is_passing, is_blocked) = (error.is_passing(), error.is_blocked());
            tracing::error!(error = chain(error), tried, "attempts could not be recorded");
            if !is_passing || (!is_away && tried >= TRIES) {
                return Decision::Refused;
            }
            if is_blocked && !stop.is_cancelled() {
                return Decision::Blocked;
            }
            if tried >= TRIES && stop.is_cancelled() {
                return Decision::Abandoned;
            }
            tokio::time::sleep((Duration::from_millis(200) * tried).min(5 * POLL)).await;
        }
    }

    async fn transact(
        &self,
        txn: DatabaseTransaction,
        group: &[Ended],
        claiming: Claiming<'_>,
    ) -> Result<Cycled, store::Error> {
        let now = self.clock.now();
        let mut settlements = Vec::with_capacity(group.len());
        let mut returned: BTreeMap<lease::Returned, Vec<DeliveryId>> = BTreeMap::new();
        for one in group {
            match one {
                Ended::Attempted(settlement) => settlements.push(settlement.as_ref().clone()),
                Ended::Returned { claimed, due, .. } => {
                    let returning = lease::Returned { due: *due, until: claimed.lease_until() };
                    returned.entry(returning).or_default().push(claimed.id());
                }
            }
        }
        if settlements.iter().any(|one| one.may_be_recorded) {
            // The last try may have been committed, and only its response lost.
            settlements = settle::without_recorded(&txn, settlements).await?;
        }
        if !settlements.is_empty() {
            settle::settle(&txn, self.owner, &self.restless, settlements, now).await?;
        }
        // After the locks 1 and 4 that settling takes.
        lease::give_back(&txn, self.owner, &returned, now).await?;
        let mut cycled = Cycled::default();
        if !claiming.plan.is_empty() {
            // The records may have taken a while. A lease begins now.
            let now = self.clock.now();
            cycled.claimed = claim::claim(&txn, self.owner, now, now.after(LEASE_MARGIN), claiming.plan).await?;
            cycled.read = read_missing(&txn, &cycled.claimed, claiming.cached).await?;
        }
        // Cycles without a group have no fault points: their number depends on the clock.
        let point = |name| {
            if !group.is_empty() {
                crate::fault::point(name);
            }
        };
        point("settle.before-commit");
        self.store.commit(txn).await?;
        point("settle.after-commit");
        Ok(cycled)
    }
}

/// The result of recording a group.
pub(super) enum Recorded {
    /// The whole group is recorded, and due deliveries are claimed.
    All(Cycled),
    /// Nothing was claimed: the database was away, or refused or blocked the group. The deliveries named here still
    /// wait for their records.
    But(HashSet<DeliveryId>),
}

/// A record to make.
#[derive(Clone, Copy)]
enum Record<'a> {
    /// The ends of these deliveries.
    Part(&'a [Ended]),
    /// Nothing but the status `error` of this delivery.
    End(&'a Claimed),
}

/// The certain result of one or more tries.
enum Decision {
    /// The record is made.
    Done,
    /// Every further try would be refused.
    Refused,
    /// Another transaction holds a lock on one of the rows, maybe for long.
    Blocked,
    /// The server stops, and the database is away.
    Abandoned,
}

/// Reads the destinations of the claimed deliveries that are not cached at their current revision.
async fn read_missing(
    txn: &DatabaseTransaction,
    claimed: &[Claimed],
    cached: &HashMap<DestinationId, Arc<Destination>>,
) -> Result<HashMap<DestinationId, Destination>, store::Error> {
    let is_cached = |one: &Claimed| {
        cached.get(&one.destination_id()).is_some_and(|destination| destination.revision() == one.current_revision)
    };
    let mut missing: Vec<_> = claimed.iter().filter(|one| !is_cached(one)).map(|one| one.destination_id().0).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() { Ok(HashMap::new()) } else { destination::find_many(txn, missing).await }
}

/// Returns the settlement without any text from the receiver. A delivery that was sent stays sent.
fn without_response(mut settlement: Settlement) -> Settlement {
    let Attempted { started_at, duration, status_code, .. } = settlement.attempted;
    let plain = Attempted::failed(started_at, duration, ErrorCode::Internal, REFUSED.to_owned());
    settlement.attempted = if settlement.attempted.outcome == Outcome::Sent {
        let response_note = Some("the response could not be stored".to_owned());
        Attempted { outcome: Outcome::Sent, error: None, status_code, response_note, ..plain }
    } else {
        settlement.next = Next::Settle(Status::Error);
        plain
    };
    settlement
}
