//! The deliveries in flight at this node, and the capacity for more: in all, and of each webhook.
//!
//! A webhook's limit holds for all nodes together. The database says which webhooks hang; the node reads that once a
//! second. A delivery occupies a slot from its claim until its record begins. A delivery that ends while another group is
//! written keeps its slot, so that a kill repeats no more deliveries of a webhook than the webhook has slots.

use crate::store::claim::Capacity;
use model::id::{DeliveryId, WebhookId};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most deliveries in flight at one node.
pub(super) const SLOTS: usize = 512;
/// The slots of a webhook that hangs: its last attempt timed out.
const SLOTS_HANGING: usize = 1;
/// The slots of all hanging webhooks together, so that any number of them leaves slots free.
const SLOTS_ALL_HANGING: usize = SLOTS / 2;
/// The most deliveries that one statement claims.
const CLAIM_MAX: usize = 100;

/// The webhooks with deliveries in flight, and the webhooks that hang.
pub(super) struct Lanes {
    /// The most deliveries of one webhook in flight.
    per_webhook: usize,
    total: usize,
    webhooks: HashMap<WebhookId, Lane>,
    /// The claimed deliveries without a record of their end.
    leased: HashSet<DeliveryId>,
    /// The last webhook without deliveries in flight that was claimed from. Webhooks are claimed from in rotation.
    last: WebhookId,
    /// The last webhook with deliveries in flight that was claimed from.
    last_busy: WebhookId,
    /// True when webhooks with deliveries in flight come first in the next claim. Alternates.
    is_busy_first: bool,
}

/// The slots of one webhook.
#[derive(Default, Clone, Copy)]
struct Lane {
    in_flight: usize,
    /// True when the last attempt timed out.
    is_hanging: bool,
}

impl Lanes {
    /// Returns lanes with nothing in flight, and at most `per_webhook` deliveries of each webhook.
    pub(super) fn new(per_webhook: usize) -> Self {
        Self {
            per_webhook,
            total: 0,
            webhooks: HashMap::new(),
            leased: HashSet::new(),
            last: WebhookId(0),
            last_busy: WebhookId(0),
            is_busy_first: false,
        }
    }

    /// Returns the capacity for a claim. `elsewhere` is the number of deliveries that other nodes have in flight.
    pub(super) fn capacity(&self, elsewhere: &HashMap<WebhookId, usize>) -> Capacity {
        let hanging: usize = self.webhooks.values().filter(|lane| lane.is_hanging).map(|lane| lane.in_flight).sum();
        let slots_hanging = if hanging < SLOTS_ALL_HANGING { SLOTS_HANGING } else { 0 };
        let left = |(id, lane): (&WebhookId, &Lane)| {
            let slots = if lane.is_hanging { slots_hanging } else { self.per_webhook };
            (*id, slots.saturating_sub(lane.in_flight + elsewhere.get(id).copied().unwrap_or_default()))
        };
        let only_elsewhere = elsewhere.iter().filter(|(id, _)| !self.webhooks.contains_key(id));
        let only_elsewhere = only_elsewhere.map(|(id, count)| (*id, self.per_webhook.saturating_sub(*count)));
        let mut busy: Vec<_> = self.webhooks.iter().map(left).chain(only_elsewhere).collect();
        busy.sort_unstable();
        let next = busy.partition_point(|(id, _)| *id <= self.last_busy);
        busy.rotate_left(next);
        Capacity {
            total: (SLOTS - self.total.min(SLOTS)).min(CLAIM_MAX),
            per_webhook: self.per_webhook,
            busy,
            is_busy_first: self.is_busy_first,
            after: self.last,
        }
    }

    /// Takes over from the database which webhooks hang.
    pub(super) fn set_hanging(&mut self, hanging: &HashSet<WebhookId>) {
        for (id, lane) in &mut self.webhooks {
            lane.is_hanging = hanging.contains(id);
        }
        self.webhooks.retain(|_, lane| lane.is_hanging || lane.in_flight > 0);
        for id in hanging {
            self.webhooks.entry(*id).or_default().is_hanging = true;
        }
    }

    /// Notes the deliveries that were claimed within `capacity`.
    pub(super) fn take_all(&mut self, capacity: &Capacity, claimed: impl Iterator<Item = (DeliveryId, WebhookId)>) {
        let indexes: HashMap<_, _> = capacity.busy.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
        let mut last_index = None;
        let mut idle = BTreeSet::new();
        for (delivery, webhook) in claimed {
            self.total += 1;
            self.leased.insert(delivery);
            self.webhooks.entry(webhook).or_default().in_flight += 1;
            match indexes.get(&webhook) {
                Some(index) => last_index = last_index.max(Some(*index)),
                None => _ = idle.insert(webhook),
            }
        }
        if let Some((id, _)) = last_index.and_then(|index| capacity.busy.get(index)) {
            self.last_busy = *id;
        }
        self.is_busy_first = !self.is_busy_first;
        // The claim goes from the last webhook upwards, then from the first one up to the last.
        let wrapped = idle.range(..=self.last).next_back();
        if let Some(last) = wrapped.or(idle.last()) {
            self.last = *last;
        }
    }

    /// Frees the slot of a delivery whose record begins. `is_hanging` says whether the webhook hangs, where the attempt
    /// tells.
    pub(super) fn free(&mut self, webhook: WebhookId, is_hanging: Option<bool>) {
        self.total = self.total.saturating_sub(1);
        let Some(lane) = self.webhooks.get_mut(&webhook) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.is_hanging = is_hanging.unwrap_or(lane.is_hanging);
        if lane.in_flight == 0 && !lane.is_hanging {
            self.webhooks.remove(&webhook);
        }
    }

    /// Occupies the slot of a delivery again whose record was blocked.
    pub(super) fn take_again(&mut self, webhook: WebhookId) {
        self.total += 1;
        self.webhooks.entry(webhook).or_default().in_flight += 1;
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

    /// Returns true when the webhook has deliveries in flight, or hangs.
    pub(super) fn is_busy(&self, webhook: WebhookId) -> bool {
        self.webhooks.contains_key(&webhook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lanes: &mut Lanes, webhooks: impl Iterator<Item = i64>) {
        let capacity = lanes.capacity(&HashMap::new());
        lanes.take_all(&capacity, webhooks.map(|id| (DeliveryId(id), WebhookId(id))));
    }

    fn left(lanes: &Lanes) -> usize {
        lanes.capacity(&HashMap::new()).busy.iter().map(|(_, left)| left).sum()
    }

    #[test]
    fn hanging_webhooks_leave_half_of_the_slots() {
        let mut lanes = Lanes::new(8);
        for id in 1..=600 {
            take(&mut lanes, [id].into_iter());
            lanes.free(WebhookId(id), Some(true));
        }
        assert_eq!(left(&lanes), 600, "one for each");
        take(&mut lanes, 1..=256);
        assert_eq!(left(&lanes), 0, "enough of them");
        assert_eq!(lanes.capacity(&HashMap::new()).total, 100, "the rest is for others");
        lanes.free(WebhookId(7), Some(false));
        assert_eq!(left(&lanes), 344, "one answers again and is no lane any more, so another may");
    }

    #[test]
    fn hanging_webhooks_are_claimed_in_rotation() {
        let mut lanes = Lanes::new(8);
        lanes.set_hanging(&(1..=600).map(WebhookId).collect());
        for expected in [1..=256, 257..=512, 513..=600] {
            // As the claim does: in the order of the capacity.
            let capacity = lanes.capacity(&HashMap::new());
            let next: Vec<_> = capacity.busy.iter().map(|(id, _)| id.0).take(expected.clone().count()).collect();
            assert_eq!(next, expected.collect::<Vec<_>>());
            take(&mut lanes, next.iter().copied());
            for id in next {
                lanes.free(WebhookId(id), Some(true));
            }
        }
        assert_eq!(lanes.capacity(&HashMap::new()).busy[0].0, WebhookId(1));
    }

    #[test]
    fn hanging_webhook_stays_so_after_an_attempt_that_tells_nothing() {
        let mut lanes = Lanes::new(8);
        lanes.set_hanging(&[WebhookId(1)].into());
        take(&mut lanes, [1].into_iter());
        lanes.free(WebhookId(1), None);
        assert_eq!(left(&lanes), 1, "one slot still");
    }

    #[test]
    fn rotation_goes_on_after_the_last_webhook_and_busy_ones_are_first_every_other_time() {
        let mut lanes = Lanes::new(8);
        for (claimed, last) in [(vec![3, 5, 9], 9), (vec![11, 2], 2), (vec![4, 5], 4), (vec![7, 1], 1)] {
            let before = lanes.capacity(&HashMap::new()).is_busy_first;
            take(&mut lanes, claimed.into_iter());
            assert_eq!(lanes.capacity(&HashMap::new()).after, WebhookId(last));
            assert_ne!(lanes.capacity(&HashMap::new()).is_busy_first, before);
        }
    }

    #[test]
    fn capacity_counts_the_deliveries_of_other_nodes() {
        let mut lanes = Lanes::new(8);
        take(&mut lanes, [1, 1, 1, 2].into_iter());
        lanes.set_hanging(&[WebhookId(2), WebhookId(3), WebhookId(4)].into());
        let elsewhere = [(1, 4), (3, 1), (5, 7), (6, 9)].map(|(id, count)| (WebhookId(id), count)).into();
        let mut busy = lanes.capacity(&elsewhere).busy;
        busy.sort_unstable();
        assert_eq!(busy, [(1, 1), (2, 0), (3, 0), (4, 1), (5, 1), (6, 0)].map(|(id, left)| (WebhookId(id), left)));
        lanes.set_hanging(&HashSet::new());
        assert_eq!(left(&lanes), 5 + 7, "nothing hangs any more, and what is idle has no lane");
    }

    #[test]
    fn webhook_that_is_busy_on_another_node_moves_no_rotation() {
        let mut lanes = Lanes::new(8);
        take(&mut lanes, 1..=100);
        let capacity = lanes.capacity(&[(WebhookId(7), 1), (WebhookId(150), 1)].into());
        lanes.take_all(&capacity, [101, 102, 7, 150].into_iter().map(|id| (DeliveryId(id), WebhookId(id))));
        assert_eq!(lanes.capacity(&HashMap::new()).after, WebhookId(102));
    }
}
