//! What is in flight at this worker, and what may be claimed besides: so many in all, so many of each webhook.
//!
//! A webhook's share is one for all workers together; which webhooks hang is in the database, and looked up once a
//! second. A delivery has a slot from its claim until its end is about to be recorded. What ends while that is written
//! waits with its slot, so what a kill can make arrive twice is never more than a webhook's slots.

use crate::store::claim::Room;
use model::id::{DeliveryId, WebhookId};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How many deliveries are in flight at most.
pub(super) const SLOTS: usize = 512;
/// How many of a webhook whose last attempt timed out, and of all such webhooks together: any number of hanging
/// receivers leaves slots free.
const SLOTS_HANGING: usize = 1;
const SLOTS_ALL_HANGING: usize = SLOTS / 2;
/// How many are claimed in one statement at most.
const CLAIM_MAX: usize = 100;

/// The webhooks with deliveries in flight, and those that hang.
pub(super) struct Lanes {
    /// How many deliveries of one webhook are in flight at most.
    per_webhook: usize,
    total: usize,
    webhooks: HashMap<WebhookId, Lane>,
    /// What was claimed and is not recorded yet.
    leased: HashSet<DeliveryId>,
    /// The webhook whose turn was last: among those with nothing in flight, and among the others.
    last: WebhookId,
    last_busy: WebhookId,
    /// Whether those with something in flight come first this time: each time the others.
    is_busy_first: bool,
}

/// One webhook's share.
#[derive(Default, Clone, Copy)]
struct Lane {
    in_flight: usize,
    /// Its last attempt timed out.
    is_hanging: bool,
}

impl Lanes {
    /// Nothing in flight, and `per_webhook` of each webhook at most.
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

    /// What may be claimed now, while other workers have so many deliveries of a webhook in flight.
    pub(super) fn room(&self, elsewhere: &HashMap<WebhookId, usize>) -> Room {
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
        let turn = busy.partition_point(|(id, _)| *id <= self.last_busy);
        busy.rotate_left(turn);
        Room {
            total: (SLOTS - self.total.min(SLOTS)).min(CLAIM_MAX),
            per_webhook: self.per_webhook,
            busy,
            is_busy_first: self.is_busy_first,
            after: self.last,
        }
    }

    /// Which webhooks hang is what the database says.
    pub(super) fn set_hanging(&mut self, hanging: &HashSet<WebhookId>) {
        for (id, lane) in &mut self.webhooks {
            lane.is_hanging = hanging.contains(id);
        }
        self.webhooks.retain(|_, lane| lane.is_hanging || lane.in_flight > 0);
        for id in hanging {
            self.webhooks.entry(*id).or_default().is_hanging = true;
        }
    }

    /// Notes what was claimed within `room`.
    pub(super) fn take_all(&mut self, room: &Room, claimed: impl Iterator<Item = (DeliveryId, WebhookId)>) {
        let places: HashMap<_, _> = room.busy.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
        let mut last_place = None;
        let mut idle = BTreeSet::new();
        for (delivery, webhook) in claimed {
            self.total += 1;
            self.leased.insert(delivery);
            self.webhooks.entry(webhook).or_default().in_flight += 1;
            match places.get(&webhook) {
                Some(place) => last_place = last_place.max(Some(*place)),
                None => _ = idle.insert(webhook),
            }
        }
        if let Some((id, _)) = last_place.and_then(|place| room.busy.get(place)) {
            self.last_busy = *id;
        }
        self.is_busy_first = !self.is_busy_first;
        // They were taken from the last one upwards, and then from the first one up to it.
        let wrapped = idle.range(..=self.last).next_back();
        if let Some(last) = wrapped.or(idle.last()) {
            self.last = *last;
        }
    }

    /// A delivery has ended and is about to be recorded; whether its webhook hangs, if that is known now.
    pub(super) fn free(&mut self, webhook: WebhookId, is_hanging: Option<bool>) {
        self.total = self.total.saturating_sub(1);
        let Some(lane) = self.webhooks.get_mut(&webhook) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.is_hanging = is_hanging.unwrap_or(lane.is_hanging);
        if lane.in_flight == 0 && !lane.is_hanging {
            self.webhooks.remove(&webhook);
        }
    }

    /// A delivery that was freed has its slot again: it could not be recorded.
    pub(super) fn take_again(&mut self, webhook: WebhookId) {
        self.total += 1;
        self.webhooks.entry(webhook).or_default().in_flight += 1;
    }

    /// What has ended is recorded, or given up on.
    pub(super) fn forget(&mut self, recorded: impl Iterator<Item = DeliveryId>) {
        for delivery in recorded {
            self.leased.remove(&delivery);
        }
    }

    /// What is in flight, or has ended and is not recorded yet.
    pub(super) fn leased(&self) -> Vec<DeliveryId> {
        self.leased.iter().copied().collect()
    }

    /// Whether nothing more may be claimed.
    pub(super) fn is_full(&self) -> bool {
        self.total >= SLOTS
    }

    /// Whether something of this webhook is in flight, or it hangs.
    pub(super) fn is_busy(&self, webhook: WebhookId) -> bool {
        self.webhooks.contains_key(&webhook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lanes: &mut Lanes, webhooks: impl Iterator<Item = i64>) {
        let room = lanes.room(&HashMap::new());
        lanes.take_all(&room, webhooks.map(|id| (DeliveryId(id), WebhookId(id))));
    }

    fn left(lanes: &Lanes) -> usize {
        lanes.room(&HashMap::new()).busy.iter().map(|(_, left)| left).sum()
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
        assert_eq!(lanes.room(&HashMap::new()).total, 100, "the rest is for others");
        lanes.free(WebhookId(7), Some(false));
        assert_eq!(left(&lanes), 344, "one answers again and is no lane any more, so another may");
    }

    #[test]
    fn hanging_webhooks_take_turns() {
        let mut lanes = Lanes::new(8);
        lanes.set_hanging(&(1..=600).map(WebhookId).collect());
        for expected in [1..=256, 257..=512, 513..=600] {
            // As the claim does: in the order of the room.
            let room = lanes.room(&HashMap::new());
            let next: Vec<_> = room.busy.iter().map(|(id, _)| id.0).take(expected.clone().count()).collect();
            assert_eq!(next, expected.collect::<Vec<_>>());
            take(&mut lanes, next.iter().copied());
            for id in next {
                lanes.free(WebhookId(id), Some(true));
            }
        }
        assert_eq!(lanes.room(&HashMap::new()).busy[0].0, WebhookId(1));
    }

    #[test]
    fn what_says_nothing_of_a_receiver_leaves_it_hanging() {
        let mut lanes = Lanes::new(8);
        lanes.set_hanging(&[WebhookId(1)].into());
        take(&mut lanes, [1].into_iter());
        lanes.free(WebhookId(1), None);
        assert_eq!(left(&lanes), 1, "one slot still");
    }

    #[test]
    fn the_next_turn_is_after_the_last_and_busy_ones_are_first_every_other_time() {
        let mut lanes = Lanes::new(8);
        for (claimed, last) in [(vec![3, 5, 9], 9), (vec![11, 2], 2), (vec![4, 5], 4), (vec![7, 1], 1)] {
            let before = lanes.room(&HashMap::new()).is_busy_first;
            take(&mut lanes, claimed.into_iter());
            assert_eq!(lanes.room(&HashMap::new()).after, WebhookId(last));
            assert_ne!(lanes.room(&HashMap::new()).is_busy_first, before);
        }
    }

    #[test]
    fn what_other_workers_have_in_flight_counts() {
        let mut lanes = Lanes::new(8);
        take(&mut lanes, [1, 1, 1, 2].into_iter());
        lanes.set_hanging(&[WebhookId(2), WebhookId(3), WebhookId(4)].into());
        let elsewhere = [(1, 4), (3, 1), (5, 7), (6, 9)].map(|(id, count)| (WebhookId(id), count)).into();
        let mut busy = lanes.room(&elsewhere).busy;
        busy.sort_unstable();
        assert_eq!(busy, [(1, 1), (2, 0), (3, 0), (4, 1), (5, 1), (6, 0)].map(|(id, left)| (WebhookId(id), left)));
        lanes.set_hanging(&HashSet::new());
        assert_eq!(left(&lanes), 5 + 7, "nothing hangs any more, and what is idle has no lane");
    }

    #[test]
    fn a_webhook_that_another_worker_is_busy_with_moves_no_turn() {
        let mut lanes = Lanes::new(8);
        take(&mut lanes, 1..=100);
        let room = lanes.room(&[(WebhookId(7), 1), (WebhookId(150), 1)].into());
        lanes.take_all(&room, [101, 102, 7, 150].into_iter().map(|id| (DeliveryId(id), WebhookId(id))));
        assert_eq!(lanes.room(&HashMap::new()).after, WebhookId(102));
    }
}
