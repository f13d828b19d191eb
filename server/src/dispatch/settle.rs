//! Settling in groups: what has ended while a commit runs shares the next one.

use super::Slots;
use crate::clock::Clock;
use crate::store::delivery::{self, Settlement};
use crate::store::hold::{self, hold_waiting};
use crate::store::internal::{self, InternalEvent};
use crate::store::webhook::HoldState;
use crate::store::{self, Store, occurrence};
use model::breaker::{Change, counts};
use model::catalog::WEBHOOKS;
use model::delivery::{HoldReason, Outcome};
use model::id::WebhookId;
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

/// How many share one commit.
const GROUP_MAX: usize = 100;
/// How often a group is tried before its leases are left to run out.
const TRIES: u32 = 5;

/// The one worker that settles for a dispatcher.
pub(super) struct Settler {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// Rung when a settlement has let something go.
    pub(super) bell: Arc<Notify>,
    /// Rung when an attempt has been recorded.
    pub(super) freed: Arc<Notify>,
    pub(super) slots: Arc<Mutex<Slots>>,
    /// The dispatcher, in leases.
    pub(super) owner: Uuid,
}

impl Settler {
    /// Works until every sender is gone and everything is settled.
    pub(super) async fn run(self, mut ended: mpsc::Receiver<Settlement>) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while ended.recv_many(&mut group, GROUP_MAX).await > 0 {
            let group = std::mem::take(&mut group);
            let webhooks: Vec<_> = group.iter().map(|one| one.claimed.webhook_id()).collect();
            self.settle(group).await;
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            for webhook in webhooks {
                slots.record(webhook);
            }
            drop(slots);
            self.freed.notify_one();
        }
    }

    async fn settle(&self, group: Vec<Settlement>) {
        for tried in 1..=TRIES {
            match self.transact(group.clone()).await {
                Ok(()) => return,
                Err(error) => {
                    // The receivers have acted: try hard to record it, or it is sent again when the lease has run out.
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::error!(error, tried, deliveries = group.len(), "attempts could not be recorded");
                    tokio::time::sleep(Duration::from_millis(200) * tried).await;
                }
            }
        }
    }

    async fn transact(&self, mut group: Vec<Settlement>) -> Result<(), store::Error> {
        let now = self.clock.now();
        let mut runs: Vec<_> = group.iter().map(|one| one.claimed.run_id()).collect();
        runs.sort_unstable();
        runs.dedup();
        let txn = self.store.begin().await?;
        let breakers = judge_breakers(&txn, self.store.is_postgres(), &mut group, now).await?;
        delivery::settle_many(&txn, self.owner, group, now).await?;
        let mut has_released = false;
        for (id, moved) in &breakers {
            has_released |= move_breaker(&txn, *id, moved, now).await?;
        }
        occurrence::end_settled_runs(&txn, &runs, now).await?;
        txn.commit().await?;
        if has_released {
            self.bell.notify_one();
        }
        Ok(())
    }
}

/// A breaker that has to be stored.
struct Moved {
    name: String,
    state: HoldState,
    change: Change,
    /// What the attempt said that changed it, and how many deliveries led to it.
    error: Option<String>,
    depth: u32,
}

/// Takes note of every attempt, in order, and has those that would be tried again wait while their webhook holds.
async fn judge_breakers(
    txn: &DatabaseTransaction,
    is_postgres: bool,
    group: &mut [Settlement],
    now: Timestamp,
) -> Result<BTreeMap<WebhookId, Moved>, store::Error> {
    let mut ids: Vec<_> = group.iter().map(|one| one.claimed.webhook_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut states = hold::load_states(txn, &ids, false).await?;
    let has_failed = |one: &Settlement| !matches!(one.attempted.outcome, Outcome::Sent);
    ids.retain(|id| {
        let is_at_rest = states.get(id).is_some_and(|(_, state)| state.breaker.is_at_rest());
        !is_at_rest || group.iter().any(|one| one.claimed.webhook_id() == *id && has_failed(one))
    });
    if is_postgres && !ids.is_empty() {
        // Another node may count the same webhook's failures: again, under a lock.
        states.extend(hold::load_states(txn, &ids, true).await?);
    }
    let moved = count_attempts(group, &mut states, &ids, now);
    for one in group {
        let state = states.get(&one.claimed.webhook_id()).map(|(_, state)| *state).unwrap_or_default();
        let hold = match one.claimed.replay_revision {
            // Sent to the target of then, whatever the webhook's is now.
            Some(_) => state.reason(),
            None => state.reason_after(one.webhook_revision),
        };
        one.next = one.next.held(hold);
    }
    Ok(moved)
}

fn count_attempts(
    group: &[Settlement],
    states: &mut HashMap<WebhookId, (String, HoldState)>,
    ids: &[WebhookId],
    now: Timestamp,
) -> BTreeMap<WebhookId, Moved> {
    let mut moved: BTreeMap<WebhookId, Moved> = BTreeMap::new();
    for one in group.iter().filter(|one| ids.contains(&one.claimed.webhook_id())) {
        let id = one.claimed.webhook_id();
        let Some((name, state)) = states.get_mut(&id) else { continue };
        let has_succeeded = match one.attempted.outcome {
            Outcome::Sent => true,
            Outcome::Failed { code, .. } if counts(code) => false,
            Outcome::Failed { .. } => continue,
        };
        let change = state.breaker.after_attempt(has_succeeded, now);
        let entry = moved.entry(id).or_insert_with(|| Moved {
            name: name.clone(),
            state: *state,
            change: Change::None,
            error: None,
            depth: 0,
        });
        entry.state = *state;
        if change != Change::None {
            // Opened and closed again within one group: nothing has to be told.
            entry.change = if entry.change == Change::None { change } else { Change::None };
            entry.error.clone_from(&one.attempted.error);
            entry.depth = one.claimed.depth();
        }
    }
    moved
}

/// Stores a breaker, and does what its opening or closing means. Answers whether anything was let go.
async fn move_breaker(
    txn: &DatabaseTransaction,
    id: WebhookId,
    moved: &Moved,
    now: Timestamp,
) -> Result<bool, store::Error> {
    hold::save_breaker(txn, id, &moved.state.breaker).await?;
    let (event_id, has_released) = match moved.change {
        Change::None => return Ok(false),
        Change::Opened => {
            hold_waiting(txn, id, HoldReason::Breaker).await?;
            tracing::warn!(webhook = %id, "a webhook keeps failing; its deliveries are held");
            ("failing", false)
        }
        Change::Closed => {
            tracing::info!(webhook = %id, "a webhook answers again");
            ("recovered", hold::release_breaker(txn, id, &moved.state).await? > 0)
        }
    };
    let occurrence = Occurrence {
        type_id: WEBHOOKS.to_owned(),
        event_id: event_id.to_owned(),
        object: Some(ObjectReference { external_id: Some(id.to_string()), name: Some(moved.name.clone()), tags: None }),
        external_id: None,
        source: None,
        time: Some(now),
        data: moved.error.as_ref().map(|error| serde_json::json!({ "error": error })),
    };
    let event = InternalEvent { occurrence, about_webhook: Some(id), depth: moved.depth + 1 };
    internal::insert(txn, &event, now).await?;
    Ok(has_released)
}
