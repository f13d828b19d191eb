//! Recording how deliveries have ended. The receivers have acted: whatever the database says, no record may be dropped
//! silently, and a record that is refused may not keep the others from being made.
//!
//! * The database is away: the group waits for it, and nothing is claimed meanwhile.
//! * A commit went unanswered: the next try first looks for what it would have written.
//! * The group is refused: it is split until the culprit stands alone. That one ends as `internal`, without what the
//!   receiver said if that is what is refused.
//! * Somebody holds a row for long: the group is split as well. The one that is blocked comes back later, with its slot.
//!
//! A delivery whose every record is refused keeps its lease until it runs out. The count of claims without a record bounds
//! how often it is sent.

use super::cycle::{Claiming, Cycled, LEASE_MARGIN, POLL};
use super::{Dispatcher, Ended, chain, settle};
use crate::store;
use crate::store::claim::{self, Claimed};
use crate::store::delivery::{self, Attempted, Settlement};
use crate::store::webhook::{self, Row};
use model::delivery::{ErrorCode, Next, Outcome, Status};
use model::id::{DeliveryId, WebhookId};
use sea_orm::DatabaseTransaction;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a group is tried that somebody else's change stands in the way of, or that is to be recorded while the
/// server stops.
const TRIES: u32 = 5;
/// Stands in a record for a response that could not be stored.
const REFUSED: &str = "The result of this attempt could not be stored.";

type Begun = Result<DatabaseTransaction, store::Error>;

impl Dispatcher {
    /// Records how a group has ended and claims, in one transaction.
    pub(super) async fn record(
        &self,
        begun: Begun,
        group: &[Ended],
        claiming: Claiming<'_>,
        stop: &CancellationToken,
    ) -> Recorded {
        let done = match begun {
            Ok(txn) => self.store.in_time(self.transact(txn, group, claiming, false)).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(cycled) => return Recorded::All(cycled),
            Err(error) if group.is_empty() => tracing::warn!(error = chain(error), "the dispatcher cannot claim"),
            Err(error) => return Recorded::But(self.record_again(group, error, stop).await),
        }
        Recorded::But(HashSet::new())
    }

    /// Records a group that has failed once, and answers which of it are blocked. A claim that fails must not cost what
    /// has ended: none is made.
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
                (Decision::Done | Decision::GivenUp, _) => {}
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

    /// Records a delivery whose record the database refuses: first without what the receiver said, then without an
    /// attempt at all.
    async fn record_as_internal(&self, one: &Ended, stop: &CancellationToken) {
        let Ended::Attempted(settlement) = one else {
            tracing::error!(delivery = %one.claimed().uuid, "a delivery could not be put back; its lease runs out");
            return;
        };
        tracing::error!(delivery = %settlement.claimed.uuid, "the database refuses the record of an attempt");
        let plain = [Ended::Attempted(without_response(settlement.clone()))];
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
            Record::Part(part) => self.transact(txn, part, Claiming::Nothing, true).await.map(drop),
            Record::End(claimed) => {
                let now = self.clock.now();
                claim::end_as_internal(&txn, self.owner, claimed.id(), REFUSED, now).await?;
                self.store.commit(txn).await
            }
        }
    }

    /// Records until it is done or refused: for as long as the database is away, unless the server stops. `failed`: it
    /// was tried once.
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
                return Decision::GivenUp;
            }
            tokio::time::sleep((Duration::from_millis(200) * tried).min(5 * POLL)).await;
        }
    }

    async fn transact(
        &self,
        txn: DatabaseTransaction,
        group: &[Ended],
        claiming: Claiming<'_>,
        is_again: bool,
    ) -> Result<Cycled, store::Error> {
        let now = self.clock.now();
        let mut settlements = Vec::with_capacity(group.len());
        for one in group {
            match one {
                Ended::Attempted(settlement) => settlements.push(settlement.clone()),
                Ended::Returned(claimed, due) => claim::give_back(&txn, self.owner, claimed.id(), *due).await?,
            }
        }
        if is_again {
            // The last try may have been committed, and only its answer lost.
            settlements = delivery::without_recorded(&txn, settlements).await?;
        }
        if !settlements.is_empty() {
            settle::settle(&txn, self.owner, settlements, now).await?;
        }
        let mut cycled = Cycled { room: None, claimed: Vec::new(), read: HashMap::new(), due: None };
        if let Claiming::Within { lanes, known } = claiming {
            if !lanes.is_full() {
                let room = lanes.room(&claim::take_turn(&txn, self.owner).await?);
                // Others may have been waited for: a lease begins now.
                let now = self.clock.now();
                cycled.claimed = claim::claim(&txn, self.owner, now, now.after(LEASE_MARGIN), &room).await?;
                cycled.read = read_missing(&txn, &cycled.claimed, known).await?;
                cycled.room = Some(room);
            }
            // Where something was claimed and something has ended, the next turn is near.
            if cycled.claimed.is_empty() || group.is_empty() {
                cycled.due = claim::next_due(&txn).await?;
            }
        }
        // Only where something has ended: how often nothing has depends on the clock.
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

/// What recording a group came to.
pub(super) enum Recorded {
    /// All of it is recorded, and what is due was claimed.
    All(Cycled),
    /// Nothing was claimed, because the database was away, or refused or blocked the group. These are still to be
    /// recorded.
    But(HashSet<DeliveryId>),
}

/// A record to be made.
#[derive(Clone, Copy)]
enum Record<'a> {
    /// How these deliveries ended.
    Part(&'a [Ended]),
    /// That this delivery is an error, and nothing else.
    End(&'a Claimed),
}

/// The result of trying until it was certain.
enum Decision {
    Done,
    /// It would be refused for ever.
    Refused,
    /// Somebody holds a row of it, and may do so for long.
    Blocked,
    /// The server stops, and the database is away.
    GivenUp,
}

/// The webhooks of these deliveries that are not known at their revision.
async fn read_missing(
    txn: &DatabaseTransaction,
    claimed: &[Claimed],
    known: &HashMap<WebhookId, Arc<Row>>,
) -> Result<HashMap<WebhookId, Row>, store::Error> {
    let is_known =
        |one: &Claimed| known.get(&one.webhook_id()).is_some_and(|webhook| webhook.revision == one.current_revision);
    let mut missing: Vec<_> = claimed.iter().filter(|one| !is_known(one)).map(|one| one.webhook_id().0).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() { Ok(HashMap::new()) } else { webhook::find_many(txn, missing).await }
}

/// The same without anything that came from outside. What was received stays received.
fn without_response(mut settlement: Settlement) -> Settlement {
    let Attempted { started_at, duration, http_status, .. } = settlement.attempted;
    let plain = Attempted::failed(started_at, duration, ErrorCode::Internal, REFUSED.to_owned());
    settlement.attempted = if settlement.attempted.outcome == Outcome::Sent {
        let answer_note = Some("the answer could not be stored".to_owned());
        Attempted { outcome: Outcome::Sent, error: None, http_status, answer_note, ..plain }
    } else {
        settlement.next = Next::Settle(Status::Error);
        plain
    };
    settlement
}
