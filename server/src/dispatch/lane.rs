//! The deliveries in flight at this node, and the capacity for more: in all, and of each destination.
//!
//! A destination's limit holds for all nodes together. The database says which destinations hang; the node reads that once a
//! second. A delivery occupies a slot from its claim until its record begins. A delivery that ends while another group is
//! written keeps its slot, so that a kill repeats no more deliveries of a destination than the destination has slots.

use crate::store::claim::Capacity;
use model::id::{DeliveryId, DestinationId};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most deliveries in flight at one node.
pub(super) const SLOTS: usize = 512;
/// The slots of a destination that hangs: its last attempt timed out.
const SLOTS_HANGING: usize = 1;
/// The slots of all hanging destinations together, so that any number of them leaves slots free.
const SLOTS_ALL_HANGING: usize = SLOTS / 2;
/// The most deliveries that one statement claims.
const CLAIM_MAX: usize = 100;

/// The destinations with deliveries in flight, and the destinations that hang.
pub(super) struct Lanes {
    /// The most deliveries of one destination in flight.
    per_destination: usize,
    total: usize,
    destinations: HashMap<DestinationId, Lane>,
    /// The claimed deliveries without a record of their end.
    leased: HashSet<DeliveryId>,
    /// The last destination without deliveries in flight that was claimed from. Destinations are claimed from in rotation.
    last: DestinationId,
    /// The last destination with deliveries in flight that was claimed from.
    last_busy: DestinationId,
    /// True when destinations with deliveries in flight come first in the next claim. Alternates.
    is_busy_first: bool,
}

/// The slots of one destination.
#[derive(Default, Clone, Copy)]
struct Lane {
    in_flight: usize,
    /// True when the last attempt timed out.
    is_hanging: bool,
}

impl Lanes {
    /// Returns lanes with nothing in flight, and at most `per_destination` deliveries of each destination.
    pub(super) fn new(per_destination: usize) -> Self {
        Self {
            per_destination,
            total: 0,
            destinations: HashMap::new(),
            leased: HashSet::new(),
            last: DestinationId(0),
            last_busy: DestinationId(0),
            is_busy_first: false,
        }
    }

    /// Returns the capacity for a claim. `elsewhere` is the number of deliveries that other nodes have in flight.
    pub(super) fn capacity(&self, elsewhere: &HashMap<DestinationId, usize>) -> Capacity {
        let hanging: usize = self.destinations.values().filter(|lane| lane.is_hanging).map(|lane| lane.in_flight).sum();
        let slots_hanging = if hanging < SLOTS_ALL_HANGING { SLOTS_HANGING } else { 0 };
        let left = |(id, lane): (&DestinationId, &Lane)| {
            let slots = if lane.is_hanging { slots_hanging } else { self.per_destination };
            (*id, slots.saturating_sub(lane.in_flight + elsewhere.get(id).copied().unwrap_or_default()))
        };
        let only_elsewhere = elsewhere.iter().filter(|(id, _)| !self.destinations.contains_key(id));
        let only_elsewhere = only_elsewhere.map(|(id, count)| (*id, self.per_destination.saturating_sub(*count)));
        let mut busy: Vec<_> = self.destinations.iter().map(left).chain(only_elsewhere).collect();
        busy.sort_unstable();
        let next = busy.partition_point(|(id, _)| *id <= self.last_busy);
        busy.rotate_left(next);
        Capacity {
            total: (SLOTS - self.total.min(SLOTS)).min(CLAIM_MAX),
            per_destination: self.per_destination,
            busy,
            is_busy_first: self.is_busy_first,
            after: self.last,
        }
    }

    /// Takes over from the database which destinations hang.
    pub(super) fn set_hanging(&mut self, hanging: &HashSet<DestinationId>) {
        for (id, lane) in &mut self.destinations {
            lane.is_hanging = hanging.contains(id);
        }
        self.destinations.retain(|_, lane| lane.is_hanging || lane.in_flight > 0);
        for id in hanging {
            self.destinations.entry(*id).or_default().is_hanging = true;
        }
    }

    /// Notes the deliveries that were claimed within `capacity`.
    pub(super) fn take_all(&mut self, capacity: &Capacity, claimed: impl Iterator<Item = (DeliveryId, DestinationId)>) {
        let indexes: HashMap<_, _> = capacity.busy.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
        let mut last_index = None;
        let mut idle = BTreeSet::new();
        for (delivery, destination) in claimed {
            self.total += 1;
            self.leased.insert(delivery);
            self.destinations.entry(destination).or_default().in_flight += 1;
            match indexes.get(&destination) {
                Some(index) => last_index = last_index.max(Some(*index)),
                None => _ = idle.insert(destination),
            }
        }
        if let Some((id, _)) = last_index.and_then(|index| capacity.busy.get(index)) {
            self.last_busy = *id;
        }
        self.is_busy_first = !self.is_busy_first;
        // The claim goes from the last destination upwards, then from the first one up to the last.
        let wrapped = idle.range(..=self.last).next_back();
        if let Some(last) = wrapped.or(idle.last()) {
            self.last = *last;
        }
    }

    /// Frees the slot of a delivery whose record begins. `is_hanging` says whether the destination hangs, where the attempt
    /// tells.
    pub(super) fn free(&mut self, destination: DestinationId, is_hanging: Option<bool>) {
        self.total = self.total.saturating_sub(1);
        let Some(lane) = self.destinations.get_mut(&destination) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.is_hanging = is_hanging.unwrap_or(lane.is_hanging);
        if lane.in_flight == 0 && !lane.is_hanging {
            self.destinations.remove(&destination);
        }
    }

    /// Occupies the slot of a delivery again whose record was blocked.
    pub(super) fn take_again(&mut self, destination: DestinationId) {
        self.total += 1;
        self.destinations.entry(destination).or_default().in_flight += 1;
    }

    /// Forgets deliveries whose end is recorded, or will not be.
    pub(super) fn forget(&mut self, recorded: impl Iterator<Item = DeliveryId>) {
        for delivery in recorded {
            self.leased.remove(&delivery);
        }
    }

    /// Returns the deliveries that are in flight, or whose end is not recorded yet.
    pub(super) fn leased(&self) -> Vec<DeliveryId> {
        self.leased.iter().copied().collect()
    }

    /// Returns true when every slot is in use.
    pub(super) fn is_full(&self) -> bool {
        self.total >= SLOTS
    }

    /// Returns true when the destination has deliveries in flight, or hangs.
    pub(super) fn is_busy(&self, destination: DestinationId) -> bool {
        self.destinations.contains_key(&destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lanes: &mut Lanes, destinations: impl Iterator<Item = i64>) {
        let capacity = lanes.capacity(&HashMap::new());
        lanes.take_all(&capacity, destinations.map(|id| (DeliveryId(id), DestinationId(id))));
    }

    fn left(lanes: &Lanes) -> usize {
        lanes.capacity(&HashMap::new()).busy.iter().map(|(_, left)| left).sum()
    }

    #[test]
    fn hanging_destinations_leave_half_of_the_slots() {
        let mut lanes = Lanes::new(8);
        for id in 1..=600 {
            take(&mut lanes, [id].into_iter());
            lanes.free(DestinationId(id), Some(true));
        }
        assert_eq!(left(&lanes), 600, "one for each");
        take(&mut lanes, 1..=256);
        assert_eq!(left(&lanes), 0, "enough of them");
        assert_eq!(lanes.capacity(&HashMap::new()).total, 100, "the rest is for others");
        lanes.free(DestinationId(7), Some(false));
        assert_eq!(left(&lanes), 344, "one answers again and is no lane any more, so another may");
    }

    #[test]
    fn hanging_destinations_are_claimed_in_rotation() {
        let mut lanes = Lanes::new(8);
        lanes.set_hanging(&(1..=600).map(DestinationId).collect());
        for expected in [1..=256, 257..=512, 513..=600] {
            // As the claim does: in the order of the capacity.
            let capacity = lanes.capacity(&HashMap::new());
            let next: Vec<_> = capacity.busy.iter().map(|(id, _)| id.0).take(expected.clone().count()).collect();
            assert_eq!(next, expected.collect::<Vec<_>>());
            take(&mut lanes, next.iter().copied());
            for id in next {
                lanes.free(DestinationId(id), Some(true));
            }
        }
        assert_eq!(lanes.capacity(&HashMap::new()).busy[0].0, DestinationId(1));
    }

    #[test]
    fn hanging_destination_stays_so_after_an_attempt_that_tells_nothing() {
        let mut lanes = Lanes::new(8);
        lanes.set_hanging(&[DestinationId(1)].into());
        take(&mut lanes, [1].into_iter());
        lanes.free(DestinationId(1), None);
        assert_eq!(left(&lanes), 1, "one slot still");
    }

    #[test]
    fn rotation_goes_on_after_the_last_destination_and_busy_ones_are_first_every_other_time() {
        let mut lanes = Lanes::new(8);
        for (claimed, last) in [(vec![3, 5, 9], 9), (vec![11, 2], 2), (vec![4, 5], 4), (vec![7, 1], 1)] {
            let before = lanes.capacity(&HashMap::new()).is_busy_first;
            take(&mut lanes, claimed.into_iter());
            assert_eq!(lanes.capacity(&HashMap::new()).after, DestinationId(last));
            assert_ne!(lanes.capacity(&HashMap::new()).is_busy_first, before);
        }
    }

    #[test]
    fn capacity_counts_the_deliveries_of_other_nodes() {
        let mut lanes = Lanes::new(8);
        take(&mut lanes, [1, 1, 1, 2].into_iter());
        lanes.set_hanging(&[DestinationId(2), DestinationId(3), DestinationId(4)].into());
        let elsewhere = [(1, 4), (3, 1), (5, 7), (6, 9)].map(|(id, count)| (DestinationId(id), count)).into();
        let mut busy = lanes.capacity(&elsewhere).busy;
        busy.sort_unstable();
        assert_eq!(busy, [(1, 1), (2, 0), (3, 0), (4, 1), (5, 1), (6, 0)].map(|(id, left)| (DestinationId(id), left)));
        lanes.set_hanging(&HashSet::new());
        assert_eq!(left(&lanes), 5 + 7, "nothing hangs any more, and what is idle has no lane");
    }

    #[test]
    fn destination_that_is_busy_on_another_node_moves_no_rotation() {
        let mut lanes = Lanes::new(8);
        take(&mut lanes, 1..=100);
        let capacity = lanes.capacity(&[(DestinationId(7), 1), (DestinationId(150), 1)].into());
        lanes.take_all(&capacity, [101, 102, 7, 150].into_iter().map(|id| (DeliveryId(id), DestinationId(id))));
        assert_eq!(lanes.capacity(&HashMap::new()).after, DestinationId(102));
    }
}
