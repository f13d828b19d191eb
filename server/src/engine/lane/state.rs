//! The state of the lanes, and the rules of what may be leased and what may be sent.

use super::{Leased, SLOTS};
use model::id::{DeliveryId, DestinationId};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The most unrecorded attempts of one destination, unless more may be sent at the same time.
pub(super) const UNRECORDED_MAX: usize = 32;
/// From this number of unrecorded attempts on, the node makes records without waiting for more of them. Hanging
/// destinations alone never reach it.
pub(super) const UNRECORDED_BUSY: usize = SLOTS / 4 * 3;
/// The most leases of a quick destination.
const AHEAD: usize = 128;
/// The most leases that all quick destinations together have ahead of their limits.
const AHEAD_IN_ALL: usize = 512;
/// The slots of a destination that hangs: its last attempt timed out.
const SLOTS_HANGING: usize = 1;
/// The slots of all hanging destinations together, so that any number of them leaves slots free.
const SLOTS_ALL_HANGING: usize = SLOTS / 2;
/// Below this number of free slots a destination gets less than its share, in proportion, but at least one slot. Many
/// slow destinations thus leave slots for one that comes later.
pub(super) const SCARCE: usize = SLOTS / 4;
/// The number of lanes from which on the idle ones are forgotten.
const LANES_MAX: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct State {
    /// Set while the dispatcher runs.
    pub(super) open: Option<Open>,
    /// The most attempts under way of one destination, on all nodes together.
    pub(super) limit: usize,
    /// The number of nodes, and the number of those before this one.
    pub(super) nodes: (usize, usize),
    pub(super) lanes: HashMap<DestinationId, Lane>,
    /// The leases in all.
    pub(super) leased: usize,
    /// The leases beyond the limits of their destinations.
    pub(super) ahead: usize,
    /// The leases of hanging destinations in all.
    pub(super) hanging: usize,
    /// The unrecorded attempts in all.
    pub(super) unrecorded: usize,
    /// The leased deliveries that are in the database, or are about to be, each with the number of its notes. A
    /// delivery may be noted again before its first note is forgotten: SQLite gives the id of a row that was rolled
    /// back to the next row, and a transaction may claim a delivery that it has just returned.
    pub(super) ids: HashMap<DeliveryId, u32>,
    /// True once the dispatcher has looked for queued deliveries.
    pub(super) is_ready: bool,
    /// True after a transaction with leases whose commit had no response: it may have succeeded.
    pub(super) may_have_lost: bool,
    /// The number of [`Taken`](super::Taken) whose rows may be in the database and have no ids here yet.
    pub(super) unnamed: usize,
    /// The last destination that was claimed from. Destinations are claimed from in rotation.
    pub(super) last: Option<DestinationId>,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) owner: Uuid,
    pub(super) handed: mpsc::UnboundedSender<Vec<Leased>>,
}

/// The lane of one destination.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) leased: usize,
    pub(super) sending: usize,
    pub(super) unrecorded: usize,
    /// Leased deliveries that wait for their attempt.
    pub(super) waiting: VecDeque<Leased>,
    pub(super) is_hanging: bool,
    pub(super) is_quick: bool,
    /// True while older deliveries of the destination may be due in the database. New ones queue behind them. A look
    /// clears this mark even if it misses a delivery that is just being committed, so newer deliveries may overtake
    /// that one. Otherwise the mark would stay for ever under load, and a delivery that queues costs more than one that
    /// is leased at its start.
    pub(super) has_backlog: bool,
}

impl Lane {
    pub(super) fn is_idle(&self) -> bool {
        self.leased == 0 && self.unrecorded == 0 && !self.is_hanging && !self.has_backlog
    }
}

impl State {
    /// Returns this node's share of the limit of a destination. The shares of all nodes add up to the limit.
    pub(super) fn share(&self, id: DestinationId) -> usize {
        let (count, rank) = (self.nodes.0.max(1), self.nodes.1);
        let turn = (usize::try_from(id.0).unwrap_or_default() + rank) % count;
        self.limit / count + usize::from(turn < self.limit % count)
    }

    /// Returns the number of free slots. Leases that quick destinations have ahead of their limits take none.
    pub(super) fn free(&self) -> usize {
        SLOTS.saturating_sub(self.leased - self.ahead)
    }

    /// Returns how many more deliveries of a destination may be leased.
    pub(super) fn room(&self, id: DestinationId) -> usize {
        let share = self.share(id);
        let lane = self.lanes.get(&id);
        let leased = lane.map_or(0, |lane| lane.leased);
        let within = self.free();
        if lane.is_some_and(|lane| lane.is_hanging) {
            let slots = if self.hanging < SLOTS_ALL_HANGING { SLOTS_HANGING.min(share) } else { 0 };
            return slots.saturating_sub(leased).min(within);
        }
        let most = share.min((share * within / SCARCE).max(1));
        let in_share = most.saturating_sub(leased).min(within);
        let is_quick = share > 0 && lane.is_some_and(|lane| lane.is_quick);
        if !is_quick || most < share || in_share < share.saturating_sub(leased) {
            return in_share;
        }
        let ahead = AHEAD.saturating_sub(leased.max(share)).min(AHEAD_IN_ALL.saturating_sub(self.ahead));
        in_share + ahead
    }

    pub(super) fn lease(&mut self, id: DestinationId) {
        let share = self.share(id);
        let lane = self.lanes.entry(id).or_default();
        lane.leased += 1;
        self.leased += 1;
        self.hanging += usize::from(lane.is_hanging);
        self.ahead += usize::from(lane.leased > share);
    }

    pub(super) fn release(&mut self, id: DestinationId) {
        let share = self.share(id);
        let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.leased > 0) else { return };
        self.ahead -= usize::from(lane.leased > share);
        self.hanging -= usize::from(lane.is_hanging);
        lane.leased -= 1;
        self.leased -= 1;
    }

    /// Notes whether a destination hangs.
    pub(super) fn set_hanging(&mut self, id: DestinationId, is_hanging: bool) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.is_hanging {
            self.hanging -= lane.leased;
        }
        lane.is_hanging = is_hanging;
        if is_hanging {
            self.hanging += lane.leased;
        }
    }

    /// Notes that deliveries of a destination may be due in the database.
    pub(super) fn mark(&mut self, id: DestinationId) {
        self.lanes.entry(id).or_default().has_backlog = true;
    }

    /// Notes a delivery that this node has leased.
    pub(super) fn note(&mut self, delivery: DeliveryId) {
        *self.ids.entry(delivery).or_default() += 1;
    }

    /// Removes one note of a delivery. After its last note the delivery does not belong to this node.
    pub(super) fn forget(&mut self, delivery: DeliveryId) {
        if let Entry::Occupied(mut noted) = self.ids.entry(delivery) {
            *noted.get_mut() -= 1;
            if *noted.get() == 0 {
                noted.remove();
            }
        }
    }

    /// Returns true while each lane has fewer than `most` unrecorded attempts, and the node is not busy with them.
    pub(super) fn has_room(&self, most: usize) -> bool {
        self.unrecorded < UNRECORDED_BUSY && self.lanes.values().all(|lane| lane.unrecorded < most)
    }

    /// Returns true when an attempt of this destination may begin.
    pub(super) fn may_send(&self, id: DestinationId) -> bool {
        let share = self.share(id);
        self.unrecorded < SLOTS
            && self.lanes.get(&id).is_none_or(|lane| {
                let slots = if lane.is_hanging { SLOTS_HANGING.min(share) } else { share };
                lane.sending < slots.max(1) && lane.unrecorded < UNRECORDED_MAX.max(share)
            })
    }

    pub(super) fn begin(&mut self, id: DestinationId) {
        let lane = self.lanes.entry(id).or_default();
        lane.sending += 1;
        lane.unrecorded += 1;
        self.unrecorded += 1;
    }

    /// Takes the deliveries of a destination that may be sent now.
    pub(super) fn pump(&mut self, id: DestinationId, into: &mut Vec<Leased>) {
        while self.may_send(id)
            && let Some(next) = self.lanes.get_mut(&id).and_then(|lane| lane.waiting.pop_front())
        {
            self.begin(id);
            into.push(next);
        }
    }

    /// Takes all that may be sent now.
    pub(super) fn pump_all(&mut self) -> Vec<Leased> {
        let waiting: Vec<_> =
            self.lanes.iter().filter(|(_, lane)| !lane.waiting.is_empty()).map(|(id, _)| *id).collect();
        let mut now = Vec::new();
        for id in waiting {
            self.pump(id, &mut now);
        }
        now
    }

    pub(super) fn forget_idle(&mut self) {
        if self.lanes.len() > LANES_MAX {
            self.lanes.retain(|_, lane| !lane.is_idle());
        }
    }
}
