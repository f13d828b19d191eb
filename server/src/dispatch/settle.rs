//! Settling a group of ended attempts within a transaction: the attempts are recorded, their deliveries move on,
//! breakers count them, and runs end.

use super::Restless;
use crate::store::delivery::{self, Settlement};
use crate::store::hold;
use crate::store::internal::{self, InternalEvent};
use crate::store::{self, arrange, destination, revision, run};
use model::breaker::Change;
use model::delivery::Next;
use model::destination::Kind;
use model::hold::HoldState;
use model::id::DestinationId;
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Settles a group of deliveries that `owner` has leased.
pub(super) async fn settle(
    txn: &DatabaseTransaction,
    owner: Uuid,
    restless: &Restless,
    mut group: Vec<Settlement>,
    now: Timestamp,
) -> Result<(), store::Error> {
    lock_task_ends(txn, &group).await?;
    let breakers = judge_breakers(txn, restless, &mut group, now).await?;
    let of_tasks: Vec<_> =
        group.iter().filter(|one| one.claimed.ends_task).map(|one| one.claimed.id().into()).collect();
    delivery::settle_many(txn, owner, group, now).await?;
    for (id, moved) in &breakers {
        move_breaker(txn, *id, moved, now).await?;
    }
    run::finish_tasks(txn, &of_tasks, now).await
}

/// Takes lock 1 of 9, before any row, where a run may end a task that is deleted after running.
async fn lock_task_ends(txn: &DatabaseTransaction, group: &[Settlement]) -> Result<(), store::Error> {
    if group.iter().any(|one| one.claimed.ends_task) {
        revision::lock_changes(txn).await?;
    }
    Ok(())
}

/// Returns the settlements that no earlier try has recorded. Takes every lock of `settle` before it looks, since an
/// earlier try that is still being committed has them (PostgreSQL).
pub(super) async fn without_recorded(
    txn: &DatabaseTransaction,
    group: Vec<Settlement>,
) -> Result<Vec<Settlement>, store::Error> {
    lock_task_ends(txn, &group).await?;
    let ids: Vec<_> = group.iter().map(|one| one.claimed.destination_id()).collect();
    hold::load_states(txn, &ids, true).await?;
    delivery::without_recorded(txn, group).await
}

/// A breaker whose state has changed.
struct Moved {
    state: HoldState,
    change: Change,
    /// The error of the attempt that changed the breaker.
    error: Option<String>,
    /// The number of deliveries that led to that attempt's delivery.
    depth: u32,
}

/// Counts every attempt in order, and holds deliveries that are to be retried while their destination holds deliveries.
/// Returns the breakers that have changed.
async fn judge_breakers(
    txn: &DatabaseTransaction,
    restless: &Restless,
    group: &mut [Settlement],
    now: Timestamp,
) -> Result<BTreeMap<DestinationId, Moved>, store::Error> {
    let is_good =
        |one: &Settlement| one.ending(0).is_none_or(|ending| !ending.has_failed && ending.is_hanging != Some(true));
    let counts = |one: &Settlement| !is_good(one) || !matches!(one.next, Next::Settle(_));
    restless.add(group.iter().filter(|one| counts(one)).map(|one| one.claimed.destination_id()));
    let mut ids: Vec<_> = group.iter().map(|one| one.claimed.destination_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| restless.contains(*id));
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut states = hold::load_states(txn, &ids, false).await?;
    ids.retain(|id| {
        let is_at_rest = states.get(id).is_some_and(|state| state.breaker.is_at_rest());
        !is_at_rest || group.iter().any(|one| one.claimed.destination_id() == *id && !is_good(one))
    });
    if txn.get_database_backend() == DbBackend::Postgres && !ids.is_empty() {
        // Another node may count failures of the same destination, or a person may have deleted the destination. So the
        // states are read again, under lock 4 of 9.
        states.retain(|id, _| !ids.contains(id));
        states.extend(hold::load_states(txn, &ids, true).await?);
    }
    let moved = count_attempts(group, &mut states, &ids, now);
    for one in group {
        let state = states.get(&one.claimed.destination_id()).copied().unwrap_or_default();
        let hold = match one.claimed.replay_revision {
            // A replay as of its revision goes to the target of that revision, so a change of the present target does
            // not hold it.
            Some(_) => state.reason_of_replay(),
            None => state.reason_after(one.destination_revision),
        };
        one.next = one.next.held(hold);
    }
    Ok(moved)
}

fn count_attempts(
    group: &[Settlement],
    states: &mut HashMap<DestinationId, HoldState>,
    ids: &[DestinationId],
    now: Timestamp,
) -> BTreeMap<DestinationId, Moved> {
    let mut moved: BTreeMap<DestinationId, Moved> = BTreeMap::new();
    for one in group.iter().filter(|one| ids.contains(&one.claimed.destination_id())) {
        let id = one.claimed.destination_id();
        let Some(state) = states.get_mut(&id) else { continue };
        let Some(ending) = one.ending(state.target_revision) else { continue };
        let change = state.breaker.after_attempt(ending, now);
        let entry =
            moved.entry(id).or_insert_with(|| Moved { state: *state, change: Change::None, error: None, depth: 0 });
        entry.state = *state;
        if change != Change::None {
            // A breaker that opened and closed again within one group reports nothing.
            entry.change = if entry.change == Change::None { change } else { Change::None };
            entry.error.clone_from(&one.attempted.error);
            entry.depth = one.claimed.depth();
        }
    }
    moved
}

/// Stores a breaker. Where it has opened or closed, arranges the destination's waiting deliveries and reports an
/// occurrence.
async fn move_breaker(
    txn: &DatabaseTransaction,
    id: DestinationId,
    moved: &Moved,
    now: Timestamp,
) -> Result<(), store::Error> {
    hold::save_breaker(txn, id, &moved.state.breaker).await?;
    let event_id = match moved.change {
        Change::None => return Ok(()),
        Change::Opened => {
            arrange::begin(txn, id, false, now).await?;
            tracing::warn!(destination = %id, "a destination keeps failing; its deliveries are held");
            "failing"
        }
        Change::Closed => {
            tracing::info!(destination = %id, "a destination accepts deliveries again");
            hold::start_rate_anew(txn, id, now).await?;
            arrange::begin(txn, id, false, now).await?;
            "recovered"
        }
    };
    let names = destination::names(txn, vec![id.0]).await?;
    let kind = names.get(&id).map_or(Kind::Webhook, |(_, kind)| *kind);
    let occurrence = Occurrence {
        type_id: kind.object_type().to_owned(),
        event_id: event_id.to_owned(),
        object: Some(ObjectReference {
            external_id: Some(id.to_string()),
            // The intake fills in the current name.
            name: None,
            tags: None,
            is_subject: false,
        }),
        external_id: None,
        source: None,
        time: Some(now),
        data: moved.error.as_ref().map(|error| serde_json::json!({ "error": error })),
    };
    let event = InternalEvent { occurrence, about_destination: Some(id), depth: moved.depth + 1 };
    internal::insert(txn, &event, now).await
}
