//! What is in flight at this worker, and what may be claimed besides: so many in all, so many of each webhook.
//!
//! A delivery has a slot from its claim until its end is about to be recorded. What ends while that is written waits
//! with its slot, so what a kill can make arrive twice is never more than a webhook's slots.

use crate::store::claim::Room;
use model::id::{DeliveryId, WebhookId};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How many deliveries are in flight at most.
pub(super) const SLOTS: usize = 512;
/// How many of one webhook.
const SLOTS_PER_WEBHOOK: usize = 8;
/// How many of a webhook whose last attempt timed out, and of all such webhooks together: any number of hanging
/// receivers leaves slots free.
const SLOTS_HANGING: usize = 1;
const SLOTS_ALL_HANGING: usize = SLOTS / 2;
/// How many are claimed in one statement at most.
const CLAIM_MAX: usize = 100;

/// The webhooks with deliveries in flight, and those that hang.
pub(super) struct Lanes {
    total: usize,
    webhooks: HashMap<WebhookId, Lane>,
    /// What was claimed and is not recorded yet.
    leased: HashSet<DeliveryId>,
    /// The webhook whose turn was last, among those with nothing in flight.
    last: WebhookId,
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

impl Default for Lanes {
    fn default() -> Self {
        Self { total: 0, webhooks: HashMap::new(), leased: HashSet::new(), last: WebhookId(0), is_busy_first: false }
    }
}

impl Lanes {
    /// What may be claimed now.
    pub(super) fn room(&self) -> Room {
        let hanging: usize = self.webhooks.values().filter(|lane| lane.is_hanging).map(|lane| lane.in_flight).sum();
        let slots_hanging = if hanging < SLOTS_ALL_HANGING { SLOTS_HANGING } else { 0 };
        let left = |(id, lane): (&WebhookId, &Lane)| {
            let slots = if lane.is_hanging { slots_hanging } else { SLOTS_PER_WEBHOOK };
            (*id, slots.saturating_sub(lane.in_flight))
        };
        Room {
            total: (SLOTS - self.total.min(SLOTS)).min(CLAIM_MAX),
            per_webhook: SLOTS_PER_WEBHOOK,
            busy: self.webhooks.iter().map(left).collect(),
            is_busy_first: self.is_busy_first,
            after: self.last,
        }
    }

    /// Notes what was claimed within [`Lanes::room`].
    pub(super) fn take_all(&mut self, claimed: impl Iterator<Item = (DeliveryId, WebhookId)>) {
        let mut idle = BTreeSet::new();
        for (delivery, webhook) in claimed {
            self.total += 1;
            self.leased.insert(delivery);
            let lane = self.webhooks.entry(webhook).or_insert_with(|| {
                idle.insert(webhook);
                Lane::default()
            });
            lane.in_flight += 1;
        }
        self.is_busy_first = !self.is_busy_first;
        // They were taken from the last one upwards, and then from the first one up to it.
        let wrapped = idle.range(..=self.last).next_back();
        if let Some(last) = wrapped.or(idle.last()) {
            self.last = *last;
        }
    }

    /// A delivery has ended and is about to be recorded.
    pub(super) fn free(&mut self, webhook: WebhookId, has_timed_out: bool) {
        self.total = self.total.saturating_sub(1);
        let Some(lane) = self.webhooks.get_mut(&webhook) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.is_hanging = has_timed_out;
        if lane.in_flight == 0 && !has_timed_out {
            self.webhooks.remove(&webhook);
        }
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

    /// Whether something of this webhook is in flight, or it hangs.
    pub(super) fn is_busy(&self, webhook: WebhookId) -> bool {
        self.webhooks.contains_key(&webhook)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lanes: &mut Lanes, webhooks: impl Iterator<Item = i64>) {
        lanes.take_all(webhooks.map(|id| (DeliveryId(id), WebhookId(id))));
    }

    #[test]
    fn hanging_webhooks_leave_half_of_the_slots() {
        let mut lanes = Lanes::default();
        for id in 1..=600 {
            take(&mut lanes, [id].into_iter());
            lanes.free(WebhookId(id), true);
        }
        let left = |lanes: &Lanes| lanes.room().busy.iter().map(|(_, left)| left).sum::<usize>();
        assert_eq!(left(&lanes), 600, "one for each");
        take(&mut lanes, 1..=256);
        assert_eq!(left(&lanes), 0, "enough of them");
        assert_eq!(lanes.room().total, 100, "the rest is for others");
        lanes.free(WebhookId(7), false);
        assert_eq!(left(&lanes), 344, "one answers again and is no lane any more, so another may");
    }

    #[test]
    fn the_next_turn_is_after_the_last_and_busy_ones_are_first_every_other_time() {
        let mut lanes = Lanes::default();
        for (claimed, last) in [(vec![3, 5, 9], 9), (vec![11, 2], 2), (vec![4, 5], 4), (vec![7, 1], 1)] {
            let before = lanes.room().is_busy_first;
            take(&mut lanes, claimed.into_iter());
            assert_eq!(lanes.room().after, WebhookId(last));
            assert_ne!(lanes.room().is_busy_first, before);
        }
    }
}
