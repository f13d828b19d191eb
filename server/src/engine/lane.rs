//! Lanes: the deliveries that this node has leased, by destination, and the capacity for more.
//!
//! Intake and dispatcher share the lanes. A lane tells three things apart:
//!
//! * **leased**: the deliveries that belong to this node until their end is recorded. A destination that responds
//!   quickly may have 128 of them, so that its receiver hardly waits for the database. Any other destination has
//!   as many as may be sent at the same time. Where slots are scarce, each has fewer.
//! * **sending**: the attempts under way. Their number is what a receiver notices: the limit for each destination,
//!   which the nodes share.
//! * **unrecorded**: the attempts that have begun and have no record. A crash may repeat these: at most 32
//!   of one destination, or its share of attempts if that is larger, and [`SLOTS`] in all.
//!
//! Nothing here waits, and nothing reads or writes the database.

mod state;
mod taken;

pub use taken::Taken;

use crate::store::claim::Claimed;
use crate::store::destination::Destination;
use model::id::{DeliveryId, DestinationId};
use state::{Lane, Open, SCARCE, State, UNRECORDED_BUSY, UNRECORDED_MAX};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The most unrecorded attempts at one node, and the most leases, not counting those that quick destinations have ahead
/// of their limits.
pub const SLOTS: usize = 512;
/// The longest attempt of a quick destination. At this pace 128 leases are sent within two seconds.
const QUICK: Duration = Duration::from_millis(100);
/// The fewest deliveries that are claimed of a quick destination that has others to send.
const CLAIM_LEAST: usize = 16;

/// A delivery that belongs to this node, with its destination as last read. `None` for a destination that cannot be
/// read.
#[derive(Debug, Clone)]
pub struct Leased {
    /// The delivery.
    pub claimed: Claimed,
    /// The destination.
    pub destination: Option<Arc<Destination>>,
}

/// The behaviour of a destination, as one attempt shows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviour {
    /// Whether the destination hangs. `None` where the attempt does not show it.
    pub is_hanging: Option<bool>,
    /// The duration of an attempt that succeeded.
    pub sent_in: Option<Duration>,
}

/// The end of a delivery in its lane.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The destination.
    pub destination: DestinationId,
    /// True where the delivery had its turn to be sent.
    pub had_turn: bool,
    /// True where the delivery is in the queue again.
    pub is_queued: bool,
}

/// The shared lanes. Clones are handles of the same lanes.
#[derive(Debug, Clone, Default)]
pub struct Lanes(Arc<Mutex<State>>);

impl Lanes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the lanes for a dispatcher that sends at most `limit` deliveries of one destination at the same time,
    /// together with the other nodes. Deliveries that were leased by a [`Taken`] arrive at the returned receiver.
    pub fn open(&self, owner: Uuid, limit: usize) -> mpsc::UnboundedReceiver<Vec<Leased>> {
        let (handed, receiver) = mpsc::unbounded_channel();
        *self.state() = State { open: Some(Open { owner, handed }), limit, nodes: (1, 0), ..State::default() };
        receiver
    }

    /// Ends the leases of new deliveries at their start. Returns the deliveries that wait for their attempt.
    pub fn close(&self) -> Vec<Leased> {
        let mut state = self.state();
        state.open = None;
        state.is_ready = false;
        state.lanes.values_mut().flat_map(|lane| std::mem::take(&mut lane.waiting)).collect()
    }

    /// Begins to lease new deliveries at their start. `None` while no dispatcher runs.
    pub fn take(&self) -> Option<Taken> {
        let state = self.state();
        let open = state.open.as_ref().filter(|_| state.is_ready)?;
        let (owner, handed) = (open.owner, open.handed.clone());
        Some(Taken {
            lanes: self.clone(),
            owner,
            handed,
            destinations: Vec::new(),
            leased: Vec::new(),
            has_rows: false,
            is_unnamed: false,
        })
    }

    /// Sets the number of nodes, and the number of those before this one.
    pub fn set_nodes(&self, count: usize, rank: usize) {
        let mut state = self.state();
        if state.nodes == (count, rank) {
            return;
        }
        state.nodes = (count, rank);
        let ahead = |(id, lane): (&DestinationId, &Lane)| lane.leased.saturating_sub(state.share(*id));
        state.ahead = state.lanes.iter().map(ahead).sum();
    }

    /// Returns the number of nodes that share the limits.
    pub fn count_nodes(&self) -> usize {
        self.state().nodes.0
    }

    /// Sets the destinations that hang, as the database lists them.
    pub fn set_hanging(&self, hanging: &HashSet<DestinationId>) {
        let mut state = self.state();
        for (id, lane) in &mut state.lanes {
            lane.is_hanging = hanging.contains(id);
        }
        for id in hanging {
            state.lanes.entry(*id).or_default().is_hanging = true;
        }
        state.hanging = state.lanes.values().filter(|lane| lane.is_hanging).map(|lane| lane.leased).sum();
        state.forget_idle();
    }

    /// Returns the destination after which the next claim begins, and the number of deliveries it may claim.
    pub fn next_claim(&self) -> (DestinationId, usize) {
        let state = self.state();
        (state.last.unwrap_or(DestinationId(0)), state.free())
    }

    /// Reserves leases for up to `most` deliveries of the destinations that have due ones, in their order. Returns the
    /// number for each destination. The claim reports its result with [`Lanes::claimed`]. `is_whole` is true when no
    /// other destination has due deliveries.
    pub fn plan(&self, due: &[DestinationId], is_whole: bool, most: usize) -> Vec<(DestinationId, usize)> {
        let mut state = self.state();
        if is_whole {
            let due: HashSet<_> = due.iter().collect();
            for (id, lane) in &mut state.lanes {
                lane.has_backlog &= due.contains(id);
            }
            state.is_ready = true;
        }
        // The next look continues after the destinations that have no room.
        state.last = due.last().copied().filter(|_| !is_whole).or(state.last);
        let mut plan = Vec::new();
        let mut left = most;
        for id in due {
            let slots = state.room(*id).min(left);
            for _ in 0..slots {
                state.lease(*id);
            }
            state.mark(*id);
            if slots > 0 {
                left -= slots;
                state.last = Some(*id);
                plan.push((*id, slots));
            }
        }
        plan
    }

    /// Notes the deliveries that were claimed by a plan, and releases the leases of the plan that were not used.
    pub fn claimed<'a>(&self, plan: &[(DestinationId, usize)], claimed: impl Iterator<Item = &'a Claimed>) {
        let mut state = self.state();
        let mut counts: HashMap<DestinationId, usize> = HashMap::new();
        for one in claimed {
            *counts.entry(one.destination_id()).or_default() += 1;
            state.note(one.id());
        }
        for (id, slots) in plan {
            let count = counts.get(id).copied().unwrap_or_default();
            for _ in count..*slots {
                state.release(*id);
            }
            if let Some(lane) = state.lanes.get_mut(id) {
                lane.has_backlog = count == *slots;
            }
        }
    }

    /// Releases the leases of a plan whose claim failed. The claim may have been committed all the same.
    pub fn claim_failed(&self, plan: &[(DestinationId, usize)]) {
        let mut state = self.state();
        for (id, slots) in plan {
            (0..*slots).for_each(|_| state.release(*id));
            state.mark(*id);
        }
        state.may_have_lost |= !plan.is_empty();
    }

    /// Returns true when a destination with queued deliveries has room for a claim. A quick destination that still has
    /// deliveries to send needs room for several, so that claims stay few. Otherwise, and where slots are scarce, room
    /// for one is enough.
    pub fn wants_claim(&self) -> bool {
        let state = self.state();
        let is_scarce = state.free() < SCARCE;
        state.free() > 0
            && state.lanes.iter().any(|(id, lane)| {
                let least = if lane.is_quick && lane.leased > 0 && !is_scarce { CLAIM_LEAST } else { 1 };
                lane.has_backlog && state.room(*id) >= least
            })
    }

    /// Returns true while every lane has much room for unrecorded attempts: half of what it may have.
    pub fn have_room(&self) -> bool {
        self.state().has_room(UNRECORDED_MAX / 2)
    }

    /// Returns true while every lane has some room for unrecorded attempts: a quarter, so that it still sends while its
    /// records are made.
    pub fn have_some_room(&self) -> bool {
        self.state().has_room(UNRECORDED_MAX / 4 * 3)
    }

    /// Returns true while attempts are under way.
    pub fn are_sending(&self) -> bool {
        self.state().lanes.values().any(|lane| lane.sending > 0)
    }

    /// Returns true while attempts wait for the records of others.
    pub fn are_behind(&self) -> bool {
        let state = self.state();
        state.unrecorded >= UNRECORDED_BUSY || state.lanes.values().any(|lane| lane.unrecorded >= UNRECORDED_MAX)
    }

    /// Returns true when a lane with a backlog cannot send until its attempts are on record. Then their record must not
    /// wait for others.
    pub fn need_records(&self) -> bool {
        let waits =
            |lane: &Lane| lane.has_backlog && lane.sending == 0 && lane.unrecorded > 0 && lane.waiting.is_empty();
        self.state().lanes.values().any(waits)
    }

    /// Accepts leased deliveries. Returns those to send now; the others wait in their lanes.
    pub fn start(&self, leased: Vec<Leased>) -> Vec<Leased> {
        let mut state = self.state();
        let mut now = Vec::new();
        for one in leased {
            let id = one.claimed.destination_id();
            state.lanes.entry(id).or_default().waiting.push_back(one);
            state.pump(id, &mut now);
        }
        now
    }

    /// Notes the end of an attempt. Returns the next delivery to send to the destination, and the deliveries that
    /// return to the queue: a destination that is not quick has no leases ahead of its limit.
    pub fn after(&self, id: DestinationId, shown: Behaviour) -> (Option<Leased>, Vec<Leased>) {
        let mut state = self.state();
        let share = state.share(id);
        if let Some(is_hanging) = shown.is_hanging {
            state.set_hanging(id, is_hanging);
        }
        let Some(lane) = state.lanes.get_mut(&id) else { return (None, Vec::new()) };
        lane.sending = lane.sending.saturating_sub(1);
        lane.is_quick = shown.sent_in.is_some_and(|took| took <= QUICK);
        let most = if lane.is_quick { usize::MAX } else { share.saturating_sub(lane.sending + 1) };
        let returned: Vec<_> = lane.waiting.split_off(most.min(lane.waiting.len())).into();
        if !returned.is_empty() {
            state.mark(id);
        }
        let mut next = Vec::new();
        if state.may_send(id)
            && let Some(one) = state.lanes.get_mut(&id).and_then(|lane| lane.waiting.pop_front())
        {
            state.begin(id);
            next.push(one);
        }
        (next.pop(), returned)
    }

    /// Releases the leases of deliveries whose record begins. A claim in the same transaction may use them.
    pub fn record_begins(&self, group: impl Iterator<Item = DestinationId>) {
        let mut state = self.state();
        group.for_each(|id| state.release(id));
    }

    /// Restores the leases of deliveries whose record was blocked.
    pub fn record_is_blocked(&self, group: impl Iterator<Item = DestinationId>) {
        let mut state = self.state();
        group.for_each(|id| state.lease(id));
    }

    /// Forgets deliveries whose end is recorded, or will not be. Returns the deliveries to send now.
    pub fn recorded(&self, group: impl Iterator<Item = Change>) -> Vec<Leased> {
        let mut state = self.state();
        for one in group {
            state.forget(one.delivery);
            if one.is_queued {
                state.mark(one.destination);
            }
            if one.had_turn
                && let Some(lane) = state.lanes.get_mut(&one.destination)
            {
                lane.unrecorded = lane.unrecorded.saturating_sub(1);
                state.unrecorded = state.unrecorded.saturating_sub(1);
            }
        }
        state.forget_idle();
        state.pump_all()
    }

    /// Returns the deliveries of this node.
    pub fn ids(&self) -> HashSet<DeliveryId> {
        self.state().ids.keys().copied().collect()
    }

    /// Returns the deliveries of this node. `None` while rows whose ids are not known yet may have been committed.
    pub fn all_ids(&self) -> Option<HashSet<DeliveryId>> {
        let state = self.state();
        (state.unnamed == 0).then(|| state.ids.keys().copied().collect())
    }

    /// Returns true when this node has leased nothing, and lost no lease.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.leased == 0 && state.ids.is_empty() && !state.may_have_lost
    }

    /// Returns true once after a transaction whose leases may be lost.
    pub fn take_lost(&self) -> bool {
        std::mem::take(&mut self.state().may_have_lost)
    }

    /// Notes that the lost leases could not be looked for.
    pub fn note_lost(&self) {
        self.state().may_have_lost = true;
    }
}

#[cfg(test)]
mod tests;
