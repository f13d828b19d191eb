//! The one way to start runs, whatever their cause: an occurrence, a schedule, a person or a replay.
//!
//! Each start becomes a run with one delivery, whose message is rendered here, once. One check decides whether the
//! delivery waits for its destination. Nothing is sent here, and the caller commits.

mod full;
mod plain;

pub use full::FullHold;
pub use plain::{Plain, Unnamed};

use super::held::HeldCounts;
use super::lane::{Lanes, Leased, Taken};
use super::render::{self, Subject};
use crate::clock::new_uuid;
use crate::store::delivery::{self, Lease, NewDelivery, Replay};
use crate::store::destination::Destination;
use crate::store::hold::HOLD_FULL;
use crate::store::run::{self, NewRun};
use crate::store::{self, task};
use jiff::tz::TimeZone;
use model::delivery::ErrorCode;
use model::hold::HoldReason;
use model::id::{DestinationId, EventId, RunId};
use model::run::Cause;
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The most rendered messages in memory before they are written: their number, which is the size of one statement, and
/// their bytes.
const RENDERED_MAX: usize = 100;
const RENDERED_MAX_BYTES: usize = 4 << 20;

/// The time by which a lease outlasts the destination's timeout, so that only the lease of a dead node runs out.
pub const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// The constraint in the error of starts that have to be written again under the lock of changes.
const LOCK_OF_CHANGES: &str = "lock_of_changes";

/// A run to start.
pub struct Start<'a> {
    /// The task, or the earlier delivery that is sent again.
    pub task: Origin<'a>,
    /// The destination of the message.
    pub destination: &'a Arc<Destination>,
    /// The cause of the run.
    pub cause: Cause,
    /// The events that fired.
    pub event_ids: Vec<EventId>,
    /// The subject of the message.
    pub subject: Subject<'a>,
}

/// The origin of a run's message.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// A task, whose message is rendered.
    Task(&'a task::Row),
    /// An earlier delivery, whose message is sent again: to the target of the destination's revision, or to the current
    /// one.
    Replay(&'a delivery::Row, Option<i64>),
}

impl Origin<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Task(row) => &row.task.name,
            Self::Replay(old, _) => &old.line.task_name,
        }
    }

    fn is_one_time(&self) -> bool {
        matches!(self, Self::Task(row) if row.task.deletes_after_running)
    }
}

/// The circumstances of starts that are written together.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The instant at which the messages are rendered.
    pub now: Timestamp,
    /// The zone of `${DATE}`.
    pub zone: &'a TimeZone,
    /// The numbers of held deliveries.
    pub held: &'a HeldCounts,
    /// True when the transaction holds the lock of changes, lock 1 of 9.
    pub has_lock_of_changes: bool,
    /// The lanes of this node, if it may send the deliveries at once. Otherwise they queue.
    pub lanes: Option<&'a Lanes>,
}

/// The result of starts.
#[derive(Debug, Default)]
pub struct Started {
    /// The public ids of the deliveries, in the order of the starts.
    pub deliveries: Vec<Uuid>,
    /// The deliveries that their destinations could not hold.
    pub full: Vec<FullHold>,
    /// The deliveries that this node sends itself, to be handed over after the commit.
    pub taken: Option<Taken>,
    /// True when a delivery queues, so that a dispatcher has to look for it.
    pub has_queued: bool,
}

/// Returns true for the error of [`start`] that asks for another try, under the lock of changes.
pub fn needs_lock_of_changes(error: &store::Error) -> bool {
    matches!(error, store::Error::Conflict { constraint } if constraint == LOCK_OF_CHANGES)
}

/// Writes the runs of these starts with their deliveries. The caller has claimed the tasks that are deleted after
/// running.
///
/// Takes locks 5 and 6 of 9; where a task that is deleted after running fails at once, also lock 7.
///
/// # Errors
/// Fails when such a task fails at once and the lock of changes is not held: ending the run changes the task, and lock
/// 1 comes before the others. [`needs_lock_of_changes`] recognises that.
pub async fn start(
    txn: &DatabaseTransaction,
    starts: &[Start<'_>],
    setting: Setting<'_>,
) -> Result<Started, store::Error> {
    let mut started = Started { taken: setting.lanes.and_then(Lanes::take), ..Started::default() };
    if starts.is_empty() {
        return Ok(started);
    }
    let mut room = count_room(txn, starts, setting.held).await?;
    let date = render::date(setting.now, setting.zone);
    // Messages are rendered and written a few at a time, since one occurrence may start a thousand tasks.
    let (mut rendered, mut bytes) = (Rendered::default(), 0);
    let mut failed_runs = Vec::new();
    for one in starts {
        let mut new = new_delivery(one, setting.now, &date);
        if new.failed.is_none() && new.hold.is_some() && !take_room(&mut room, setting.held, new.destination_id) {
            new.failed = Some((ErrorCode::HoldFull, HOLD_FULL.to_owned()));
            started.full.push(FullHold {
                destination_id: new.destination_id,
                kind: one.destination.kind(),
                destination_name: new.destination_name.clone(),
                depth: new.depth,
            });
        }
        if new.failed.is_some() {
            if one.task.is_one_time() && !setting.has_lock_of_changes {
                return Err(store::Error::Conflict { constraint: LOCK_OF_CHANGES.to_owned() });
            }
            rendered.failed.push(rendered.new.len());
        } else if new.hold.is_none() {
            new.lease = started.taken.as_mut().and_then(|taken| lease(taken, one, &new, setting.now));
            started.has_queued |= new.lease.is_none();
        }
        started.deliveries.push(new.uuid);
        bytes += new.body.len();
        if new.lease.is_some() {
            rendered.destinations.push(one.destination.clone());
        }
        rendered.new.push((new_run(one), new));
        if bytes > RENDERED_MAX_BYTES || rendered.new.len() >= RENDERED_MAX {
            failed_runs.extend(write(txn, std::mem::take(&mut rendered), &mut started, setting.now).await?);
            bytes = 0;
        }
    }
    failed_runs.extend(write(txn, rendered, &mut started, setting.now).await?);
    run::end_settled(txn, &failed_runs, setting.now).await?;
    Ok(started)
}

/// Runs with rendered deliveries that are not written yet.
#[derive(Default)]
struct Rendered {
    new: Vec<(NewRun, NewDelivery)>,
    /// The indexes of the deliveries that failed.
    failed: Vec<usize>,
    /// The destinations of the leased deliveries, in their order.
    destinations: Vec<Arc<Destination>>,
}

/// Writes runs with their deliveries. Returns the runs that failed.
async fn write(
    txn: &DatabaseTransaction,
    rendered: Rendered,
    started: &mut Started,
    now: Timestamp,
) -> Result<Vec<RunId>, store::Error> {
    let delivery::Started { runs, claimed } = delivery::start_many(txn, rendered.new, now).await?;
    if let Some(taken) = &mut started.taken {
        let leased = claimed.into_iter().zip(rendered.destinations);
        taken.note(leased.map(|(claimed, destination)| Leased { claimed, destination: Some(destination) }));
    }
    Ok(rendered.failed.into_iter().map(|place| runs[place]).collect())
}

/// Leases a new delivery to this node, if its lane has room and nothing of its destination waits.
fn lease(taken: &mut Taken, one: &Start<'_>, new: &NewDelivery, now: Timestamp) -> Option<Lease> {
    if one.destination.hold().is_arranging {
        return None;
    }
    let owner = taken.lease(new.destination_id, new.body.len())?;
    let until = now.after(one.destination.timeout() + LEASE_MARGIN);
    Some(Lease { owner, until, revision: one.destination.revision(), ends_task: one.task.is_one_time() })
}

fn new_run(one: &Start<'_>) -> NewRun {
    NewRun {
        task_id: match one.task {
            Origin::Task(row) => Some(row.id),
            // A replay does not belong to the task: its success deletes no task.
            Origin::Replay(..) => None,
        },
        task_name: one.task.name().to_owned(),
        cause: one.cause.clone(),
        event_ids: one.event_ids.clone(),
    }
}

/// Returns the delivery of a start. Its message is rendered once, and is the same over all attempts.
fn new_delivery(one: &Start<'_>, now: Timestamp, date: &str) -> NewDelivery {
    let (destination, subject) = (one.destination, &one.subject);
    let uuid = new_uuid(now);
    let message = match one.task {
        Origin::Task(row) => render::message(now, date, uuid, &row.task, destination, subject),
        Origin::Replay(old, _) => render::again(old),
    };
    NewDelivery {
        uuid,
        destination_id: destination.id(),
        destination_name: destination.name().to_owned(),
        task_name: one.task.name().to_owned(),
        type_id: subject.type_id.to_owned(),
        event_id: subject.event_id.to_owned(),
        object_id: subject.object_id,
        object_name: subject.object_name.map(str::to_owned),
        body: message.body,
        notes: message.notes,
        failed: message.failed,
        hold: hold(one),
        depth: subject.depth,
        destination_revision: destination.revision(),
        replay: match one.task {
            Origin::Task(_) => Replay::default(),
            Origin::Replay(old, revision) => Replay { of: Some(old.id), revision },
        },
        recipients: message.recipients,
        lease: None,
    }
}

/// Returns the reason that holds the delivery of a start.
fn hold(one: &Start<'_>) -> Option<HoldReason> {
    match one.task {
        Origin::Replay(_, Some(_)) => one.destination.hold().reason_of_replay(),
        _ => one.destination.hold().reason(),
    }
}

/// Returns the number of further deliveries for each destination that holds new deliveries.
async fn count_room(
    txn: &DatabaseTransaction,
    starts: &[Start<'_>],
    held: &HeldCounts,
) -> Result<HashMap<DestinationId, u64>, store::Error> {
    let mut room = HashMap::new();
    for one in starts.iter().filter(|one| hold(one).is_some()) {
        let id = one.destination.id();
        if let Entry::Vacant(entry) = room.entry(id) {
            entry.insert(held.room(txn, id).await?);
        }
    }
    Ok(room)
}

/// Takes the room for one held delivery. Returns false when there is none.
fn take_room(room: &mut HashMap<DestinationId, u64>, held: &HeldCounts, id: DestinationId) -> bool {
    let Some(left) = room.get_mut(&id).filter(|left| **left > 0) else { return false };
    *left -= 1;
    held.add(id, 1);
    true
}
